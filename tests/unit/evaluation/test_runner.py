from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError, DataError, MissingExtraError
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.data.readers import read_interactions
from zsrec.evaluation import Split, held_out, leave_one_out, report, run
from zsrec.retrieval import ItemKNN, Popularity, Profile, Retriever
from zsrec.retrieval.by_name import methods, retriever_named

CANARY = "canary"
ROWS = [
    Contact("u", "a", 1.0), Contact("u", "b", 2.0), Contact("u", CANARY, 3.0),
    Contact("v", "b", 1.0), Contact("v", "a", 5.0), Contact("v", "c", 6.0),
    Contact("w", "c", 2.0), Contact("w", "a", 9.0), Contact("once", "a", 4.0),
]  # fmt: skip
KNOWN = Interactions.from_contacts(ROWS, catalog=Ids(["a", "b", "c", "d", CANARY]))
CATALOG = Catalog(KNOWN.items.ids, KNOWN.items.ids)


class Spy:
    """A method that writes down everything it is given."""

    def __init__(self) -> None:
        self.interactions: list[Interactions] = []
        self.profiles: list[Profile] = []

    def __call__(self, known: Interactions) -> Retriever:
        self.interactions.append(known)
        spy, inner = self, ItemKNN(known)

        class Watched(ItemKNN):
            def scores(self, of: Profile) -> np.ndarray:
                spy.profiles.append(of)
                return inner.scores(of)

        return Watched(known)


def cases(split: Split) -> dict[str, tuple[list[str], str]]:
    users, items = split.training.users, split.training.items
    return {
        users[int(user)]: ([items[c] for c in split.history(case).tolist()], items[int(split.targets[case])])
        for case, user in enumerate(split.users)
    }


def pairs(known: Interactions) -> set[tuple[str, str]]:
    return {(known.users[u], known.items[i]) for u, i in zip(known.columns.user, known.columns.item, strict=True)}


def test_leave_one_out_takes_the_last() -> None:
    split = leave_one_out(KNOWN)
    assert cases(split) == {"u": (["a", "b"], CANARY), "v": (["b", "a"], "c"), "w": (["c"], "a")}
    assert pairs(split.training) == pairs(KNOWN) - {("u", CANARY), ("v", "c"), ("w", "a")}
    assert "1 users with fewer than two events were left out" in split.notes


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=40),
    st.integers(0, 9),
)
def test_no_target_is_ever_known(rows: list[tuple[int, int, int]], seed: int) -> None:
    known = Interactions.from_contacts([Contact(f"u{u}", f"i{i}", float(t)) for u, i, t in rows])
    try:
        split = leave_one_out(known, seed=seed)
    except DataError:
        return
    training = pairs(split.training)
    for user, (history, target) in cases(split).items():
        assert (user, target) not in training
        assert target not in history
        assert {(user, item) for item in history} == {pair for pair in training if pair[0] == user}
    assert len(training) == len(known) - len(split)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("protocol", ["leave-one-out", "targets", "targets given away"])
def test_a_canary_reaches_no_method(protocol: str, strict: bool) -> None:
    """The canary occurs once: as u's target. Whatever a method receives must be free of it."""
    if protocol == "leave-one-out":
        split = leave_one_out(KNOWN, strict_time=strict)
    elif protocol == "targets":
        split = held_out(KNOWN.where(KNOWN.columns.item != KNOWN.items.code(CANARY)), {"u": CANARY})
    else:  # the caller forgot to take the target out of the interactions
        split = held_out(KNOWN, {"u": CANARY})
        assert "1 targets stood in the interactions too; they were taken out" in split.notes
    spy = Spy()
    found = run([split], {"spy": spy, "pop": Popularity})
    code = KNOWN.items.code(CANARY)
    assert spy.interactions
    assert spy.profiles
    for known in spy.interactions:
        assert code not in known.columns.item
        assert known.users_per_item[code] == 0
        assert all(code not in table.values for table in known.items_by_user)
        assert ItemKNN(known).scores(Profile.of(np.array([0, 1], np.int32)))[code] == -np.inf
    assert all(code not in of.codes for of in spy.profiles)
    u = [KNOWN.users[int(user)] for user in split.users].index("u")
    assert found.methods[0].metrics["HR@10"][u] == 0.0


def test_strict_time_shows_only_the_past() -> None:
    spy = Spy()
    split = leave_one_out(KNOWN, strict_time=True)
    run([split], {"spy": spy})
    for case, known in enumerate(spy.interactions[1:]):  # the first is made of the whole training part
        assert np.all(known.columns.time < split.times[case])
    assert "at or after its target's time" in split.protocol


def test_tied_times_take_every_order_and_none_by_id() -> None:
    rows = [
        Contact(f"u{n}", item, time) for n in range(400) for item, time in (("z", 0.0), ("a", 1.0), ("b", 1.0))
    ]
    targets = [target for _, target in cases(leave_one_out(Interactions.from_contacts(rows))).values()]
    assert targets.count("a") == pytest.approx(200, abs=50)
    reverse = Interactions.from_contacts(rows[::-1])
    assert cases(leave_one_out(reverse)) == cases(leave_one_out(Interactions.from_contacts(rows)))  # not by file
    assert cases(leave_one_out(reverse, seed=1)) != cases(leave_one_out(reverse))


