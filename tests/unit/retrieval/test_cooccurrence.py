from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.history import History
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.data.ordering import in_time
from zsrec.evaluation import leave_one_out
from zsrec.retrieval import Cooccurrence, CooccurrenceConfig, Profile, profile, top
from zsrec.retrieval.sequences import Sequences

Rows = list[tuple[int, int]]


def brute_force(
    sequences: dict[int, list[int]],
    history: list[int],
    items: int,
    config: CooccurrenceConfig,
    newest: dict[int, list[int]] | None = None,
    me: int | None = None,
) -> NDArray[np.float64]:
    """The formula as it stands in the docstring, by loops."""
    users = [sum(x in row for row in sequences.values()) for x in range(items)]
    scores = np.zeros(items)
    for t, j in enumerate(reversed(history[-config.last :]), start=1):
        weight = config.decay**t * (users[j] + config.shrink) ** -0.5
        for u, row in sequences.items():
            if u == me or (newest is not None and u not in newest[j]):
                continue
            for p, one in enumerate(row):
                for d in range(1, config.window + 1):
                    if one == j and p + d < len(row):
                        scores[row[p + d]] += weight * d**-0.5
                    if one == j and p - d >= 0:
                        scores[row[p - d]] += config.before * weight * d**-0.5
    scores *= (np.array(users) + config.shrink) ** -0.5
    return np.where(scores == 0, -np.inf, scores)


def firsts(rows: Rows) -> dict[int, list[int]]:
    """The sequences of rows in the order of time, each pair at its first place."""
    found: dict[int, list[int]] = {}
    for user, item in dict.fromkeys(rows):
        found.setdefault(user, []).append(item)
    return found


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=50)
HISTORY = st.lists(st.integers(0, 7), max_size=6)


def contacts(rows: Rows) -> list[Contact]:
    return [Contact(str(u), str(i), float(n)) for n, (u, i) in enumerate(rows)]


@settings(deadline=None)
@given(ROWS, HISTORY, st.integers(1, 4), st.sampled_from([0.0, 0.5]), st.integers(0, 50))
def test_it_is_its_formula(rows: Rows, history: list[int], window: int, before: float, cut: int) -> None:
    config = CooccurrenceConfig(last=3, decay=0.7, window=window, before=before, shrink=2.0)
    known = Interactions.from_contacts(contacts(rows)[:cut], catalog=Ids("01234567"))
    known = known.extended(contacts(rows)[cut:])
    found = Cooccurrence(known, config).scores(Profile.of(np.array(history, np.int32)))
    np.testing.assert_allclose(found, brute_force(firsts(rows), history, 8, config), rtol=1e-12)


@settings(deadline=None)
@given(ROWS, HISTORY, st.integers(0, 50), st.integers(1, 3))
def test_events_that_are_added_count_as_if_they_had_been_there(
    rows: Rows, history: list[int], cut: int, newest: int
) -> None:
    rows = list(dict.fromkeys(rows))
    config = CooccurrenceConfig(newest=newest)
    grown = Cooccurrence(Interactions.from_contacts(contacts(rows)[:cut], catalog=Ids("01234567")), config)
    for user, item in rows[cut:]:
        grown.add(str(user), str(item))
    fresh = Cooccurrence(Interactions.from_contacts(contacts(rows), catalog=Ids("01234567")), config)
    of = Profile.of(np.array(history, np.int32))
    np.testing.assert_allclose(grown.scores(of), fresh.scores(of))


@settings(deadline=None)
@given(ROWS, HISTORY, st.integers(1, 3), st.integers(0, 5))
def test_only_the_newest_users_are_read_and_never_oneself(
    rows: Rows, history: list[int], newest: int, me: int
) -> None:
    rows = list(dict.fromkeys(rows))
    config = CooccurrenceConfig(newest=newest)
    known = Interactions.from_contacts(contacts(rows), catalog=Ids("01234567"))
    readers = {item: [u for u, i in rows if i == item][-newest:] for item in range(8)}
    of = Profile.of(np.array(history, np.int32))._replace(user=str(me))
    np.testing.assert_allclose(
        Cooccurrence(known, config).scores(of), brute_force(firsts(rows), history, 8, config, readers, me)
    )


