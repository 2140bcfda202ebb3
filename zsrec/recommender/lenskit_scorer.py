"""zsrec as a component of LensKit pipelines (LensKit 2025: `pip install lenskit`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from lenskit.data import Dataset, ItemList, QueryInput, RecQuery
from lenskit.pipeline import Component
from lenskit.training import Trainable, TrainingOptions
from numpy.typing import NDArray
from pydantic import BaseModel

from zsrec.core.types import Strategy
from zsrec.data.interactions import Interactions
from zsrec.data.ordering import in_time
from zsrec.recommender.adapters import Fitted, history_of
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.base import Method
from zsrec.retrieval.cooccurrence import Cooccurrence


class ZsrecConfig(BaseModel):
    """How a recommender with a model answers.

    Attributes:
        k: How many items it is asked for; the others have no score.
        strategy: See `Recommender.recommend`.
    """

    k: int = 20
    strategy: Strategy = "auto"


class ZsrecScorer(Component[ItemList], Trainable):  # type: ignore[misc]  # LensKit is not there where types are checked
    """A retriever, or a recommender that asks a model, as the scorer of a LensKit pipeline.

    Training counts co-occurrences and fits nothing. The query's history is read by its timestamps, or in its order
    where it has none, then the items of the session. An item without evidence has no score (NaN), so `TopNRanker`
    leaves it out. Ids become text, so a recommender's catalog has them as text.

    Args:
        config: See `ZsrecConfig`.
        method: Makes the retriever from the interactions.
        recommender: Asks a model with the retriever's candidates. None scores by the retriever alone.

    Examples:
        >>> pipeline = topn_pipeline(ZsrecScorer(), n=10)
        >>> pipeline.train(dataset)
        >>> lenskit.recommend(pipeline, user)
    """

    config: ZsrecConfig

    def __init__(
        self,
        config: ZsrecConfig | None = None,
        *,
        method: Method = Cooccurrence,
        recommender: Recommender | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(config, **settings)
        self.method, self.recommender = method, recommender

    def train(self, data: Dataset, options: TrainingOptions = TrainingOptions()) -> None:  # noqa: B008
        """Count the data set's interactions; without a timestamp, the rows' order is the order of time."""
        if hasattr(self, "_fitted") and not options.retrain:
            return
        rows = data.interaction_table(format="pandas", original_ids=True)
        times = _seconds(rows["timestamp"]) if "timestamp" in rows else np.arange(len(rows))
        self._fitted = Fitted.on(
            rows["user_id"], rows["item_id"], times, self.method, self.recommender, self.config.strategy
        )

    def __call__(self, query: QueryInput, items: ItemList) -> ItemList:
        """Score the items for the query's user."""
        query = RecQuery.create(query)
        known = [*_oldest_first(query.user_id, query.history_items), *_ids(query.session_items)]
        scores = self._fitted.scores(
            history_of(None if query.user_id is None else str(query.user_id), known), self.config.k
        )
        found = [scores.get(item, np.nan) for item in _ids(items)]
        return ItemList(items, scores=np.array(found, dtype=np.float64))


def _ids(items: Any) -> list[str]:  # noqa: ANN401
    return [] if items is None else [str(one) for one in items.ids()]


def _seconds(times: Any) -> NDArray[np.float64]:  # noqa: ANN401
    values = np.asarray(times)
    return (values.astype("datetime64[ns]").astype(np.int64) / 1e9) if values.dtype.kind == "M" else values


def _oldest_first(user: object, items: Any) -> Iterable[str]:  # noqa: ANN401
    """The history in the order of its timestamps; events at one time in the order that the statistics have."""
    ids = _ids(items)
    times = None if items is None else items.field("timestamp")
    if times is None or not ids:
        return ids
    known = Interactions.from_arrays([str(user)] * len(ids), ids, _seconds(times))
    return [known.items[code] for code in in_time(known).item.tolist()]
