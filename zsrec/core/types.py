"""The frozen data that flows down the line, from a history to recommendations with their trace.

Every model here is immutable and prints its fields; none of them does any work beyond small, pure
constructors. Collections are tuples so that a result can be shared between threads and hashed into a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of the data models: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(Frozen):
    """One entry of a catalog.

    Attributes:
        id: The catalog's own id, always text.
        title: The title exactly as the catalog spells it, for example "Matrix, The (1999)".
        attributes: The other columns of the catalog's row (genres, price, …), as read.
    """

    id: str
    title: str
    attributes: Mapping[str, Any] = Field(default_factory=dict)


# -- prompt and answer --------------------------------------------------------------------------------


class Message(Frozen):
    """One chat message as it is sent."""

    role: Literal["system", "user", "assistant"]
    content: str


ANSWER_STYLES = ("json", "numbered", "titles")
"""What a prompt may have asked for, as a template's `answer:` names it."""


class Sampling(Frozen):
    """How the model picks its next token. Every field has a value and every field is sent.

    vLLM fills a field that a request leaves out from the model's own `generation_config.json`, so a request
    that does not say everything is answered differently by another copy of the same model.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus: the smallest set of tokens with this much probability.
        top_k: The most likely k tokens; -1 is all of them. (vLLM; not sent to servers that lack it.)
        min_p: Tokens with at least this share of the best one's probability. (vLLM)
        presence_penalty: Added once for a token that stands in the answer already.
        frequency_penalty: Added for each time it does.
        repetition_penalty: Divides the logits of tokens seen in prompt or answer; 1 is none. (vLLM)
        max_tokens: The longest answer, in tokens.
        seed: For repeatable sampling.
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
    """Tokens that a request cost, as counted by the server; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class Exchange(Frozen):
    """One request to the model and its answer.

    Attributes:
        messages: What was sent.
        answer: The model's raw text, untouched.
        finish_reason: Why the model stopped: "stop", or "length" when the answer was cut at `max_tokens`.
        model: The model that the server says answered.
        usage: Tokens in and out.
        seconds: Wall-clock time of the request, retries included.
        retries: How many times the request had to be sent again.
        request_id: The server's id of the request, for its logs.
        label_logprobs: The natural log-probability of each label as the answer's first token, where the request
            named labels; a label that the server did not report is absent.
        step: Which step of a template with several it was; empty for its last one, the recommendation itself.
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


# -- mentions and matches -----------------------------------------------------------------------------


class Mention(Frozen):
    """A piece of an answer that names an item.

    Attributes:
        text: The title as the model wrote it, without list marks and the reason behind it.
        start: Where `text` begins in the raw answer, in characters.
        end: Where it ends (exclusive): `answer[start:end] == text`.
        reason: What the model wrote about the item, where it did.
        readings: Other places where the title may begin and end, as (start, end) in the answer, for where only
            the catalog can tell ("Title: Subtitle" against "Title: reason", a comma inside a title). A reading
            inside the mention is a shorter title, two that do not overlap are two titles, and one that reaches
            beyond its end swallows the mentions that it covers (`zsrec.answers.grounding` chooses).
        query: What to look up where that is not `text` itself: the year that stands apart from the title (in a
            JSON key, in a column of its own) added.
    """

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    reason: str | None = None
    readings: tuple[tuple[int, int], ...] = ()
    query: str | None = None


Method = Literal["exact", "fuzzy", "semantic"]
Abstention = Literal["not_in_catalog", "ambiguous", "below_threshold"]


class Match(Frozen):
    """The catalog item behind a mention, or why there is none.

    Attributes:
        item_id: The item, or None for an abstention.
        score: The probability that `item_id` is right, in [0, 1]; for an abstention the probability of the
            best item that was turned down (0 where there was none).
        method: How the item was found; None for an abstention.
        reason: Why there is no item; None for a match.
        alternatives: Ids of the items that the mention could also mean, best first. For "ambiguous" this is
            the whole set.
    """

    item_id: str | None
    score: float = Field(ge=0.0, le=1.0)
    method: Method | None = None
    reason: Abstention | None = None
    alternatives: tuple[str, ...] = ()


class Grounded(Frozen):
    """A mention together with its match, and which exchange of the trace it came from."""

    mention: Mention
    match: Match
    exchange: int = 0


class Dropped(Frozen):
    """A grounded mention that did not become a recommendation, and why.

    Attributes:
        grounded: The mention and its item.
        why: "seen" (the user knows it, or was shown it in an earlier round), "duplicate" (named before),
            "not_a_candidate" (outside the list that the model was to choose from) or "beyond_k" (the list was
            full).
    """

    grounded: Grounded
    why: Literal["seen", "duplicate", "not_a_candidate", "beyond_k"]


# -- the result ---------------------------------------------------------------------------------------


class Parts(Frozen):
    """What a score is made of.

    Attributes:
        prior: The retriever's part, by its place among the candidates: 1 for the first of n, 1/n for the last;
            None where no retriever was asked.
        llm: The model's part on the same scale; 0 for a candidate that its answer leaves out.
        probability: The model's probability of the item's label among the labels, averaged over orders and
            calibrated where that was asked for; None for rankers that read no labels.
    """

    prior: float | None = None
    llm: float
    probability: float | None = None


class Recommendation(Frozen):
    """One recommended item.

    Attributes:
        rank: 1 for the best.
        item: The catalog's item.
        score: With `parts.prior`, (1 - w) · prior + w · llm. Without: the probability where labels were read,
            `parts.llm` for the other rankers of candidates, the reciprocal of the place for a free text's order.
            0 for a fill.
        source: "llm" where the model named the item, otherwise what filled the place.
        reason: What the model wrote about it, where it did.
        provenance: The mention and the match behind it; None where no text named the item.
        parts: What the score is made of; None for free text without a prior and for a fill.
    """

    rank: int = Field(ge=1)
    item: Item
    score: float
    source: Literal["llm", "candidates", "popularity"] = "llm"
    reason: str | None = None
    provenance: Grounded | None = None
    parts: Parts | None = None


class TemplateRef(Frozen):
    """Which template produced a prompt: enough to find the same text again."""

    name: str
    version: int
    path: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class HistoryUse(Frozen):
    """What became of the caller's history on the way into the prompt.

    Attributes:
        given: Events that the caller passed.
        resolved: Events whose item the catalog has.
        rendered: Events that stand in the prompt (the newest ones).
        truncated: Events left out, oldest first, so that the prompt fits the model's context.
        unresolved: Events that the catalog lacks, with the reason; those given by title still stand in the
            prompt, those given by id cannot.
    """

    given: int = 0
    resolved: int = 0
    rendered: int = 0
    truncated: int = 0
    unresolved: tuple[tuple[str, Abstention], ...] = ()


class Pool(Frozen):
    """The candidates as the ranker received them.

    Attributes:
        source: "caller", "popularity", or the retriever's name.
        ids: Item ids; best first where a retriever chose them.
        scores: The retriever's score of each, on its own scale; None where none was asked.
    """

    source: str
    ids: tuple[str, ...]
    scores: tuple[float, ...] | None = None


class RankingUse(Frozen):
    """How the candidates were ranked.

    Attributes:
        ranker: "generate", "label", "window", "pairwise" or "choose".
        llm_weight: The w of the fused score; None where there was no prior.
        labels_by: How labels' log-probabilities were had; None for rankers that read none.
        permutations: Orders of the candidates that were asked about (in each window).
        stability: One pair for each order after the first (for windows: of the last window): the overlap of the
            first k before and after it, in [0, 1], and Kendall's tau of the whole order, in [-1, 1].
        calibrate: What was divided out.
        order: Ids of the candidates that the model ranked, in its own order before any fusion.
        label_mass: The probability that the model gave to all labels together, a mean over the requests; what is
            missing to 1 went to other tokens.
    """

    ranker: str
    llm_weight: float | None = None
    labels_by: Literal["logprob_token_ids", "top_logprobs"] | None = None
    permutations: int = 1
    stability: tuple[tuple[float, float], ...] = ()
    calibrate: str = "none"
    order: tuple[str, ...] = ()
    label_mass: float | None = None


Evidence = Literal["history", "about", "feedback", "critique"]


class Trace(Frozen):
    """Everything that happened between a history and its recommendations.

    Attributes:
        template: The template used.
        mode: "zero-shot" when only this user's history and item texts were used; "training-free" when other
            users' interactions were (popularity fill, item-kNN candidates).
        evidence: What was known of the user and stands in the prompt: any of "history" (events), "about",
            "feedback" (events with a like, a dislike or a skip) and "critique" (the user's words on the way).
        exchanges: The requests and raw answers, in order.
        grounded: Every mention with its match, in the order of the answer.
        dropped: Grounded mentions that did not become recommendations.
        history: What became of the history.
        pool: The candidates; None where the whole catalog was open.
        ranking: How they were ranked; None where the whole catalog was open.
        notes: Anything else worth knowing, in plain words (a cut answer, a fill, a shortened list).
        seed: The sampling seed sent with the requests.
    """

    template: TemplateRef
    mode: Literal["zero-shot", "training-free"] = "zero-shot"
    evidence: tuple[Evidence, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    grounded: tuple[Grounded, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    history: HistoryUse = HistoryUse()
    pool: Pool | None = None
    ranking: RankingUse | None = None
    notes: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def unresolved(self) -> tuple[Grounded, ...]:
        """What the model named and the catalog lacks, or what could mean several items."""
        return tuple(g for g in self.grounded if g.match.item_id is None)


class Recommendations(Frozen):
    """A ranked list of recommendations with the trace of how it came about; iterates over its items."""

    items: tuple[Recommendation, ...]
    trace: Trace

    def __iter__(self) -> Any:  # noqa: ANN401  (pydantic iterates over fields; a list of recommendations does not)
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Recommendation:
        return self.items[index]
