"""The two public classes: `Recommender` blocks, `AsyncRecommender` awaits. Both run the same flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from zsrec.answers.grounder import Grounder
from zsrec.core.concurrency import LoopThread
from zsrec.core.errors import ConfigError
from zsrec.core.privacy import Redactor
from zsrec.core.privacy import redactor as redactor_of
from zsrec.core.settings import DEFAULT_TEMPLATE, Ambiguous, Settings
from zsrec.core.types import Item, Recommendation, Recommendations, Strategy
from zsrec.data.catalog import Catalog
from zsrec.llm.protocol import LLM, ServerInfo
from zsrec.prompts import Template
from zsrec.prompts.front_matter import Calibration
from zsrec.prompts.library import TemplateCache
from zsrec.recommender import candidates as without_model
from zsrec.recommender import explanations, taste_summary
from zsrec.recommender.conversation import AnyTurn
from zsrec.recommender.explanations import Explanations
from zsrec.recommender.many import Conversations, Key, OnDone, Outcome, recommend_many
from zsrec.recommender.request import DEFAULT_POOL, Fill, Pipeline, PopularityList, Request, SharedGrounder, User
from zsrec.recommender.strategy import answer
from zsrec.recommender.taste_summary import TasteSummary
from zsrec.retrieval.base import Retriever
from zsrec.retrieval.rerank import Where

TemplateLike = str | Path | Template


class _Base:
    """What both recommenders share: a pipeline, and a model to ask."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        model: str | None = None,
        base_url: str | None = None,
        template: TemplateLike | None = None,
        prompts: str | Path | None = None,
        popularity: Sequence[str] | None = None,
        settings: Settings | None = None,
        llm: LLM | None = None,
        retriever: Retriever | None = None,
        redactor: Redactor | None = None,
        grounder: Grounder | None = None,
    ) -> None:
        settings = (settings or Settings.load()).replaced(model=model, base_url=base_url)
        self._templates = TemplateCache(prompts)
        self.pipeline = Pipeline(
            catalog=catalog,
            template=self._load(template or settings.template),
            template_given=template is not None or settings.template != DEFAULT_TEMPLATE,
            settings=settings,
            shared_grounder=SharedGrounder(catalog, _of_catalog(grounder, catalog)),
            popularity=PopularityList.of(popularity),
            retriever=retriever,
            redact=redactor_of(settings.redact) if redactor is None else redactor,
        )
        self._owns_llm, self.llm = llm is None, llm or _client(settings)

    @property
    def settings(self) -> Settings:
        """How the model is reached, and everything else that the environment may set."""
        return self.pipeline.settings

    @property
    def catalog(self) -> Catalog:
        """The items that may be recommended."""
        return self.pipeline.catalog

    @property
    def template(self) -> Template:
        """The prompt."""
        return self.pipeline.template

    @property
    def popularity(self) -> tuple[str, ...] | None:
        """Item ids, most popular first; None where none were given."""
        return self.pipeline.popularity

    @property
    def grounder(self) -> Grounder:
        """Matches what the model writes with the catalog; its index is built on first use."""
        return self.pipeline.grounder

    def with_template(self, template: TemplateLike) -> Self:
        """This recommender with another template, by name or path; both share their connections."""
        return self._with(template=self._load(template), template_given=True)

    def with_catalog(self, catalog: Catalog) -> Self:
        """This recommender with another catalog, for example `catalog.extended([…])`."""
        return self._with(catalog=catalog, shared_grounder=self.pipeline.shared_grounder.moved(catalog))

    def with_grounder(self, grounder: Grounder) -> Self:
        """This recommender with a grounder of another calibration, or with an embedder."""
        return self._with(shared_grounder=SharedGrounder(self.catalog, _of_catalog(grounder, self.catalog)))

    def with_retriever(self, retriever: Retriever | None, *, pool: int = DEFAULT_POOL) -> Self:
        """This recommender with candidates from a retriever, for templates of the task "rank"."""
        if pool < 1:
            raise ConfigError(f"pool is {pool}", hint="show the model at least one candidate")
        return self._with(retriever=retriever, pool_size=pool)

    def with_ranking(
        self,
        *,
        permutations: int | None = None,
        calibrate: Calibration | None = None,
        llm_weight: float | None = None,
        window: int | None = None,
        stride: int | None = None,
        within: Literal["label", "generate"] | None = None,
    ) -> Self:
        """This recommender with other options of the ranker than the template's; see `Ranking` for each."""
        given: dict[str, object] = {
            "permutations": permutations, "calibrate": calibrate, "llm_weight": llm_weight,
            "window": window, "stride": stride, "within": within,
        }  # fmt: skip
        chosen = {name: value for name, value in given.items() if value is not None}
        other = self._with(ranking={**self.pipeline.ranking, **chosen})
        other.pipeline.options  # noqa: B018  (refuses what is out of range)
        return other

    def with_redaction(self, redact: Redactor | None) -> Self:
        """This recommender with another redactor of the user's own words than `Settings.redact` says."""
        return self._with(redact=redact)

    def with_llm(self, llm: LLM) -> Self:
        """This recommender asking another model; closing `llm` is left to the caller."""
        other = self._with()
        other.llm, other._owns_llm = llm, False
        return other

    def retrieval_order(
        self,
        history: User = (),
        k: int = 10,
        *,
        about: str | None = None,
        conversation: Iterable[AnyTurn] = (),
        candidates: Iterable[str] | None = None,
        where: Where = (),
    ) -> Recommendations:
        """What the retriever (or the caller's order, or popularity) recommends without any model.

        Args:
            history: The user's events, or item ids or titles, oldest first.
            k: The wanted number of items.
            about: The user in words, for retrievers that read them.
            conversation: See `recommend`.
            candidates: Ids or titles to choose from, best first where there is no retriever.
            where: See `recommend`.

        Raises:
            ConfigError: Nothing gives an order, or no item is left.
            UnknownItemError: A candidate is not in the catalog.
        """
        request = Request.of(history, k, about, candidates, conversation=conversation, where=where)
        return without_model.retrieval_order(self.pipeline, request)

    def _load(self, template: TemplateLike) -> Template:
        return template if isinstance(template, Template) else self._templates.load(template)

    def _with(self, **parts: Any) -> Self:  # noqa: ANN401
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.pipeline = replace(self.pipeline, **parts)
        return other

    async def _answer(self, request: Request, strategy: Strategy = "auto") -> Recommendations:
        return await answer(self.pipeline, request, strategy, self.llm, self._templates.load)

    async def _explain(
        self, found: Iterable[Recommendation | Item], history: User, about: str | None, template: TemplateLike
    ) -> Explanations:
        pipeline = self.with_template(template).pipeline
        items = [one.item if isinstance(one, Recommendation) else one for one in found]
        return await explanations.explain(pipeline, Request.of(history, about=about), items, self.llm)

    async def _taste_summary(self, history: User, about: str | None, template: TemplateLike) -> TasteSummary:
        pipeline = self.with_template(template).pipeline
        return await taste_summary.summarize_taste(pipeline, Request.of(history, about=about), self.llm)

    async def _aclose(self) -> None:
        if self._owns_llm:
            await self.llm.aclose()


