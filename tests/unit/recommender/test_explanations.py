"""Explanations: what a sentence cites, and whether it mattered."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from tests.unit.judges import LabelLLM
from zsrec.answers.grounder import Grounder
from zsrec.core.errors import ConfigError, ContextOverflowError, LLMServerError
from zsrec.core.types import Exchange, Grounded, Item, Match, Mention, TemplateRef
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender import (
    Explanation,
    Explanations,
    citations,
    faithfulness,
    first_sentence,
    ranker_score,
    retriever_score,
)
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.retrieval import ItemKNN

MINE = ("1", "3", "4", "5")  # Heat, The Matrix, Up, Toy Story


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    rows = [("1", "Heat (1995)"), ("2", "Ronin (1998)"), ("3", "Matrix, The (1999)"), ("4", "Up (2009)")]
    rows += [("5", "Toy Story (1995)"), ("6", "Thief (1981)"), ("7", "Solaris (1972)"), ("8", "Solaris (2002)")]
    rows += [("9", "Tango and Cash (1989)"), ("10", "Cash (2010)"), ("11", "Her (2013)")]
    return Grounder(Catalog.from_items([{"id": one, "title": title} for one, title in rows], domain="movies"))


def cite(grounder: Grounder, sentence: str, mine: tuple[str, ...] = MINE) -> list[tuple[str, str]]:
    catalog = grounder.catalog
    found = citations(sentence, catalog["2"], [catalog[one] for one in mine], grounder)
    for one in found:
        mention = one.grounded.mention
        assert sentence[mention.start : mention.end] == mention.text
    return [(one.grounded.mention.text, one.status) for one in found]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Because you liked Heat (1995) and The Matrix, try Ronin.", ["history", "history", "itself"]),
        ("Because you enjoyed the matrix and toy story.", ["history", "history"]),
        ('Because you liked "Up" so much.', ["history"]),
        ("Up there the user will like it.", []),  # opens the sentence, and may be any word
        ("Because they looked up and saw the heat of the city.", []),
        ("Because you liked Thief (1981).", ["not_in_history"]),
        ("Because you enjoyed Moby Dick and Heat.", ["not_in_catalog", "history"]),
        ("Because you liked Solaris (1972) and *Her*.", ["not_in_history", "not_in_history"]),
        ("Because you liked Tango and Cash.", ["not_in_history"]),
        ("Because you liked Thief (1981) and Tango and Cash (1989).", ["not_in_history", "not_in_history"]),
        ("Because you like tense films.", []),
        ("", []),
    ],
)
def test_what_a_sentence_cites(grounder: Grounder, sentence: str, expected: list[str]) -> None:
    assert [status for _, status in cite(grounder, sentence)] == expected


def test_a_title_of_two_items_is_told_apart_by_the_history(grounder: Grounder) -> None:
    assert cite(grounder, "Because you liked Solaris.", ("7",)) == [("Solaris", "history")]
    assert cite(grounder, 'Because you liked "Solaris".', ("1",)) == [("Solaris", "not_in_catalog")]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("Because you liked Heat. It is tense.", "Because you liked Heat."),
        ("Because Dr. No and Mr. Smith vs. him fit! More", "Because Dr. No and Mr. Smith vs. him fit!"),
        ('Like "Heat." Next', 'Like "Heat."'),
        # As Qwen2.5-Coder wrote them: a title's own mark ends no sentence.
        (
            'Because you know "Hot Shots! Part Deux (1993)", a spoof. More',
            'Because you know "Hot Shots! Part Deux (1993)", a spoof.',
        ),
        ("Because you liked Airplane! (1980), a spoof. More", "Because you liked Airplane! (1980), a spoof."),
        ('Because you liked "Airplane!" and Heat. More', 'Because you liked "Airplane!" and Heat.'),
        ("It is tense! (1980) is a year", "It is tense! (1980) is a year"),
        ("Quite so! (Yes) More", "Quite so!"),
        ("\n no end here\nnext line", "no end here"),
        ("因为你喜欢它。然后", "因为你喜欢它。"),
        ("  ", ""),
    ],
)
def test_the_first_sentence(answer: str, sentence: str) -> None:
    assert first_sentence(answer) == sentence


@settings(deadline=None, max_examples=80)
@given(text=st.lists(st.sampled_from([*'"*(19Ab:-é\n', " ", " and ", "Heat", "The Matrix"])).map("".join))
def test_any_answer_can_be_read(grounder: Grounder, text: str) -> None:
    spans = []
    for one in citations(first_sentence(text), grounder.catalog["2"], [grounder.catalog["1"]], grounder):
        spans.append((one.grounded.mention.start, one.grounded.mention.end))
    assert spans == sorted(spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


# -- asking ---------------------------------------------------------------------------------------------------


def test_each_item_gets_a_sentence(films: Catalog) -> None:
    llm = FakeLLM("Because you liked Heat. More.", "Because you liked Moby Dick (1956)", "No idea")
    with Recommender(films, llm=llm) as rec:
        found = rec.explain([films["2"], films["6"], films["3"]], History.of("Heat").like("Up").say("quiet"))
    assert [one.text for one in found] == [
        "Because you liked Heat.",
        "Because you liked Moby Dick (1956)",
        "No idea",
    ]
    assert [one.cited for one in found] == [("1",), (), ()]
    assert found[1].citations[0].status == "not_in_catalog"
    assert found.notes == ("2 of 3 sentences cite nothing of the history", "1 citations are not in the history")
    assert [event.item for event in found.history.events] == ["1", "4"]
    prompt = llm.requests[0].messages[-1].content
    assert "Recommended: Ronin (1998)" in prompt
    assert "the user says: quiet" in prompt
    assert len({request.messages[-1].content.split("Recommended")[0] for request in llm.requests}) == 1


def test_recommendations_explain_themselves(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("1. Ronin (1998)", "Because you liked Heat.")) as rec:
        recs = rec.recommend(["Heat"], 1)
        assert rec.explain(recs, ["Heat"])[0].cited == ("1",)


def test_the_async_way_gives_the_same(films: Catalog) -> None:
    async def ask() -> Explanations:
        async with AsyncRecommender(films, llm=FakeLLM("Because you liked Heat.")) as rec:
            return await rec.explain([films["2"]], History.of("Heat"))

    with Recommender(films, llm=FakeLLM("Because you liked Heat.")) as rec:
        assert asyncio.run(ask()) == rec.explain([films["2"]], ["Heat"])


def test_personal_data_can_be_taken_out_of_the_users_words(films: Catalog) -> None:
    llm = FakeLLM("Because you liked Heat.")
    history = History.of("Heat", "Home video of Ann").say("as Ann\u200b likes it")
    with Recommender(films, llm=llm).with_redaction(lambda text: text.replace("Ann", "[name]")) as rec:
        rec.explain([films["2"]], history, about="Ann")
    prompt = llm.requests[0].messages[-1].content
    assert "Ann" not in prompt
    assert prompt.count("[name]") == 3


def test_a_long_history_is_cut_and_what_was_cut_is_not_cited(films: Catalog) -> None:
    llm = FakeLLM("Because you liked Heat and Up.")
    with Recommender(films, llm=llm) as rec:
        found = rec.explain([films["2"]], ["Heat", *["Up"] * 10])
    assert found[0].cited == ("4",)  # the template shows the newest ten
    assert [one.status for one in found[0].citations] == ["history"]


def test_a_cut_sentence_is_noted(films: Catalog) -> None:
    llm = FakeLLM(Exchange(messages=(), answer="Because you liked Heat and", finish_reason="length"))
    with Recommender(films, llm=llm) as rec:
        assert "1 sentences were cut at max_tokens" in rec.explain([films["2"]], ["Heat"]).notes


def test_a_failed_request_costs_its_own_sentence_only(films: Catalog) -> None:
    answers = ("Because you liked Heat.", LLMServerError("down", status=500), "No idea")
    items = (films["2"], films["6"], films["3"])

    async def ask() -> Explanations:
        async with AsyncRecommender(films, llm=FakeLLM(*answers)) as rec:
            return await rec.explain(items, History.of("Heat"))

    with Recommender(films, llm=FakeLLM(*answers)) as rec:
        found = rec.explain(items, ["Heat"])
    assert asyncio.run(ask()) == found
    assert [one.item for one in found] == list(items)
    assert [one.text for one in found] == ["Because you liked Heat.", "", "No idea"]
    assert [one.error for one in found] == [None, "LLMServerError: down", None]
    assert found[1].exchange is None
    assert found.notes == (
        "1 of 3 sentences failed: LLMServerError: down", "1 of 2 sentences cite nothing of the history",
    )  # fmt: skip
    assert faithfulness([found], lambda history, item, left_out: 0.0).explained == 2


def test_where_every_request_fails_the_call_does(films: Catalog) -> None:
    llm = FakeLLM(LLMServerError("down"), LLMServerError("still down"))
    with Recommender(films, llm=llm) as rec, pytest.raises(LLMServerError, match=r"^down$"):
        rec.explain([films["2"], films["6"]], ["Heat"])


def test_a_prompt_that_is_too_long_after_all_is_sent_again_with_less(films: Catalog) -> None:
    llm = FakeLLM("Because you liked Heat.", ContextOverflowError("too long"), "Because you liked Heat.")
    with Recommender(films, llm=llm) as rec:
        found = rec.explain([films["2"], films["6"]], ["Up", "Up", "Heat", "Heat"])
    assert [one.error for one in found] == [None, None]
    assert len(llm.requests) == 4
    assert [event.item for event in found.history.events] == ["1", "1"]
    never = FakeLLM("Because you liked Heat.", ContextOverflowError("too long"))
    with Recommender(films, llm=never) as rec:
        found = rec.explain([films["2"], films["6"]], ["Heat"])  # nothing is left to leave out
    assert [one.error for one in found] == [None, "ContextOverflowError: too long"]


def test_a_fault_of_ours_is_no_failed_sentence(films: Catalog) -> None:
    class Broken(FakeLLM):
        async def chat(self, request: object) -> Exchange:
            raise KeyError(request)

    with Recommender(films, llm=Broken("x")) as rec, pytest.raises(KeyError):
        rec.explain([films["2"], films["6"]], ["Heat"])


def test_what_cannot_be_explained(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM(LLMServerError("down"))) as rec:
        with pytest.raises(ConfigError, match="nothing is known"):
            rec.explain([films["2"]])
        with pytest.raises(ConfigError, match="nothing to explain"):
            rec.explain([], ["Heat"])
        with pytest.raises(ConfigError, match="is for the task 'rank'"):
            rec.explain([films["2"]], ["Heat"], template="rank/default")
        with pytest.raises(LLMServerError):
            rec.explain([films["2"]], ["Heat"])


# -- faithfulness ---------------------------------------------------------------------------------------------


def said(item: Item, *cited: str) -> Explanation:
    from zsrec.recommender import Citation

    found = tuple(
        Citation(
            grounded=Grounded(mention=Mention(text="x", start=0, end=1), match=Match(item_id=one, score=1.0)),
            status="history",
        )
        for one in cited
    )
    return Explanation(item=item, text="x", citations=found, exchange=Exchange(messages=(), answer="x"))


def together(*explanations: Explanation, history: tuple[str, ...]) -> Explanations:
    ref = TemplateRef(name="t", version=1, path="", sha256="")
    return Explanations(items=explanations, history=History.of(*history), template=ref)


def test_a_true_reason_makes_the_score_fall_and_a_false_one_does_not(films: Catalog) -> None:
    contacts = {f"u{n}": History.of("1", "2") for n in range(3)} | {
        "v": History.of("4", "5"),
        "w": History.of("4", "3"),
    }
    score = retriever_score(ItemKNN(Interactions.from_histories(contacts, catalog=Ids(films.ids))))
    true = faithfulness([together(said(films["2"], "1"), history=("4", "1"))], score)
    assert (true.n, true.rate, true.control_n, true.control_rate) == (1, 1.0, 1, 0.0)
    false = faithfulness([together(said(films["2"], "4"), said(films["3"]), history=("4", "1"))], score)
    assert (false.explained, false.citing, false.n, false.rate, false.control_rate) == (2, 1, 1, 0.0, 1.0)


def test_what_nothing_speaks_for_cannot_fall(films: Catalog) -> None:
    score = retriever_score(
        ItemKNN(Interactions.from_histories({"u": History.of("1", "2")}, catalog=Ids(films.ids)))
    )
    assert score(History.of("1"), "6", ("1",)) == 0.0
    assert score(History.of("1"), "unknown", ("1",)) == 0.0
    assert score(History.of("1"), "2", ("1",)) == 1.0
    assert faithfulness([together(said(films["6"], "1"), history=("1",))], score).rate == 0.0


def test_without_any_citation_there_is_no_rate(films: Catalog) -> None:
    found = faithfulness([together(said(films["6"]), history=("1",))], lambda history, item, left_out: 0.0)
    assert (found.explained, found.n, found.rate, found.control_rate) == (1, 0, None, None)


class Reader(LabelLLM):
    """Likes Ronin only while Heat is in the prompt."""

    async def chat(self, request: object) -> Exchange:
        knows = "- Heat (1995)" in request.messages[-1].content  # type: ignore[attr-defined]
        self.taste = {"Ronin (1998)": 3.0 if knows else 0.0}
        return await super().chat(request)  # type: ignore[arg-type]


def test_a_label_ranker_scores_too(films: Catalog) -> None:
    with Recommender(films, llm=Reader({}), template="rank/label") as rec:
        score = ranker_score(rec, ("2", "6", "7"))
        found = faithfulness([together(said(films["2"], "1"), history=("4", "1"))], score)
    assert (found.rate, found.control_rate) == (1.0, 0.0)
    assert found.checks[0].before > 0.8
    with Recommender(films, llm=FakeLLM("x")) as rec, pytest.raises(ConfigError, match="ranks no candidates"):
        ranker_score(rec, ("2",))
