"""The two front doors: `Recommender` blocks, `AsyncRecommender` awaits. Both run the same flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import ValidationError

from zsrec.answers.grounder import Grounder
from zsrec.core.concurrency import LoopThread
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.core.privacy import Redactor, redactor
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.llm.protocol import LLM, Plan, Result, ServerInfo, drive
from zsrec.prompts import Template
from zsrec.prompts.front_matter import Calibration, Ranking
from zsrec.prompts.library import TemplateCache
from zsrec.ranking.base import Memory
from zsrec.recommender.candidates import retrieval_order
from zsrec.recommender.pipeline import recommend_plan
from zsrec.recommender.request import DEFAULT_POOL, Job
from zsrec.retrieval.base import Retriever


class GrounderOnce:
    """Where recommenders that were made from each other have their grounder in common.

    Args:
        catalog: The items.
        known: A grounder of this catalog that is there already.
    """

    def __init__(self, catalog: Catalog, known: Grounder | None = None) -> None:
        self._catalog = catalog
        if known is not None:
            self.grounder = known

    @cached_property
    def grounder(self) -> Grounder:
        """The grounder; its index takes a second for 10,000 items."""
        return Grounder(self._catalog)

    def moved(self, catalog: Catalog) -> GrounderOnce:
        """That of another catalog; a calibration, an embedder and a fitting index are kept if they are there."""
        known: Grounder | None = vars(self).get("grounder")
        return GrounderOnce(catalog, None if known is None else known.moved(catalog))


Fill = Literal["candidates", "popularity"]
User = History | Iterable[str]
Outcome = Recommendations | ZsrecError


class _Parts:
    """What both front doors are made of.

    Args:
        catalog: The items that may be recommended.
        model: The served model's name; None takes `ZSREC_MODEL`, or the only model that is served.
        base_url: The OpenAI-compatible endpoint; None takes `ZSREC_BASE_URL`, or port 8000 of this machine.
        template: A template's name or path; None takes `ZSREC_TEMPLATE`, or "generate/default".
        prompts: A folder that is searched for templates before the built-in ones.
        popularity: Item ids, most popular first (`zsrec.retrieval.popularity`); used for a fill or as default
            candidates, and only then is a result "training-free" instead of "zero-shot".
        settings: Everything else (key, time limit, allowed hosts …); None takes the environment.
        llm: Another way to reach a model, instead of `model` and `base_url`.

    Raises:
        ConfigError: A setting does not fit, or the host is not allowed.
        TemplateError: The template is not there or is wrong.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        model: str | None = None,
        base_url: str | None = None,
        template: str | Path | Template | None = None,
        prompts: str | Path | None = None,
        popularity: Sequence[str] | None = None,
        settings: Settings | None = None,
        llm: LLM | None = None,
    ) -> None:
        self.settings = (settings or Settings.load()).replaced(model=model, base_url=base_url)
        self.catalog = catalog
        self.popularity = None if popularity is None else tuple(popularity)
        self.retriever: Retriever | None = None
        self._pool_size = DEFAULT_POOL
        self._ranking: dict[str, object] = {}
        self._memory: Memory = {}
        self._grounds = GrounderOnce(catalog)
        self._templates = TemplateCache(prompts)
        self.redaction: Redactor | None = redactor(self.settings.redact)
        self.template = self._load(template or self.settings.template)
        self._owns_llm = llm is None
        self.llm = llm or _client(self.settings)

    @property
    def grounder(self) -> Grounder:
        """Matches what the model writes with the catalog; its index is built on first use."""
        return self._grounds.grounder

    def with_template(self, template: str | Path | Template) -> Self:
        """This recommender with another template, by name or path; both share their connections.

        Raises:
            TemplateError: The template is not there or is wrong.
        """
        other = self._copy()
        other.template = self._load(template)
        return other

    def with_catalog(self, catalog: Catalog) -> Self:
        """This recommender with another catalog, for example `catalog.extended([…])`."""
        other = self._copy()
        other.catalog, other._grounds = catalog, self._grounds.moved(catalog)
        return other

    def with_grounder(self, grounder: Grounder) -> Self:
        """This recommender with a grounder of another calibration, or with an embedder.

        Raises:
            ConfigError: It is of another catalog.
        """
        if grounder.catalog is not self.catalog:
            raise ConfigError("the grounder is of another catalog", hint="Grounder(recommender.catalog, …)")
        other = self._copy()
        other._grounds = GrounderOnce(self.catalog, grounder)
        return other

    def with_retriever(self, retriever: Retriever | None, *, pool: int = DEFAULT_POOL) -> Self:
        """This recommender with candidates from a retriever, for templates of the task "rank".

        Its order is also the prior that the model's is fused with (`Ranking.llm_weight`), and its mode becomes
        the result's. With `Settings.strict` only zero-shot retrievers are allowed.

        Args:
            retriever: For example `zsrec.retrieval.fused.Fused`; None for none.
            pool: How many candidates a prompt shows, at least 1.

        Raises:
            ConfigError: `pool` is below 1.
        """
        if pool < 1:
            raise ConfigError(f"pool is {pool}", hint="show the model at least one candidate")
        other = self._copy()
        other.retriever, other._pool_size = retriever, pool
        return other

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
        """This recommender with other options of the ranker than the template's; see `Ranking` for each.

        Raises:
            ConfigError: A value is out of range.
        """
        given = {
            "permutations": permutations,
            "calibrate": calibrate,
            "llm_weight": llm_weight,
            "window": window,
            "stride": stride,
            "within": within,
        }
        other = self._copy()
        other._ranking = self._ranking | {name: value for name, value in given.items() if value is not None}
        other._options()
        return other

    def _options(self) -> Ranking:
        """The template's options with the caller's in their place."""
        if not self._ranking:
            return self.template.ranking
        try:
            return Ranking.model_validate(self.template.ranking.model_dump() | self._ranking)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{first['loc'][0]}: {first['msg']}, found {first['input']!r}", hint="see docs/ranking.md"
            ) from None

    def _load(self, template: str | Path | Template) -> Template:
        return template if isinstance(template, Template) else self._templates.load(template)

    def _copy(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def with_redaction(self, redact: Redactor | None) -> Self:
        """This recommender with another redactor of the user's own words than `Settings.redact` says.

        Args:
            redact: For example `zsrec.core.privacy.Redaction(names=["Ann Smith"])`, or any function from text to
                text; None sends the words as they come.
        """
        other = self._copy()
        other.redaction = redact
        return other

    def with_llm(self, llm: LLM) -> Self:
        """This recommender asking another model; closing `llm` is left to the caller."""
        other = self._copy()
        other.llm, other._owns_llm = llm, False
        return other

    def retrieval_order(
        self, history: User = (), k: int = 10, *, candidates: Iterable[str] | None = None
    ) -> Recommendations:
        """What the retriever (or the caller's order, or popularity) recommends without any model.

        Args:
            history: The user's events, or item ids or titles, oldest first.
            k: The wanted number of items.
            candidates: Ids or titles to choose from, best first where there is no retriever.

        Raises:
            ConfigError: Nothing gives an order, or no item is left.
            UnknownItemError: A candidate is not in the catalog.
        """
        return retrieval_order(self._job(history, k, None, candidates, None))

    def _job(
        self, user: User, k: int, about: str | None, candidates: Iterable[str] | None, fill: Fill | None
    ) -> Job:
        return Job(
            catalog=self.catalog,
            grounder=self.grounder,
            template=self.template,
            history=user if isinstance(user, History) else History().with_events(user),
            k=k,
            about=about,
            candidates=None if candidates is None else tuple(candidates),
            fill=fill,
            popularity=self.popularity,
            retriever=self.retriever,
            pool_size=self._pool_size,
            ranking=self._options(),
            strict=self.settings.strict,
            memory=self._memory,
            redact=self.redaction,
        )

    async def _recommend(
        self, user: User, k: int, about: str | None, candidates: Iterable[str] | None, fill: Fill | None
    ) -> Recommendations:
        return await drive(recommend_plan(self._job(user, k, about, candidates, fill)), self.llm)

    async def _recommend_many(
        self,
        users: Iterable[User] | Mapping[str, History],
        k: int,
        concurrency: int | None,
        fill: Fill | None,
        on_done: Callable[[int, Outcome], None] | None,
    ) -> list[Outcome]:
        todo = list(users.values()) if isinstance(users, Mapping) else list(users)
        outcomes: dict[int, Outcome] = {}
        numbers = iter(range(len(todo)))

        async def work() -> None:
            for number in numbers:  # the workers share one iterator, so a slow user holds up one worker only
                try:
                    outcome: Outcome = await self._recommend(todo[number], k, None, None, fill)
                except ZsrecError as error:
                    outcome = error
                outcomes[number] = outcome
                if on_done is not None:
                    on_done(number, outcome)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency or self.settings.concurrency, len(todo))):
                workers.create_task(work())
        return [outcomes[number] for number in range(len(todo))]

    async def _aclose(self) -> None:
        if self._owns_llm:
            await self.llm.aclose()


