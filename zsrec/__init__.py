"""zsrec: zero-shot sequential recommendation with prompts, a local vLLM server and no training step.

    from zsrec import Catalog, Recommender

    catalog = Catalog.from_csv("movies.csv", id="movieId", domain="movies")
    with Recommender(catalog) as rec:
        for r in rec.recommend(["Heat", "Ronin"], k=5):
            print(r.rank, r.item.title)

Names are loaded on first use, so that the import stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsrec.catalog import Catalog
    from zsrec.errors import ZsrecError
    from zsrec.ground import Grounder
    from zsrec.interactions import read_histories
    from zsrec.prompts import Template, load_template
    from zsrec.recommender import AsyncRecommender, Recommender
    from zsrec.session import AsyncSession, Session
    from zsrec.settings import Settings
    from zsrec.types import Event, Feedback, History, Item, Recommendation, Recommendations, Trace

__version__ = "0.1.0"

_HOME = {
    "AsyncRecommender": "recommender",
    "AsyncSession": "session",
    "Catalog": "catalog",
    "Event": "types",
    "Feedback": "types",
    "Grounder": "ground",
    "History": "types",
    "Item": "types",
    "Recommendation": "types",
    "Recommendations": "types",
    "Recommender": "recommender",
    "Session": "session",
    "Settings": "settings",
    "Template": "prompts",
    "Trace": "types",
    "ZsrecError": "errors",
    "load_template": "prompts",
    "read_histories": "interactions",
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
