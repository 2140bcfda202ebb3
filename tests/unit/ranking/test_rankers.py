"""Every ranker through the front door, with models whose taste and bias are known."""

from __future__ import annotations

import math

import pytest

from tests.unit.fakes import FakeLLM
from tests.unit.judges import LabelLLM, shown
from zsrec.cli.console import show
from zsrec.core.errors import AnswerError, CapabilityError, ConfigError, ContextOverflowError
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.llm.protocol import ChatRequest
from zsrec.ranking.label import kendall
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval import ItemKNN, Listed, Popularity

TITLES = [f"Film {letter} ({year})" for letter, year in zip("QRSTUVWXYZ", range(1990, 2000), strict=True)]
TASTE = {title: float(-place) for place, title in enumerate(reversed(TITLES))}  # the last one is the best
BEST_FIRST = [str(number) for number in range(10, 0, -1)]
A_FIRST = (9.0, 6.0, 3.0)


class Massed(LabelLLM):
    """Gives all labels together this probability, and answers "Sure"."""

    def __init__(self, taste: dict[str, float], mass: float) -> None:
        super().__init__(taste)
        self.mass = mass

    async def chat(self, request: ChatRequest) -> Exchange:
        exchange = await super().chat(request)
        own = exchange.label_logprobs or {}
        shift = math.log(self.mass / sum(map(math.exp, own.values())))
        return exchange.model_copy(
            update={"answer": "Sure", "label_logprobs": {label: one + shift for label, one in own.items()}}
        )


@pytest.fixture
def catalog() -> Catalog:
    rows = [{"id": str(number), "title": title} for number, title in enumerate(TITLES, start=1)]
    return Catalog.from_items([*rows, {"id": "0", "title": "Seen (2000)"}], domain="films")


def recommend(
    catalog: Catalog, llm: FakeLLM, template: str, k: int = 10, retriever: object = None, **options: object
) -> Recommendations:
    with Recommender(catalog, llm=llm, template=template) as rec:
        rec = rec.with_ranking(**options)  # type: ignore[arg-type]
        if retriever is not None:
            return rec.with_retriever(retriever).recommend(["0"], k)  # type: ignore[arg-type]
        return rec.recommend(["0"], k, candidates=[str(number) for number in range(1, 11)])


def ids(result: Recommendations) -> list[str]:
    return [one.item.id for one in result]


def test_one_token_ranks_all_candidates(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE)
    result = recommend(catalog, llm, "rank/label", calibrate="none", permutations=1)
    assert ids(result) == BEST_FIRST
    (request,) = llm.requests
    assert request.sampling.max_tokens == 1
    assert request.labels is not None
    assert [label.text for label in request.labels.labels] == list("ABCDEFGHIJ")
    assert list(shown(request).values()) == TITLES
    assert math.isclose(sum(one.score for one in result), 1.0)
    assert math.isclose(result[0].score / result[1].score, math.e)
    use = result.trace.ranking
    assert use is not None
    assert (use.ranker, use.labels_by, use.permutations, use.llm_weight) == ("label", "logprob_token_ids", 1, None)
    assert use.label_mass == pytest.approx(0.5)
    assert use.order == tuple(BEST_FIRST)
    assert result.trace.pool is not None
    assert result.trace.pool.source == "caller"
    assert all(one.source == "llm" and one.provenance is None for one in result)


def test_a_biased_model_is_less_wrong_over_several_orders(catalog: Catalog) -> None:
    once = recommend(catalog, LabelLLM(TASTE, A_FIRST), "rank/label", permutations=1, calibrate="none")
    llm = LabelLLM(TASTE, A_FIRST)
    often = recommend(catalog, llm, "rank/label", permutations=10, calibrate="none")
    use = often.trace.ranking
    assert use is not None
    truth = [int(one) for one in BEST_FIRST]
    kendalls = [kendall([int(one) for one in ids(result)], truth) for result in (once, often)]
    assert kendalls[0] < kendalls[1]
    assert 2 <= use.permutations == len(llm.requests) <= 10
    assert len(use.stability) == use.permutations - 1
    assert use.stability[-1][0] == 1.0


