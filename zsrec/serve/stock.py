"""What the service recommends from and with: catalog, candidates and templates, read anew on a reload."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zsrec import data
from zsrec.candidates import Ids, Interactions, ItemKNN, Popularity, read_interactions, top
from zsrec.catalog import Catalog
from zsrec.errors import ConfigError
from zsrec.interactions import Columns
from zsrec.llm.chat import LLM
from zsrec.prompts import Library, Template
from zsrec.recommender import AsyncRecommender
from zsrec.serve.backed import Backed
from zsrec.settings import Settings

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
            sample = data.sample()
            return sample.catalog, Interactions.from_histories(sample.histories, catalog=Ids(sample.catalog.ids))
        catalog = Catalog.from_file(self.catalog, id=self.id, title=self.title, domain=self.domain)
        if self.interactions is None:
            return catalog, None
        reading = read_interactions(self.interactions, columns=self.columns, catalog=Ids(catalog.ids))
        return catalog, reading.interactions
