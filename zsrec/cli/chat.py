"""`zsrec chat`: a conversation in the terminal, recommending after every message."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationError

from zsrec.cli import options
from zsrec.cli.console import complain, left_out, print_line, show, unsaid
from zsrec.cli.options import (
    OUTPUT,
    USER,
    CatalogOptions,
    columns_of,
    expand_groups,
    option,
    prepare_retriever,
    read_tables,
    titles,
)
from zsrec.core.errors import ConfigError, LLMConnectionError, ZsrecError
from zsrec.core.files import atomic_write
from zsrec.core.json_input import read_json
from zsrec.core.settings import Settings
from zsrec.core.types import Frozen, Recommendation, Recommendations
from zsrec.data.history import History, Turn
from zsrec.data.titles import display_title
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.session import Session
from zsrec.recommender.strategy import CONVERSATION_TEMPLATE

HELP = """\
Say what you want, and on:
  like 1 3, dislike 2   what you think of the numbered titles (+1 3, -2); more titles follow
  /why 2                why this title
  /more                 further titles
  /undo                 take the last step back
  /save FILE            write the conversation (again with --resume FILE)
  /help, /quit"""
_JUDGED = re.compile(r"(like|dislike|[+-])\s*(\d[\d\s,]*)", re.IGNORECASE)


class SavedChat(Frozen):
    """What `/save` writes and `--resume` reads."""

    history: History = History()
    conversation: tuple[Turn, ...] = ()


@expand_groups
def chat(
    catalog: CatalogOptions,
    history: Annotated[str, option("Titles or ids that you know, with ';' between.", panel=USER)] = "",
    resume: Annotated[Path | None, option("A conversation that /save wrote.", panel=USER)] = None,
    k: options.HowMany = 5,
    template: options.TemplateName = CONVERSATION_TEMPLATE,
    prompts: options.PromptsFolder = None,
    retriever: options.RetrieverName = None,
    interactions: options.Interactions = None,
    columns: options.InteractionColumns = options.COLUMNS,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    trace: Annotated[bool, option("Show where each title came from.", "--trace", panel=OUTPUT)] = False,
) -> None:
    """Talk about what you want; every message is answered with recommendations.

    Reads lines, from a terminal or a pipe. With --retriever and --interactions, places that the model leaves empty
    are filled, and without a model server retrieval answers. Nothing is written but by /save.
    """
    sources = catalog.sources(
        template=template,
        prompts=prompts,
        interactions=interactions,
        columns=columns_of(columns),
        retriever=retriever,
    )
    tables = read_tables(sources)
    settings = Settings.load(model=model, base_url=base_url)
    recommender = sources.make(Recommender, tables, prepare_retriever(sources, tables), settings)
    saved = _read(resume) if resume is not None else SavedChat()
    session = Session(recommender, saved.history.with_events(titles(history)), conversation=saved.conversation)
    with recommender:
        print_line(f"{tables.catalog!r}. /help says what you can type.", "dim", error=True)
        _Chat(session, k, trace=trace).run(_lines())


class _Chat:
    """One conversation: what was shown last, and the sessions that `/undo` goes back to."""

    def __init__(self, session: Session, k: int, *, trace: bool) -> None:
        self._session = session
        self._k, self._trace = k, trace
        self._before: list[tuple[Session, tuple[Recommendation, ...]]] = []
        self._shown: tuple[Recommendation, ...] = ()
        self._said: set[str] = set()
        self._commands: dict[str, Callable[[str], None]] = {
            "/why": self._why,
            "/more": lambda _: self._step(lambda: None),
            "/undo": lambda _: self._undo(),
            "/save": self._save,
            "/help": lambda _: print_line(HELP),
        }

    def run(self, lines: Iterator[str]) -> None:
        """Answers line by line; an error is shown, and the conversation goes on."""
        for line in lines:
            command, _, rest = line.strip().partition(" ")
            if command in ("/quit", "/exit"):
                return
            try:
                if command.startswith("/"):
                    self._commands.get(command, self._unknown)(rest.strip())
                elif judged := _JUDGED.fullmatch(line.strip()):
                    self._judge("like" if judged[1].lower() in ("like", "+") else "dislike", judged[2])
                elif line.strip():
                    self._step(lambda text=line: self._session.say(text))  # type: ignore[misc]
            except ZsrecError as error:
                complain(error)

    def _step(self, change: Callable[[], object]) -> None:
        """Changes the session and recommends; where that fails, the session is as before."""
        before = (copy.copy(self._session), self._shown)
        try:
            change()
            found = self._recommend()
        except BaseException:
            self._session, self._shown = before
            raise
        self._before.append(before)
        self._shown = found.items
        self._show(found)

    def _recommend(self) -> Recommendations:
        recommender = self._session.recommender
        retrieves = recommender.pipeline.retriever is not None
        try:
            return self._session.recommend(self._k, fill="retrieval" if retrieves else None)
        except LLMConnectionError as error:
            if not retrieves:
                raise
            print_line(f"the model could not be reached: {error.message}", "yellow", error=True)
            return self._session.recommend(self._k, strategy="retrieve")

    def _judge(self, feedback: Literal["like", "dislike"], numbers: str) -> None:
        chosen = [self._numbered(number) for number in re.findall(r"\d+", numbers)]
        self._step(lambda: getattr(self._session, feedback)(*chosen))

    def _numbered(self, number: str) -> Recommendation:
        if not number.isdigit() or not 1 <= int(number) <= len(self._shown):
            hint = f"numbers go from 1 to {len(self._shown)}" if self._shown else "say first what you want"
            if self._before and not self._shown:
                hint = "the last answer recommended nothing: say what you want, or /undo for the list before"
            raise ConfigError(f"there is no title number {number!r}", hint=hint)
        return self._shown[int(number) - 1]

    def _why(self, number: str) -> None:
        one = self._numbered(number or "1")
        if one.reason:
            print_line(one.reason)
            return
        session = self._session
        (found,) = session.recommender.explain([one], session.history)
        print_line(found.text or f"(no answer: {found.error})")

    def _undo(self) -> None:
        if not self._before:
            raise ConfigError("there is nothing to take back", hint="say what you want")
        self._session, self._shown = self._before.pop()
        print_line("Taken back.", "dim")
        self._list(self._shown)

    def _save(self, name: str) -> None:
        if not name:
            raise ConfigError("/save needs a file name", hint="/save talk.json")
        saved = SavedChat(history=self._session.history, conversation=self._session.conversation)
        with atomic_write(Path(name), private=True, hint="name another file") as file:
            file.write(json.dumps(saved.model_dump(mode="json"), ensure_ascii=False, indent=1).encode())
        print_line(f"Saved in {name}; --resume {name} goes on.", "dim")

    def _unknown(self, _: str) -> None:
        raise ConfigError("there is no such command", hint="/help lists them")

    def _show(self, found: Recommendations) -> None:
        if self._trace:
            show(found, "For you", self._said)
            return
        self._list(found.items)
        if not found.items:
            print_line("(nothing could be recommended)", "yellow")
        for line in (*left_out(found.trace), *(f"note: {note}" for note in unsaid(found.trace, self._said))):
            print_line(line, "dim", error=True)

    def _list(self, items: tuple[Recommendation, ...]) -> None:
        for one in items:
            reason = f" – {one.reason}" if one.reason else ""
            print_line(f"{one.rank}. {display_title(one.item.title)}{reason}")


def _lines() -> Iterator[str]:
    """The lines of standard input; where that is a terminal, after a prompt."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    import readline  # noqa: F401  (line editing, where Python has it)

    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            print_line("")
            return


def _read(path: Path) -> SavedChat:
    try:
        return SavedChat.model_validate(read_json(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint="check --resume") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{path}: not a saved conversation: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="--resume takes what /save wrote",
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not a saved conversation: {error}", hint="--resume takes what /save wrote"
        ) from None
