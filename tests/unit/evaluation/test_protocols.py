from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError, DataError
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.data.ordering import hashed_subset
from zsrec.evaluation import Split, cold_items, cold_users, leave_one_out, time_split
from zsrec.evaluation.metrics import NOWHERE, Place, hit_rate
from zsrec.evaluation.protocols import llm_rank, nir, only_found, standing

ROWS = [
    Contact("u", "a", 1.0), Contact("u", "b", 2.0), Contact("u", "c", 7.0), Contact("u", "new", 8.0),
    Contact("v", "b", 3.0), Contact("v", "a", 6.0), Contact("late", "a", 9.0), Contact("early", "c", 1.0),
]  # fmt: skip
KNOWN = Interactions.from_contacts(ROWS, catalog=Ids(["a", "b", "c", "new", "never"]))
events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 4)), min_size=2, max_size=50).map(
    lambda rows: Interactions.from_contacts([Contact(f"u{u}", f"i{i}", float(t)) for u, i, t in rows])
)


def cases(split: Split) -> dict[str, tuple[list[str], list[str]]]:
    users, items = split.training.users, split.training.items
    return {
        users[int(user)]: (
            [items[c] for c in split.history(case).tolist()],
            [items[c] for c in split.targets_of(case).tolist()],
        )
        for case, user in enumerate(split.users)
    }


def one_each(split: Split) -> dict[str, tuple[list[str], str]]:
    users, items = split.training.users, split.training.items
    return {
        users[int(user)]: ([items[c] for c in split.history(case).tolist()], items[int(split.targets[case])])
        for case, user in enumerate(split.users)
    }


def pairs(known: Interactions) -> dict[tuple[str, str], float]:
    user, item, time = known.columns
    return {(known.users[u], known.items[i]): t for u, i, t in zip(user, item, time.tolist(), strict=True)}


# -- one moment for everybody -------------------------------------------------------------------------


def test_a_global_split_takes_everything_from_the_moment_on() -> None:
    split = time_split(KNOWN, at=6.0)
    assert cases(split) == {"u": (["a", "b"], ["c", "new"]), "v": (["b"], ["a"])}
    assert pairs(split.training) == {pair: time for pair, time in pairs(KNOWN).items() if time < 6}
    assert split.notes == (
        "3 targets of 2 users",
        "1 users with targets have no history before the moment and were left out",
        "1 targets are items that nobody had contact with before the moment",
    )
    assert "1970-01-01 00:00:06" in split.protocol
    aware = time_split(KNOWN, at=datetime(1970, 1, 1, 0, 0, 6, tzinfo=UTC))
    assert cases(aware) == cases(split) == cases(time_split(KNOWN, at=datetime(1970, 1, 1, 0, 0, 6)))


def test_cold_items_are_those_nobody_knew() -> None:
    split = cold_items(KNOWN, at=6.0)
    assert cases(split) == {"u": (["a", "b"], ["new"])}
    assert split.training.users_per_item[KNOWN.items.code("new")] == 0
    with pytest.raises(DataError, match="no user with a history has such a target"):
        cold_items(KNOWN, at=9.0)


@settings(deadline=None)
@given(events, st.floats(0.05, 0.95), st.booleans())
def test_no_prediction_sees_its_future(known: Interactions, share: float, cold: bool) -> None:
    try:
        split = (cold_items if cold else time_split)(known, share=share)
    except DataError:
        return
    times, training = pairs(known), pairs(split.training)
    moment = max(training.values())
    for user, (history, targets) in cases(split).items():
        assert history
        assert targets
        assert {(user, item) for item in history} == {pair for pair in training if pair[0] == user}
        assert [times[user, item] for item in history] == sorted(times[user, item] for item in history)
        for item in targets:
            assert times[user, item] > moment
            assert (user, item) not in training
            assert not cold or all(pair[1] != item for pair in training)
    assert len(training) <= share * len(times)


