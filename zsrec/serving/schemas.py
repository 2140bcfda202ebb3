"""Requests and answers: the service's contract, from which its OpenAPI is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, WithJsonSchema

from zsrec.core.settings import Ambiguous
from zsrec.core.types import Abstention, Frozen, Match
from zsrec.data.history import Event, Feedback, History, Turn
from zsrec.data.values import as_id
from zsrec.recommender.conversation import MOST_CHARACTERS, MOST_TURNS


def _as_text(value: object) -> object:
    """Return a whole number as the id that it is, anything else as it is (`zsrec.data.values`)."""
    return as_id(value) if isinstance(value, int | float) else value


Name = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"\S"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 1000, "pattern": r"\S"}, {"type": "integer"}]}
    ),
]
"""An id or a title; a whole number is an id."""
Id = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(strip_whitespace=True, max_length=200),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 200}, {"type": "integer"}]}),
]
_HISTORY = 5000
_CANDIDATES = 1000
_EXPLAINED = 20  # each is a request to the model
_EXAMPLE_HISTORY: list[JsonValue] = ["Heat (1995)", {"item": "Ronin (1998)", "feedback": "liked"}]


def _example(**fields: JsonValue) -> ConfigDict:
    """An example for a model's part of the OpenAPI."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


Reason = Literal[
    "breaker_open", "busy", "deadline", "llm_unreachable", "llm_timeout", "llm_busy", "llm_failed",
    "llm_refused", "context_overflow", "model_not_served", "capability_missing", "bad_reply", "answer_unusable",
    "template_failed",
]  # fmt: skip

Deadline = Annotated[
    float | None,
    Field(gt=0, allow_inf_nan=False, strict=True, description="Seconds; never more than the service's own."),
]


class EventIn(Event):
    """One interaction of the user with an item."""

    item: Name
    rating: float | None = Field(default=None, allow_inf_nan=False, strict=True)


class TurnIn(Turn):
    """A turn of a conversation."""

    text: Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)]


Events = Annotated[tuple[Name | EventIn, ...], Field(max_length=_HISTORY)]


class RecommendIn(Frozen):
    """A request for recommendations."""

    model_config = _example(history=_EXAMPLE_HISTORY, k=5, user="u-17", deadline=5)

    history: Events = Field(default=(), description="Ids, titles or events, oldest first.")
    k: int = Field(default=10, ge=1, le=1000, strict=True, description="How many items.")
    about: str | None = Field(default=None, max_length=2000, description="The user in words.")
    conversation: Annotated[tuple[TurnIn, ...], Field(max_length=MOST_TURNS)] = Field(
        default=(), description="Turns with an assistant, oldest first; what they name is never recommended."
    )
    candidates: Annotated[tuple[Name, ...], Field(min_length=1, max_length=_CANDIDATES)] | None = Field(
        default=None, description="Ids or titles to choose from, best first."
    )
    template: Id | None = Field(default=None, description="One of /v1/templates.")
    fill: Literal["candidates", "popularity"] | None = Field(
        default=None, description="Where a short list is filled up from."
    )
    ambiguous: Ambiguous | None = Field(
        default=None, description="What a title that several items have means: the most popular one, or none."
    )
    names: Annotated[tuple[Id, ...], Field(max_length=20)] = Field(
        default=(),
        description="Names of people to take out of `about`, `conversation` and unknown titles before sending.",
    )
    user: Id | None = Field(
        default=None,
        description="Without a history, the one that the service knows of this user; in the log, a keyed hash.",
    )
    where: Annotated[tuple[Id, ...], Field(max_length=20)] = Field(
        default=(), description='Conditions that every item meets, as "year >= 2010" or "genres != Horror".'
    )
    deadline: Deadline = None


class ItemOut(Frozen):
    """One recommended item, always one of the catalog."""

    rank: int
    id: str
    title: str
    score: float
    source: Literal["llm", "candidates", "popularity", "retrieval"]
    reason: str | None = Field(
        default=None, description="What the model wrote about it (untrusted text), else the retriever's evidence."
    )
    confidence: float | None = Field(default=None, description="Of the match, where a text named the item.")


class Degraded(Frozen):
    """Why the model had no part in the answer."""

    reason: Reason
    detail: str


