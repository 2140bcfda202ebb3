"""Recommenders made from files: one for the service, read anew on a reload, and one per server for a batch job."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsrec.core.errors import ConfigError
from zsrec.core.files import sha256
from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.readers import Columns, read_interactions
from zsrec.llm.protocol import LLM
from zsrec.prompts import Library, Template, load_template
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.recommender.request import DEFAULT_POOL, Fill, Request
from zsrec.retrieval.base import Retriever, top
from zsrec.retrieval.by_name import DEFAULT, check_retriever, retriever_named
from zsrec.retrieval.lists import Backed
from zsrec.retrieval.popularity import Popularity

TASKS = ("generate", "rank")
MOST_POPULAR = 1000


@dataclass(frozen=True)
class Sources:
    """The files that a recommender is made from; paths have to be the same on every machine that reads them."""

    catalog: Path | None = None
    id: str = "movieId"
    title: str = "title"
    domain: str = "movies"
    template: str | None = None
    prompts: Path | None = None
    interactions: Path | None = None
    columns: Columns = field(default_factory=Columns)
    pool: int = DEFAULT_POOL
    retriever: str | None = None

    def load(self, llm: LLM, settings: Settings) -> Stock:
        """Reads everything for a service and builds the indices, so that the first request finds them.

        The retriever over the interactions (without a catalog, those of the MovieLens sample) with popularity
        behind it gives candidates and the fallback. With `Settings.strict` nobody else's interactions are used.
        """
        library, default = Library(self.prompts), self.template or settings.template
        names = [one.name for one in library.entries() if one.shadowed_by is None]
        templates = {name: template for name in names if (template := library.load(name)).task in TASKS}
        if default not in templates:
            raise ConfigError(
                f"the default template {default!r} is not among those served",
                hint=f"one of {', '.join(sorted(templates))}; your own are read from the folder of --prompts",
            )
        catalog, known = self.read()
        if self.catalog is None and known is None:
            known = Interactions.from_histories(movielens.sample().histories, catalog=Ids(catalog.ids))
        if settings.strict:
            known = None
        retriever = self._retriever(catalog, known)
        recommender = self.made(catalog, known, retriever, templates[default], settings, llm)
        recommender.grounder.ground("")  # builds the index
        return Stock(recommender, templates, None if retriever is None else retriever.name, known)

    def _retriever(self, catalog: Catalog, known: Interactions | None) -> Retriever | None:
        if known is not None:
            return Backed(retriever_named(self.retriever or DEFAULT, known, catalog), Popularity(known))
        return None if self.retriever is None else retriever_named(self.retriever, None, catalog)

    def read(self) -> tuple[Catalog, Interactions | None]:
        """The catalog, and the interactions where there are any."""
        if self.catalog is None:
            catalog = movielens.sample().catalog
        else:
            catalog = Catalog.from_file(self.catalog, id=self.id, title=self.title, domain=self.domain)
        if self.interactions is None:
            return catalog, None
        found = read_interactions(self.interactions, columns=self.columns, catalog=Ids(catalog.ids))
        return catalog, found.interactions

    def made(
        self,
        catalog: Catalog,
        known: Interactions | None,
        retriever: Retriever | None,
        template: Template,
        settings: Settings,
        llm: LLM,
    ) -> AsyncRecommender:
        """A recommender of parts that were read; the interactions give its popularity list."""
        popular = None if known is None else top(Popularity(known), (), MOST_POPULAR).ids
        return AsyncRecommender(
            catalog, template=template, popularity=popular, settings=settings, llm=llm
        ).with_retriever(retriever, pool=self.pool)


@dataclass(frozen=True)
class Stock:
    """What a service recommends with; a request that began with one stock ends with it."""

    recommender: AsyncRecommender
    templates: Mapping[str, Template]
    fallback: str | None
    known: Interactions | None = None


def settle() -> None:
    """Exempts what is loaded from garbage collection, which would stop every request for it.

    With a catalog of 10,000 items a full round took 37 ms of processor time; afterwards it takes next to none.
    What an earlier stock left behind is collected first. This affects the whole process.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Recipe(Sources):
    """How a batch job makes its recommenders; the further fields of `Sources` come first.

    Attributes:
        k: Items wanted per user.
        fill: See `Recommender.recommend`.
        fallback: Whether a user for whom the model fails gets the order without it.
        base_urls: Several servers that users are shared among; empty takes the settings' one.
        settings: How to reach the model; the key travels with it.
    """

    k: int = 10
    fill: Fill | None = None
    fallback: bool = False
    base_urls: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings.load)

    def check(self) -> None:
        """Refuses what would fail for every user alike.

        Raises:
            ConfigError: The job asks for something impossible.
            TemplateError: The template is not valid.
        """
        template = self.loaded_template()
        if template.task not in TASKS:
            raise ConfigError(
                f"the template {template.ref} is of the task {template.task!r}", hint="name one that recommends"
            )
        if self.retriever is not None:
            check_retriever(self.retriever, interactions=self.interactions is not None)
        if self.pool < 1:
            raise ConfigError(f"pool is {self.pool}", hint="show the model at least one candidate")
        if self.interactions is not None:
            return
        if self.retriever is None and template.task == "rank":
            raise ConfigError(
                f"the template {template.ref} ranks candidates, and nothing gives any",
                hint="give --interactions FILE (popularity), with --retriever for candidates of each user's own",
            )
        needs = {"--fallback": self.fallback, "--fill popularity": self.fill == "popularity"}
        for option, given in needs.items():
            if given:
                raise ConfigError(f"{option} without interactions", hint="give others' with --interactions FILE")

    def loaded_template(self) -> Template:
        """The template.

        Raises:
            TemplateError: It does not exist or is not valid.
        """
        return load_template(self.template or self.settings.template, prompts=self.prompts)

    def config(self) -> dict[str, Any]:
        """What the answers depend on, for the job's configuration; files by their hash."""
        ref = self.loaded_template().ref
        return {
            "catalog": None if self.catalog is None else sha256(self.catalog),
            "catalog_columns": [self.id, self.title],
            "domain": self.domain,
            "template": str(ref),
            "template_sha256": ref.sha256,
            "retriever": self.retriever,
            "interactions": None if self.interactions is None else sha256(self.interactions),
            "interactions_columns": self.columns.model_dump(),
            "pool": self.pool,
            "k": self.k,
            "fill": self.fill,
            "fallback": self.fallback,
            "strict": self.settings.strict,
        }

    def recommenders(self) -> list[AsyncRecommender]:
        """One recommender per server, alike otherwise, each with connections of its own.

        Raises:
            DataError: A file is not valid.
            ConfigError: A host is not allowed, or the call would be refused for every user.
            MissingExtraError: The retriever needs vectors, and the extra "embed" is not installed.
        """
        from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

        catalog, known = self.read()
        retriever = None if self.retriever is None else retriever_named(self.retriever, known, catalog)
        servers = [self.settings.replaced(base_url=url) for url in self.base_urls] or [self.settings]
        template = self.loaded_template()
        first = self.made(catalog, known, retriever, template, servers[0], OpenAIClient(servers[0]))
        first.pipeline.check(Request(History.of("x"), self.k, fill=self.fill))
        return [first, *(first.with_llm(OpenAIClient(one)) for one in servers[1:])]
