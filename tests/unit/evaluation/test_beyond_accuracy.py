from __future__ import annotations

import numpy as np
import pytest

from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation import beyond_accuracy, bootstrap, jackknife, leave_one_out, run
from zsrec.evaluation.statistics import estimates
from zsrec.retrieval import ItemKNN, Popularity

LISTS = np.array([[0, 1, 2], [0, 1, -1], [-1, -1, -1]])
USERS = np.array([8, 4, 1, 0, 0])


def test_coverage_and_gini_by_hand() -> None:
    assert beyond_accuracy.coverage(LISTS, 5) == 3 / 5
    # Shown 2, 2, 1, 0, 0 times: ascending 0 0 1 2 2, G = (0 + 0 + 0·1 + 2·2 + 4·2) / (5 · 5).
    assert beyond_accuracy.gini(LISTS, 5) == pytest.approx(12 / 25)
    assert beyond_accuracy.gini(np.array([[0, 1], [2, 3]]), 4) == 0.0
    assert beyond_accuracy.gini(np.zeros((9, 1), int), 100) == pytest.approx(0.99)
    assert np.isnan(beyond_accuracy.gini(np.full((2, 2), -1), 3))


def test_novelty_and_popularity_by_hand() -> None:
    bits = beyond_accuracy.novelty(LISTS, USERS, 8)
    assert bits[:2].tolist() == pytest.approx([(0 + 1 + 3) / 3, 1 / 2])
    assert beyond_accuracy.novelty(np.array([[3]]), USERS, 8).tolist() == [3.0]  # as if one user had it
    assert beyond_accuracy.popularity(LISTS, USERS)[:2].tolist() == pytest.approx([13 / 3, 6])
    assert np.isnan(bits[2])
    assert np.isnan(beyond_accuracy.popularity(LISTS, USERS)[2])


def test_the_head_is_neutral_to_ties() -> None:
    lists = np.array([[0, 1], [2, 3], [4, 4]])
    counts = np.array([9, 5, 5, 5, 0])
    # Half of the four items with users: item 0 and one of three equal ones.
    assert beyond_accuracy.head_share(lists, counts, head=0.5).tolist() == pytest.approx(
        [(1 + 1 / 3) / 2, 1 / 3, 0]
    )
    for head in (0.0, 1.0):
        with pytest.raises(ConfigError):
            beyond_accuracy.head_share(lists, counts, head=head)


def test_diversity_by_hand() -> None:
    genres = beyond_accuracy.genre_vectors(["Crime", "Crime|Drama", "(no genres listed)", None, "Comedy"])
    lists = np.array([[0, 1, 4], [0, 0, -1], [2, 3, -1], [1, -1, -1]])
    found = beyond_accuracy.diversity(lists, genres)
    assert found[:3].tolist() == pytest.approx([1 - (1 / np.sqrt(2)) / 3, 0, 1])
    assert np.isnan(found[3])


def test_diversity_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(0)
    vectors, lists = rng.standard_normal((30, 5)), np.array([rng.choice(30, 6, replace=False) for _ in range(4)])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    slow = [np.mean([1 - unit[a] @ unit[b] for n, a in enumerate(row) for b in row[:n]]) for row in lists]
    np.testing.assert_allclose(beyond_accuracy.diversity(lists, vectors), slow)


def test_lists_leave_out_the_history_and_what_is_no_candidate() -> None:
    rows = [
        Contact("u", "a", 1.0), Contact("u", "b", 2.0), Contact("v", "a", 1.0), Contact("v", "c", 2.0),
        Contact("v", "d", 3.0), Contact("w", "d", 0.0),
    ]  # fmt: skip
    split = leave_one_out(Interactions.from_contacts(rows, catalog=Ids("abcde")))
    pop, knn = run([split], {"pop": Popularity, "knn": ItemKNN}, ks=(4,)).methods
    names = [[pop.predicted.names[c] for c in row if c >= 0] for row in pop.predicted.lists.tolist()]
    assert [len(row) for row in names] == [4, 3]
    assert "a" not in names[0]
    assert set(names[0][:2]) == {"c", "d"}
    assert [[knn.predicted.names[c] for c in row if c >= 0] for row in knn.predicted.lists.tolist()] == [["c"], []]
    with pytest.raises(ConfigError):
        run([split], {"pop": Popularity}, ks=(0,))


