"""Templates with several questions, and profiles, on a real vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from zsrec.data.movielens import Dataset
from zsrec.prompts import inline
from zsrec.recommender.recommender import Recommender

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
HERE = Path(__file__).parent


def test_the_first_answer_stands_in_the_second_question(recommender: Recommender, movielens: Dataset) -> None:
    history = min(movielens.histories.values(), key=len)
    pool = [item for item in movielens.catalog.ids[:12] if item not in {event.item for event in history.events}]
    result = recommender.with_template(HERE / "two_questions.j2").recommend(history, 3, candidates=pool)
    first, last = result.trace.exchanges
    assert (first.step, last.step) == ("taste", "")
    assert last.messages[-1].content.startswith(f"Somebody says: {inline(first.answer, 80)}\n")
    assert first.usage.completion_tokens is not None
    assert 0 < first.usage.completion_tokens <= 16
    assert {one.item.id for one in result} <= set(pool)
    for one in result.trace.grounded:
        assert one.exchange == 1
        assert last.answer[one.mention.start : one.mention.end] == one.mention.text


def test_a_profile_is_one_line_that_can_be_used_as_about(recommender: Recommender, movielens: Dataset) -> None:
    history = min(movielens.histories.values(), key=len)
    me = recommender.taste_summary(history, template=HERE / "short_profile.j2")
    assert me.text
    assert "\n" not in me.text
    assert me.exchange.usage.completion_tokens
