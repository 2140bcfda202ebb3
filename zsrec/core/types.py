"""Immutable data models, from messages and mentions to recommendations with their trace."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zsrec.core.views import FrameLibrary, as_frame, as_html


class Frozen(BaseModel):
    """Base of the data models: immutable, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(Frozen):
    """One entry of a catalog.

    Attributes:
        id: The catalog's own id, always text.
        title: The title exactly as the catalog spells it, for example "Matrix, The (1999)".
        attributes: The other columns of the catalog (genres, price, …), as read.
    """

    id: str
    title: str
    attributes: Mapping[str, Any] = Field(default_factory=dict)


class Image(Frozen):
    """A picture of an item beside a message's text."""

    item: str  # the item's id
    source: str  # the path or address in the catalog
    caption: str = ""  # the line of text before it
    sha256: str = ""  # of the file's bytes; empty for an address
    # what is sent, a data URI or the address; not part of traces, journals and files of requests
    url: str = Field(default="", exclude=True, repr=False)


class Message(Frozen):
    """One chat message, as sent; its images come after its text."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[Image, ...] = Field(default=(), exclude_if=operator.not_)


ANSWER_STYLES = ("json", "numbered", "titles")
"""The formats that a template's `answer:` may ask for."""


class Sampling(Frozen):
    """How the model samples its next token. Every field has a value and every field is sent.

    vLLM takes missing fields from the model's `generation_config.json`, so a request that leaves some out is
    answered differently by another copy of the same model.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus sampling: the smallest set of tokens with this much probability.
        top_k: The k most likely tokens; -1 is all. (vLLM; not sent to servers that lack it.)
        min_p: Tokens with at least this share of the best one's probability. (vLLM)
        presence_penalty: Subtracted once from the logit of a token that the answer already has.
        frequency_penalty: Subtracted for each time that the answer has it.
        repetition_penalty: Divides the logits of tokens in prompt or answer; 1 is none. (vLLM)
        max_tokens: The longest answer, in tokens.
        seed: The seed of the sampling.
        stop: Texts that end the answer.
    """

    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=-1, ge=-1)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=2.0)
    max_tokens: int = Field(default=256, ge=1)
    seed: int = 7
    stop: tuple[str, ...] = ()


