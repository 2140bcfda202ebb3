"""Explanations whose answer is held to cite the history."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import CapabilityError
from zsrec.core.types import Exchange, Item
from zsrec.data.catalog import Catalog
from zsrec.data.history import Feedback
from zsrec.prompts.item_view import item_view
from zsrec.recommender.explanations import pattern_of
from zsrec.recommender.recommender import Recommender

ANSWER = 'Because you know "Heat (1995)", you will like the calm of this one.'


def test_only_the_shown_history_can_be_cited(films: Catalog) -> None:
    llm = FakeLLM(ANSWER)
    with Recommender(films, llm=llm) as rec:
        found = rec.explain([films["2"]], ["Heat", "My own film", "Thief"], template="explain/cited")
    assert found[0].cited == ("1",)
    assert llm.requests[0].pattern.startswith('Because you know "(?:Heat \\(1995\\)|Thief \\(1981\\))", [')
    assert llm.requests[0].choices == ()


def test_what_the_user_dislikes_is_no_reason() -> None:
    views = [
        replace(item_view(Item(id="1", title="Heat (1995)")), feedback=Feedback.DISLIKED.value),
        replace(item_view(Item(id="2", title="Ronin (1998)")), feedback=Feedback.SKIPPED.value),
    ]
    assert pattern_of("{history}!", views) == ""
    liked = replace(item_view(Item(id="3", title="Up")), feedback=Feedback.LIKED.value)
    assert pattern_of("{history}!", [*views, liked, liked]) == "(?:Up)!"


def test_words_alone_leave_nothing_to_cite(films: Catalog) -> None:
    llm = FakeLLM("Because you like heists.")
    with Recommender(films, llm=llm) as rec:
        found = rec.explain([films["2"]], about="heists", template="explain/cited")
    assert llm.requests[0].pattern == ""
    assert found[0].text == "Because you like heists."


def test_a_server_that_binds_nothing_is_not_asked(films: Catalog) -> None:
    llm = FakeLLM(ANSWER)
    llm.binds = False
    with (
        Recommender(films, llm=llm) as rec,
        pytest.raises(CapabilityError, match="does not hold its answers to pat"),
    ):
        rec.explain([films["2"]], ["Heat"], template="explain/cited")
    assert llm.requests == []


def test_an_answer_out_of_the_pattern_is_an_error_and_a_cut_one_is_noted(films: Catalog) -> None:
    with (
        Recommender(films, llm=FakeLLM("As an AI I like Heat.")) as rec,
        pytest.raises(CapabilityError, match="does not match the pattern"),
    ):
        rec.explain([films["2"]], ["Heat"], template="explain/cited")
    cut = Exchange(messages=(), answer=ANSWER[:-1], finish_reason="length", model="fake")
    with Recommender(films, llm=FakeLLM(cut)) as rec:
        found = rec.explain([films["2"]], ["Heat"], template="explain/cited")
    assert found.notes == ("1 sentences were cut at max_tokens",)


def test_one_answer_out_of_the_pattern_leaves_the_others(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("As an AI I like Heat.", ANSWER)) as rec:
        found = rec.explain([films["2"], films["6"]], ["Heat"], template="explain/cited")
    assert found[0].error is not None
    assert found[0].error.startswith("CapabilityError: the server's answer does not match the pattern")
    assert (found[0].text, found[0].citations) == ("", ())
    assert found[0].exchange is not None
    assert found[0].exchange.answer == "As an AI I like Heat."  # it can be looked at
    assert (found[1].cited, found[1].error) == (("1",), None)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_any_title_stands_for_itself(titles: list[str]) -> None:
    views = [item_view(Item(id=str(n), title=title or "x")) for n, title in enumerate(titles)]
    pattern = pattern_of("<{history}>", views)
    for view in views:
        assert re.fullmatch(pattern, f"<{view.display}>")
    assert not re.fullmatch(pattern, "<" + "".join(view.display for view in views) + "another>")
