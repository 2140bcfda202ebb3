"""What the service recommends from and with: catalog, candidates and templates, read anew on a reload."""

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
from zsrec.recommender.recommender import AsyncRecommender, Fill
from zsrec.recommender.request import DEFAULT_POOL, Job
from zsrec.retrieval.base import top
from zsrec.retrieval.by_name import check_retriever, retriever_named
from zsrec.retrieval.item_knn import ItemKNN
from zsrec.retrieval.lists import Backed
from zsrec.retrieval.popularity import Popularity

TASKS = ("generate", "rank")
MOST_POPULAR = 1000


@dataclass(frozen=True)
class Stock:
    """One consistent state; a request that began with one ends with it.

    Attributes:
        recommender: With the default template.
        templates: Every template that a request may name; none is ever looked up as a path.
        fallback: What gives an order without a model: a retriever's name, or None.
    """

    recommender: AsyncRecommender
    templates: Mapping[str, Template]
    fallback: str | None


def settle() -> None:
    """Takes what is loaded out of the garbage collector's rounds, which would stop every request for it.

    With a catalog of 10,000 items a full round took 37 ms of processor time; afterwards it takes next to none.
    What an earlier stock left behind is collected first. All of the process is treated so: for who owns it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Sources:
    """Where the stock comes from.

    Attributes:
        catalog: The catalog's file; None takes the MovieLens sample, with its interactions.
        id: The catalog's column of ids.
        title: The catalog's column of titles.
        domain: What the items are, in the plural.
        interactions: A file of contacts; item-kNN over it, with popularity behind, gives candidates and the
            fallback. None leaves the service zero-shot, and without a fallback but for requests with candidates.
        columns: The interactions' columns.
        prompts: A folder of the operator's own templates.
        template: The default template's name.
        candidates: How many candidates a ranking prompt shows.
    """

    catalog: Path | None = None
    id: str = "movieId"
    title: str = "title"
    domain: str = "movies"
    interactions: Path | None = None
    columns: Columns = field(default_factory=Columns)
    prompts: Path | None = None
    template: str = "generate/default"
    candidates: int = 20

    def load(self, llm: LLM, settings: Settings) -> Stock:
        """Reads everything, and builds the indices, so that the first request finds them.

        Args:
            llm: The shared client.
            settings: For `strict` and the like.

        Raises:
            DataError: A file is wrong.
            TemplateError: A template is wrong.
            ConfigError: The default template is none that requests may name.
        """
        library = Library(self.prompts)
        names = [one.name for one in library.entries() if one.shadowed_by is None]
        templates = {name: template for name in names if (template := library.load(name)).task in TASKS}
        if self.template not in templates:
            raise ConfigError(
                f"the default template {self.template!r} is not among those served",
                hint=f"one of {', '.join(sorted(templates))}; your own stand in the folder of --prompts",
            )
        catalog, contacts = self._data()
        retriever = None
        if contacts is not None and not settings.strict:  # strictly zero-shot: nobody else's contacts
            retriever = Backed(ItemKNN(contacts), Popularity(contacts))
        recommender = AsyncRecommender(
            catalog,
            template=templates[self.template],
            popularity=None if retriever is None else top(retriever.behind, (), MOST_POPULAR).ids,
            settings=settings,
            llm=llm,
        )
        if retriever is not None:
            recommender = recommender.with_retriever(retriever, pool=self.candidates)
        recommender.grounder.ground("")  # builds the index
        return Stock(recommender, templates, None if retriever is None else retriever.name)

    def _data(self) -> tuple[Catalog, Interactions | None]:
        if self.catalog is None:
            sample = movielens.sample()
            return sample.catalog, Interactions.from_histories(sample.histories, catalog=Ids(sample.catalog.ids))
        catalog = Catalog.from_file(self.catalog, id=self.id, title=self.title, domain=self.domain)
        if self.interactions is None:
            return catalog, None
        reading = read_interactions(self.interactions, columns=self.columns, catalog=Ids(catalog.ids))
        return catalog, reading.interactions


@dataclass(frozen=True)
class Recipe:
    """How recommenders are made; paths have to be the same on every machine that works.

    Attributes:
        catalog: The catalog's file; None takes the MovieLens sample.
        id: The catalog's column of ids.
        title: The catalog's column of titles.
        domain: What the items are, in the plural.
        template: A template's name or path; None takes the settings'.
        prompts: A folder of your own templates.
        retriever: Where templates of the task "rank" choose from, one of
            `zsrec.retrieval.by_name.NAMES`; None for popularity.
        interactions: Others' interactions for the retriever and for popularity: one file of any table format.
        columns: The columns of `interactions`.
        pool: How many candidates a prompt shows.
        k: Items wanted a user.
        fill: See `Recommender.recommend`.
        fallback: Whether a user for whom the model fails gets the order without it.
        base_urls: Several servers that users are shared among; empty takes the settings' one.
        settings: How to reach the model; the key travels with it.
    """

    catalog: Path | None = None
    id: str = "movieId"
    title: str = "title"
    domain: str = "movies"
    template: str | None = None
    prompts: Path | None = None
    retriever: str | None = None
    interactions: Path | None = None
    columns: Columns = field(default_factory=Columns)
    pool: int = DEFAULT_POOL
    k: int = 10
    fill: Fill | None = None
    fallback: bool = False
    base_urls: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings.load)

    def check(self) -> None:
        """Refuses what would fail for every user alike.

        Raises:
            ConfigError: What was asked for is not possible.
            TemplateError: The template is wrong.
        """
        template = self.loaded_template()
        if template.task not in ("generate", "rank"):
            raise ConfigError(
                f"the template {template.ref} is of the task {template.task!r}", hint="name one that recommends"
            )
        if self.retriever is not None:
            check_retriever(self.retriever)
        if self.retriever is not None and self.interactions is None:
            raise ConfigError("--retriever without interactions", hint="give others' with --interactions FILE")
        if self.pool < 1:
            raise ConfigError(f"pool is {self.pool}", hint="show the model at least one candidate")
        if template.task == "rank" and self.interactions is None:
            raise ConfigError(
                f"the template {template.ref} ranks candidates, and nothing gives any",
                hint="give --interactions FILE (popularity), with --retriever for candidates of each user's own",
            )
        if self.fallback and self.interactions is None:
            raise ConfigError("--fallback without interactions", hint="give others' with --interactions FILE")
        if self.fill == "popularity" and self.interactions is None:
            raise ConfigError(
                "--fill popularity without interactions", hint="give others' with --interactions FILE"
            )

    def loaded_template(self) -> Template:
        """The template.

        Raises:
            TemplateError: It is not there or is wrong.
        """
        return load_template(self.template or self.settings.template, prompts=self.prompts)

    def config(self) -> dict[str, Any]:
        """What the answers depend on, as it stands in the job's configuration; files by their hash."""
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
        """One recommender a server, alike otherwise, each with connections of its own.

        Raises:
            DataError: A file is wrong.
            ConfigError: A host is not allowed, or the call would be refused for every user.
            MissingExtraError: The retriever needs vectors, and the extra "embed" is not installed.
        """
        from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

        if self.catalog is None:
            catalog = movielens.sample().catalog
        else:
            catalog = Catalog.from_file(self.catalog, id=self.id, title=self.title, domain=self.domain)
        retriever, popular = None, None
        if self.interactions is not None:
            known = read_interactions(
                self.interactions, columns=self.columns, catalog=Ids(catalog.ids)
            ).interactions
            popular = top(Popularity(known), (), MOST_POPULAR).ids
            if self.retriever is not None:
                retriever = retriever_named(self.retriever, known, catalog)
        servers = [self.settings.replaced(base_url=url) for url in self.base_urls] or [self.settings]
        first = AsyncRecommender(
            catalog,
            template=self.loaded_template(),
            popularity=popular,
            settings=servers[0],
            llm=OpenAIClient(servers[0]),
        ).with_retriever(retriever, pool=self.pool)
        Job(
            catalog=catalog, grounder=first.grounder, template=first.template, history=History.of("x"), k=self.k,
            fill=self.fill, popularity=first.popularity, retriever=retriever, strict=self.settings.strict,
        ).check()  # fmt: skip
        return [first, *(first.with_llm(OpenAIClient(one)) for one in servers[1:])]