class Usage(Frozen):
    """Tokens of a request, as counted by the server; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class Exchange(Frozen):
    """One request to the model and its answer.

    Attributes:
        messages: What was sent.
        answer: The model's raw text.
        finish_reason: Why the model stopped: "stop", or "length" when the answer was cut at `max_tokens`.
        model: The model that answered, according to the server.
        usage: Tokens in and out.
        seconds: Wall-clock time of the request, including retries.
        retries: How many times the request was sent again.
        request_id: The server's id of the request, for its logs.
        label_logprobs: The natural log-probability of each label as the answer's first token, if the request named
            labels; labels that the server did not report are absent.
        step: The step of a template with several; empty for the last one, the recommendation itself.
        notes: What the client did or saw that the caller should know, as sentences.
    """

    messages: tuple[Message, ...]
    answer: str
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage = Usage()
    seconds: float | None = None
    retries: int = 0
    request_id: str | None = None
    label_logprobs: Mapping[str, float] | None = None
    step: str = ""
    notes: tuple[str, ...] = ()


class Mention(Frozen):
    """A part of an answer that names an item.

    Attributes:
        text: The title as the model wrote it, without list marks and the reason after it.
        start: Where `text` begins in the raw answer, in characters.
        end: Where it ends (exclusive): `answer[start:end] == text`.
        reason: What the model wrote about the item, if anything.
        readings: Other spans that the title may have, as (start, end) in the answer, where only the catalog can
            decide ("Title: Subtitle" or "Title: reason", a comma inside a title). A span inside the mention is a
            shorter title, two that do not overlap are two titles, and one that goes beyond its end replaces the
            mentions that it covers (`zsrec.answers.grounding` chooses).
        query: What to look up instead of `text`, for example with a year that the answer gives in another column.
    """

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    reason: str | None = None
    readings: tuple[tuple[int, int], ...] = ()
    query: str | None = None


Method = Literal["exact", "fuzzy", "semantic", "popular"]
Abstention = Literal["not_in_catalog", "ambiguous", "below_threshold"]


class Match(Frozen):
    """The catalog item behind a mention, or why there is none.

    Attributes:
        item_id: The item, or None for an abstention.
        score: The probability that `item_id` is right, in [0, 1]; for an abstention that of the best rejected item
            (0 if there was none), for "popular" the item's share of the popularity of all meanings.
        method: How the item was found ("popular": the most popular item of an ambiguous title); None for an
            abstention.
        reason: Why there is no item; None for a match.
        alternatives: Ids of other items that the mention could mean, best first; for "ambiguous" all of them.
    """

    item_id: str | None
    score: float = Field(ge=0.0, le=1.0)
    method: Method | None = None
    reason: Abstention | None = None
    alternatives: tuple[str, ...] = ()


class Grounded(Frozen):
    """A mention with its match, and the index of the exchange in the trace that it came from."""

    mention: Mention
    match: Match
    exchange: int = 0


class Dropped(Frozen):
    """A grounded mention that did not become a recommendation, and why.

    Attributes:
        grounded: The mention and its item.
        why: "seen" (the user knows it, or got it in an earlier round), "duplicate" (named before),
            "not_a_candidate" (not among the candidates, or fails where=) or "beyond_k" (the list was full).
    """

    grounded: Grounded
    why: Literal["seen", "duplicate", "not_a_candidate", "beyond_k"]


class Skipped(Frozen):
    """A stretch of an answer that was not read as a recommendation, and why.

    Attributes:
        start: Where it begins in the raw answer, in characters.
        end: Where it ends (exclusive).
        why: The reason, in plain words: "thought", "unfinished thought" (without an end), "echo of the prompt",
            "avoid" and "known" (listed as such), "struck out", "another part" (another turn, or what comes before
            the answer), "no title" (words around the titles), "too long", "mark".
        exchange: The index of the exchange in the trace.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    why: str
    exchange: int = 0


class Parts(Frozen):
    """The parts of a score.

    Attributes:
        prior: The retriever's part, by rank among the candidates: 1 for the first of n, 1/n for the last; None
            without a retriever.
        llm: The model's part on the same scale; 0 for a candidate that its answer leaves out.
        probability: The model's probability of the item's label among the labels, averaged over orders and
            calibrated if asked for; None for rankers that read no labels.
    """

    prior: float | None = None
    llm: float
    probability: float | None = None


class Recommendation(Frozen):
    """One recommended item.

    Attributes:
        rank: 1 for the best.
        item: The catalog's item.
        score: With `parts.prior`, (1 - w) · prior + w · llm. Without: the probability if labels were read,
            `parts.llm` for the other rankers of candidates, 1/rank for the order of a free text. 0 for a fill.
        source: "llm" if the model named the item, otherwise what filled the place.
        reason: What the model wrote about it, if anything.
        provenance: The mention and the match behind it; None if no text named the item.
        parts: The parts of the score; None for free text without a prior and for a fill.
    """

    rank: int = Field(ge=1)
    item: Item
    score: float
    source: Literal["llm", "candidates", "popularity", "retrieval"] = "llm"
    reason: str | None = None
    provenance: Grounded | None = None
    parts: Parts | None = None


