"""With the real library: `make extras`, then pytest in `.venv-rectools`."""

from __future__ import annotations

import pytest

pytest.importorskip("rectools", reason="RecTools is not installed (make extras)")

import pandas as pd
from rectools.dataset import Dataset
from rectools.metrics import HitRate
from rectools.model_selection import LastNSplitter, cross_validate

from tests.unit.fakes import FakeLLM
from zsrec.data.catalog import Catalog
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.rectools_model import ZsrecModel
from zsrec.retrieval import top

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's, of itself


@pytest.fixture
def rows() -> pd.DataFrame:
    """Everybody goes through the items in turn, from a start of their own."""
    events = [(user, 10 + (user + step) % 8, step) for user in range(30) for step in range(5)]
    table = pd.DataFrame(events, columns=["user_id", "item_id", "step"])
    table["weight"], table["datetime"] = 1.0, pd.to_datetime(table.pop("step"), unit="D")
    return table


def test_recommend(rows: pd.DataFrame) -> None:
    dataset = Dataset.construct(rows)
    model = ZsrecModel().fit(dataset)
    found = model.recommend([3, 5], dataset, k=3, filter_viewed=True)
    assert found["user_id"].unique().tolist() == [3, 5]
    assert found[found["user_id"] == 3]["rank"].tolist() == [1, 2, 3]
    seen = set(rows[rows["user_id"] == 3]["item_id"])
    ours = top(model._fitted.retriever, model._fitted.history("3"), 3)
    assert [str(item) for item in found[found["user_id"] == 3]["item_id"]] == list(ours.ids)
    assert not seen & set(found[found["user_id"] == 3]["item_id"])
    only = model.recommend([3], dataset, k=3, filter_viewed=False, items_to_recommend=[10, 11])
    assert set(only["item_id"]) <= {10, 11}
    near = model.recommend_to_items([10], dataset, k=2)
    assert near["item_id"].tolist()[0] == 11
    assert 10 not in near["item_id"].tolist()


def test_histories_are_those_of_the_data_set_that_is_given(rows: pd.DataFrame) -> None:
    model = ZsrecModel().fit(Dataset.construct(rows))
    later = rows[rows["user_id"] != 3]
    one = rows[rows["user_id"] == 4].assign(user_id=3)
    moved = Dataset.construct(pd.concat([later, one]))
    found = model.recommend([3], moved, k=3, filter_viewed=True)
    assert not set(found["item_id"]) & set(one["item_id"])


def test_cross_validation(rows: pd.DataFrame) -> None:
    found = cross_validate(
        Dataset.construct(rows), LastNSplitter(1, n_splits=2), {"HR@1": HitRate(1)}, {"zsrec": ZsrecModel()},
        k=1, filter_viewed=True,
    )  # fmt: skip
    assert [one["HR@1"] for one in found["metrics"]] == [1.0, 1.0]


def test_a_recommender_with_a_model(films: Catalog) -> None:
    events = [(user, item, step) for user in range(3) for step, item in enumerate(list(films.ids)[:4])]
    rows = pd.DataFrame(events, columns=["user_id", "item_id", "step"])
    rows["weight"], rows["datetime"] = 1.0, pd.to_datetime(rows.pop("step"), unit="D")
    rows = rows.drop(rows.index[-1])
    dataset = Dataset.construct(rows)
    title = films[rows["item_id"].iloc[3]].title
    with Recommender(
        films, llm=FakeLLM(f"1. {title}\n2. {films[films.ids[5]].title}"), template="generate/default"
    ) as one:
        model = ZsrecModel(recommender=one).fit(dataset)
        found = model.recommend([2], dataset, k=3, filter_viewed=True)
    assert found["item_id"].tolist() == [rows["item_id"].iloc[3]]  # the other title's item is not in the data set
