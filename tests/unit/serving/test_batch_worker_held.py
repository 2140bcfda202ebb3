"""When a failure is the user's own and when it is the server's."""

from __future__ import annotations

import time

import pytest

from zsrec.core.errors import BatchStoppedError, LLMRequestError
from zsrec.serving.batch_rows import Answer
from zsrec.serving.batch_worker import Outcome, PendingFailures

ANSWERED = Outcome(Answer(user="a"), answered=True)


def failed(user: str) -> Outcome:
    return Outcome(Answer(user=user, error="llm_refused"), failure=LLMRequestError("refused"))


def test_only_an_answer_to_a_later_request_clears_the_server() -> None:
    held, written = PendingFailures(3), []
    sent = time.monotonic()
    held.record(failed("x"), sent, lambda: written.append("x"))
    held.record(ANSWERED, sent, lambda: written.append("a"))  # was under way when the server began to fail
    assert written == ["a"]
    held.record(ANSWERED, time.monotonic() + 1, lambda: written.append("b"))
    assert written == ["a", "x", "b"]


def test_failures_in_a_row_stop_the_job_and_are_not_written() -> None:
    held, written = PendingFailures(2), []
    held.record(failed("x"), 0.0, lambda: written.append("x"))
    with pytest.raises(BatchStoppedError, match="2 users in a row"):
        held.record(failed("y"), 0.0, lambda: written.append("y"))
    assert written == []


def test_what_is_left_at_the_end_is_the_users_own() -> None:
    held, written = PendingFailures(2), []
    held.record(failed("x"), 0.0, lambda: written.append("x"))
    held.release()
    held.release()
    assert written == ["x"]
