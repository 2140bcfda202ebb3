"""What a recommender is made of (`Pipeline`), and what one call brings (`Request`)."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, SupportsIndex, get_args

from pydantic import ValidationError

from zsrec.answers.grounder import Grounder
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.core.privacy import Redactor
from zsrec.core.settings import Ambiguous, Settings
from zsrec.core.types import TurnMention
from zsrec.data.catalog import Catalog
from zsrec.data.history import History, ItemLike, Turn
from zsrec.data.values import as_id, shown
from zsrec.prompts import Template
from zsrec.prompts.front_matter import Ranking
from zsrec.ranking.base import LabelMemory
from zsrec.recommender.conversation import (
    AnyTurn,
    TurnTitles,
    as_turns,
    check_turns,
    heard,
    named_items,
    user_words,
    with_named,
)
from zsrec.retrieval.base import Retriever
from zsrec.retrieval.lexical import Lexical
from zsrec.retrieval.rerank import Filter, Where

MOST_INDEXED = 200_000
"""Items up to which a catalog is indexed for the user's words without being asked to (25 µs per item)."""

MOST_K = 10_000
"""The most items that one call recommends: longer lists are no recommendations."""

DEFAULT_POOL = 20
"""How many candidates a ranking prompt shows unless the caller says otherwise."""

Fill = Literal["candidates", "popularity", "retrieval"]
User = History | Iterable[ItemLike]


def as_history(user: User) -> History:
    """Return a history as it is, or one of ids, titles and events; `ConfigError` for anything else."""
    if isinstance(user, History):
        return user
    try:
        return History().with_events(user)
    except ZsrecError:
        raise
    except Exception as error:  # an iterator of the caller's that fails concerns this user alone
        raise ConfigError(
            f"the history cannot be read: {type(error).__name__}", hint="pass a list of ids, titles or events"
        ) from error


def as_k(value: object) -> int:
    """Return a number of items of any whole type (numpy's too); `ConfigError` for anything else."""
    if type(value) is not int:  # by far the most common; the check is a slow one
        if not isinstance(value, SupportsIndex) or isinstance(value, bool):
            raise ConfigError(f"k is {shown(value)}, expected a whole number", hint="k=10")
        value = operator.index(value)
    if not 1 <= value <= MOST_K:
        limit = "least 1" if value < 1 else f"most {MOST_K:,}"
        raise ConfigError(f"k is {shown(value)}, expected at {limit}", hint="k is the number of items wanted")
    return value


def as_candidates(candidates: object) -> tuple[str, ...] | None:
    """Return candidates as ids or titles; `ConfigError` for anything but a collection of them."""
    hint = "pass a list of ids or titles, for example candidates=['278', 'Heat (1995)']"
    if candidates is None:
        return None
    if not isinstance(candidates, Iterable) or isinstance(candidates, str | bytes | Mapping):
        raise ConfigError(f"candidates is {shown(candidates)}, expected a list", hint=hint)
    found = []
    for place, one in enumerate(candidates, start=1):
        try:
            found.append(as_id(one))
        except ValueError as error:
            raise ConfigError(f"candidate {place} {error}", hint=hint) from None
    return tuple(found)


class PopularityList(tuple[str, ...]):
    """Item ids, most popular first; their places are counted once for all calls."""

    @classmethod
    def of(cls, popularity: object) -> Self | None:
        """A caller's list, checked as candidates are; None where there is none."""
        ids = as_candidates(popularity)
        return None if ids is None else cls(ids)

    @cached_property
    def weights(self) -> Mapping[str, float]:
        """A weight for each item: its place counted from the end."""
        return {item: float(len(self) - place) for place, item in enumerate(self)}


class SharedGrounder:
    """A catalog's grounder, built on first use and shared by all recommenders derived from one another."""

    def __init__(self, catalog: Catalog, built: Grounder | None = None) -> None:
        self._catalog = catalog
        if built is not None:
            self.grounder = built

    @cached_property
    def grounder(self) -> Grounder:
        """The grounder; its index takes a second for 10,000 items."""
        return Grounder(self._catalog)

    @cached_property
    def titles(self) -> TurnTitles:
        """Finds titles in conversations."""
        return TurnTitles(self.grounder)

    @cached_property
    def lexical(self) -> Lexical | None:
        """Retrieval by the user's words; None for a catalog that is too large to index unasked."""
        return Lexical(self._catalog) if len(self._catalog) <= MOST_INDEXED else None

    def moved(self, catalog: Catalog) -> SharedGrounder:
        """That of another catalog; a calibration, an embedder and a fitting index are kept where they exist."""
        built: Grounder | None = vars(self).get("grounder")
        return SharedGrounder(catalog, None if built is None else built.moved(catalog))


