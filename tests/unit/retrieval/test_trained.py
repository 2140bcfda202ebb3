from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest

from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation import leave_one_out, run
from zsrec.retrieval import Profile
from zsrec.retrieval.trained import Ease, EaseConfig, SasRec, SasRecConfig, rectools_dataset, trained

HAS_RECTOOLS = importlib.util.find_spec("rectools") is not None
needs_rectools = pytest.mark.skipif(not HAS_RECTOOLS, reason="pip install 'zsrec[trained]'")
third_party = pytest.mark.filterwarnings("ignore")  # of lightning, pandas and torch about themselves
SMALL = SasRecConfig(factors=16, heads=2, session=8, batch=16, epochs=30, lr=0.01)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Threads of a small model mostly wait for each other on a busy machine."""
    if HAS_RECTOOLS:
        import torch

        torch.set_num_threads(1)


def chains(users: int = 60) -> Interactions:
    """Everybody goes round a ring of ten items, from a start of their own; item "never" is never seen."""
    rows = [Contact(f"u{n}", f"i{(n + k) % 10}", float(k)) for n in range(users) for k in range(7)]
    return Interactions.from_contacts(rows, catalog=Ids([*(f"i{n}" for n in range(10)), "never"]))


def test_mistakes_are_said_before_any_library_is_needed() -> None:
    with pytest.raises(ConfigError, match="unknown trained method"):
        trained("svd")
    with pytest.raises(ConfigError, match="nothing to train on"):
        Ease.fit(Interactions.from_contacts([]))
    with pytest.raises(ConfigError, match="regularization"):
        Ease.fit(chains(), EaseConfig(regularization=0.0))
    with pytest.raises(ConfigError, match="10 items needs about"):
        Ease.fit(chains(), EaseConfig(most_items=9))


@pytest.mark.skipif(HAS_RECTOOLS, reason="RecTools is there")
@pytest.mark.parametrize("name", ["ease", "sasrec"])
def test_without_the_library_the_extra_is_named(name: str) -> None:
    with pytest.raises(MissingExtraError, match="trained"):
        trained(name)(chains())


def test_ease_scores_by_its_weights() -> None:
    weights = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 4.0], [5.0, 6.0, 0.0]])
    one = Ease(Ids("abcd"), np.array([0, 1, 3], np.int32), weights, ())
    scores = one.scores(Profile(np.array([3, 2, 0], np.int32), np.array([1.0, 1.0, -1.0])))
    assert scores.tolist() == [5.0, 5.0, -np.inf, -2.0]
    assert one.scores(Profile.of(np.zeros(0, np.int32)))[0] == 0.0


@needs_rectools
@third_party
def test_ease_is_the_closed_form() -> None:
    known = chains()
    one = Ease.fit(known, EaseConfig(regularization=3.0))
    matrix = np.zeros((60, 10))
    user, item, _ = known.columns
    matrix[user, item] = 1.0
    inverse = np.linalg.inv(matrix.T @ matrix + 3.0 * np.eye(10))
    wanted = -inverse / np.diag(inverse)
    np.fill_diagonal(wanted, 0.0)
    scores = one.scores(Profile.of(np.array([2, 7], np.int32)))
    np.testing.assert_allclose(scores[:10], wanted[2] + wanted[7], rtol=1e-4, atol=1e-5)
    assert scores[10] == -np.inf
    assert one.mode == "trained"


@needs_rectools
@third_party
def test_sasrec_learns_a_ring_and_scores_as_the_library_does() -> None:
    import pandas as pd

    known = chains()
    one = SasRec.fit(known, SMALL)
    history = np.array([2, 3, 4], np.int32)
    scores = one.scores(Profile.of(history))
    assert int(np.argmax(scores)) == 5
    assert scores[10] == -np.inf
    assert one.scores(Profile.of(np.array([10], np.int32))).max() == -np.inf
    shown = Interactions.from_arrays(["u"] * 3, [known.items[c] for c in history], [1, 2, 3], catalog=known.items)
    theirs = one.model.recommend([0], rectools_dataset(shown), k=10, filter_viewed=False)
    assert isinstance(theirs, pd.DataFrame)
    np.testing.assert_allclose(
        scores[theirs["item_id"].to_numpy(dtype=int)], theirs["score"].to_numpy(), rtol=1e-4, atol=1e-5
    )
    again = SasRec.fit(known, SMALL).scores(Profile.of(history))
    np.testing.assert_array_equal(scores, again)


@needs_rectools
@third_party
def test_trained_rows_stand_in_a_run() -> None:
    split = leave_one_out(chains())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run([split], {"ease": trained("ease"), "sasrec": trained("sasrec", sasrec=SMALL)}, ks=(1,))
    assert [one.mode for one in found.methods] == ["trained", "trained"]
    assert found.methods[1].metrics["HR@1"].mean() > 0.8