class Recommender(_Parts):
    """Recommends from a history through a prompt and a model, and blocks until the answer is there.

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
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
    ) -> Recommendations:
        """Recommends at most `k` items that the user does not know.

        Args:
            history: The user's events, or item ids or titles, oldest first.
            k: The wanted number of items.
            about: The user in words, beside or instead of a history.
            candidates: Ids or titles to choose from; templates of the task "rank" need them, a retriever
                (`with_retriever`) or a popularity list.
            fill: Where the model names too few items, fill up from the "candidates" or from "popularity".
                Filled places are marked as such. By default a short list stays short.

        Returns:
            The ranked items, each with its provenance, and the trace: what was sent, what came back, and what
            of it could not be matched or was left out.

        Raises:
            ConfigError: Nothing is known of the user, `k` is below 1, or candidates or popularity are missing.
            UnknownItemError: A candidate is not in the catalog.
            CapabilityError: The server lacks what the template's ranker needs.
            AnswerError: The ranker reads labels, and the model begins its answer with something else.
            ContextOverflowError: The prompt does not fit even without a history.
            LLMError: The server is absent, serves another model, failed or gave no usable reply.
        """
        return self._loop.run(self._recommend(history, k, about, candidates, fill))

    def recommend_many(
        self,
        histories: Iterable[User] | Mapping[str, History],
        k: int = 10,
        *,
        concurrency: int | None = None,
        fill: Fill | None = None,
        on_done: Callable[[int, Outcome], None] | None = None,
    ) -> list[Outcome]:
        """Recommends for many users at once.

        One user's failure does not cost the others their answers: it stands as an error in that user's place.

        Args:
            histories: One a user.
            k: The wanted number of items a user.
            concurrency: Users in work at once; `Settings.concurrency` by default.
            fill: As for `recommend`.
            on_done: Called with a user's place and outcome as soon as it is there (a progress bar, a file).

        Returns:
            One outcome a user, in the order given: recommendations, or the error.
        """
        return self._loop.run(self._recommend_many(histories, k, concurrency, fill, on_done))

    def run(self, plan: Plan[Result]) -> Result:
        """Runs a plan of another kind with this recommender's model, for example `explain_plan`.

        Raises:
            LLMError: What the plan did not handle.
        """
        return self._loop.run(drive(plan, self.llm))

    def server(self) -> ServerInfo:
        """What the server says of itself.

        Raises:
            LLMError: It is absent or serves another model.
        """
        return self._loop.run(self.llm.handshake())

    def close(self) -> None:
        """Closes the connections and stops the thread behind them; the recommender is of no use afterwards."""
        self._loop.run(self._aclose())
        self._loop.close()

    @cached_property
    def _loop(self) -> LoopThread:
        return LoopThread()

    def _copy(self) -> Self:
        self._loop  # noqa: B018  (made before it is copied: all copies work in one loop)
        return super()._copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRecommender(_Parts):
    """Recommends from a history through a prompt and a model, awaited; made like a `Recommender`.

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
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
    ) -> Recommendations:
        """See `Recommender.recommend`."""
        return await self._recommend(history, k, about, candidates, fill)

    async def recommend_many(
        self,
        histories: Iterable[User] | Mapping[str, History],
        k: int = 10,
        *,
        concurrency: int | None = None,
        fill: Fill | None = None,
        on_done: Callable[[int, Outcome], None] | None = None,
    ) -> list[Outcome]:
        """See `Recommender.recommend_many`."""
        return await self._recommend_many(histories, k, concurrency, fill, on_done)

    async def run(self, plan: Plan[Result]) -> Result:
        """See `Recommender.run`."""
        return await drive(plan, self.llm)

    async def server(self) -> ServerInfo:
        """See `Recommender.server`."""
        return await self.llm.handshake()

    async def aclose(self) -> None:
        """Closes the connections; the recommender is of no use afterwards."""
        await self._aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _client(settings: Settings) -> LLM:
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    return OpenAIClient(settings)
