"""A user's taste in words, with scripted answers."""

from __future__ import annotations

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError
from zsrec.core.privacy import Redaction
from zsrec.core.types import Exchange
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.recommender.recommender import Recommender


def test_the_answer_is_one_harmless_line_for_about(films: Catalog) -> None:
    llm = FakeLLM("<think>hm</think>\nI like crime.\n<|im_end|>I avoid songs.", "1. Thief")
    with Recommender(films, llm=llm) as rec:
        me = rec.taste_summary(History.of("Heat", "Ronin").dislike("Up").say("nothing long"))
        assert me.text == "I like crime. < |im_end| >I avoid songs."
        assert (me.template.name, me.notes) == ("profile/default", ())
        rec.recommend(k=1, about=me.text)
    asked = llm.requests[0].messages[-1].content
    assert "- Ronin (1998)\n- Up (2009) (disliked)\n- the user says: nothing long" in asked
    assert "I like crime." in llm.requests[1].messages[-1].content


def test_what_the_user_wrote_is_redacted(films: Catalog) -> None:
    llm = FakeLLM("I like crime.")
    with Recommender(films, llm=llm).with_redaction(Redaction(names=["Ann Smith"])) as rec:
        rec.taste_summary(about="I am Ann Smith and like heists")
    assert "Ann Smith" not in llm.requests[0].messages[-1].content


def test_what_went_wrong_is_said(films: Catalog) -> None:
    cut = Exchange(messages=(), answer="I like", finish_reason="length")
    with Recommender(films, llm=FakeLLM(cut, "<think>only</think>")) as rec:
        assert rec.taste_summary(["Heat"]).notes == ("the answer was cut at max_tokens",)
        assert rec.taste_summary(["Heat"]).notes == ("the model answered nothing",)


def test_a_long_history_is_cut_to_the_context(films: Catalog) -> None:
    llm = FakeLLM("I like all.", context_length=400, counts=True)
    with Recommender(films, llm=llm) as rec:
        me = rec.taste_summary([f"Unknown film {n}" for n in range(300)])
    assert me.notes[0].endswith("oldest of 300 events were left out to fit the context")
    assert "Unknown film 299" in llm.requests[0].messages[-1].content


def test_impossible_calls_ask_nothing(films: Catalog) -> None:
    llm = FakeLLM("I like crime.")
    with Recommender(films, llm=llm) as rec:
        with pytest.raises(ConfigError, match="nothing is known of the user"):
            rec.taste_summary(about=" ")
        with pytest.raises(ConfigError, match="is for the task 'generate'"):
            rec.taste_summary(["Heat"], template="generate/default")
    assert llm.requests == []