@dataclass(frozen=True)
class Request:
    """What one call of `recommend` brings; see `Recommender.recommend` for the fields."""

    history: History = field(default_factory=History)
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] | None = None
    fill: Fill | None = None
    conversation: tuple[Turn, ...] = ()
    ambiguous: Ambiguous | None = None
    where: tuple[Filter | str, ...] = ()
    mentions: tuple[TurnMention, ...] = ()

    @classmethod
    def of(
        cls,
        user: User,
        k: int = 10,
        about: str | None = None,
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
        conversation: Iterable[AnyTurn] = (),
        ambiguous: Ambiguous | None = None,
        where: Where = (),
    ) -> Request:
        """The request of a caller's arguments; `ConfigError` names the one that is not valid."""
        if about is not None and not isinstance(about, str):
            raise ConfigError(f"about is {shown(about)}, expected text", hint="about='slow-burn heist films'")
        if fill is not None and fill not in get_args(Fill):
            raise ConfigError(f"fill is {shown(fill)}", hint=f"one of {', '.join(get_args(Fill))}")
        chosen, conditions = as_candidates(candidates), (where,) if isinstance(where, str) else tuple(where)
        turns = as_turns(conversation)
        return cls(as_history(user), as_k(k), about, chosen, fill, turns, ambiguous, conditions)

    def with_mentions(self, titles: TurnTitles) -> Request:
        """The request with the items that its conversation names: the user's as events of the history."""
        if not self.conversation:
            return self
        mentions = named_items(self.conversation, titles)
        return replace(self, history=with_named(self.history, mentions), mentions=mentions)

    @property
    def words(self) -> str:
        """What retrievers read of what is wanted, as one text; may be empty."""
        talk = heard(self.conversation, self.mentions)
        return "\n".join(text for text in ((self.about or "").strip(), talk) if text)

    @property
    def speaks(self) -> bool:
        """Whether the user says in words what they want."""
        return bool((self.about or "").strip() or user_words(self.conversation) or self.history.critiques)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the user."""
        return not self.history.events and not self.speaks


@dataclass(frozen=True)
class Pipeline:
    """What a recommender is made of, apart from the model; `dataclasses.replace` makes another one."""

    catalog: Catalog
    template: Template
    settings: Settings
    shared_grounder: SharedGrounder
    popularity: PopularityList | None = None
    retriever: Retriever | None = None
    pool_size: int = DEFAULT_POOL
    ranking: Mapping[str, object] = field(default_factory=dict)
    redact: Redactor | None = None
    memory: LabelMemory = field(default_factory=dict)
    eligible: frozenset[str] | None = None
    template_given: bool = True

    @property
    def grounder(self) -> Grounder:
        """Matches what the model writes with the catalog."""
        return self.shared_grounder.grounder

    @property
    def ranks(self) -> bool:
        """Whether the template ranks candidates."""
        return self.template.task == "rank"

    @cached_property
    def options(self) -> Ranking:
        """The ranker's options."""
        if not self.ranking:
            return self.template.ranking
        try:
            return Ranking.model_validate({**self.template.ranking.model_dump(), **self.ranking})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{first['loc'][0]}: {first['msg']}, found {first['input']!r}", hint="see docs/ranking.md"
            ) from None

    def ranking_options(self, *, prior: bool) -> Ranking:
        """The ranker's options; labels without a prior are read in two orders unless something else was asked for.

        A small model mostly answers the first label: one order would return the first candidate, whatever it is.
        """
        chosen = {*self.ranking, *self.template.ranking.model_fields_set}
        if prior or self.template.ranker != "label" or chosen & {"permutations", "calibrate"}:
            return self.options
        return self.options.model_copy(update={"permutations": 2})

    def check(self, request: Request) -> None:
        """Checks that a request asks for something possible."""
        as_k(request.k)
        if request.is_empty:
            raise ConfigError(
                "nothing is known of the user: history, about= and conversation= are empty",
                hint="give one liked item or a sentence (about='slow-burn heist films'), "
                "or recommend what is popular",
            )
        check_turns(request.conversation, self.settings.max_turns, self.settings.max_turn_characters)
        if request.fill == "popularity" and self.popularity is None:
            raise ConfigError(
                "fill='popularity' without a popularity list",
                hint="Recommender(…, popularity=zsrec.retrieval.popularity(histories))",
            )
        if request.fill == "retrieval" and self.retriever is None and not request.speaks:
            raise ConfigError(
                "fill='retrieval' without a retriever or words", hint="use with_retriever(…) or about="
            )
        retrieves = self.retriever is not None and self.ranks
        if request.fill == "candidates" and request.candidates is None and not retrieves:
            raise ConfigError("fill='candidates' without candidates", hint="pass candidates=[…] or another fill")
        if (misfit := self.options.misfit(self.template.ranker)) is not None:
            raise ConfigError(f"{misfit[0]}: {misfit[1]}", hint=f"the template is {self.template.ref}")
        self.check_strict(request, ranks=self.ranks)

    def check_strict(self, request: Request, *, ranks: bool) -> None:
        """Checks that a strict call uses nobody else's interactions, where candidates are ranked or not."""
        if not self.settings.strict:
            return
        hint = "use a zero-shot retriever (Semantic, Listed) or your own candidates=[…], or turn strict off"
        retrieves = ranks or request.fill == "retrieval"
        if self.retriever is not None and self.retriever.mode != "zero-shot" and retrieves:
            raise ConfigError(
                f"strict: the retriever {self.retriever.name!r} uses other users' interactions", hint=hint
            )
        default_pool = ranks and request.candidates is None and self.retriever is None
        if self.popularity is not None and (request.fill == "popularity" or default_pool):
            raise ConfigError("strict: popularity is other users' interactions", hint=hint)