def test_the_jackknife_holds_where_the_bootstrap_does_not() -> None:
    rng = np.random.default_rng(0)
    lists = rng.integers(400, size=(100, 3))
    value = beyond_accuracy.coverage(lists, 400)

    def coverage(users: np.ndarray) -> float:
        return beyond_accuracy.coverage(lists[users], 400)

    resampled = [coverage(rng.integers(100, size=100)) for _ in range(200)]
    assert np.quantile(resampled, 0.975) < value
    low, high = jackknife(coverage, 100)
    assert low < value < high
    assert jackknife(coverage, 100) == (low, high)


def test_the_jackknife_of_a_mean_is_its_normal_interval() -> None:
    values = np.random.default_rng(2).standard_normal((400, 1))
    low, high = jackknife(lambda users: float(values[users].mean()), 400, groups=400)
    assert high - low == pytest.approx(2 * 1.96 * values.std(ddof=1) / 20)
    boot = bootstrap(values)
    assert high - low == pytest.approx(float((boot[1] - boot[0])[0]), rel=0.1)
    with pytest.raises(ConfigError, match="two users"):
        jackknife(lambda _: 0.0, 1)


def test_everything_has_intervals() -> None:
    rows = [Contact(f"u{n}", f"i{n * k % 23}", float(k)) for n in range(30) for k in range(1, 7)]
    split = leave_one_out(Interactions.from_contacts(rows, catalog=Ids(f"i{n}" for n in range(25))))
    films = Catalog.from_items([{"id": f"i{n}", "title": f"t{n}", "genres": "XYZ"[n % 3]} for n in range(25)])
    done = run([split], {"knn": ItemKNN}, ks=(4,)).methods[0]
    done.predicted.lists[3] = -1
    statistics = beyond_accuracy.Statistics.of(split.training, films, done.predicted.names)
    found = beyond_accuracy.measure(done, slice(None), 4, statistics, seed=0)
    assert list(found.columns) == ["Novelty", "Diversity", "Popularity", "Head"]
    assert (found.users, found.empty) == (len(split), 1)
    covered = found.whole["Coverage"]
    assert covered.low <= covered.mean <= covered.high
    assert found.whole["Gini"].low < found.whole["Gini"].mean < found.whole["Gini"].high
    means = dict(zip(found.columns, estimates(list(found.columns.values()), seed=0), strict=True))
    report = found.report(4, means)
    assert list(report.measures) == ["Coverage@4", "Gini@4", "Novelty@4", "Diversity@4", "Popularity@4", "Head@4"]
    assert all(one.low <= one.mean <= one.high for one in report.measures.values())
    items = split.training.items
    names = [items.code(name) for name in done.predicted.names]
    lists = np.array([[names[one] if one >= 0 else -1 for one in row] for row in done.predicted.lists])
    wanted = np.nanmean(beyond_accuracy.novelty(lists, split.training.users_per_item, len(split.training.users)))
    assert report.measures["Novelty@4"].mean == pytest.approx(wanted)
    assert covered.mean == beyond_accuracy.coverage(lists, 25)
    bare = beyond_accuracy.measure(done, slice(None), 4, statistics.model_copy(update={"genres": None}), seed=0)
    assert "Diversity" not in bare.columns
    low, high = jackknife(lambda users: beyond_accuracy.gini(lists[users], 25), len(lists))
    assert low < beyond_accuracy.gini(lists, 25) < high
    done.predicted.lists[:] = -1
    nothing = beyond_accuracy.measure(done, slice(None), 4, statistics, seed=0)
    assert nothing.empty == len(split)
    assert not any(len(column) for column in nothing.columns.values())