def test_by_hand() -> None:
    known = Interactions.from_contacts(
        [Contact("1", item, n) for n, item in enumerate("abc")], catalog=Ids("abcd")
    )
    scores = Cooccurrence(known).scores(profile(["b"], known.items))
    assert scores[2] == pytest.approx(0.8 / 11)  # one step after: 0.8 · 11^-½ · 1 · 11^-½
    assert scores[0] == pytest.approx(0.4 / 11)  # one step before counts half
    assert scores[1] == scores[3] == -np.inf


def test_a_repeated_item_counts_at_each_place_and_one_user_once() -> None:
    one = Cooccurrence(
        Interactions.from_contacts([Contact("1", "a", 0), Contact("2", "b", 1)], catalog=Ids("abc"))
    )
    for item in ("b", "a", "c"):
        one.add("1", item)  # a b a c
    assert one.sequences.users_per_item.tolist() == [1, 2, 1]
    found = one.scores(profile(["a"], one.items))
    after = (1 + 3**-0.5) + 0.0  # c is one step after the second a and three after the first
    assert found[2] == pytest.approx(0.8 * after / 11)


def test_new_users_and_items_count_at_once() -> None:
    one = Cooccurrence(Interactions.from_contacts([Contact("1", "a", 0)]))
    assert top(one, ["a"], 5).ids == ()
    one.add("new", "a")
    one.add("new", "brand new")
    assert top(one, ["a"], 5).ids == ("brand new",)
    assert one.sequences.user("new") == 1
    assert one.sequences.user("nobody") is None
    assert one.sequences.user(None) is None
    for n in range(200):  # rows move and arrays grow
        one.add("new", str(n))
        one.add(f"user {n}", "a")
    assert one.sequences.users_per_item[0] == 202
    assert len(one.sequences.places(0)) == 202
    assert one.sequences.nbytes > 0


def test_a_dislike_speaks_against() -> None:
    rows = [Contact("1", "a", 0), Contact("1", "x", 1), Contact("2", "b", 0), Contact("2", "y", 1)]
    one = Cooccurrence(Interactions.from_contacts(rows))
    assert top(one, History.of("a").dislike("b"), 5).ids == ("x",)


def test_events_at_one_time_follow_the_seed_of_the_split() -> None:
    rows = [Contact("u", str(n), 0.0) for n in range(50)] + [Contact("u", "last", 1.0), Contact("u", "t", 2.0)]
    known = Interactions.from_contacts(rows)
    for seed in (0, 1):
        split = leave_one_out(known, seed=seed)
        assert split.training.tie_seed == seed
        row = Sequences(split.training, 5)._rows.row(0)
        assert row.tolist() == in_time(split.training, seed).item.tolist()
        assert row.tolist() == split.history(0).tolist()
        assert row.tolist() != sorted(row.tolist())
    assert known.extended([Contact("v", "1", 3.0)]).tie_seed == known.tie_seed == 0


def test_large_data_read_fewer_users(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Interactions.from_contacts([Contact("1", "a", 0), Contact("1", "b", 1)])
    assert Cooccurrence(known).sequences.newest == 500
    monkeypatch.setattr("zsrec.retrieval.cooccurrence.LARGE", 1)
    assert Cooccurrence(known).sequences.newest == 200
    assert Cooccurrence(known, CooccurrenceConfig(newest=7)).sequences.newest == 7


@pytest.mark.parametrize(
    "wrong", [{"last": 0}, {"decay": 0}, {"window": 0}, {"before": -1}, {"shrink": -1}, {"newest": 0}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Cooccurrence(Interactions.from_contacts([]), CooccurrenceConfig.model_validate(wrong))
