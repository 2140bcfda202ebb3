"""The folder of a run: everything that was asked, answered, predicted and measured.

::

    DIR/config.json         what was asked for; another configuration is refused
    DIR/exchanges.jsonl     every request to the LLM and its reply (`zsrec.llm.journal`): users' histories!
    DIR/predictions/*.jsonl one file a method, written whole or not at all
    DIR/times.json          seconds; the only file whose contents differ between two runs of one seed, with
                            the order and the times in exchanges.jsonl and in the two reports
    DIR/probe.json          what the model could recite, where that was asked
    DIR/titles.json         titles of the items that were shown most
    DIR/items.json          how many users, and which genres, the items in lists have (`zsrec.evals.lists`)
    DIR/metrics.json        means, intervals, tests
    DIR/report.md, report.html
    DIR/retention.json      what was removed from it, where something was (`zsrec.evals.retention`)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zsrec.errors import ConfigError, DataError
from zsrec.evals.predictions import Header, Predicted, Prediction, header_of, read_predictions, renamed
from zsrec.whole import written_whole

CONFIG, METRICS, TIMES = "config.json", "metrics.json", "times.json"
PROBE, TITLES, ITEMS, JOURNAL = "probe.json", "titles.json", "items.json", "exchanges.jsonl"
RETENTION, SCRUB_KEY = "retention.json", ".scrub-key"
OPTIONS_OF_METHODS = ("ease", "sasrec")  # arguments named as the one method that they concern
REPORT_ONLY = ("prices", "skipped")  # what changes the report and nothing that was run


class RunFolder:
    """One run's folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # -- configuration --------------------------------------------------------------------------------

    def start(self, config: Mapping[str, Any]) -> None:
        """Takes a configuration, or makes sure that the folder's is the same but for methods that it lacks.

        Methods do not depend on each other, so a folder may be given more of them: what is there is kept.

        Raises:
            ConfigError: The folder belongs to another configuration (the message names the first field that
                differs), holds something else, or cannot be written.
        """
        wanted: dict[str, Any] = json.loads(json.dumps(config))
        if (self.path / CONFIG).exists():
            found = self.config()
            asked = bool(found.get("llm_methods") or found.get("questions"))
            had = found.get("methods", [])
            for field, here, there in _differences(
                _concerning(had, found, asks_llm=asked), _concerning(had, wanted, asks_llm=asked)
            ):
                raise ConfigError(
                    f"{self.path} holds another run: {field} is {_short(here)} there and {_short(there)} here",
                    hint="take another --out, or the same arguments and data to go on",
                )
        elif self.path.is_dir() and any(one.name != ".lock" for one in self.path.iterdir()):
            raise ConfigError(f"{self.path} holds files and no {CONFIG}", hint="take a new folder for --out")
        self.write_json(CONFIG, wanted)

    def config(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            DataError: There is none, or it cannot be read.
        """
        return self.read_json(CONFIG)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process away from the folder; the system frees the lock when this one dies.

        Raises:
            ConfigError: Another process works in the folder, or it cannot be made.
        """
        import fcntl  # not on Windows, where the rest of zsrec still has to import

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}", hint="check --out") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"another process works in {self.path}", hint="wait for it, or take another --out"
                ) from None
            yield

    # -- predictions ----------------------------------------------------------------------------------

    def has(self, method: str) -> bool:
        """Whether the method's predictions are there."""
        return self._predictions(method).exists()

    def write_predictions(self, header: Header, predictions: Iterable[Prediction]) -> None:
        """Writes a method's predictions, whole or not at all.

        Raises:
            ConfigError: The file cannot be written.
        """

        def lines() -> Iterator[str]:
            yield header.model_dump_json() + "\n"
            for one in predictions:
                yield one.line() + "\n"

        self._write(self._predictions(header.method), lines())

    def predictions(self, method: str) -> Predicted:
        """A method's predictions.

        Raises:
            DataError: They are missing or wrong.
        """
        return read_predictions(self._predictions(method))

    def has_users(self) -> bool:
        """Whether some file of predictions has users under their own ids.

        Raises:
            DataError: A file is wrong.
        """
        return any(not header_of(path).pseudonyms for path in (self.path / "predictions").glob("*.jsonl"))

    def rename_users(self, name: Callable[[str], str]) -> None:
        """Gives every user in every file of predictions another name, once; each file whole or not at all.

        Raises:
            ConfigError: A file cannot be written.
            DataError: A line is wrong.
        """
        for path in sorted((self.path / "predictions").glob("*.jsonl")):
            if not header_of(path).pseudonyms:
                self._write(path, renamed(path, name))

    def _predictions(self, method: str) -> Path:
        """A file for any name: its harmless part, and a hash where that is not all of it."""
        plain = re.sub(r"[^\w.-]+", "-", method, flags=re.ASCII).strip(".-")[:60]
        if plain != method:
            plain += "-" + hashlib.sha256(method.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return self.path / "predictions" / f"{plain}.jsonl"

    # -- small files ----------------------------------------------------------------------------------

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder.

        Raises:
            DataError: It is missing or is no JSON object.
        """
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError("cannot be read as JSON", path=path, hint="is this the folder of a run?") from error
        if not isinstance(found, dict):
            raise DataError("expected a JSON object", path=path, hint="is this the folder of a run?")
        return found

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(content, ensure_ascii=True, indent=1) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(self.path / name, [text])

    def write_private(self, name: str, text: str) -> None:
        """Writes a text file that only its owner may read, whole or not at all.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(self.path / name, [text], private=True)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there.

        Raises:
            ConfigError: It cannot be removed.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path / name}: cannot be removed: {error.strerror}", hint="check the folder's owner"
            ) from error

    def empty(self) -> None:
        """Removes everything but the configuration.

        Raises:
            ConfigError: A file cannot be removed.
        """
        for path in [*self.path.glob("*"), *self.path.glob("predictions/*")]:
            if path.is_file() and path.name not in (CONFIG, ".lock"):
                self.remove(str(path.relative_to(self.path)))
        self.remove(SCRUB_KEY)

    def remove_parts(self) -> None:
        """Removes what a killed process had half written.

        Raises:
            ConfigError: A file cannot be removed.
        """
        for part in [*self.path.glob("*.part"), *self.path.glob("predictions/*.part")]:
            self.remove(str(part.relative_to(self.path)))

    def _write(self, path: Path, parts: Iterable[str], *, private: bool = False) -> None:
        with written_whole(path, private=private) as file:
            file.writelines(part.encode("utf-8", "replace") for part in parts)


def _concerning(methods: Sequence[str], config: Mapping[str, Any], *, asks_llm: bool) -> dict[str, Any]:
    """A configuration without what concerns only other methods, and what changes the report only."""
    arguments = {
        name: value
        for name, value in config.get("arguments", {}).items()
        if (name not in OPTIONS_OF_METHODS or name in methods) and (name != "model" or asks_llm)
    }
    return {
        **{name: value for name, value in config.items() if name not in REPORT_ONLY},
        **({} if asks_llm else {"server": None, "users": None}),
        "arguments": arguments,
        "methods": [name for name in methods if name in config.get("methods", [])],
        "llm_methods": {name: one for name, one in config.get("llm_methods", {}).items() if name in methods},
    }


def _differences(here: object, there: object, field: str = "") -> Iterator[tuple[str, object, object]]:
    """Fields that differ, the nested ones as `data.items.sha256`."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in dict.fromkeys([*here, *there]):
            yield from _differences(here.get(name), there.get(name), f"{field}.{name}" if field else str(name))
    elif here != there:
        yield field, here, there


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
