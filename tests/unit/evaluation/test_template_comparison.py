from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zsrec.core.errors import ConfigError
from zsrec.evaluation.comparison import lifts
from zsrec.evaluation.predictions import Header, Prediction, Use
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.runner import measured
from zsrec.evaluation.template_comparison import Comparing, compare_templates, detectable


def use(named: int = 10, missing: int = 0, tokens: int = 100, error: str | None = None, requests: int = 1) -> Use:
    return Use(
        requests=requests, prompt_tokens=tokens, completion_tokens=tokens // 2, named=named, unmatched=missing,
        not_in_catalog=missing, wrong_format=not named, error=error,
    )  # fmt: skip


def folder_of(
    path: Path, seconds: Sequence[float | None] | None = None, **templates: list[tuple[int, Use]]
) -> RunFolder:
    """Each template's users as (where the target stands or -1, what asking came to)."""
    folder = RunFolder(path)
    names = list(templates)
    folder.start(
        {
            "llm_methods": {name: {} for name in names}, "methods": names, "ks": [10], "seed": 0, "data": "world",
            "server": {"model": "tiny"}, "split": {"protocol": "Leave one out."},
        }
    )  # fmt: skip
    times: dict[str, object] = {}
    for name, users in templates.items():
        folder.write_predictions(
            Header(method=name, mode="zero-shot", llm={"candidates": "none"}),
            [
                Prediction(
                    user=f"u{n}", target="t", order=0, history=3, above=above, tied=0, scores=(1.0, 0.5),
                    items=("t", "x") if above == 0 else ("x", "y"), use=of,
                )
                for n, (above, of) in enumerate(users)
            ],
        )  # fmt: skip
        given = [1.0] * len(users) if seconds is None else seconds
        times[name] = {"p50": 1.0, "p95": 1.0, "users": list(given)}
    folder.write_json("times.json", times)
    return folder


def line(found: Comparing, measure: str) -> str:
    return next(one.verdict for one in found.pairs if one.comparison.metric == measure)


def test_a_template_that_finds_more_wins(tmp_path: Path) -> None:
    found = compare_templates(
        folder_of(tmp_path / "run", good=[(0, use())] * 20, bad=[(-1, use(missing=4, tokens=300))] * 20)
    )
    assert found.users == 20
    assert found.means["HR@10"]["good"].mean == 1.0
    assert found.means["HR@10"]["bad"].high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert found.means["usable items"]["bad"].mean == 2.0
    assert line(found, "NDCG@10").startswith("NDCG@10: good has more: good − bad = +1.00 [+1.00, +1.00]")
    assert "not in the catalog: good has less: good − bad = −40.0%" in found.verdicts[0]
    assert "bad takes 450 tokens per user, good 150." in found.verdicts[0]
    assert found.verdicts[0].endswith("Take good.")


def test_two_equal_templates_are_not_called_different(tmp_path: Path) -> None:
    found = compare_templates(folder_of(tmp_path / "run", a=[(-1, use())] * 16, b=[(-1, use())] * 16))
    ndcg = found.pairs[0]
    unseen = 1 - 0.025 ** (1 / 16)
    assert (ndcg.winner, ndcg.differing) == (None, 0)
    assert (ndcg.comparison.low, ndcg.comparison.high) == pytest.approx((-unseen, unseen))
    assert "no difference in" not in ndcg.verdict
    assert "no difference that 16 users could show" in ndcg.verdict
    assert "all users are alike, and one of up to 0.206 may be unseen" in ndcg.verdict
    assert "Neither found any user's held-out item" in found.verdicts[0]
    assert found.verdicts[0].endswith("take the cheaper one, or ask more users.")
    assert "requests" not in {one.comparison.metric for one in found.pairs}  # one each: nothing to test


def test_few_differing_users_are_said_to_be_few(tmp_path: Path) -> None:
    users = [(0, use())] * 3 + [(-1, use())] * 17
    found = compare_templates(folder_of(tmp_path / "run", a=users, b=[(-1, use())] * 20))
    assert found.pairs[0].differing == 3
    assert "only 3 users differ, and a test of so many needs 6" in found.pairs[0].verdict
    assert found.pairs[0].winner is None


def test_each_better_in_something(tmp_path: Path) -> None:
    a = [(-1, use(missing=5))] * 20
    b = [(-1, use(named=0))] * 10 + [(-1, use())] * 10
    found = compare_templates(folder_of(tmp_path / "run", a=a, b=b))
    shares = next(one for one in found.pairs if one.comparison.metric == "not in the catalog")
    assert shares.comparison.users == 10  # b named nothing for the others
    assert line(found, "wrong format").startswith("wrong format: a has less")
    assert "decide by what matters to you" in found.verdicts[0]


