"""Conversations: what they name, what of them is sent, and what never comes back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.answers.grounder import Grounder
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Feedback, History, Turn
from zsrec.recommender.conversation import as_turns, named_items, with_named
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.session import Session

TITLES = [
    "Heat (1995)", "Ronin (1998)", "Matrix, The (1999)", "Up (2009)", "Toy Story (1995)", "Thief (1981)",
    "Solaris (1972)", "Solaris (2002)", "Black Hawk Down (2001)", "Black (2005)", "21 Jump Street (2012)",
    "Good Will Hunting (1997)", "About Time (2013)", "霸王别姬 (1993)",
]  # fmt: skip


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    rows = [{"id": str(number), "title": title} for number, title in enumerate(TITLES, start=1)]
    return Grounder(Catalog.from_items(rows, domain="movies"))


def found(grounder: Grounder, text: str, role: str = "user") -> list[tuple[str, str | None, str]]:
    mentions = named_items(as_turns([(role, text)]), grounder)
    for one in mentions:
        assert text[one.mention.start : one.mention.end] == one.mention.text
    return [(one.mention.text, one.match.item_id, one.feedback) for one in mentions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I loved Heat and The Matrix.", [("Heat", "1", "liked"), ("The Matrix", "3", "liked")]),
        ("I didn't like Toy Story at all", [("Toy Story", "5", "disliked")]),
        ("Ronin was boring. Good Will Hunting though!", [("Ronin", "2", "disliked"),
                                                         ("Good Will Hunting", "12", "seen")]),
        ("I never saw Thief (1981) but I saw Heat", [("Thief (1981)", "6", "unseen"), ("Heat", "1", "seen")]),
        ("something like '21 jump street' please", [("21 jump street", "11", "liked")]),
        ("What's up? It is about time for a good black comedy.", []),
        ("I like Jack Black", []),
        ("Have you seen Black Hawk Down?", [("Black Hawk Down", "9", "seen")]),
        ("In the heat of the moment we went up", []),
        ("Solaris was great", [("Solaris", None, "liked")]),
        ("Solaris (2002) was great", [("Solaris (2002)", "8", "liked")]),
        ("我喜欢《霸王别姬》", [("霸王别姬", "14", "liked")]),
        ("", []),
    ],
)  # fmt: skip
def test_what_a_turn_names(grounder: Grounder, text: str, expected: list[tuple[str, str | None, str]]) -> None:
    assert found(grounder, text) == expected


def test_an_assistants_mention_says_nothing_of_the_users_taste(grounder: Grounder) -> None:
    assert found(grounder, "You would love Heat", "assistant") == [("Heat", "1", "unseen")]
    turns = as_turns([("assistant", "You would love Heat and Ronin"), ("user", "I hated Ronin.")])
    history = with_named(History.of("5"), named_items(turns, grounder))
    assert [(event.item, event.feedback) for event in history.events] == [
        ("5", Feedback.SEEN),
        ("2", Feedback.DISLIKED),
    ]
    assert history.shown == ("1",)


@settings(deadline=None, max_examples=60)
@given(
    text=st.lists(st.sampled_from([*"\"'(19*:-\n.", " ", " and ", "Heat", "the Matrix", "Up", "not "])).map(
        "".join
    )
)
def test_any_text_can_be_read(grounder: Grounder, text: str) -> None:
    spans = [(one.mention.start, one.mention.end) for one in named_items(as_turns([("user", text)]), grounder)]
    assert spans == sorted(spans)
    assert all(0 <= a < b <= len(text) for a, b in spans)


# -- recommending -------------------------------------------------------------------------------------

TALK = [
    ("user", "I loved Heat. Anything like it, but quieter?"),
    ("assistant", "Do you know Ronin (1998)?"),
    ("user", "No, and no songs please."),
]


def recommend(films: Catalog, llm: FakeLLM, template: str = "converse/default", **how: object) -> Recommendations:
    with Recommender(films, llm=llm, template=template) as rec:
        return rec.recommend(k=3, **how)  # type: ignore[arg-type]


def test_what_was_named_is_known_and_never_recommended_back(films: Catalog) -> None:
    llm = FakeLLM("1. Heat\n2. Ronin\n3. Thief")
    result = recommend(films, llm, conversation=TALK)
    assert [one.item.title for one in result] == ["Thief (1981)"]
    prompt = llm.requests[0].messages[-1].content
    assert (
        "User: I loved Heat. Anything like it, but quieter?\nYou: Do you know Ronin (1998)?\nUser: No, and"
        in prompt
    )
    assert "The user liked: Heat (1995)" in prompt
    use = result.trace.conversation
    assert use is not None
    assert (use.given, use.rendered, use.truncated) == (3, 3, 0)
    assert [(one.turn, one.role, one.match.item_id, one.feedback) for one in use.mentions] == [
        (0, "user", "1", "liked"),
        (1, "assistant", "2", "unseen"),
    ]
    assert result.trace.evidence == ("history", "feedback", "conversation")
    assert [one.why for one in result.trace.dropped] == ["seen", "seen"]


def test_words_alone_are_enough_and_blank_ones_are_not(films: Catalog) -> None:
    assert len(recommend(films, FakeLLM("1. Thief"), conversation=[("user", "something quiet")])) == 1
    for nothing in ([], [("user", " ")], [("assistant", "Hello! What do you like?")]):
        with pytest.raises(ConfigError, match="nothing is known"):
            recommend(films, FakeLLM("1. Thief"), conversation=nothing)


def test_a_template_without_conversation_says_that_it_leaves_it_out(films: Catalog) -> None:
    llm = FakeLLM("1. Thief")
    result = recommend(films, llm, "generate/default", conversation=TALK)
    assert "the template generate/default@" in " ".join(result.trace.notes)
    assert any(note.endswith("leaves out the conversation") for note in result.trace.notes)
    assert "Heat (1995)" in "".join(message.content for message in llm.requests[0].messages)  # as history
    assert result.trace.conversation is not None
    assert result.trace.conversation.rendered == 0


def test_the_oldest_turns_are_cut_to_fit_and_the_last_stays(films: Catalog) -> None:
    llm = FakeLLM("1. Thief", context_length=800, counts=True)
    turns = [("user", f"Turn {number}: " + "quiet please " * 10) for number in range(60)]
    result = recommend(films, llm, history=[f"Unknown film {n}" for n in range(30)], conversation=turns)
    use, history = result.trace.conversation, result.trace.history
    assert use is not None
    assert 0 < use.rendered < 60
    assert use.rendered + use.truncated == 60
    assert history.rendered == 0  # events are older than the conversation
    prompt = llm.requests[0].messages[-1].content
    assert "Turn 59:" in prompt
    assert f"Turn {use.truncated}:" in prompt
    assert f"Turn {use.truncated - 1}:" not in prompt
    assert f"the {use.truncated} oldest of 60 turns were left out to fit the context" in result.trace.notes


def test_limits_are_typed_errors_that_name_the_turn(films: Catalog) -> None:
    llm = FakeLLM("1. Thief")
    with pytest.raises(ConfigError, match="201 turns, at most 200"):
        recommend(films, llm, conversation=[("user", "quiet")] * 201)
    with pytest.raises(ConfigError, match="turn 2 has 4,001 characters, at most 4,000"):
        recommend(films, llm, conversation=[("user", "quiet"), ("user", "x" * 4001)])
    with pytest.raises(ConfigError, match="turn 2: role: Input should be 'user' or 'assistant'"):
        recommend(films, llm, conversation=[("user", "quiet"), ("system", "obey")])
    with pytest.raises(ConfigError, match="turn 1: text"):
        recommend(films, llm, conversation=[{"role": "user"}])
    with pytest.raises(ConfigError, match="not a text"):
        recommend(films, llm, conversation="user: hi")
    strict = Settings.load(max_turns=1, max_turn_characters=10)
    with Recommender(films, llm=llm, settings=strict) as rec, pytest.raises(ConfigError, match="at most 10"):
        rec.recommend(conversation=[("user", "more than ten")])
    assert llm.requests == []


def test_personal_data_in_turns_is_redacted(films: Catalog) -> None:
    llm = FakeLLM("1. Thief")
    recommend(films, llm, conversation=[("user", "write to bob@example.com about heists")])
    assert "bob@example.com" not in llm.requests[0].messages[-1].content
    assert "about heists" in llm.requests[0].messages[-1].content


def test_turns_may_be_given_in_three_ways_and_awaited(films: Catalog) -> None:
    async def ask(turn: object) -> Recommendations:
        async with AsyncRecommender(films, llm=FakeLLM("1. Thief"), template="converse/default") as rec:
            return await rec.recommend(k=1, conversation=[turn])  # type: ignore[list-item]

    turns = [("user", "quiet"), {"role": "user", "text": "quiet"}, Turn(role="user", text="quiet")]
    assert len({str(asyncio.run(ask(turn))) for turn in turns}) == 1


def test_a_conversation_without_a_model_gives_the_retrievers_order(films: Catalog) -> None:
    rec = AsyncRecommender(films, llm=FakeLLM("never"), popularity=["1", "2", "6"])
    result = rec.retrieval_order(k=3, conversation=TALK)
    assert [one.item.id for one in result] == ["6"]
    assert result.trace.conversation is not None


# -- in a session -------------------------------------------------------------------------------------


def test_a_session_goes_on_as_a_conversation(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin\n2. Thief", "1. Thief\n2. Solaris (1972)\n3. Ronin")
    with Recommender(films, llm=llm, template="converse/default") as rec:
        session = Session(rec, about="quiet films").say("I loved Heat")
        first = session.recommend(1)
        second = session.say("less shooting").recommend(2)
    assert [one.item.title for one in first] == ["Ronin (1998)"]
    assert [one.item.title for one in second] == ["Thief (1981)", "Solaris (1972)"]
    prompt = llm.requests[1].messages[-1].content
    assert "User: I loved Heat\nYou: Ronin (1998)\nUser: less shooting" in prompt
    assert "The user says" not in prompt  # once is enough
    assert [turn.role for turn in session.conversation] == ["user", "assistant", "user", "assistant"]
    assert [event.item for event in session.rounds[1].history.events] == []
    assert [one.text for one in session.history.critiques] == ["I loved Heat", "less shooting"]


def test_a_session_is_taken_up_again_with_its_conversation(films: Catalog) -> None:
    llm = FakeLLM("1. Thief")
    with Recommender(films, llm=llm, template="converse/default") as rec:
        session = Session(rec, conversation=TALK).say("and from the eighties")
        session.recommend(1)
    assert "User: No, and no songs please.\nUser: and from the eighties" in llm.requests[0].messages[-1].content


def test_other_templates_still_get_the_words_among_the_events(films: Catalog) -> None:
    llm = FakeLLM("1. Thief")
    with Recommender(films, llm=llm) as rec:
        found = Session(rec, ["Heat"]).say("less shooting").recommend(1)
    assert "- the user says: less shooting" in llm.requests[0].messages[0].content
    assert found.trace.conversation is None
