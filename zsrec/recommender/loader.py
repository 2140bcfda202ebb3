"""Recommenders made from files: one for the service, read anew on a reload, and one per server for a batch job."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.files import sha256
from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.download import ITEM
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.readers import Columns, read_interactions
from zsrec.data.tables import column_names
from zsrec.llm.protocol import LLM
from zsrec.prompts import Library, Template, load_template
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.request import DEFAULT_POOL, Fill, Request
from zsrec.retrieval.base import Retriever, top
from zsrec.retrieval.by_name import DEFAULT, check_retriever, retriever_named
from zsrec.retrieval.lists import Backed
from zsrec.retrieval.popularity import Popularity

USUAL_IDS = ("id", "item", ITEM)
"""The names that a catalog's id column usually has."""

TASKS = ("generate", "rank")
MOST_POPULAR = 1000
AnyRecommender = TypeVar("AnyRecommender", Recommender, AsyncRecommender)


class Tables(NamedTuple):
    """What was read: the items, other users' interactions where there are any, and what was left out of them."""

    catalog: Catalog
    known: Interactions | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, catalog: Catalog, histories: Mapping[str, History]) -> Tables:
        """A catalog with its users' histories as interactions."""
        known = Interactions.from_histories(histories, catalog=Ids(catalog.ids)) if histories else None
        return cls(catalog, known)


@dataclass(frozen=True)
class Sources:
    """The files that a recommender is made from; paths have to be the same on every machine that reads them.

    Attributes:
        catalog: The items; None takes the MovieLens sample.
        id: The catalog's id column; None takes the one of `USUAL_IDS` that it has.
        title: Its title column; `creator` and `aliases` likewise.
        domain: What the items are, in the plural.
        encoding: Of both tables, where they are text.
        delimiter: Of both tables, where they are CSV; None goes by the suffix.
        template: A template's name or path; None takes the settings' one.
        prompts: A folder of templates, searched first.
        interactions: Other users' interactions.
        columns: Their columns.
        pool: How many candidates a prompt shows.
        retriever: One of `zsrec.retrieval.by_name.NAMES`, or None.
    """

    catalog: Path | None = None
    id: str | None = None
    title: str = "title"
    creator: str | None = None
    aliases: str | None = None
    domain: str = "items"
    encoding: str = "utf-8"
    delimiter: str | None = None
    template: str | None = None
    prompts: Path | None = None
    interactions: Path | None = None
    columns: Columns = field(default_factory=Columns)
    pool: int = DEFAULT_POOL
    retriever: str | None = None

    @property
    def id_column(self) -> str:
        """The catalog's id column; `ConfigError` where none is named and it has several usual ones."""
        if self.id is not None or self.catalog is None:
            return self.id or ITEM
        names = column_names(self.catalog, encoding=self.encoding, delimiter=self.delimiter)
        found = [name for name in USUAL_IDS if name in names]
        if len(found) > 1:
            raise ConfigError(
                f"{self.catalog}: {' and '.join(map(repr, found))} may each be the id column",
                hint="name the right one with --id",
            )
        return (*found, USUAL_IDS[0])[0]

    def read_catalog(self) -> Catalog:
        """The catalog.

        Raises:
            DataError: The file is not valid.
            ConfigError: It lacks the column of creators or aliases, or these are named and no file is.
        """
        if self.catalog is None:
            if self.creator is not None or self.aliases is not None:
                raise ConfigError(
                    "--creator and --aliases name columns of a catalog, and there is none",
                    hint="give it with --catalog",
                )
            return movielens.sample().catalog
        return Catalog.from_file(
            self.catalog,
            id=self.id_column,
            title=self.title,
            creator=self.creator,
            aliases=self.aliases,
            domain=self.domain,
            encoding=self.encoding,
            delimiter=self.delimiter,
        )

    def read(self, histories: Mapping[str, History] | None = None) -> Tables:
        """The catalog, and the interactions, which in their absence are those of the histories."""
        if self.retriever is not None:  # before anything large is read
            check_retriever(self.retriever, interactions=self.interactions is not None or bool(histories))
        catalog = self.read_catalog()
        if self.interactions is None:
            return Tables.of(catalog, histories or {})
        found = read_interactions(
            self.interactions,
            columns=self.columns,
            catalog=Ids(catalog.ids),
            encoding=self.encoding,
            delimiter=self.delimiter,
        )
        return Tables(catalog, found.interactions, found.notes)

    def make_retriever(self, tables: Tables) -> Retriever | None:
        """The retriever over what was read; None where none is named.

        Raises:
            ConfigError: No such retriever, or it needs interactions and there are none.
            MissingExtraError: It needs vectors, and the extra "embed" is not installed.
        """
        return None if self.retriever is None else retriever_named(self.retriever, tables.known, tables.catalog)

    def make(
        self,
        kind: type[AnyRecommender],
        tables: Tables,
        retriever: Retriever | None,
        settings: Settings,
        *,
        template: Template | None = None,
        llm: LLM | None = None,
    ) -> AnyRecommender:
        """A recommender of parts that were read; the interactions give its popularity list."""
        popular: Sequence[str] | None = None
        if tables.known is not None:
            met = int(np.count_nonzero(tables.known.users_per_item))
            popular = top(Popularity(tables.known), (), min(met, MOST_POPULAR)).ids if met else ()
        return kind(
            tables.catalog,
            template=template or self.template,
            prompts=self.prompts,
            popularity=popular,
            settings=settings,
            llm=llm,
        ).with_retriever(retriever, pool=self.pool)

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
        tables = self.read(movielens.sample().histories if self.catalog is None else None)
        if settings.strict:
            tables = tables._replace(known=None)
        if tables.known is None:
            retriever = self.make_retriever(tables)
        else:
            first = retriever_named(self.retriever or DEFAULT, tables.known, tables.catalog)
            retriever = Backed(first, Popularity(tables.known))
        recommender = self.make(
            AsyncRecommender, tables, retriever, settings, template=templates[default], llm=llm
        )
        recommender.grounder.ground("")  # builds the index
        sample = ("no --catalog: the MovieLens sample is served",) if self.catalog is None else ()
        fallback = None if retriever is None else retriever.name
        return Stock(recommender, templates, fallback, tables.known, (*sample, *tables.notes))


