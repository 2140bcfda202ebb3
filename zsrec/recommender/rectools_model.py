"""zsrec as a RecTools model (RecTools 0.19: `pip install rectools`)."""

from __future__ import annotations

import numpy as np
from rectools.dataset import Dataset
from rectools.models.base import ModelBase
from rectools.types import InternalIdsArray

from zsrec.core.types import Strategy
from zsrec.recommender.adapters import Fitted, Ranked, history_of
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.base import Method
from zsrec.retrieval.cooccurrence import Cooccurrence


class ZsrecModel(ModelBase):  # type: ignore[misc]  # RecTools is not there where types are checked
    """A retriever, or a recommender that asks a model, for RecTools' `fit`, `recommend` and `cross_validate`.

    Fitting counts co-occurrences and trains nothing. Ids become text, so a recommender's catalog has them as text.
    Histories are those of the data set that `recommend` gets, by time; a model's lists hold no item that the data
    set lacks. `recommend_to_items` gives what goes with an item alone.

    Args:
        method: Makes the retriever from the interactions, for example `Cooccurrence` or
            `lambda known: Fused(known, vectors)`.
        recommender: Asks a model with the retriever's candidates. None leaves the retriever's order.
        strategy: How the recommender answers; see `Recommender.recommend`.

    Examples:
        >>> model = ZsrecModel().fit(dataset)
        >>> model.recommend(users, dataset, k=10, filter_viewed=True)
    """

    def __init__(
        self,
        method: Method = Cooccurrence,
        recommender: Recommender | None = None,
        strategy: Strategy = "auto",
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose=verbose)
        self.method, self.recommender, self.strategy = method, recommender, strategy

    def _fit(self, dataset: Dataset) -> None:
        self._data, self._fitted = dataset, self._on(dataset)

    def _on(self, dataset: Dataset) -> Fitted:
        rows = dataset.get_raw_interactions()
        seconds = rows["datetime"].to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9
        return Fitted.on(rows["user_id"], rows["item_id"], seconds, self.method, self.recommender, self.strategy)

    def _recommend_u2i(
        self,
        user_ids: InternalIdsArray,
        dataset: Dataset,
        k: int,
        filter_viewed: bool,
        sorted_item_ids_to_recommend: InternalIdsArray | None,
    ) -> tuple[list[int], list[int], list[float]]:
        fitted = self._fitted if dataset is self._data else self._on(dataset)
        users = dataset.user_id_map.convert_to_external(user_ids)
        histories = [fitted.history(str(user)) for user in users]
        lists = self._fitted.ranked(
            histories, k, exclude_seen=filter_viewed, only=_external(dataset, sorted_item_ids_to_recommend)
        )
        return _internal(user_ids, lists, dataset)

    def _recommend_i2i(
        self,
        target_ids: InternalIdsArray,
        dataset: Dataset,
        k: int,
        sorted_item_ids_to_recommend: InternalIdsArray | None,
    ) -> tuple[list[int], list[int], list[float]]:
        items = dataset.item_id_map.convert_to_external(target_ids)
        lists = self._fitted.ranked(
            [history_of(None, [str(item)]) for item in items],
            k,
            only=_external(dataset, sorted_item_ids_to_recommend),
        )
        return _internal(target_ids, lists, dataset)


def _external(dataset: Dataset, item_ids: InternalIdsArray | None) -> list[str] | None:
    return None if item_ids is None else [str(one) for one in dataset.item_id_map.convert_to_external(item_ids)]


def _internal(
    targets: InternalIdsArray, lists: list[Ranked], dataset: Dataset
) -> tuple[list[int], list[int], list[float]]:
    """RecTools' three columns, without items that the data set lacks."""
    ids = {str(one): code for code, one in enumerate(dataset.item_id_map.external_ids)}
    rows = [
        (target, ids[item], score)
        for target, ranked in zip(targets, lists, strict=True)
        for item, score in ranked
        if item in ids
    ]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
