"""zsrec: zero-shot sequential recommendation with prompts, a local vLLM server and no training step.

    from zsrec import Catalog, Recommender

    catalog = Catalog.from_csv("movies.csv", id="movieId", domain="movies")
    with Recommender(catalog) as rec:
        for r in rec.recommend(["Heat", "Ronin"], k=5):
            print(r.rank, r.item.title)

Names are loaded on first use, so that the import stays fast.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsrec.answers.grounder import Grounder
    from zsrec.core.errors import ZsrecError
    from zsrec.core.settings import Settings
    from zsrec.core.types import Item, Recommendation, Recommendations, Trace
    from zsrec.data.catalog import Catalog
    from zsrec.data.history import Event, Feedback, History
    from zsrec.data.readers import read_histories
    from zsrec.prompts import Template, load_template
    from zsrec.recommender.recommender import AsyncRecommender, Recommender
    from zsrec.recommender.session import AsyncSession, Session

__version__ = "0.2.0"

logging.getLogger("zsrec").addHandler(logging.NullHandler())

_HOME = {
    "AsyncRecommender": "recommender.recommender",
    "AsyncSession": "recommender.session",
    "Catalog": "data.catalog",
    "Event": "data.history",
    "Feedback": "data.history",
    "Grounder": "answers.grounder",
    "History": "data.history",
    "Item": "core.types",
    "Recommendation": "core.types",
    "Recommendations": "core.types",
    "Recommender": "recommender.recommender",
    "Session": "recommender.session",
    "Settings": "core.settings",
    "Template": "prompts.template",
    "Trace": "core.types",
    "ZsrecError": "core.errors",
    "load_template": "prompts.library",
    "read_histories": "data.readers",
}

__all__ = [
    "AsyncRecommender",
    "AsyncSession",
    "Catalog",
    "Event",
    "Feedback",
    "Grounder",
    "History",
    "Item",
    "Recommendation",
    "Recommendations",
    "Recommender",
    "Session",
    "Settings",
    "Template",
    "Trace",
    "ZsrecError",
    "load_template",
    "read_histories",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'zsrec' has no attribute {name!r}")
    value = getattr(import_module(f"zsrec.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
