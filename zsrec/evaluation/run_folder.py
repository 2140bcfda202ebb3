"""The folder of a run: requests, replies, predictions and metrics.

::

    DIR/SHA256SUMS          the checksums of all files that are read again, but for the journal (`sha256sum -c`)
    DIR/config.json         what was asked for; another configuration is refused
    DIR/exchanges.jsonl     every request to the LLM and its reply (`zsrec.llm.journal`): users' histories!
    DIR/predictions/        one file per method (`zsrec.evaluation.predictions`); older runs have plain .jsonl
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
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from zsrec.core.checked_lines import read_lines, repair
from zsrec.core.checksums import REPAIR
from zsrec.core.errors import DamagedError
from zsrec.core.resumable_folder import CONFIG, ResumableFolder
from zsrec.evaluation.predictions import (
    Header,
    Predicted,
    Prediction,
    header_of,
    read_predictions,
    rename_users,
    write_predictions,
)
from zsrec.llm.journal import is_entry

METRICS, TIMES = "metrics.json", "times.json"
PROBE, TITLES, ITEMS, JOURNAL = "probe.json", "titles.json", "items.json", "exchanges.jsonl"
RETENTION, SCRUB_KEY = "retention.json", ".scrub-key"
OPTIONS_OF_METHODS = ("ease", "sasrec")  # arguments named as the one method that they concern
REPORT_ONLY = ("prices", "skipped")  # what changes the report and nothing that was run


class RunFolder(ResumableFolder):
    """The folder of one run; methods may be added later."""

    LASTING: ClassVar[Sequence[str]] = (CONFIG, RETENTION)

    def _comparable(self, found: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = bool(found.get("llm_methods") or found.get("questions"))
        had = found.get("methods", [])
        return _concerning(had, found, asks_llm=asked), _concerning(had, wanted, asks_llm=asked)

    def read_if_there(self, name: str) -> dict[str, Any]:
        """Read a JSON object; empty where the file is not there."""
        return self.read_json(name) if (self.path / name).exists() else {}

    def has(self, method: str) -> bool:
        """Whether the method's predictions are there."""
        return self._predictions(method).exists()

    @property
    def purpose(self) -> str:
        """What the journal is of: all that every method of the run depends on."""
        whole = json.dumps(_concerning((), self.config(), asks_llm=True), sort_keys=True)
        return f"run {hashlib.sha256(whole.encode()).hexdigest()}"

    def write_predictions(self, header: Header, predictions: Iterable[Prediction]) -> None:
        """Writes a method's predictions, all of them or nothing."""
        with self.writing(self.sums.name(self._packed(header.method))) as file:
            write_predictions(file, header, predictions)

    def predictions(self, method: str) -> Predicted:
        """A method's predictions; `DamagedError` where they are not those that were written."""
        path = self._predictions(method)
        if path.exists():
            self.sums.check(self.sums.name(path))
        found = read_predictions(path)
        if (fault := _fault(found, method, self.read_if_there(CONFIG))) is not None:
            raise DamagedError(fault, path=path, hint=REPAIR.format(self.path))
        return found

    def prediction_files(self) -> list[Path]:
        """All files of predictions."""
        return sorted([*self.path.glob("predictions/*.jsonl"), *self.path.glob("predictions/*.jsonl.gz")])

    def has_users(self) -> bool:
        """Whether some file of predictions has users under their own ids."""
        return any(not header_of(path).pseudonyms for path in self.prediction_files())

    def rename_users(self, name: Callable[[str], str]) -> None:
        """Replaces user ids by pseudonyms in every file; a plain file becomes a packed one."""
        for path in self.prediction_files():
            if not header_of(path).pseudonyms:
                packed = path.with_name(path.name.removesuffix(".gz") + ".gz")
                with self.writing(self.sums.name(packed)) as file:
                    rename_users(path, file, name)
                if path != packed:
                    self.remove(self.sums.name(path))

    def empty(self) -> None:
        """Removes everything but the configuration."""
        for path in [*self.path.glob("*"), *self.path.glob("predictions/*")]:
            if path.is_file() and path.name not in (CONFIG, ".lock"):
                self.remove(self.sums.name(path))

    def remove_parts(self) -> None:
        """Removes what a killed process had half written."""
        for part in [*self.path.glob("*.part"), *self.path.glob("predictions/*.part")]:
            self.remove(self.sums.name(part))

    def faults(self) -> Iterator[DamagedError]:
        """What in the folder is damaged."""
        recorded = list(super().faults())
        yield from recorded
        known = {str(error.path) for error in recorded}
        if str(self.path / CONFIG) in known:
            return
        for method in self.config()["methods"]:
            if self.has(method) and str(self._predictions(method)) not in known:
                try:
                    self.predictions(method)
                except DamagedError as error:
                    yield error
        if (journal := self.path / JOURNAL).exists():
            yield from read_lines(journal, self.purpose, lambda line: is_entry(line.entry)).errors(journal)

    def _repair(self, path: Path) -> None:
        if path.name == JOURNAL:
            repair(path, self.purpose, is_entry)
        else:
            super()._repair(path)

    def _stored(self) -> Iterator[str]:
        yield from super()._stored()
        yield from map(self.sums.name, self.prediction_files())

    def _predictions(self, method: str) -> Path:
        """The method's packed file; its plain one (format 1) where only that is there."""
        packed = self._packed(method)
        plain = packed.with_suffix("")
        return plain if plain.exists() and not packed.exists() else packed

    def _packed(self, method: str) -> Path:
        """A file for any name: its harmless part, and a hash where that is not all of it."""
        plain = re.sub(r"[^\w.-]+", "-", method, flags=re.ASCII).strip(".-")[:60]
        if plain != method:
            plain += "-" + hashlib.sha256(method.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return self.path / "predictions" / f"{plain}.jsonl.gz"


def _fault(found: Predicted, method: str, config: Mapping[str, Any]) -> str | None:
    """What predictions without a checksum in the folder disagree in with the run."""
    if found.header.method != method:
        return f"holds the predictions of {found.header.method!r} instead of {method!r}"
    split = config.get("split", {})
    if "users" not in split:
        return None
    asked = split["users"] * split.get("orders", 1)
    if method in config.get("llm_methods", {}):
        asked = min(split["users"], config.get("users") or split["users"])
    if len(found.users) != asked:
        return f"{len(found.users):,} predictions instead of {asked:,}"
    if len(set(zip(found.users, found.orders.tolist(), strict=True))) != asked:
        return "a user stands in it twice"
    return None


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