class TemplateRef(Frozen):
    """The template that produced a prompt, identified by its text's hash."""

    name: str
    version: int
    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class HistoryUse(Frozen):
    """How much of the caller's history went into the prompt.

    Attributes:
        given: Events that the caller passed.
        resolved: Events whose item the catalog has.
        rendered: Events in the prompt (the newest ones).
        truncated: Events left out, oldest first, so that the prompt fits the model's context.
        unresolved: Events that the catalog lacks, with the reason; those given by title are still in the prompt,
            those given by id cannot be.
        guessed: Titles that resemble a catalog title and equal none, each with the one that it was read as.
    """

    given: int = 0
    resolved: int = 0
    rendered: int = 0
    truncated: int = 0
    unresolved: tuple[tuple[str, Abstention], ...] = ()
    guessed: tuple[tuple[str, str], ...] = ()

    @property
    def is_unknown(self) -> bool:
        """Whether there are events and the catalog has none of them."""
        return self.given > 0 and self.resolved == 0


class Pool(Frozen):
    """The candidates, as the ranker received them.

    Attributes:
        source: "caller", "popularity", or the retriever's name.
        ids: Item ids; best first if a retriever chose them.
        scores: The retriever's score of each, on its own scale; None without a retriever.
    """

    source: str
    ids: tuple[str, ...]
    scores: tuple[float, ...] | None = None


class RankingUse(Frozen):
    """How the candidates were ranked.

    Attributes:
        ranker: "generate", "label", "window", "pairwise" or "choose".
        llm_weight: The w of the fused score; None without a prior.
        labels_by: How the labels' log-probabilities were requested; None for rankers that read none.
        permutations: Orders of the candidates that were asked about (in each window).
        stability: One pair per order after the first (for windows: of the last window): the overlap of the first k
            before and after it, in [0, 1], and Kendall's tau of the whole order, in [-1, 1].
        calibrate: The bias that was divided out.
        order: Ids of the candidates that the model ranked, in its own order before any fusion.
        label_mass: The probability of all labels together, a mean over the requests; the rest went to other
            tokens.
    """

    ranker: str
    llm_weight: float | None = None
    labels_by: Literal["logprob_token_ids", "top_logprobs"] | None = None
    permutations: int = 1
    stability: tuple[tuple[float, float], ...] = ()
    calibrate: str = "none"
    order: tuple[str, ...] = ()
    label_mass: float | None = None


class TurnMention(Frozen):
    """A title in a turn of a conversation.

    Attributes:
        turn: The turn, counted from 0.
        role: Who said it.
        mention: Its place in the turn's text.
        match: The catalog's item, or why there is none.
        feedback: What the sentence around it says: "liked", "disliked", "seen" (also where nothing is clear), or
            "unseen" (the user has not seen it, or the assistant named it).
    """

    turn: int = Field(ge=0)
    role: Literal["user", "assistant"]
    mention: Mention
    match: Match
    feedback: Literal["seen", "liked", "disliked", "unseen"]


