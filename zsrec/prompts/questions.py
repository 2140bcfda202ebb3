"""What the questions of a template with steps are called wherever they are shown."""

from __future__ import annotations


def question_in_words(place: int, count: int, step: str | None) -> str:
    """Which of a template's questions one is; empty where there is only one.

    Args:
        place: From 0.
        count: How many questions the template has.
        step: The step that asks it; None or empty for the template's own question.
    """
    return f"question {place + 1} of {count}: {step or 'the recommendation'}" if count > 1 else ""


def unanswered(step: str) -> str:
    """What stands in a prompt for the answer of a step that nobody has asked yet."""
    return f"[the answer of {step!r}]"
