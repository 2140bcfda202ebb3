"""With the real library: `make extras`, then pytest in `.venv-lenskit`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("lenskit", reason="LensKit is not installed (make extras)")

import pandas as pd
from lenskit import recommend, score
from lenskit.data import Dataset, ItemList, RecQuery, from_interactions_df
from lenskit.pipeline import topn_pipeline

from tests.unit.fakes import FakeLLM
from zsrec.data.catalog import Catalog
from zsrec.recommender.lenskit_scorer import ZsrecConfig, ZsrecScorer
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval import top

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's, of itself


@pytest.fixture
def data() -> Dataset:
    """Everybody goes through the items in turn, from a start of their own."""
    events = [(user, 10 + (user + step) % 8, step) for user in range(30) for step in range(5)]
    return from_interactions_df(pd.DataFrame(events, columns=["user_id", "item_id", "timestamp"]))


def test_a_pipeline(data: Dataset) -> None:
    scorer = ZsrecScorer()
    pipeline = topn_pipeline(scorer, n=3)
    pipeline.train(data)
    found = recommend(pipeline, 3)
    ours = top(scorer._fitted.retriever, scorer._fitted.history("3"), 3)
    assert [str(item) for item in found.ids()] == list(ours.ids)
    np.testing.assert_allclose(found.scores(), ours.scores, rtol=1e-5)


def test_items_without_evidence_have_no_score(data: Dataset) -> None:
    pipeline = topn_pipeline(ZsrecScorer(), n=3)
    pipeline.train(data)
    found = score(pipeline, 3, ItemList([10, 99]))
    assert np.isnan(found.scores()).tolist() == [False, True]
    assert len(recommend(pipeline, RecQuery(user_id=77))) == 0


def test_a_query_may_bring_its_history(data: Dataset) -> None:
    scorer = ZsrecScorer()
    pipeline = topn_pipeline(scorer, n=2)
    pipeline.train(data)
    query = RecQuery(history_items=ItemList([12, 10], timestamp=[1, 5]), session_items=ItemList([14]))
    assert [str(item) for item in recommend(pipeline, query).ids()] == list(
        top(scorer._fitted.retriever, ["12", "10", "14"], 2).ids
    )
    turned = RecQuery(history_items=ItemList([12, 10], timestamp=[5, 1]))
    assert [str(one) for one in recommend(pipeline, turned).ids()] == list(
        top(scorer._fitted.retriever, ["10", "12"], 2).ids
    )


def test_a_trained_scorer_is_pickled_and_trained_again(data: Dataset) -> None:
    scorer = ZsrecScorer(ZsrecConfig(k=5))
    assert scorer.dump_config() == {"k": 5, "strategy": "auto"}
    scorer.train(data)
    again = pickle.loads(pickle.dumps(scorer))
    query, items = RecQuery(history_items=ItemList([12, 10])), ItemList([11, 13])
    np.testing.assert_array_equal(again(query, items).scores(), scorer(query, items).scores())


def test_a_recommender_with_a_model(films: Catalog) -> None:
    ids = list(films.ids)[:5]
    rows = [(user, item, step) for user in range(3) for step, item in enumerate(ids)][:-1]
    data = from_interactions_df(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    with Recommender(films, llm=FakeLLM(f"1. {films[ids[4]].title}"), template="generate/default") as one:
        pipeline = topn_pipeline(ZsrecScorer(recommender=one), n=3)
        pipeline.train(data)
        found = recommend(pipeline, 2)
    assert found.ids().tolist() == [ids[4]]
    assert found.scores().tolist() == [1.0]