def test_a_moment_outside_the_data_is_said() -> None:
    with pytest.raises(DataError, match="all interactions are before"):
        time_split(KNOWN, at=100.0)
    with pytest.raises(DataError, match="at or after"):
        time_split(KNOWN, at=0.0)
    with pytest.raises(ConfigError, match="share is 1"):
        time_split(KNOWN, share=1.0)
    with pytest.raises(DataError, match="no interactions"):
        time_split(Interactions.from_contacts([]))


# -- cold users ---------------------------------------------------------------------------------------


def test_a_cold_user_shows_the_first_events_and_nothing_else() -> None:
    assert one_each(cold_users(KNOWN, 2, share=1.0)) == {"u": (["a", "b"], "c")}
    split = cold_users(KNOWN, 0, share=1.0, target_after=1)
    assert one_each(split) == {"u": ([], "b"), "v": ([], "a")}
    assert {user for user, _ in pairs(split.training)} == {"late", "early"}
    assert "2 of 4 users drawn have no more than 1 events; left out" in split.notes
    with pytest.raises(DataError, match="more than 9 events"):
        cold_users(KNOWN, 9)
    for n, after, share in ((-1, None, 0.5), (3, 2, 0.5), (1, None, 0.0), (1, None, 1.1)):
        with pytest.raises(ConfigError):
            cold_users(KNOWN, n, target_after=after, share=share)


@settings(deadline=None)
@given(events, st.integers(0, 3), st.floats(0.2, 1.0), st.integers(0, 3))
def test_a_cold_start_curve_has_one_target_a_user(known: Interactions, n: int, share: float, seed: int) -> None:
    try:
        split = cold_users(known, n, share=share, target_after=3, seed=seed)
    except DataError:
        return
    longest = cold_users(known, 3, share=share, target_after=3, seed=seed)
    training = pairs(split.training)
    for user, (history, target) in one_each(split).items():
        assert history == one_each(longest)[user][0][:n]
        assert target == one_each(longest)[user][1]
        assert target not in history
        assert all(pair[0] != user for pair in training)
    others = {pair for pair in pairs(known) if pair[0] not in one_each(split)}
    assert set(training) == others


def test_ties_of_a_cold_user_take_every_order() -> None:
    rows = [Contact(f"u{n}", item, 1.0) for n in range(300) for item in "ab"]
    targets = [
        target for _, target in one_each(cold_users(Interactions.from_contacts(rows), 1, share=1.0)).values()
    ]
    assert targets.count("a") == pytest.approx(150, abs=45)


# -- subsets ------------------------------------------------------------------------------------------


def test_a_hashed_subset_knows_no_order_and_grows() -> None:
    users = [f"u{n}" for n in range(500)]
    hundred = hashed_subset(users, 100)
    assert hashed_subset([*reversed(users), "u3"], 100) == hundred
    assert hashed_subset(users, 200)[:100] == hundred
    assert set(hashed_subset(users, 100, seed=1)) != set(hundred)
    assert len(hashed_subset(users, 900)) == 500
    low = sum(int(one[1:]) < 250 for one in hundred)
    assert 30 < low < 70
    with pytest.raises(ConfigError):
        hashed_subset(users, 0)


def test_a_split_of_some_users_is_the_same_for_them() -> None:
    rows = [Contact(f"u{n}", f"i{n * k % 11}", float(k)) for n in range(40) for k in range(1, 6)]
    split = leave_one_out(Interactions.from_contacts(rows))
    some = split.subset(7, seed=3)
    assert len(some) == 7
    assert one_each(some) == {user: one_each(split)[user] for user in one_each(some)}
    assert some.training is split.training
    assert set(one_each(some)) == set(hashed_subset(one_each(split), 7, 3))
    assert some.notes[-1] == f"7 of {len(split)} users, drawn by a hash of the id"
    assert split.subset(10_000) is split


# -- sampled protocols --------------------------------------------------------------------------------


def candidates(pools: Split, case: int) -> list[int]:
    found = pools.candidates_of(case)
    assert found is not None
    return found.tolist()


def has_target(pools: Split) -> np.ndarray:
    assert pools.candidates is not None
    return (pools.candidates == pools.targets[:, None]).any(axis=1)


