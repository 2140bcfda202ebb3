"""A benchmark from data to reports, in memory or in a folder that a killed run resumes from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol

from pydantic import ValidationError

import zsrec
from zsrec.core.concurrency import LoopThread
from zsrec.core.errors import ConfigError, DataError
from zsrec.core.resumable_folder import CONFIG
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange
from zsrec.data.catalog import Catalog
from zsrec.evaluation.beyond_accuracy import Statistics
from zsrec.evaluation.llm_methods import Case, LLMMethod, Outcome, ask, cases, header, predictions, seconds
from zsrec.evaluation.machine import machine, model_server
from zsrec.evaluation.memorization import ProbeReport, Question, probe, probe_report
from zsrec.evaluation.protocols import check_for_llm
from zsrec.evaluation.report import NO_PRICES, Prices, Report, Seconds, quantiles, report
from zsrec.evaluation.report_export import html
from zsrec.evaluation.report_markdown import markdown
from zsrec.evaluation.retention import check_key, scrub_locked
from zsrec.evaluation.run_folder import ITEMS, JOURNAL, METRICS, PROBE, TIMES, TITLES, RunFolder
from zsrec.evaluation.runner import MethodRun, Run, check, measured, protocol, retrieve, run
from zsrec.evaluation.splits import Split
from zsrec.llm.journal import Journal, JournalledLLM
from zsrec.llm.offline import OfflineLLM, RequestFolder
from zsrec.llm.protocol import LLM, ServerInfo
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval.base import Method


class Watch(Protocol):
    """Progress of a run, for display."""

    def start(self, what: str, total: int) -> None:
        """A method begins, with so many users to go."""

    def step(self) -> None:
        """One user is done."""

    def reply(self, exchange: Exchange, replayed: bool) -> None:
        """A reply came, or was taken from the journal."""

    def say(self, text: str) -> None:
        """Something worth knowing happened."""


@dataclass(frozen=True)
class Task:
    """What a benchmark runs."""

    data: str  # the name of the data, for the report
    catalog: Catalog  # the items
    problems: Sequence[Split]  # one split, or one per order of ties
    methods: Mapping[str, Method]  # methods without an LLM, by name
    llm_methods: Sequence[LLMMethod] = ()  # methods that ask one
    ks: Sequence[int] = (10,)  # cut-offs
    users: int | None = None  # how many users the LLM methods are asked for, drawn by hash; None for all
    questions: int = 0  # how many questions of each kind the memorisation probe asks; 0 for no probe
    seed: int = 0  # of subsets, ties, intervals and tests
    skipped: Mapping[str, str] = field(default_factory=dict)  # methods that cannot run, with the reason
    notes: tuple[str, ...] = ()  # what was counted on the way
    prices: Prices = NO_PRICES  # of tokens

    @property
    def asks_llm(self) -> bool:
        """Whether a model server is needed."""
        return bool(self.llm_methods) or self.questions > 0

    @property
    def is_offline(self) -> bool:
        """Whether all methods that ask an LLM have recorded replies."""
        return bool(self.llm_methods) and all(one.replies is not None for one in self.llm_methods)

    @property
    def names(self) -> list[str]:
        """The names of all methods, in the order of the report."""
        return [*self.methods, *(one.name for one in self.llm_methods)]


def in_memory(task: Task, watch: Watch) -> Report:
    """Runs the methods without an LLM; nothing is written."""
    if task.asks_llm:
        raise ConfigError("an LLM's replies are stored in a run's folder", hint="give --out")
    watch.start("users × methods", len(task.problems[0]) * len(task.problems) * len(task.methods))
    done = run(task.problems, task.methods, ks=task.ks, on_user=watch.step)
    known = _statistics(task, done.methods)
    return report(done, seed=task.seed, skipped=task.skipped, notes=task.notes, statistics=known)


def in_folder(
    task: Task,
    folder: RunFolder,
    arguments: Mapping[str, Any],
    watch: Watch,
    *,
    settings: Settings | None = None,
    llm: LLM | None = None,
) -> Report:
    """Runs a task in a folder, or resumes it there.

    Every reply is stored before it is used, and every file is written atomically: the process may be killed at any
    moment, and the same call resumes. No reply in the folder is asked for again. When the run is
    complete, what `Settings.keep` does not name is removed.
    """
    check(task.problems, dict.fromkeys(task.names), task.ks)
    if task.llm_methods and len(task.problems) > 1:
        raise ConfigError("methods that ask an LLM run on one order of ties", hint="leave --tie-orders out")
    if task.asks_llm:
        check_for_llm(task.problems[0])
    if task.questions and task.is_offline:
        raise ConfigError("the memorisation probe asks a server", hint="leave --probe or --replies out")
    settings = settings or Settings.load()
    hash_key = None if settings.hash_key is None else settings.hash_key.get_secret_value()
    with folder.locked(), _Session(task, folder, watch, settings, llm) as session:
        check_key(folder, hash_key, growing=not all(map(folder.has, task.names)))
        folder.start(_config(task, arguments, session.server()))
        for note in folder.notes:
            watch.say(note)
        for name, method in task.methods.items():
            if not folder.has(name):
                session.retrieve(name, method)
        if task.asks_llm:
            session.ask_llm()
        found = rebuild(folder, task=task)
        scrub_locked(folder, settings.keep, hash_key=hash_key)
        return found


def rebuild(folder: RunFolder, prices: Prices | None = None, *, task: Task | None = None) -> Report:
    """Makes metrics and reports from what a folder holds; no server and no data are needed."""
    config = folder.config()
    ks, seed, split = config["ks"], config["seed"], config["split"]
    run = Run(
        protocol=split["protocol"],
        notes=tuple(split["notes"]),
        users=split["users"],
        items=split["items"],
        methods=tuple(
            measured(folder.predictions(name), ks, short=bool(config.get("llm_methods")))
            for name in config["methods"]
        ),
    )
    recited: ProbeReport | None = None
    if config["questions"]:
        asked = [Question(**one) for one in folder.read_json(PROBE)["questions"]]
        recited = probe_report(config["server"]["model"], asked, seed=seed)
    times = folder.read_if_there(TIMES)
    if task is not None:
        shown = {item for one in run.methods for item, _ in one.predicted.most_shown()}
        folder.write_json(TITLES, {item: task.catalog[item].title for item in sorted(shown)})
        if (counted := _statistics(task, run.methods)) is not None:
            folder.write_json(ITEMS, counted.model_dump(mode="json"))
    found = report(
        run, seed=seed, skipped=config["skipped"], notes=tuple(config["notes"]),
        prices=prices or Prices(*config["prices"]),
        probe=recited,
        times={
            name: Seconds(p50=one["p50"], p95=one["p95"], measured=one.get("measured", {}))
            for name, one in times.items()
        },
        titles=folder.read_json(TITLES),
        statistics=_read_statistics(folder),
    )  # fmt: skip
    folder.write_json(METRICS, found.timeless())
    folder.write_text("report.md", markdown(found, config))
    folder.write_text("report.html", html(found, config))
    return found


async def add_requests(task: Task, requests: RequestFolder, watch: Watch, settings: Settings) -> None:
    """Adds what no reply of the methods answers to `requests`; no server is asked.

    Raises:
        ConfigError: An LLM cannot be asked this.
    """
    check_for_llm(task.problems[0])
    for method in task.llm_methods:
        await _outcomes(task, method, OfflineLLM("", method.replies, requests), settings, watch, requests)


async def _outcomes(
    task: Task,
    method: LLMMethod,
    llm: LLM,
    settings: Settings,
    watch: Watch,
    requests: RequestFolder | None = None,
) -> tuple[Sequence[Case], Sequence[Outcome]]:
    """Asks a model for a method's users, or each user's recorded replies; what they lack goes to `requests`."""
    split = task.problems[0]
    known = cases(method, split, split.drawn(task.users, task.seed).tolist(), seed=task.seed)
    watch.start(method.name, len(known))

    def recorded(place: int) -> LLM:
        user = split.training.users[int(split.users[known[place].number])]
        return OfflineLLM(user, method.replies, requests)

    recommender = AsyncRecommender(task.catalog, template=method.template, settings=settings, llm=llm)
    llm_of = None if method.replies is None and requests is None else recorded
    return known, await ask(method, known, recommender, k=max(task.ks), llm_of=llm_of, on_done=watch.step)


def _statistics(task: Task, methods: Sequence[MethodRun]) -> Statistics | None:
    """None for sampled candidates: their lists say nothing about the catalog."""
    split = task.problems[0]
    if split.candidates is not None:
        return None
    return Statistics.of(split.training, task.catalog, (item for one in methods for item in one.predicted.names))


def _read_statistics(folder: RunFolder) -> Statistics | None:
    """None where the folder is of a run without them."""
    try:
        return Statistics.model_validate(folder.read_json(ITEMS)) if (folder.path / ITEMS).exists() else None
    except ValidationError as error:
        raise DataError(
            "no counts of items", path=folder.path / ITEMS, hint="delete it and run the benchmark again"
        ) from error


class _Session:
    """One process's work in a folder."""

    def __init__(self, task: Task, folder: RunFolder, watch: Watch, settings: Settings, llm: LLM | None) -> None:
        self.task, self.folder, self.watch, self.settings = task, folder, watch, settings
        self._given = llm
        self._llm: LLM | None = None
        self._times = folder.read_if_there(TIMES)
        self._loop = LoopThread()

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *error: object) -> None:
        if self._llm is not None:
            self._loop.run(self._llm.aclose())
        self._loop.close()

    def server(self) -> ServerInfo | dict[str, Any] | None:
        """What is served; what was served where all of it has been asked for already."""
        if not self.task.asks_llm:
            return None
        if self.task.is_offline:
            models = dict.fromkeys(one.replies.name for one in self.task.llm_methods if one.replies is not None)
            return {"model": ", ".join(models), "version": None, "context_length": None}
        complete = all(map(self.folder.has, self.task.names)) and not any(self.folder.sums.faults([CONFIG]))
        if complete and (not self.task.questions or (self.folder.path / PROBE).exists()):
            found: dict[str, Any] | None = self.folder.config()["server"]
            return found
        return self._loop.run(self._model().handshake())

    def _model(self) -> LLM:
        if self._llm is None:
            self._llm = self._given or _client(self.settings)
        return self._llm

    def retrieve(self, name: str, method: Method) -> None:
        """Runs a method that scores the whole catalog."""
        problems = self.task.problems
        self.watch.start(name, len(problems[0]) * len(problems))
        took: list[float] = []
        head, found = retrieve(name, method, problems, ks=self.task.ks, seconds=took, on_user=self.watch.step)
        predicted = list(found)
        self._write_times(name, took)
        self.folder.write_predictions(head, predicted)

    def ask_llm(self) -> None:
        """Runs what asks an LLM and has not been done."""
        todo = [method for method in self.task.llm_methods if not self.folder.has(method.name)]
        probing = self.task.questions and not (self.folder.path / PROBE).exists()
        if not todo and not probing:
            return
        if self.task.is_offline:
            for method in todo:
                self._ask(method, OfflineLLM("", method.replies))
            return
        with Journal(self.folder.path / JOURNAL, self.folder.purpose) as journal:
            for note in journal.notes:
                self.watch.say(note)
            if len(journal):
                self.watch.say(f"going on: {len(journal):,} replies are there already")
            llm = JournalledLLM(self._model(), journal, on_reply=self.watch.reply)
            for method in todo:
                self._ask(method, llm)
            if probing:
                self._probe(llm)

    def _ask(self, method: LLMMethod, llm: LLM) -> None:
        split = self.task.problems[0]
        known, outcomes = self._loop.run(_outcomes(self.task, method, llm, self.settings, self.watch))
        server = self._loop.run(llm.handshake())
        mode = method.retriever and method.retriever(split.training).mode
        about: dict[str, int | str] = {}
        if method.replies is None:
            about["requests_at_once"] = self.settings.concurrency
            about["model_server"] = model_server(server.base_url, server.version)
        self._write_times(method.name, seconds(outcomes), by_user=True, **about)
        self.folder.write_predictions(
            header(method, server.model, outcomes, mode, self.task.seed), predictions(split, known, outcomes)
        )

    def _probe(self, llm: LLM) -> None:
        task, split = self.task, self.task.problems[0]
        self.watch.start("memorisation probe", 2 * task.questions)
        numbers = split.drawn(None if task.users is None else max(task.users, task.questions), task.seed)
        request = probe(
            llm, task.catalog, split, numbers, questions=task.questions,
            concurrency=self.settings.concurrency, seed=task.seed, on_done=self.watch.step,
        )  # fmt: skip
        questions = self._loop.run(request)
        self.folder.write_json(PROBE, {"questions": [one.model_dump() for one in questions]})

    def _write_times(
        self, name: str, took: Sequence[float | None], *, by_user: bool = False, **about: int | str
    ) -> None:
        """Before the predictions: a kill between the two then only makes the method run again."""
        found = quantiles([one for one in took if one is not None])
        if found is not None:
            found = found.model_copy(update={"measured": {**machine(), **about}})
            self._times[name] = found.model_dump() | ({"users": list(took)} if by_user else {})
        self.folder.write_json(TIMES, self._times)