def test_without_a_prior_two_orders_are_asked_unless_something_else_was(catalog: Catalog) -> None:
    first = LabelLLM({}, [30.0, 20.0, 10.0])  # answers the first label, whatever stands there
    result = recommend(catalog, first, "rank/label")
    assert len(first.requests) == 2
    assert any("label A was the likeliest in each of 2 orders" in note for note in result.trace.notes)
    for options in ({"permutations": 1}, {"calibrate": "labels"}):
        chosen = LabelLLM(TASTE)
        result = recommend(catalog, chosen, "rank/label", **options)
        assert result.trace.ranking is not None
        assert result.trace.ranking.permutations == 1
        assert not any("order decides" in note for note in result.trace.notes)
    calm = recommend(catalog, LabelLLM(TASTE), "rank/label")
    assert not any("order decides" in note for note in calm.trace.notes)
    known = Interactions.from_contacts([Contact("u", str(n), n) for n in range(11)], catalog=Ids(catalog.ids))
    fused = LabelLLM(TASTE)
    recommend(catalog, fused, "rank/label", retriever=Popularity(known))
    assert len(fused.requests) == 1  # the prior gives an order


@pytest.mark.parametrize(("mass", "note"), [(0.5, False), (0.09, True)])
def test_labels_with_little_probability_are_a_note(catalog: Catalog, mass: float, note: bool) -> None:
    result = recommend(catalog, Massed(TASTE, mass), "rank/label")
    assert any("all labels together have a probability of" in one for one in result.trace.notes) is note


def test_labels_with_no_probability_are_an_error_that_names_the_first_token(catalog: Catalog) -> None:
    with pytest.raises(AnswerError, match=r"0\.0005: the model begins with 'Sure'"):
        recommend(catalog, Massed(TASTE, 0.0005), "rank/label")


def test_asking_stops_when_the_first_k_are_stable_and_not_before(catalog: Catalog) -> None:
    calm = LabelLLM({title: 3 * taste for title, taste in TASTE.items()})
    recommend(catalog, calm, "rank/label", permutations=8, calibrate="none", k=3)
    assert len(calm.requests) == 2
    wild = LabelLLM({}, [30.0, 20.0, 10.0])  # whatever comes first is best: no order agrees with another
    result = recommend(catalog, wild, "rank/label", permutations=5, calibrate="none", k=2)
    assert len(wild.requests) == 5
    assert result.trace.ranking is not None
    assert result.trace.ranking.stability[0][0] < 1.0


def test_calibration_divides_the_labels_bias_out(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE, A_FIRST)
    result = recommend(catalog, llm, "rank/label", permutations=1, calibrate="labels")
    assert ids(result) == BEST_FIRST
    blank = llm.requests[1]
    assert set(shown(blank).values()) == {"N/A"}
    assert "Seen (2000)" not in blank.messages[-1].content
    assert len(result.trace.exchanges) == 2


def test_the_blank_prompt_is_asked_once_for_all_users(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE, A_FIRST)
    pool = [str(number) for number in range(1, 11)]
    with Recommender(catalog, llm=llm, template="rank/label") as rec:
        rec = rec.with_ranking(permutations=1, calibrate="labels")
        results = [rec.recommend([title], 3, candidates=pool) for title in ("Old", "Older", "Oldest")]
    assert [len(result.trace.exchanges) for result in results] == [2, 1, 1]


def test_calibration_by_titles_divides_fame_out(catalog: Catalog) -> None:
    fame = {TITLES[0]: 20.0}
    famous = recommend(catalog, LabelLLM(TASTE, A_FIRST, fame), "rank/label", permutations=1, calibrate="labels")
    assert ids(famous)[0] == "1"
    freed = recommend(catalog, LabelLLM(TASTE, A_FIRST, fame), "rank/label", permutations=1, calibrate="titles")
    assert ids(freed) == BEST_FIRST


