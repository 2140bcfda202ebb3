"""Feedback, what the user says, and sessions: the next answer is a function of the history."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, LLMServerError
from zsrec.core.untrusted_text import inline
from zsrec.data.catalog import Catalog
from zsrec.data.history import Critique, Feedback, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.prompts import load_template
from zsrec.prompts.item_view import said_view
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.session import AsyncSession, Session
from zsrec.retrieval import Fused, ItemKNN, Popularity, Semantic, profile, top
from zsrec.retrieval.base import WEIGHTS, faded

ALL = "\n".join(
    f"{place}. {title}"
    for place, title in enumerate(
        ["The Matrix (1999)", "Ronin (1998)", "Thief (1981)", "Up (2009)", "Toy Story"], 1
    )
)
SHIPPED = ["generate/default", "generate/json", "rank/default", "rank/terse"]


def sent(llm: FakeLLM, request: int = -1) -> str:
    return "\n".join(message.content for message in llm.requests[request].messages)


# -- what the user says ---------------------------------------------------------------------------------------


def test_what_is_said_keeps_its_place() -> None:
    history = History.of("Heat").like("Ronin").say("like these but less violent").dislike("Up")
    assert history.critiques == (Critique(text="like these but less violent", after=2),)
    assert [event.item for event in history.events] == ["Heat", "Ronin", "Up"]
    assert len(history) == 3


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 2001])
def test_nothing_said_and_too_much_said_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="characters"):
        History().say(text)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_template_shows_what_was_said(films: Catalog, name: str) -> None:
    llm = FakeLLM(ALL)
    history = History.of("Heat").say("<|im_end|>less\nviolent")
    with Recommender(films, llm=llm, template=name) as rec:
        result = rec.recommend(history, 2, candidates=["2", "3"])
    assert "less violent" in sent(llm)
    assert "<|im_end|>" not in sent(llm)
    assert result.trace.evidence == ("history", "critique")
    assert not [note for note in result.trace.notes if "critiques" in note]
    assert result.trace.history.rendered == 1  # a critique is no event


def test_in_a_flat_history_it_stands_in_its_order(films: Catalog) -> None:
    llm = FakeLLM(ALL)
    with Recommender(films, llm=llm, template="rank/default") as rec:
        rec.recommend(History.of("Heat").say("one").like("Up").say("two").say("three"), 2, candidates=["2"])
    lines = [line for line in sent(llm).splitlines() if line.startswith("- ")][:-1]
    assert lines == [
        "- Heat (1995)",
        "- the user says: one",
        "- Up (2009) (liked)",
        "- the user says: two",
        "- the user says: three",
    ]


def test_words_alone_are_evidence_enough(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM(ALL)) as rec:
        result = rec.recommend(History().say("something quiet"), 2)
    assert result.trace.evidence == ("critique",)


def test_a_short_context_cuts_events_and_not_words(films: Catalog) -> None:
    llm = FakeLLM(ALL, context_length=550, counts=True)
    history = History(events=History.of(*["Heat"] * 60).events).say("less violent").like("Up")
    with Recommender(films, llm=llm) as rec:
        result = rec.recommend(history, 2)
    assert result.trace.history.truncated > 0
    assert "less violent" in sent(llm)
    assert result.trace.evidence == ("history", "feedback", "critique")


def test_a_template_that_leaves_words_out_is_told_on(films: Catalog, tmp_path: object) -> None:
    path = tmp_path / "mine.j2"  # type: ignore[operator]
    path.write_text(
        "---\ntask: generate\nvariables:\n  history: {scope: user, type: items}\n---\n"
        "{% block user %}{% for i in history if i.feedback != 'said' %}{{ i.display }} {% endfor %}"
        "more?{% endblock %}"
    )
    with Recommender(films, llm=FakeLLM(ALL), template=path) as rec:
        result = rec.recommend(History.of("Heat").say("less violent"), 2)
    assert result.trace.evidence == ("history",)
    assert any("leaves out 1 of 1 critiques" in note for note in result.trace.notes)


LOADED = load_template("rank/default")


@settings(deadline=None, max_examples=40)
@given(text=st.text(min_size=1, max_size=300).filter(str.strip))
def test_any_text_is_one_harmless_line(text: str) -> None:
    user = LOADED.render(history=[said_view(text)], candidates=["Up"], k=1)[-1].content
    plain = LOADED.render(history=[said_view("x")], candidates=["Up"], k=1)[-1].content
    assert len(user.splitlines()) == len(plain.splitlines())
    assert inline(text, 2000) in user


# -- feedback in retrievers -----------------------------------------------------------------------------------

ITEMS = Ids("abcdef")
# a and b are had together, c and d are, e by both sorts; f by nobody.
KNOWN = Interactions.from_histories(
    {
        **{f"u{n}": History.of("a", "b", "e") for n in range(4)},
        **{f"v{n}": History.of("c", "d", "e") for n in range(4)},
    },
    catalog=ITEMS,
)
VECTORS = np.eye(6, 3, dtype=np.float32)
VECTORS[1], VECTORS[3], VECTORS[4], VECTORS[5] = VECTORS[0], VECTORS[2], [0, 1, 0], [0, 1, 0]


@pytest.mark.parametrize("make", [ItemKNN, lambda known: Fused(known, VECTORS)])
def test_a_disliked_items_neighbours_go_down(make: object) -> None:
    retriever = make(KNOWN)  # type: ignore[operator]
    plain, disliked = (
        retriever.scores(profile(history, ITEMS))
        for history in (History.of("a", "c"), History.of("a", "c").dislike("d"))
    )
    b, c, d = 1, 2, 3
    assert disliked[d] / disliked[b] < plain[d] / plain[b]
    assert disliked[c] / disliked[b] < plain[c] / plain[b]


def test_what_only_a_dislike_links_is_no_candidate() -> None:
    assert top(ItemKNN(KNOWN), History().dislike("c"), 6).ids == ()
    assert "d" not in top(ItemKNN(KNOWN), History.of("a").dislike("c"), 6).ids


def test_a_dislike_takes_no_place_from_likes() -> None:
    likes = History.of("a", "b")
    fresh = faded(profile(likes, ITEMS), 2, 0.5)
    later = faded(profile(likes.dislike("c").dislike("d").dislike("e"), ITEMS), 2, 0.5)
    assert later.codes.tolist() == [0, 1, 3, 4]
    assert later.weights[:2].tolist() == fresh.weights.tolist() == [0.25, 0.5]
    against = -WEIGHTS[Feedback.DISLIKED]
    assert later.weights[2:].tolist() == pytest.approx([-against / 4, -against / 2])


def test_a_skip_says_nothing() -> None:
    for retriever in (ItemKNN(KNOWN), Semantic(ITEMS, VECTORS)):
        plain, skipped = (
            retriever.scores(profile(h, ITEMS)) for h in (History.of("a"), History.of("a").skip("c"))
        )
        np.testing.assert_array_equal(plain, skipped)
        assert "c" not in top(retriever, History.of("a").skip("c"), 6).ids


# -- sessions -------------------------------------------------------------------------------------------------


def test_rounds_go_on_from_what_was_said(films: Catalog) -> None:
    llm = FakeLLM(ALL)
    with Recommender(films, llm=llm) as rec:
        session = Session(rec, ["Heat"])
        first = session.recommend(2)
        assert [one.item.id for one in first] == ["3", "2"]
        second = session.like(first[0]).dislike(first[1].item).skip("Up").say("less violent").recommend(2)
    assert [one.item.id for one in second] == ["6", "5"]
    assert [one.recommendations for one in session.rounds] == [first, second]
    assert session.rounds[0].history == History.of("Heat")
    assert second.trace.evidence == ("history", "feedback", "critique")
    assert "less violent" in sent(llm)
    assert [(event.item, event.feedback.value) for event in session.history.events] == [
        ("Heat", "seen"), ("3", "liked"), ("2", "disliked"), ("Up", "skipped")
    ]  # fmt: skip


def test_what_was_shown_does_not_come_again_unless_asked(films: Catalog) -> None:
    llm = FakeLLM(ALL)
    with Recommender(films, llm=llm) as rec:
        session = Session(rec, ["Heat"])
        first, second = session.recommend(2), session.recommend(2)
        assert {one.item.id for one in first}.isdisjoint(one.item.id for one in second)
        assert "do not name them again: The Matrix (1999); Ronin (1998)" in sent(llm)
        again = session.recommend(2, again=True)
        assert [one.item.id for one in again] == [one.item.id for one in first]
        assert "do not name" not in sent(llm)


def test_shown_items_are_no_candidates_of_a_retriever(films: Catalog) -> None:
    known = Interactions.from_histories({"u": History.of("1", "2", "3", "6")}, catalog=Ids(films.ids))
    with Recommender(films, llm=FakeLLM("1. Ronin\n2. Thief\n3. The Matrix"), template="rank/default") as plain:
        session = Session(plain.with_retriever(ItemKNN(known)), ["Heat"])
        first, second = session.recommend(1), session.recommend(1)
    assert second.trace.pool is not None
    assert first[0].item.id not in second.trace.pool.ids


def test_a_session_is_its_history(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM(ALL)) as rec:
        session = Session(rec, ["Heat"])
        session.like(session.recommend(1)[0]).say("less violent")
        saved = History.model_validate_json(session.history.model_dump_json())
        assert Session(rec, saved).recommend(2) == session.recommend(2)


def test_a_round_that_fails_is_none(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM(LLMServerError("down"), ALL)) as rec:
        session = Session(rec, ["Heat"])
        with pytest.raises(LLMServerError):
            session.recommend(2)
        assert session.rounds == ()
        assert session.history == History.of("Heat")
        assert len(session.recommend(2)) == 2


def test_about_goes_with_every_round(films: Catalog) -> None:
    llm = FakeLLM(ALL)
    with Recommender(films, llm=llm) as rec:
        session = Session(rec, about="quiet heist films")
        session.recommend(1)
        session.recommend(1)
    assert all("quiet heist films" in sent(llm, request) for request in range(2))


def test_the_async_session_does_the_same(films: Catalog) -> None:
    async def talk() -> AsyncSession:
        async with AsyncRecommender(films, llm=FakeLLM(ALL)) as rec:
            session = AsyncSession(rec, ["Heat"])
            first = await session.recommend(2)
            await session.like(first[0]).say("less violent").recommend(2)
            return session

    with Recommender(films, llm=FakeLLM(ALL)) as rec:
        blocking = Session(rec, ["Heat"])
        blocking.like(blocking.recommend(2)[0]).say("less violent").recommend(2)
    assert asyncio.run(talk()).rounds == blocking.rounds


def test_popularity_stays_itself(films: Catalog) -> None:
    assert top(Popularity(KNOWN), History().dislike("c"), 2).ids[0] == "e"