class Tokens(Frozen):
    """Tokens spent on the answer."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


class RecommendOut(Frozen):
    """A ranked list and its provenance."""

    request_id: str
    items: tuple[ItemOut, ...]
    degraded: Degraded | None = Field(description="Null where the model answered.")
    mode: Literal["zero-shot", "training-free", "trained"]
    template: str
    not_in_catalog: tuple[str, ...] = Field(description="What the model named and the catalog lacks.")
    unknown_history: tuple[str, ...] = Field(description="What of the history the catalog lacks.")
    notes: tuple[str, ...]
    tokens: Tokens


class GroundIn(Frozen):
    """Text in which catalog items are to be found."""

    model_config = _example(text="1. The Matrix (1999)\n2. Ronin")

    text: str = Field(max_length=8000, description="A whole answer of a model, or one title.")
    candidates: Annotated[tuple[Id, ...], Field(max_length=_CANDIDATES)] = ()
    history: Annotated[tuple[Id, ...], Field(max_length=_HISTORY)] = ()
    side: Literal["left", "right"] | None = Field(default=None, description="Of pairs, the recommended side.")


class MentionOut(Frozen):
    """A title in the text, `text[start:end]`, and its item or why there is none."""

    text: str
    start: int
    end: int
    match: Match


class GroundOut(Frozen):
    """The titles of a text, in its order."""

    items: tuple[str, ...] = Field(description="Ids of the items found, each once.")
    mentions: tuple[MentionOut, ...]


class FeedbackIn(Frozen):
    """A history, and feedback since."""

    model_config = _example(history=_EXAMPLE_HISTORY, feedback=[{"item": "Up (2009)", "feedback": "skipped"}])

    history: Events = ()
    feedback: Annotated[tuple[EventIn, ...], Field(min_length=1, max_length=_HISTORY)]
    user: Id | None = Field(
        default=None, description="Instead of a history: the service adds the feedback to this user's own."
    )


class EventOut(Frozen):
    """An event with its item in the catalog."""

    event: Event
    item_id: str | None
    why: Abstention | None = None


class FeedbackOut(Frozen):
    """The new history, for the next request; the service keeps nothing unless `user` was given."""

    history: tuple[Event, ...] = Field(description="The history given and the feedback; not the service's own.")
    feedback: tuple[EventOut, ...]
    kept: int = Field(default=0, description="How many events were added to the history of `user`.")


class ExplainIn(Frozen):
    """Recommended items, and the user whom they are explained to."""

    model_config = _example(items=["Thief (1981)"], history=_EXAMPLE_HISTORY)

    items: Annotated[tuple[Name, ...], Field(min_length=1, max_length=_EXPLAINED)] = Field(
        description="Ids or titles of catalog items."
    )
    history: Events = Field(default=(), description="The history that they were recommended from, oldest first.")
    about: str | None = Field(default=None, max_length=2000, description="The user in words.")
    names: Annotated[tuple[Id, ...], Field(max_length=20)] = Field(
        default=(), description="Names of people to take out of `about` and unknown titles before sending."
    )
    user: Id | None = Field(
        default=None, description="Without a history, the one that the service knows of this user."
    )
    deadline: Deadline = None


class ExplanationOut(Frozen):
    """Why an item was recommended, in the model's words (untrusted text)."""

    id: str
    title: str
    text: str = Field(description="One sentence; empty where `error` says why there is none.")
    cited: tuple[str, ...] = Field(description="Ids of the history's items that the sentence names.")
    error: str | None = None


class ExplainOut(Frozen):
    """Explanations in the order of the items."""

    request_id: str
    items: tuple[ExplanationOut, ...]
    template: str
    notes: tuple[str, ...]
    tokens: Tokens


class TemplateOut(Frozen):
    """A template that requests may name."""

    name: str
    version: int
    task: str
    ranker: str | None
    description: str
    sha256: str
    default: bool


class ReloadOut(Frozen):
    """What is served after a reload."""

    items: int
    templates: int


class Health(Frozen):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Ready(Frozen):
    """Whether requests can be answered now."""

    ready: bool
    llm: Literal["ok", "unreachable", "breaker_open"]
    fallback: str | None
    items: int


class Problem(Frozen):
    """A problem with a request (RFC 9457). It never quotes a user's words."""

    status: int
    code: str
    title: str
    detail: str
    hint: str | None = None
    request_id: str | None = None


def as_history(events: tuple[str | EventIn, ...], user: str | None = None) -> History:
    """The history of a request's events."""
    return History(user=user).with_events(events, Feedback.SEEN)