class ConversationUse(Frozen):
    """What became of a conversation.

    Attributes:
        given: Turns that the caller passed.
        rendered: Turns in the prompt (the newest ones).
        truncated: Turns left out, oldest first, so that the prompt fits the model's context.
        unread: The oldest turns that were not looked through for titles (docs/conversations.md).
        mentions: Titles in the turns. Items that the user named became events of the history; none that either
            side named is recommended.
    """

    given: int = 0
    rendered: int = 0
    truncated: int = 0
    unread: int = 0
    mentions: tuple[TurnMention, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Ids of the items that either side named, each once, in their order."""
        return tuple(dict.fromkeys(one.match.item_id for one in self.mentions if one.match.item_id is not None))


Evidence = Literal["history", "about", "feedback", "critique", "conversation"]


Strategy = Literal["auto", "generate", "rank", "retrieve"]
"""How a call is answered: the model names items freely, or ranks candidates, or there is no model; see
docs/strategy.md."""


class Trace(Frozen):
    """Everything that happened between a history and its recommendations.

    Attributes:
        template: The template used.
        mode: "zero-shot" if only this user's history and item texts were used; "training-free" if other users'
            interactions were (popularity fill, item-kNN candidates).
        strategy: How the call was answered: "generate", "rank" or "retrieve".
        evidence: What the prompt says about the user: any of "history" (events), "about", "feedback" (events with
            a like, a dislike or a skip), "critique" (the user's words on the way) and "conversation" (turns).
        exchanges: The requests and raw answers, in order.
        grounded: Every mention with its match, in the order of the answer, or of the ranks that it states.
        dropped: Grounded mentions that did not become recommendations.
        skipped: The stretches of the answers that were not read as recommendations.
        history: How much of the history was used.
        conversation: How much of the conversation was used; None if there was none.
        pool: The candidates; None if the whole catalog was open.
        ranking: How they were ranked; None if the whole catalog was open.
        notes: Anything else worth knowing, in plain words (a cut answer, a fill, a shortened list).
        seed: The sampling seed sent with the requests.
    """

    template: TemplateRef
    mode: Literal["zero-shot", "training-free", "trained"] = "zero-shot"
    strategy: Strategy | None = None
    evidence: tuple[Evidence, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    grounded: tuple[Grounded, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    history: HistoryUse = HistoryUse()
    conversation: ConversationUse | None = None
    pool: Pool | None = None
    ranking: RankingUse | None = None
    notes: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def unresolved(self) -> tuple[Grounded, ...]:
        """Mentions that the catalog lacks, or that could mean several items."""
        return tuple(g for g in self.grounded if g.match.item_id is None)


class Recommendations(Frozen):
    """A ranked list of recommendations with its trace; iterates over its items."""

    items: tuple[Recommendation, ...]
    trace: Trace

    def __iter__(self) -> Any:  # noqa: ANN401  (pydantic's own iterates over fields)
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Recommendation:
        return self.items[index]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the recommended items, best first."""
        return tuple(one.item.id for one in self.items)

    @property
    def titles(self) -> tuple[str, ...]:
        """Their titles, as the catalog spells them."""
        return tuple(one.item.title for one in self.items)

    @property
    def left_out(self) -> dict[str, int]:
        """How many of the named titles are not in the list, by the reason: a `Match.reason` or a `Dropped.why`."""
        unresolved = (one.match.reason or "not_in_catalog" for one in self.trace.unresolved)
        return dict(Counter((*unresolved, *(one.why for one in self.trace.dropped))))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one plain dict per recommendation.

        Its keys are `rank`, `id`, `title`, `score`, `source`, `reason`, `method` (how the mention was matched) and
        `confidence` (of the match, in [0, 1]); None where there is nothing to say.
        """
        return [
            {
                "rank": one.rank,
                "id": one.item.id,
                "title": one.item.title,
                "score": one.score,
                "source": one.source,
                "reason": one.reason,
                "method": one.provenance and one.provenance.match.method,
                "confidence": one.provenance and one.provenance.match.score,
            }
            for one in self.items
        ]

    def to_frame(self, library: FrameLibrary | None = None) -> Any:  # noqa: ANN401  (of the library asked for)
        """Return a DataFrame with the columns of `to_dicts`, one row per item; `left_out` says what is missing.

        Args:
            library: "pandas", "polars" or "pyarrow"; by default the first of these that is installed.

        Raises:
            MissingExtraError: narwhals is not installed.
            ConfigError: The library is unknown or not installed.
        """
        names = ("rank", "id", "title", "score", "source", "reason", "method", "confidence")
        rows = self.to_dicts()
        return as_frame({name: [row[name] for row in rows] for name in names}, library)

    def __repr__(self) -> str:
        first = f": {self.titles[0]!r}{', …' if len(self) > 1 else ''}" if self.items else ""
        gone = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in self.left_out.items())
        why = f"; left out: {gone}" if gone else "" if self.items else "; see trace.notes"
        return f"Recommendations({len(self)} by {self.trace.template}{first}{why})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return as_html(self.to_dicts(), repr(self))
