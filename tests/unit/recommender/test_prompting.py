"""Fitting the history to the context, with a model that counts characters."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ContextOverflowError
from zsrec.core.types import Message
from zsrec.recommender.prompting import Fitted, fit_history

FIXED = 40


class Counter(FakeLLM):
    """Counts one token per character, and how often it was asked to."""

    counted = 0

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        self.counted += 1
        self.count = len
        return await super().count_tokens(messages)


def renders(lengths: list[int]) -> object:
    def render(newest: int) -> tuple[Message, ...]:
        words = lengths[len(lengths) - newest :]
        return (Message(role="user", content="f" * FIXED + "".join("x" * n for n in words)),)

    return render


def run(lengths: list[int], budget: int | None, *, counts: bool = True) -> tuple[Fitted, int]:
    llm = Counter("never asked", counts=counts)
    fitted = asyncio.run(fit_history(llm, renders(lengths), len(lengths), budget))  # type: ignore[arg-type]
    assert llm.requests == []
    return fitted, llm.counted


def test_a_short_prompt_is_not_even_counted() -> None:
    assert run([1, 2, 3], 1000) == (Fitted(renders([1, 2, 3])(3), 3), 0)  # type: ignore[operator]


def test_without_a_known_context_everything_is_sent() -> None:
    fitted, asked = run([1000] * 50, None)
    assert (fitted.shown, asked) == (50, 0)


def test_ten_thousand_events_take_a_few_counts_and_use_the_room() -> None:
    fitted, asked = run([20, 30] * 5000, 3000)
    assert len(fitted.messages[0].content) <= 3000
    assert fitted.shown >= 110  # of 118 that the room would take
    assert asked <= 5


def test_the_oldest_go_first() -> None:
    fitted, _ = run([500, 10, 20], 100)
    assert fitted.messages[0].content == "f" * FIXED + "x" * 30


def test_no_history_at_all_may_be_what_fits() -> None:
    assert run([500], 60)[0].shown == 0


def test_too_little_room_even_without_a_history() -> None:
    with pytest.raises(ContextOverflowError, match="40 tokens without any history, and only 30"):
        run([500], 30)


def test_where_nobody_counts_the_estimate_decides() -> None:
    fitted, _ = run([100] * 100, 1000, counts=False)
    assert 0 < fitted.shown < 100


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(FIXED, 2000))
def test_it_always_fits_and_always_ends(lengths: list[int], budget: int) -> None:
    fitted, asked = run(lengths, budget)
    assert len(fitted.messages[0].content) <= budget
    assert asked <= len(lengths) + 2