class Recommender(_Base):
    """Recommends from a history with a prompt and a model; every call blocks until it is answered.

    Close it with `close` or `with`; recommenders derived from it share its connections.

    Examples:
        >>> catalog = Catalog.from_csv("movies.csv", id="movieId", domain="movies")
        >>> rec = Recommender(catalog, base_url="http://localhost:8000/v1")
        >>> for r in rec.recommend(["Heat", "Ronin"], k=5):
        ...     print(r.rank, r.item.title)
    """

    def recommend(
        self,
        history: User = (),
        k: int = 10,
        *,
        about: str | None = None,
        conversation: Iterable[AnyTurn] = (),
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
        ambiguous: Ambiguous | None = None,
        where: Where = (),
        strategy: Strategy = "auto",
    ) -> Recommendations:
        """At most `k` items that the user does not know.

        Args:
            history: The user's events, or item ids or titles, oldest first.
            k: The wanted number of items.
            about: The user in words, beside or instead of a history.
            conversation: Turns with an assistant, oldest first, as ("user", "…") or ("assistant", "…"); at most
                200 of at most 4,000 characters each (`Settings.max_turns`, `max_turn_characters`). Items that the
                user names in them become events of the history, and none that is named is recommended.
            candidates: Ids or titles to choose from; templates of the task "rank" need them, a retriever
                (`with_retriever`) or a popularity list.
            fill: Where the model names too few items, fill up from the "candidates", from "popularity" or from
                "retrieval" (the retriever). Filled places are marked. By default a short list stays short, but
                where "auto" generates and there is a retriever.
            ambiguous: What a title that several items have means: "popular" (the most popular one, if popularity
                is known) or "abstain" (none); None takes `Settings.ambiguous`.
            where: Conditions that every recommended item meets, as "year >= 2010" (`zsrec.retrieval.Filter`).
            strategy: "generate", "rank" or "retrieve"; "auto" chooses by what is known of the user
                (docs/strategy.md) where the caller gave no template, and says so in the trace.

        Returns:
            The ranked items, each with its provenance, and the trace: what was sent and answered, and what of it
            could not be matched or was left out.

        Raises:
            ConfigError: Nothing is known of the user, `k` is below 1, the conversation is too long, or candidates
                or popularity are missing.
            UnknownItemError: A candidate is not in the catalog.
            CapabilityError: The server lacks what the template's ranker needs.
            AnswerError: The ranker reads labels, and the model begins its answer with something else.
            ContextOverflowError: The prompt does not fit even without a history.
            LLMError: The server is absent, serves another model, failed or gave no usable reply.
        """
        request = Request.of(history, k, about, candidates, fill, conversation, ambiguous, where)
        return self._loop.run(self._answer(request, strategy))

    @overload
    def recommend_many(  # type: ignore[overload-overlap]
        self, histories: Mapping[Key, User], k: int = ..., *, concurrency: int | None = ...,
        fill: Fill | None = ..., conversations: Conversations | None = ..., on_done: OnDone | None = ...,
    ) -> dict[Key, Outcome]: ...  # fmt: skip

    @overload
    def recommend_many(
        self, histories: Iterable[User], k: int = ..., *, concurrency: int | None = ...,
        fill: Fill | None = ..., conversations: Conversations | None = ..., on_done: OnDone | None = ...,
    ) -> list[Outcome]: ...  # fmt: skip

    def recommend_many(
        self,
        histories: Iterable[User] | Mapping[Key, User],
        k: int = 10,
        *,
        concurrency: int | None = None,
        fill: Fill | None = None,
        conversations: Conversations | None = None,
        on_done: OnDone | None = None,
    ) -> list[Outcome] | dict[Key, Outcome]:
        """Recommendations for many users at once; a user for whom the call fails gets the error in its place.

        Args:
            histories: One per user, in a list or by any key; a bad one is an error in that user's place.
            k: The wanted number of items per user.
            concurrency: Users at once; `Settings.concurrency` by default.
            fill: As for `recommend`.
            conversations: One per user (see `recommend`), in the same order or by some of the same keys.
            on_done: Called with a user's place and outcome as soon as there is one (a progress bar, a file).

        Returns:
            One outcome per user, recommendations or the error: a list in the order given, or a dict with the same
            keys.
        """
        return self._loop.run(
            recommend_many(
                self._answer, histories, k, concurrency or self.settings.concurrency, fill, conversations, on_done
            )
        )

    def explain(
        self,
        recommendations: Iterable[Recommendation | Item],
        history: User = (),
        *,
        about: str | None = None,
        template: TemplateLike = explanations.DEFAULT_TEMPLATE,
    ) -> Explanations:
        """A sentence for each recommendation, with what it cites.

        Where some of the requests fail, the others' sentences are kept, and each failed one says why in `error`.

        Args:
            recommendations: Those of `recommend`, or items.
            history: The history that they were made from.
            about: The user in words.
            template: A template of the task "explain"; the recommender's own plays no part.

        Raises:
            ConfigError: The template has another task, nothing is known of the user, or there is no
                recommendation.
            TemplateError: The template does not exist or is not valid.
            LLMError: Every request failed (the first one's error), or the server does not hold answers to the
                template's pattern (`CapabilityError`).
        """
        return self._loop.run(self._explain(recommendations, history, about, template))

    def taste_summary(
        self,
        history: User = (),
        *,
        about: str | None = None,
        template: TemplateLike = taste_summary.DEFAULT_TEMPLATE,
    ) -> TasteSummary:
        """The user's taste in words, for `about=` instead of the history or beside it; never used unasked.

        Args:
            history: The user's events, or item ids or titles, oldest first.
            about: What the user says of themselves.
            template: A template of the task "profile"; the recommender's own plays no part.

        Raises:
            ConfigError: The template has another task, or nothing is known of the user.
            TemplateError: The template does not exist or is not valid.
            LLMError: The server failed.

        Examples:
            >>> me = rec.taste_summary(history)
            >>> print(me.text)  # the user may correct it
            >>> rec.recommend(k=5, about=me.text)
        """
        return self._loop.run(self._taste_summary(history, about, template))

    def server(self) -> ServerInfo:
        """What the server says of itself.

        Raises:
            LLMError: It is absent or serves another model.
        """
        return self._loop.run(self.llm.handshake())

    def close(self) -> None:
        """Closes the connections and stops their thread; `ClosedError` if the model is asked afterwards."""
        self._loop.run(self._aclose())
        self._loop.close()

    @cached_property
    def _loop(self) -> LoopThread:
        return LoopThread()

    def _with(self, **parts: Any) -> Self:  # noqa: ANN401
        self._loop  # noqa: B018  (made before it is copied: all copies work in one loop)
        return super()._with(**parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRecommender(_Base):
    """Recommends from a history with a prompt and a model, awaited; the arguments are a `Recommender`'s.

    Use it with `async with`, in one event loop; recommenders derived from it share its connections.
    """

    @classmethod
    def like(cls, other: Recommender) -> Self:
        """An async recommender with the parts of a blocking one and connections of its own."""
        same = cls.__new__(cls)
        same.__dict__.update({name: part for name, part in other.__dict__.items() if name != "_loop"})
        if same._owns_llm:
            same.llm = _client(same.settings)
        return same

    async def recommend(
        self,
        history: User = (),
        k: int = 10,
        *,
        about: str | None = None,
        conversation: Iterable[AnyTurn] = (),
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
        ambiguous: Ambiguous | None = None,
        where: Where = (),
        strategy: Strategy = "auto",
    ) -> Recommendations:
        """See `Recommender.recommend`."""
        request = Request.of(history, k, about, candidates, fill, conversation, ambiguous, where)
        return await self._answer(request, strategy)

    @overload
    async def recommend_many(  # type: ignore[overload-overlap]
        self, histories: Mapping[Key, User], k: int = ..., *, concurrency: int | None = ...,
        fill: Fill | None = ..., conversations: Conversations | None = ..., on_done: OnDone | None = ...,
    ) -> dict[Key, Outcome]: ...  # fmt: skip

    @overload
    async def recommend_many(
        self, histories: Iterable[User], k: int = ..., *, concurrency: int | None = ...,
        fill: Fill | None = ..., conversations: Conversations | None = ..., on_done: OnDone | None = ...,
    ) -> list[Outcome]: ...  # fmt: skip

    async def recommend_many(
        self,
        histories: Iterable[User] | Mapping[Key, User],
        k: int = 10,
        *,
        concurrency: int | None = None,
        fill: Fill | None = None,
        conversations: Conversations | None = None,
        on_done: OnDone | None = None,
    ) -> list[Outcome] | dict[Key, Outcome]:
        """See `Recommender.recommend_many`."""
        return await recommend_many(
            self._answer, histories, k, concurrency or self.settings.concurrency, fill, conversations, on_done
        )

    async def explain(
        self,
        recommendations: Iterable[Recommendation | Item],
        history: User = (),
        *,
        about: str | None = None,
        template: TemplateLike = explanations.DEFAULT_TEMPLATE,
    ) -> Explanations:
        """See `Recommender.explain`."""
        return await self._explain(recommendations, history, about, template)

    async def taste_summary(
        self,
        history: User = (),
        *,
        about: str | None = None,
        template: TemplateLike = taste_summary.DEFAULT_TEMPLATE,
    ) -> TasteSummary:
        """See `Recommender.taste_summary`."""
        return await self._taste_summary(history, about, template)

    async def server(self) -> ServerInfo:
        """See `Recommender.server`."""
        return await self.llm.handshake()

    async def aclose(self) -> None:
        """Closes the connections; `ClosedError` if the model is asked afterwards."""
        await self._aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _of_catalog(grounder: Grounder | None, catalog: Catalog) -> Grounder | None:
    if grounder is not None and grounder.catalog is not catalog:
        raise ConfigError("the grounder is of another catalog", hint="Grounder(catalog, …) of the same one")
    return grounder


def _client(settings: Settings) -> LLM:
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    return OpenAIClient(settings)