def test_better_in_one_thing_only(tmp_path: Path) -> None:
    found = compare_templates(folder_of(tmp_path / "run", a=[(-1, use(missing=5))] * 20, b=[(-1, use())] * 20))
    assert found.verdicts[0].endswith("By what these users show, take b.")


def test_users_without_an_answer(tmp_path: Path) -> None:
    lost = use(named=0, tokens=0, error="ContextOverflowError")
    a = [(-1, lost)] * 16 + [(0, use())] * 4
    found = compare_templates(
        folder_of(tmp_path / "run", [None] * 16 + [2.0] * 4, a=a, b=[(0, use(requests=3))] * 20)
    )
    assert found.means["no answer"]["a"].mean == pytest.approx(0.8)
    assert found.means["tokens"]["a"].mean == 150  # of those who got an answer
    assert found.means["seconds"]["a"].mean == 2.0
    assert found.means["requests"]["b"].mean == 3.0
    assert line(found, "no answer").startswith("no answer: b has less")
    assert {one.comparison.users for one in found.pairs if one.comparison.metric == "usable items"} == {20}
    assert {one.comparison.users for one in found.pairs if one.comparison.metric == "requests"} == {4}


def test_measures_beside_ndcg_are_corrected_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = ([(int(at), use(missing=int(m))) for at, m in rng.integers((0, 0), (3, 4), (30, 2))] for _ in "ab")
    c = [(-1, use(tokens=200))] * 30
    found = compare_templates(folder_of(tmp_path / "run", a=a, b=b, c=c))
    ndcg = [one.comparison for one in found.pairs if one.comparison.metric == "NDCG@10"]
    others = [one.comparison for one in found.pairs if one.comparison.metric != "NDCG@10"]
    assert len(ndcg) == 3
    assert min(one.p_holm for one in ndcg) == pytest.approx(3 * min(one.p for one in ndcg))
    assert min(one.p_holm for one in others) == pytest.approx(len(others) * min(one.p for one in others))
    only = compare_templates(RunFolder(tmp_path / "run"), against="c")
    assert [one[0] for one in {(one.comparison.a, one.comparison.b): 0 for one in only.pairs}] == ["a", "b"]
    assert len(only.verdicts) == 2


def test_templates_stand_beside_their_candidates_in_the_order_of_retrieval(tmp_path: Path) -> None:
    first = Use(named=1, candidates=("t", "x"))
    folder = folder_of(tmp_path / "run", worse=[(1, first)] * 20, free=[(0, use())] * 20)
    found = compare_templates(folder)
    assert {one.a for one in found.lift} == {"worse"}  # the other has no candidates
    ndcg = next(one for one in found.lift if one.metric == "NDCG@10")
    assert ndcg.verdict.startswith("its candidates in the order of retrieval beats worse in NDCG@10 by 0.3691")
    worse = measured(folder.predictions("worse"), [10], short=True)
    assert found.lift == lifts([worse], [10], seed=0)["worse"]


def test_a_folder_from_before_has_no_seconds(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", a=[(0, use())] * 8, b=[(0, use())] * 8)
    folder.write_json("times.json", {"a": {"p50": 1.0, "p95": 2.0}})
    assert "seconds" not in compare_templates(folder).means


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no two templates"):
        compare_templates(folder_of(tmp_path / "one", a=[(0, use())]))
    with pytest.raises(ConfigError, match="'c' is not among the templates"):
        compare_templates(folder_of(tmp_path / "two", a=[(0, use())], b=[(0, use())]), against="c")


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    users, spread = 100, 0.3
    size = detectable(spread, users)
    drawn = rng.normal(size, spread, (4000, users))
    t = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / users**0.5)
    assert np.mean(np.abs(t) > 1.984) == pytest.approx(0.8, abs=0.03)
    assert detectable(spread, 4 * users) == pytest.approx(size / 2)
    assert detectable(spread, users, tests=10) > size


def test_what_was_spent_is_said_even_where_no_test_shows_it(tmp_path: Path) -> None:
    """Three users are too few for a test, and 381 tokens more are 381 tokens more."""
    found = compare_templates(
        folder_of(tmp_path / "run", a=[(0, use(tokens=481))] * 3, b=[(0, use(tokens=100))] * 3)
    )
    tokens = line(found, "tokens in")
    assert "no difference" not in tokens
    assert "a − b = +381 [+381, +381]" in tokens
    assert "measured on these 3 users, not shown for others" in tokens
    assert "(of these users; not shown for others)" in found.verdicts[0]
