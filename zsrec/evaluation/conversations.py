"""Recommendation in conversations: what is found of the items that a dialog's next turn recommends.

Source of the protocol: He et al. 2023, "Large Language Models as Zero-Shot Conversational Recommenders", CIKM:
items that were mentioned are no recommendation, since repeating them is a shortcut to the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from zsrec.answers.grounder import Grounder
from zsrec.core.errors import DataError, ZsrecError
from zsrec.core.json_input import read_json
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.interactions import Arrays, Ids, Interactions
from zsrec.data.titles import display_title
from zsrec.evaluation.llm_methods import Outcome, ask_all
from zsrec.evaluation.metrics import NOWHERE, Place, hit_rate, ndcg, place, without
from zsrec.llm.offline import ReplyCounts
from zsrec.llm.protocol import LLM
from zsrec.ranking.fusion import in_turn
from zsrec.recommender.conversation import as_turns, heard, named_items
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.recommender.request import Fill
from zsrec.retrieval.base import Mode, Profile, Retriever, best_codes

NDCG_AT = 10
LENGTH = 60
"""How many items of a retriever's order a hybrid may take."""


class Turn(NamedTuple):
    """A turn that recommends.

    Attributes:
        id: Its id.
        dialog: The dialog that it belongs to; turns of one dialog are no independent samples.
        conversation: The texts before it with their roles ("user", "assistant"), oldest first.
        mentioned: Ids of the items that these texts mention.
        targets: Ids of the items that the turn recommends, at least one.
    """

    id: str
    dialog: str
    conversation: tuple[tuple[Literal["user", "assistant"], str], ...]
    mentioned: tuple[str, ...]
    targets: tuple[str, ...]


def read_turns(path: Path, catalog: Catalog) -> list[Turn]:
    """Reads turns from JSON lines with the fields `id, dialog, conversation, mentioned, targets`.

    Raises:
        DataError: With file and line: the file is missing, a field is missing or malformed, an id stands twice, or
            an item is not in the catalog.
    """
    turns: dict[str, Turn] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    turn = _turn(read_json(line))
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise DataError(
                        f"is no turn: {error}", path=path, line=number,
                        hint='{"id", "dialog", "conversation": [{"role", "text"}], "mentioned", "targets"}',
                    ) from error  # fmt: skip
                if turn.id in turns:
                    raise DataError(
                        f"id {turn.id!r} stands twice", path=path, line=number, hint="one line per turn"
                    )
                unknown = [item for item in (*turn.mentioned, *turn.targets) if item not in catalog]
                if unknown:
                    raise DataError(
                        f"item {unknown[0]!r} is not in the catalog", path=path, line=number,
                        hint="add it to --catalog, or leave it out of the turn",
                    )  # fmt: skip
                turns[turn.id] = turn
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check --turns") from error
    if not turns:
        raise DataError("there is no turn", path=path, hint="one JSON object per line")
    return list(turns.values())


def _turn(plain: Mapping[str, Any]) -> Turn:
    conversation = []
    for one in plain["conversation"]:
        role, text = one["role"], one["text"]
        if role not in ("user", "assistant") or not isinstance(text, str):
            raise ValueError(f"role {role!r}, expected user or assistant, and a text")
        conversation.append((role, text))
    mentioned, targets = (tuple(dict.fromkeys(map(_text, plain[name]))) for name in ("mentioned", "targets"))
    if not targets:
        raise ValueError("no target")
    return Turn(_text(plain["id"]), _text(plain["dialog"]), tuple(conversation), mentioned, targets)


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no id")
    return value


class Link(NamedTuple):
    """An item of the interactions, and the catalog's item with its title; None where there is none, or several."""

    item: str
    title: str
    found: str | None


def link_items(items: Catalog, grounder: Grounder) -> list[Link]:
    """Links items to the grounder's catalog by grounding their titles."""
    titles = [display_title(one.title) for one in items]
    matches = grounder.ground_many(titles)
    return [Link(one.id, title, match.item_id) for one, title, match in zip(items, titles, matches, strict=True)]


def linked_interactions(known: Interactions, links: Sequence[Link], catalog: Catalog) -> Interactions:
    """The interactions with the catalog's items; those with an item that is not linked are left out."""
    items, found = Ids(catalog.ids), {one.item: one.found for one in links}
    code_of = [items.code(found.get(one) or "") for one in known.items.ids]
    codes = np.array([-1 if one is None else one for one in code_of], dtype=np.int32)
    user, item, time = known.columns
    kept = codes[item] >= 0
    return Interactions(known.users, items, Arrays(user[kept], codes[item][kept], time[kept]))


@dataclass(frozen=True)
class Row:
    """One method's places of all targets, in the order of turns and of each turn's targets.

    Attributes:
        places: Without the mentioned items.
        shortcut: With them, as if repeating them were a recommendation.
        orders: The best items of each turn, without the mentioned ones.
        answers: For a method that asks an LLM, what each turn's answer names.
        fell_back: The turns, by number, for which a fallback was asked.
    """

    method: str
    mode: Mode
    places: tuple[Place, ...]
    shortcut: tuple[Place, ...]
    orders: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    answers: tuple[Answer, ...] | None = None
    replies: ReplyCounts | None = None
    fell_back: frozenset[int] = frozenset()


class Answer(NamedTuple):
    """What one answer names."""

    items: tuple[str, ...]  # ids in the order named, each once, the mentioned ones too
    named: int = 0  # items named, known to the catalog or not
    not_in_catalog: int = 0
    repeated: int = 0  # named items that the conversation mentions
    error: str | None = None  # the kind of error where there is no answer