def _client(settings: Settings) -> LLM:
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    return OpenAIClient(settings)


def _config(
    task: Task, arguments: Mapping[str, Any], server: ServerInfo | dict[str, Any] | None
) -> dict[str, Any]:
    """Everything that the results depend on; no host, no path of this machine, no key."""
    split = task.problems[0]
    if isinstance(server, ServerInfo):
        server = {"model": server.model, "version": server.version, "context_length": server.context_length}
    return {
        "versions": {"zsrec": zsrec.__version__, "python": platform.python_version(), "numpy": version("numpy")},
        "data": task.data,
        "arguments": dict(arguments),
        "methods": task.names,
        "llm_methods": {one.name: _described(one) for one in task.llm_methods},
        "server": server,
        "ks": list(task.ks),
        "users": task.users,
        "questions": task.questions,
        "seed": task.seed,
        "split": {
            "protocol": protocol(task.problems),
            "notes": list(split.notes),
            "users": len(split),
            "items": len(split.training.items),
            "orders": len(task.problems),
        },
        "skipped": dict(task.skipped),
        "notes": list(task.notes),
        "prices": list(task.prices),
    }


def _described(method: LLMMethod) -> dict[str, Any]:
    ref = method.template.ref
    return {
        "template": ref.name,
        "version": ref.version,
        "sha256": ref.sha256,
        "candidates": method.source,
        "pool": method.pool,
        "shuffled": method.shuffled,
        "newest": method.newest,
        **({"prior": True} if method.prior else {}),
    }
