"""Python and curl that do what the page did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from zsrec.data.history import Feedback, History
from zsrec.llm.curl import command
from zsrec.llm.protocol import ChatRequest, ServerInfo
from zsrec.playground.draft import Draft
from zsrec.playground.state import NO_RETRIEVER, Question

EDITED = "edited.j2"
"""The file for an edited template."""
_METHODS = {
    Feedback.SEEN: "with_events",
    Feedback.LIKED: "like",
    Feedback.DISLIKED: "dislike",
    Feedback.SKIPPED: "skip",
}
_LISTS = ("with_events", "show")


def as_python(
    question: Question,
    draft: Draft,
    *,
    opening: Sequence[str],
    known: str | None = None,
    base: int = 0,
    model: dict[str, str] | None = None,
    popular: bool = False,
) -> str:
    """A script that asks the same question with the same draft."""
    edited = draft.edited
    retriever = None if question.retriever == NO_RETRIEVER else question.retriever
    uses_popular = popular and question.template.task == "rank" and not question.candidates and retriever is None
    history = _history(question.history, base, None if known is None else f"histories[{known!r}]")
    imports = ["Catalog"] if any("Catalog." in line for line in opening) else []
    imports += ["History"] if history.startswith("History") else []
    imports += ["Recommender"]
    arguments = ["catalog", *(f"{name}={value!r}" for name, value in (model or {}).items())]
    arguments.append(f"template={(EDITED if edited else draft.name)!r}")
    arguments += ["popularity=popularity(histories.values())"] if uses_popular else []
    asked = ["history", f"k={question.k}"]
    asked += [f"about={question.about!r}"] if question.about else []
    asked += [f"candidates={list(question.candidates)!r}"] if question.candidates else []
    asked += ["fill='retrieval'"] if question.takes_turns else []
    if question.conversation:
        asked.append(f"conversation={[(turn.role, turn.text) for turn in question.conversation]!r}")
    lines = [*(["from pathlib import Path", ""] if edited else [])]
    lines.append(f"from zsrec import {', '.join(imports)}")
    lines += ["from zsrec.data import movielens"] if any("movielens." in line for line in opening) else []
    lines += ["from zsrec.retrieval import popularity"] if uses_popular else []
    if retriever is not None:
        lines += ["from zsrec.data.interactions import Ids, Interactions"]
        lines += ["from zsrec.retrieval.by_name import retriever_named"]
        histories = "histories" if any("histories" in line for line in opening) else "{}"
        opening = (*opening, f"known = Interactions.from_histories({histories}, catalog=Ids(catalog.ids))")
    lines += ["", *opening]
    if edited:
        lines.append(f"Path({EDITED!r}).write_text({_literal(draft.text)}, encoding='utf-8')")
    lines += [
        f"history = {history}",
        f"with {_made(arguments, retriever)} as rec:",
        f"    for r in rec.recommend({', '.join(asked)}):",
        "        print(r.rank, r.item.title)",
    ]
    return "\n".join(lines) + "\n"


def _made(arguments: Sequence[str], retriever: str | None) -> str:
    made = f"Recommender({', '.join(arguments)})"
    if retriever is None:
        return made
    return f"{made}.with_retriever(retriever_named({retriever!r}, known, catalog))"


def as_curl(request: ChatRequest, server: ServerInfo) -> str:
    """A shell command that sends a request; the key is read from the environment, never written."""
    from zsrec.llm.dialects import renamed, request_fields  # the openai package takes a second to import

    fields = renamed(request_fields(request), server.field_names, server.unneeded)
    return command(server.base_url, {"model": server.model, **fields}) + "\n"


def _history(history: History, start: int, base: str | None) -> str:
    """An expression for a history whose first `start` events are those of `base`; None is an empty history."""
    calls = list(_calls(history, start))
    text = "History()" if base is None else base
    if base is None and calls and calls[0][0] == "with_events":
        text = f"History.of({_arguments(calls.pop(0)[1])})"
    for method, given in calls:
        text += f".{method}({list(given)!r})" if method in _LISTS else f".{method}({_arguments(given)})"
    return text


def _calls(history: History, start: int) -> Iterator[tuple[str, Sequence[str]]]:
    """The calls that add everything after the first `start` events: method and arguments."""
    said = [one for one in history.critiques if one.after >= start]
    place = start
    while place < len(history.events) or said:
        while said and said[0].after <= place:
            yield "say", (said.pop(0).text,)
        end = min(said[0].after, len(history.events)) if said else len(history.events)
        for feedback, events in groupby(history.events[place:end], key=lambda event: event.feedback):
            yield _METHODS[feedback], [event.item for event in events]
        place = end
    if history.shown:
        yield "show", history.shown


def _arguments(given: Sequence[str]) -> str:
    return ", ".join(map(repr, given))


def _literal(text: str) -> str:
    """A readable string literal; on one line if the text has invisible characters."""
    if not all(character.isprintable() or character == "\n" for character in text):
        return repr(text)
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):  # it would close the literal too early
        escaped = escaped[:-1] + '\\"'
    return f'"""\\\n{escaped}"""'