def test_several_tie_orders_are_averaged() -> None:
    rows = [Contact("u", "z", 0.0), Contact("u", "a", 1.0), Contact("u", "b", 1.0), *(
        Contact(user, "a", 0.5) for user in "vw"
    ), Contact("x", "q", 0.0), Contact("x", "z", 2.0)]  # fmt: skip
    known = Interactions.from_contacts(rows)
    splits = [leave_one_out(known, seed=seed) for seed in range(40)]
    found = run(splits, {"pop": Popularity}, ks=(1,))
    alone = [run([split], {"pop": Popularity}, ks=(1,)).methods[0].metrics["HR@1"] for split in splits]
    np.testing.assert_allclose(found.methods[0].metrics["HR@1"], np.mean(alone, axis=0))
    assert 0 < found.methods[0].metrics["HR@1"][0] < 1
    assert "40 orders" in found.protocol


def test_held_out_targets() -> None:
    split = held_out(KNOWN, {"w": "d", "new": "a"})
    assert cases(split) == {"w": (["c", "a"], "d"), "new": ([], "a")}
    assert pairs(split.training) == pairs(KNOWN)
    assert "1 users have a target and no interactions" in split.notes
    found = run([split], {"pop": Popularity, "itemknn": ItemKNN}, ks=(1,))
    assert found.methods[0].metrics["HR@1"].tolist() == [0.0, 1.0]
    assert found.methods[1].metrics["MRR"].tolist() == [0.0, 0.0]
    with pytest.raises(DataError, match="not in the catalog"):
        held_out(KNOWN, {"w": "gone"})
    with pytest.raises(DataError, match="no target"):
        held_out(KNOWN, {})


def test_there_must_be_times_and_histories() -> None:
    with pytest.raises(DataError, match="only one"):
        leave_one_out(Interactions.from_arrays("ab", "12", [0, 0]))
    with pytest.raises(DataError, match="no user has two"):
        leave_one_out(Interactions.from_arrays("ab", "12", [0, 1]))


def test_a_run_of_nothing_is_refused() -> None:
    split = leave_one_out(KNOWN)
    for splits, named, ks in (
        ([], {"pop": Popularity}, (1,)),
        ([split], {}, (1,)),
        ([split], {"pop": Popularity}, (0,)),
    ):
        with pytest.raises(ConfigError):
            run(splits, named, ks=ks)
    with pytest.raises(ConfigError, match="differ in their users"):
        run([split, held_out(KNOWN, {"w": "d"})], {"pop": Popularity})


def test_a_report_is_the_same_twice_apart_from_times() -> None:
    def made() -> dict[str, object]:
        found = run([leave_one_out(KNOWN)], {"pop": Popularity, "itemknn": ItemKNN}, ks=(1, 2))
        plain = report(found, seed=5).model_dump(mode="json")
        for one in plain["methods"]:
            one.pop("seconds")
        return plain

    assert made() == made()
    plain = made()
    assert [c["metric"] for c in plain["comparisons"]] == ["HR@1", "HR@2", "NDCG@1", "NDCG@2", "MRR"]
    for one in plain["methods"]:
        for metric in one["metrics"].values():
            assert metric["low"] <= metric["mean"] <= metric["high"]
    assert {one["method"]: one["mode"] for one in plain["methods"]} == {
        "pop": "training-free",
        "itemknn": "training-free",
    }


def unneeded() -> np.ndarray:
    pytest.fail("nobody needs vectors")


def no_vectors() -> np.ndarray:
    raise MissingExtraError("embedding", "embed")


def test_methods_by_name() -> None:
    made, skipped = methods(["pop", "itemknn", "semantic", "fused"], lambda: np.eye(5, dtype=np.float32))
    assert [made[name](KNOWN).name for name in made] == ["pop", "itemknn", "semantic", "fused"]
    assert skipped == {}


@pytest.mark.parametrize("names", [["pop"], ["itemknn", "pop"]])
def test_vectors_are_made_only_where_they_are_needed(names: Sequence[str]) -> None:
    made, _ = methods(names, unneeded)
    assert list(made) == list(names)


def test_without_vectors_semantic_is_left_out_aloud() -> None:
    made, skipped = methods(["pop", "semantic", "fused"], no_vectors)
    assert list(made) == ["pop", "fused"]
    assert "zsrec[embed]" in skipped["semantic"]
    assert made["fused"](KNOWN).notes
    with pytest.raises(MissingExtraError):
        methods(["semantic"], no_vectors)
    with pytest.raises(MissingExtraError):
        retriever_named("semantic", KNOWN, CATALOG, vectors=no_vectors)
    for names in ([], ["pop", "pop"], ["svd"]):
        with pytest.raises(ConfigError):
            methods(names, no_vectors)


def test_movielens_item_knn_beats_popularity(test_data: Path) -> None:
    folder = test_data / "ml-latest-small"
    read = read_interactions(folder / "ratings.csv")
    found = report(run([leave_one_out(read.interactions)], {"pop": Popularity, "itemknn": ItemKNN}))
    pop, knn = (one.metrics["HR@10"] for one in found.methods)
    assert found.users == 610
    assert 0.03 < pop.mean < 0.05
    assert 0.09 < knn.mean < 0.12
    assert next(c for c in found.comparisons if c.metric == "HR@10").p_holm < 0.001


def test_a_retriever_by_its_name() -> None:
    assert isinstance(retriever_named("itemknn", KNOWN, CATALOG, vectors=unneeded), ItemKNN)
    for name in ("magic", "ease"):  # a trained method gives no candidates
        with pytest.raises(ConfigError, match=f"--retriever is '{name}'\n  hint: write one of pop, itemknn"):
            retriever_named(name, KNOWN, CATALOG, vectors=unneeded)