def test_windows_raise_the_best_from_the_bottom_to_the_top(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE)
    result = recommend(catalog, llm, "rank/window", permutations=1, calibrate="none")
    assert [len(shown(request)) for request in llm.requests] == [4, 4, 4, 4]
    assert list(shown(llm.requests[0]).values()) == TITLES[6:]
    assert ids(result)[:2] == ["10", "9"]
    assert sorted(ids(result), key=int) == sorted(BEST_FIRST, key=int)
    assert result[0].score == 1.0
    pairs = LabelLLM(TASTE)
    result = recommend(catalog, pairs, "rank/pairwise", permutations=1, calibrate="none")
    assert [len(shown(request)) for request in pairs.requests] == [2] * 9
    assert ids(result) == ["10", *(str(number) for number in range(1, 10))]


def test_windows_by_text_are_grounded_and_keep_what_is_left_out(catalog: Catalog, tmp_path) -> None:
    path = tmp_path / "text.j2"
    path.write_text(
        '---\ntask: rank\nranker: window\nranking: {within: generate}\n---\n{% extends "rank/default" %}\n'
    )
    answers = ["1. Film Z\n2. Film X\n3. Film Q", "1. Film Z", "1. Film Z", "1. Film Z\n2. Film S"]
    llm = FakeLLM(*answers)
    result = recommend(catalog, llm, str(path))
    assert ids(result)[:4] == ["10", "3", "1", "2"]
    assert result[0].provenance is not None
    assert result[0].provenance.exchange == 0
    assert [one.grounded.mention.text for one in result.trace.dropped] == ["Film Q"]  # not in the first window
    assert any("kept their order" in note for note in result.trace.notes)
    assert len(result.trace.exchanges) == 4


def test_choice_picks_without_repeats_until_k(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE)
    result = recommend(catalog, llm, "rank/choose", k=3)
    assert ids(result) == ["10", "9", "8"]
    assert [len(request.choices) for request in llm.requests] == [10, 9, 8]
    assert len({request.messages for request in llm.requests}) == 1
    llm.binds = False
    with pytest.raises(CapabilityError, match="structured_outputs") as caught:
        recommend(catalog, llm, "rank/choose")
    assert "ranker: label" in (caught.value.hint or "")


def test_a_server_that_ignores_the_choice_after_all(catalog: Catalog) -> None:
    with pytest.raises(CapabilityError, match="'Film Z', which is none of the given choices"):
        recommend(catalog, FakeLLM("Film Z"), "rank/choose")


def test_labels_that_are_not_reported_come_last_and_are_counted(catalog: Catalog) -> None:
    result = recommend(catalog, LabelLLM(TASTE, reported=4), "rank/label", permutations=1, calibrate="none")
    assert ids(result)[:4] == BEST_FIRST[:4]
    assert ids(result)[4:] == ["1", "2", "3", "4", "5", "6"]
    assert any("6 of 10 labels were not reported" in note for note in result.trace.notes)


def test_a_model_that_answers_with_something_else(catalog: Catalog) -> None:
    chatty = FakeLLM(Exchange(messages=(), answer="Sure", finish_reason="length", label_logprobs={}))
    with pytest.raises(AnswerError, match="none of the 10 labels") as caught:
        recommend(catalog, chatty, "rank/label")
    assert caught.value.raw == "Sure"


def test_more_candidates_than_labels(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE)
    llm.most_labels = 5
    with pytest.raises(CapabilityError, match="at most 5"):
        recommend(catalog, llm, "rank/label")
    assert len(recommend(catalog, llm, "rank/window")) == 10


def test_one_candidate(catalog: Catalog) -> None:
    for template in ("rank/label", "rank/window", "rank/pairwise", "rank/choose"):
        with Recommender(catalog, llm=LabelLLM(TASTE), template=template) as rec:
            assert ids(rec.with_ranking(llm_weight=0.5).recommend(["0"], 3, candidates=["4"])) == ["4"]