def tasted(users: int = 30) -> Split:
    rows = [
        Contact(f"u{n}", f"i{(n * 7 + k * (n % 3 + 1)) % 40}", float(k)) for n in range(users) for k in range(8)
    ]
    return leave_one_out(Interactions.from_contacts(rows, catalog=Ids(f"i{n}" for n in range(60))))


def test_llm_rank_is_the_target_and_unknown_items_in_no_order() -> None:
    split = tasted()
    pools = llm_rank(split)
    assert pools.protocol.startswith("SAMPLED")
    assert pools.candidates is not None
    assert pools.candidates.shape == (30, 20)
    assert has_target(pools).all()
    for case in range(len(split)):
        pool = candidates(pools, case)
        assert len(set(pool)) == 20
        assert not set(pool) & set(split.history(case).tolist())
    places = np.argmax(pools.candidates == split.targets[:, None], axis=1)
    assert len(set(places.tolist())) > 8
    some = llm_rank(split.only(np.array([4, 9])))
    np.testing.assert_array_equal(some.candidates, pools.candidates[[4, 9]])
    np.testing.assert_array_equal(pools.only(np.array([4, 9])).candidates, some.candidates)
    assert np.any(llm_rank(split, seed=1).candidates != pools.candidates)
    for negatives in (0, 60):
        with pytest.raises(ConfigError):
            llm_rank(split, negatives=negatives)


def test_chance_gets_what_chance_gets() -> None:
    split = tasted()
    found = [standing(llm_rank(split), case, np.zeros(60), (5,)) for case in range(len(split))]
    above, tied = (np.array([getattr(one.place, name) for one in found]) for name in ("above", "tied"))
    assert hit_rate(above, tied, 5).tolist() == pytest.approx([0.25] * len(split))
    assert [one.values["sampled HR@5"] for one in found] == pytest.approx([0.25] * len(split))


def test_nir_by_hand() -> None:
    rows = [Contact(user, item, float(time)) for user, items in {
        "u": "abct", "v": "abxt", "w": "aby", "far": "q",
    }.items() for time, item in enumerate(items)]  # fmt: skip
    split = leave_one_out(Interactions.from_contacts(rows)).subset(10)
    case = [split.training.users[int(user)] for user in split.users].index("u")
    pools = nir(split, neighbours=3, size=2)
    # v (a, b, x) and w (a, b) have two in common with u (a, b, c); only x is new to u. t is v's target and u's.
    assert [split.training.items[code] for code in candidates(pools, case)] == ["x"]
    assert standing(pools, case, np.arange(7.0), (1,)).place == NOWHERE
    assert "3 of 3 users have a target that is not among their candidates; here they earn 0" in pools.notes[-1]
    with pytest.raises(ConfigError, match="no target"):
        only_found(pools)
    for bad in ({"neighbours": 1}, {"size": 0}):
        with pytest.raises(ConfigError):
            nir(split, **bad)


def test_nir_counts_whom_it_leaves_out() -> None:
    split = tasted()
    pools = nir(split)
    found = int(has_target(pools).sum())
    assert 0 < found < len(split)
    kept = only_found(pools)
    assert kept.candidates is not None
    assert len(kept) == len(kept.candidates) == found
    assert has_target(kept).all()
    assert f"{30 - found} of 30 users were left out because their target is not" in kept.notes[-1]
    assert not [note for note in kept.notes if "here they earn 0" in note]
    for case in range(len(split)):
        assert not set(candidates(pools, case)) & set(split.history(case).tolist())


def test_nir_never_looks_at_a_target() -> None:
    split = tasted()
    other = Split(**{**split.__dict__, "targets": (split.targets + 1) % 60})
    np.testing.assert_array_equal(nir(split).candidates, nir(other).candidates)


def test_a_place_among_candidates() -> None:
    split = tasted(2)
    target = int(split.targets[0])
    others = [code for code in range(60) if code != target][:3]
    few = np.array([[others[0], target, others[1], -1], [others[2], -1, -1, -1]], np.int32)
    pools = replace(split, candidates=few)
    scores = np.zeros(60)
    scores[others[0]] = 1.0
    assert standing(pools, 0, scores, (1,)).place == Place(1, 1)
    assert standing(pools, 1, scores, (1,)).place == NOWHERE
