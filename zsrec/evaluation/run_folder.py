"""The folder of a run: everything that was asked, answered, predicted and measured.

::

    DIR/config.json         what was asked for; another configuration is refused
    DIR/exchanges.jsonl     every request to the LLM and its reply (`zsrec.llm.journal`): users' histories!
    DIR/predictions/*.jsonl one file a method, written whole or not at all
    DIR/times.json          seconds; the only file whose contents differ between two runs of one seed, with
                            the order and the times in exchanges.jsonl and in the two reports
    DIR/probe.json          what the model could recite, where that was asked
    DIR/titles.json         titles of the items that were shown most
    DIR/items.json          how many users, and which genres, the items in lists have (`beyond_accuracy`)
    DIR/metrics.json        means, intervals, tests
    DIR/report.md, report.html
    DIR/retention.json      what was removed from it, where something was (`zsrec.evaluation.retention`)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zsrec.core.files import CONFIG, ResumableFolder
from zsrec.evaluation.predictions import Header, Predicted, Prediction, header_of, read_predictions, renamed

METRICS, TIMES = "metrics.json", "times.json"
PROBE, TITLES, ITEMS, JOURNAL = "probe.json", "titles.json", "items.json", "exchanges.jsonl"
RETENTION, SCRUB_KEY = "retention.json", ".scrub-key"
OPTIONS_OF_METHODS = ("ease", "sasrec")  # arguments named as the one method that they concern
REPORT_ONLY = ("prices", "skipped")  # what changes the report and nothing that was run


class RunFolder(ResumableFolder):
    """The folder of one run; more methods may be added later, and what is there is kept.

    Args:
        path: The folder.
    """

    def _comparable(self, found: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = bool(found.get("llm_methods") or found.get("questions"))
        had = found.get("methods", [])
        return _concerning(had, found, asks_llm=asked), _concerning(had, wanted, asks_llm=asked)

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

    def _predictions(self, method: str) -> Path:
        """A file for any name: its harmless part, and a hash where that is not all of it."""
        plain = re.sub(r"[^\w.-]+", "-", method, flags=re.ASCII).strip(".-")[:60]
        if plain != method:
            plain += "-" + hashlib.sha256(method.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return self.path / "predictions" / f"{plain}.jsonl"


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