@pytest.mark.parametrize("template", ["rank/label", "rank/window", "rank/choose"])
def test_a_prompt_that_is_too_long_after_all_loses_half_of_its_history(catalog: Catalog, template: str) -> None:
    class Short(LabelLLM):
        async def chat(self, request: ChatRequest) -> Exchange:
            if request.messages[-1].content.count("- Old") > 5:
                raise ContextOverflowError("too long", status=400)
            return await super().chat(request)

    llm = Short(TASTE)
    llm.info = llm.info.model_copy(update={"context_length": None})
    with Recommender(catalog, llm=llm, template=template) as rec:
        history = [f"Old {number}" for number in range(20)]
        result = rec.recommend(history, 3, candidates=["1", "2", "3"])
    assert len(result) == 3
    use = result.trace.history
    assert (use.rendered, use.truncated) == (5, 15)


def test_only_the_newest_events_stand_in_the_prompt_and_all_are_known(catalog: Catalog) -> None:
    llm = LabelLLM(TASTE)
    with Recommender(catalog, llm=llm, template="rank/label") as rec:
        history = ["10", *(f"Old {number}" for number in range(30))]
        result = rec.recommend(history, 10, candidates=["9", "10"])
    assert llm.requests[0].messages[-1].content.count("- Old") == 10
    assert ids(result) == ["9"]
    use = result.trace.history
    assert (use.given, use.rendered, use.truncated) == (31, 10, 21)


# -- with a retriever ---------------------------------------------------------------------------------


@pytest.fixture
def known(catalog: Catalog) -> Interactions:
    """Item n has n users, and all of them know the item 0."""
    contacts = [Contact(f"u{user}", str(item), 1.0 + user) for item in range(1, 11) for user in range(item)]
    contacts += [Contact(f"u{user}", "0", 0.5 + user) for user in range(10)]
    return Interactions.from_contacts(contacts, catalog=Ids(catalog.ids))


def test_the_retrievers_order_is_the_prior(catalog: Catalog, known: Interactions) -> None:
    against = {title: -taste for title, taste in TASTE.items()}
    for weight, expected in ((0.0, BEST_FIRST), (1.0, BEST_FIRST[::-1]), (0.04, BEST_FIRST)):
        result = recommend(
            catalog, LabelLLM(against), "rank/label", retriever=Popularity(known), llm_weight=weight,
            calibrate="none", permutations=1,
        )  # fmt: skip
        assert ids(result) == expected
        for one in result:
            assert one.parts is not None
            assert one.parts.prior is not None
            assert one.score == pytest.approx((1 - weight) * one.parts.prior + weight * one.parts.llm)
    trace = result.trace
    assert trace.mode == "training-free"
    assert trace.pool is not None
    assert (trace.pool.source, trace.pool.ids) == ("pop", tuple(BEST_FIRST))
    assert trace.pool.scores == tuple(float(number) for number in range(10, 0, -1))
    assert trace.ranking is not None
    assert trace.ranking.llm_weight == 0.04


def test_free_text_over_a_retriever_is_fused_too_and_keeps_its_provenance(
    catalog: Catalog, known: Interactions
) -> None:
    llm = FakeLLM("1. Film Q - old but good\n2. Film Nowhere")
    result = recommend(catalog, llm, "rank/default", k=4, retriever=Popularity(known), llm_weight=0.5)
    assert ids(result) == ["1", "10", "9", "8"]
    assert [one.source for one in result] == ["llm", "candidates", "candidates", "candidates"]
    assert result[0].provenance is not None
    assert result[0].reason == "old but good"
    assert result[1].parts is not None
    assert result[1].parts.llm == 0.0
    assert [one.mention.text for one in result.trace.unresolved] == ["Film Nowhere"]


def test_a_retriever_orders_the_callers_candidates(catalog: Catalog, known: Interactions) -> None:
    with Recommender(catalog, llm=LabelLLM({}), template="rank/label") as rec:
        rec = rec.with_retriever(Popularity(known)).with_ranking(llm_weight=0.0)
        result = rec.recommend(["0"], 3, candidates=["3", "Film Z", "7"])
    assert ids(result) == ["10", "7", "3"]
    assert result.trace.pool is not None
    assert (result.trace.pool.source, result.trace.pool.ids) == ("caller", ("3", "10", "7"))


