"""A script that runs llama.cpp's own server; run with the engine's Python.

    python llamacpp_serve.py --model FILE.gguf --alias NAME --host HOST --port PORT --max-model-len N [FIELD=VALUE]

`xllamacpp` holds the server as a library and brings no program. This script is never imported by zsrec: the
package exists only in the engine's environment.
"""

from __future__ import annotations

import argparse
import functools
import signal
from typing import Any

_SLOTS = 4  # requests in work at once, each with the whole context


def main() -> None:
    """Serve until a signal ends the process."""
    import xllamacpp  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="further fields of CommonParams")
    given = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.model_alias = {given.alias}
    params.hostnames = [given.host]
    params.port = given.port
    params.n_parallel = _SLOTS
    params.offline = True
    # Pages of other hosts may not read answers, and nobody may read the prompts of others.
    params.cors_origins = ""
    params.ui = params.endpoint_slots = params.endpoint_props = False
    for setting in given.settings:
        path, _, value = setting.partition("=")
        *groups, name = path.split(".")  # cpuparams.n_threads
        group = functools.reduce(lambda one, part: getattr(one, part, None), groups, params)
        if not hasattr(group, name):
            parser.error(f"unrecognized arguments: {setting}")
        setattr(group, name, _like(getattr(group, name), value))
    params.n_ctx = given.max_model_len * params.n_parallel
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", flush=True)  # noqa: T201  its log
    while True:
        signal.pause()


def _like(old: object, value: str) -> Any:  # noqa: ANN401
    """A value with the type of the one that it replaces."""
    if isinstance(old, bool):
        return value.lower() in {"1", "true", "yes", "on"}
    return type(old)(value) if isinstance(old, int | float | str) else value


if __name__ == "__main__":
    main()