@dataclass(frozen=True)
class Stock:
    """What a service recommends with; a request that began with one stock ends with it."""

    recommender: AsyncRecommender
    templates: Mapping[str, Template]
    fallback: str | None
    known: Interactions | None = None
    notes: tuple[str, ...] = ()


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
            "catalog_columns": [self.id_column, self.title],
            **{name: value for name, value in self._newer() if value is not None},
            "domain": "movies" if self.catalog is None else self.domain,
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

    def _newer(self) -> Iterator[tuple[str, str | None]]:
        """Options that older jobs lack, None where they change nothing."""
        yield "creator", self.creator
        yield "aliases", self.aliases
        yield "encoding", self.encoding if self.encoding != "utf-8" else None
        yield "delimiter", self.delimiter

    def recommenders(self, on_note: Callable[[str], None] = lambda _: None) -> list[AsyncRecommender]:
        """One recommender per server, alike otherwise, each with connections of its own.

        Args:
            on_note: Called with sentences on what of the interactions was left out.

        Raises:
            DataError: A file is not valid.
            ConfigError: A host is not allowed, or the call would be refused for every user.
            MissingExtraError: The retriever needs vectors, and the extra "embed" is not installed.
        """
        from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

        tables = self.read()
        for note in tables.notes:
            on_note(note)
        servers = [self.settings.replaced(base_url=url) for url in self.base_urls] or [self.settings]
        first = self.make(
            AsyncRecommender,
            tables,
            self.make_retriever(tables),
            servers[0],
            template=self.loaded_template(),
            llm=OpenAIClient(servers[0]),
        )
        first.pipeline.check(Request(History.of("x"), self.k, fill=self.fill))
        return [first, *(first.with_llm(OpenAIClient(one)) for one in servers[1:])]