def words_of(turns: Sequence[Turn], grounder: Grounder) -> list[str]:
    """What retrievers read of each turn's conversation, as in a recommendation (`zsrec.recommender`)."""
    talks = [as_turns(turn.conversation) for turn in turns]
    return [heard(talk, named_items(talk, grounder)) for talk in talks]


def retrieval_row(
    name: str,
    retriever: Retriever,
    turns: Sequence[Turn],
    words: Sequence[str],
    *,
    fallback: Retriever | None = None,
    seed: int = 0,
) -> Row:
    """The row of a retriever, which is given the mentioned items as history and the texts (`words_of`) as words.

    `fallback` is asked where it has no evidence for any item that was not mentioned; `seed` orders equal scores.
    """
    items, fell = retriever.items, set[int]()
    places, shortcut, orders = list[Place](), list[Place](), list[tuple[str, ...]]()
    for number, (turn, said) in enumerate(zip(turns, words, strict=True)):
        mentioned = items.codes(turn.mentioned)
        of = Profile(mentioned, np.ones(len(mentioned)), said)
        scores = retriever.scores(of)
        open_scores = without(scores, mentioned)
        if fallback is not None and not np.isfinite(open_scores).any():
            fell.add(number)
            scores = fallback.scores(of)
            open_scores = without(scores, mentioned)
        for target in items.codes(turn.targets).tolist():
            places.append(place(scores, target, mentioned))
            shortcut.append(place(scores, target, mentioned[:0]))
        orders.append(tuple(items[code] for code in best_codes(open_scores, LENGTH, items, seed).tolist()))
    notes = retriever.notes
    if fell:
        note = f"{len(fell):,} of {len(turns):,} turns fell back to popularity: nothing speaks for any item"
        notes = (*notes, note)
    found = (tuple(places), tuple(shortcut), tuple(orders))
    return Row(name, retriever.mode, *found, notes, fell_back=frozenset(fell))


async def ask_turns(
    recommender: AsyncRecommender,
    turns: Sequence[Turn],
    *,
    k: int,
    fill: Fill | None = None,
    llm_of: Callable[[str], LLM] | None = None,
    on_done: Callable[[], None] | None = None,
) -> list[Outcome]:
    """Asks for every turn; `llm_of` gives another model for a turn's id, such as recorded replies."""

    async def one(number: int) -> Recommendations:
        turn = turns[number]
        asked = recommender if llm_of is None else recommender.with_llm(llm_of(turn.id))
        history = History(events=tuple(Event(item=item, by="id") for item in turn.mentioned))
        told = turn.mentioned or any(role == "user" and text.strip() for role, text in turn.conversation)
        about = None if told else "anything: nothing is known of the user yet"
        return await asked.recommend(history, k=k, about=about, fill=fill, conversation=turn.conversation)

    return await ask_all(
        len(turns), one, concurrency=recommender.settings.concurrency, recorded=llm_of is not None, on_done=on_done
    )


def answers_of(outcomes: Sequence[Outcome], turns: Sequence[Turn]) -> tuple[Answer, ...]:
    """What the answers name, as the recommender grounded it."""
    return tuple(_answer(one, turn) for one, turn in zip(outcomes, turns, strict=True))


def _answer(outcome: Outcome, turn: Turn) -> Answer:
    if not isinstance(outcome, Recommendations):
        return Answer((), error=type(outcome).__name__ if isinstance(outcome, ZsrecError) else "nothing to ask")
    found = [one.match.item_id for one in outcome.trace.grounded]
    missing = sum(one.match.reason == "not_in_catalog" for one in outcome.trace.grounded)
    repeated = sum(item in turn.mentioned for item in found)
    return Answer(tuple(dict.fromkeys(filter(None, found))), len(found), missing, repeated)


def generated_row(
    name: str, answers: tuple[Answer, ...], turns: Sequence[Turn], notes: tuple[str, ...] = ()
) -> Row:
    """The row of what the model names, in its order."""
    orders = tuple(
        tuple(item for item in one.items if item not in turn.mentioned)
        for one, turn in zip(answers, turns, strict=True)
    )
    shortcut = _places([one.items for one in answers], turns)
    return Row(name, "zero-shot", _places(orders, turns), shortcut, orders, notes, answers)


def hybrid_row(name: str, generated: Row, retrieved: Sequence[Row], turns: Sequence[Turn]) -> Row:
    """The model's titles and the items of the retrieval rows, in turn as a recommendation takes them."""
    found = [in_turn(*(row.orders[n] for row in retrieved if n not in row.fell_back)) for n in range(len(turns))]
    orders = tuple(in_turn(own, found[n]) for n, own in enumerate(generated.orders))
    shortcut = _places([in_turn(one.items, found[n]) for n, one in enumerate(generated.answers or ())], turns)
    mode: Mode = "training-free" if any(row.mode != "zero-shot" for row in retrieved) else "zero-shot"
    notes = (f"in turn with {' and '.join(row.method for row in retrieved) or 'nothing'}", *generated.notes)
    return Row(name, mode, _places(orders, turns), shortcut, orders, notes, generated.answers)


def _places(orders: Sequence[tuple[str, ...]], turns: Sequence[Turn]) -> tuple[Place, ...]:
    return tuple(
        Place(order.index(target)) if target in order else NOWHERE
        for order, turn in zip(orders, turns, strict=True)
        for target in turn.targets
    )


def metrics_of(places: Sequence[Place], ks: Sequence[int]) -> dict[str, np.ndarray]:
    """Recall@k of each cut-off and NDCG@10 of each target, ties counted as the mean over their orders."""
    above, tied = (np.array([getattr(one, name) for one in places], dtype=np.int64) for name in ("above", "tied"))
    values = {f"Recall@{k}": hit_rate(above, tied, k) for k in ks}
    return values | {f"NDCG@{NDCG_AT}": ndcg(above, tied, NDCG_AT)}