def test_the_mode_is_the_retrievers_and_strict_refuses_other_users(catalog: Catalog, known: Interactions) -> None:
    items = Ids(catalog.ids)
    strict = Settings.load(strict=True)
    with Recommender(catalog, llm=LabelLLM(TASTE), template="rank/label", settings=strict) as rec:
        listed = rec.with_retriever(Listed(items, ["3", "4"])).recommend(["0"], 2)
        assert listed.trace.mode == "zero-shot"
        with pytest.raises(ConfigError, match="strict: the retriever"):
            rec.with_retriever(ItemKNN(known)).recommend(["0"], 2)
        assert rec.recommend(["0"], 2, candidates=["3", "4"]).trace.mode == "zero-shot"
    with Recommender(
        catalog, llm=FakeLLM("Film Q"), template="rank/default", settings=strict, popularity=["1", "2"]
    ) as rec:
        with pytest.raises(ConfigError, match="strict: popularity"):
            rec.recommend(["0"], 2)
        with pytest.raises(ConfigError, match="strict: popularity"):
            rec.recommend(["0"], 2, candidates=["1"], fill="popularity")
        assert ids(rec.recommend(["0"], 1, candidates=["1"])) == ["1"]


def test_a_retriever_without_candidates_says_so(catalog: Catalog, known: Interactions) -> None:
    with Recommender(catalog, llm=LabelLLM(TASTE), template="rank/label") as rec:
        with pytest.raises(ConfigError, match="has no candidate for this user"):
            rec.with_retriever(ItemKNN(known)).recommend(["Unheard Of"], 2)
        with pytest.raises(ConfigError, match="pool is 0"):
            rec.with_retriever(ItemKNN(known), pool=0)


def test_items_that_the_catalog_lacks_are_passed_over(catalog: Catalog) -> None:
    items = Ids(["absent", *catalog.ids, "gone"])
    with Recommender(catalog, llm=LabelLLM(TASTE), template="rank/label") as rec:
        rec = rec.with_retriever(Listed(items, ["absent", "gone", "0", "4", "5", "6"]), pool=2)
        result = rec.recommend(["0"], 5)
    assert result.trace.pool is not None
    assert result.trace.pool.ids == ("4", "5")
    assert any("2 items of the retriever are not in the catalog" in note for note in result.trace.notes)


def test_options_out_of_range_or_without_meaning(catalog: Catalog) -> None:
    with Recommender(catalog, llm=LabelLLM(TASTE), template="rank/default") as rec:
        with pytest.raises(ConfigError, match="permutations: Input should be greater"):
            rec.with_ranking(permutations=0)
        with pytest.raises(ConfigError, match="permutations: the ranker 'generate' has no log-probabilities"):
            rec.with_ranking(permutations=2).recommend(["0"], 2, candidates=["1"])
        window = rec.with_template("rank/window")
        with pytest.raises(ConfigError, match="do not overlap"):
            window.with_ranking(window=3, stride=3).recommend(["0"], 2, candidates=["1"])


def test_what_is_known_of_a_history_reaches_the_retriever(catalog: Catalog, known: Interactions) -> None:
    with Recommender(catalog, llm=LabelLLM({}), template="rank/label") as rec:
        result = (
            rec.with_retriever(ItemKNN(known)).with_ranking(llm_weight=0.0).recommend(History.of("Seen (2000)"), 3)
        )
    assert ids(result) == ["10", "9", "8"]  # found through the title


def test_the_command_line_shows_what_a_score_is_made_of(
    catalog: Catalog, known: Interactions, capsys: pytest.CaptureFixture[str]
) -> None:
    show(recommend(catalog, LabelLLM(TASTE), "rank/label", k=2, retriever=Popularity(known)), "For you")
    shown_text = capsys.readouterr().out
    assert "prior 1.00 · llm 1.00 · p 0.632" in shown_text
    assert "training-free · rank/label@2" in shown_text
