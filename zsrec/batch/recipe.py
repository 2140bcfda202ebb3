"""What every worker makes its recommenders from: small, and sent to other machines as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsrec import data
from zsrec.batch.asking import Asker
from zsrec.candidates import Ids, Popularity, item_vectors, read_interactions, top
from zsrec.catalog import Catalog
from zsrec.embed import default_embedder
from zsrec.errors import ConfigError
from zsrec.evals.data import sha256
from zsrec.evals.methods import check_retriever, retriever_named
from zsrec.interactions import Columns
from zsrec.job import DEFAULT_POOL, Job
from zsrec.prompts import Template, load_template
from zsrec.recommender import AsyncRecommender, Fill
from zsrec.serve.stock import MOST_POPULAR
from zsrec.settings import Settings
from zsrec.types import History


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
        retriever: Where templates of the task "rank" choose from, one of `zsrec.evals.methods.NAMES`; None for
            popularity.
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
            catalog = data.sample().catalog
        else:
            catalog = Catalog.from_file(self.catalog, id=self.id, title=self.title, domain=self.domain)
        retriever, popular = None, None
        if self.interactions is not None:
            known = read_interactions(
                self.interactions, columns=self.columns, catalog=Ids(catalog.ids)
            ).interactions
            popular = top(Popularity(known), (), MOST_POPULAR).ids
            if self.retriever is not None:
                retriever = retriever_named(
                    self.retriever, known, lambda: item_vectors(catalog, default_embedder())
                )
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

    def asker(self, recommenders: Sequence[AsyncRecommender]) -> Asker:
        """What asks them."""
        return Asker(recommenders, self.k, fill=self.fill, fallback=self.fallback)
