"""Answers that are held to a pattern, in which titles of the history are the only ones that can be cited."""

from __future__ import annotations

import re
from collections.abc import Iterable

from zsrec.errors import CapabilityError
from zsrec.prompts.front_matter import CITED
from zsrec.prompts.views import ItemView
from zsrec.steps import Plan, binds_choices
from zsrec.types import Exchange, Feedback

_REASONS = (Feedback.SEEN.value, Feedback.LIKED.value)
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}\"/-]")


def pattern_of(pattern: str, shown: Iterable[ItemView]) -> str:
    """A template's pattern with the titles that may be cited; empty where there is none to cite.

    Disliked and skipped items are no reason for a recommendation and are left out.

    Args:
        pattern: With `{history}` where a title stands; empty for none.
        shown: The history as the prompt shows it.
    """
    names = dict.fromkeys(one.display for one in shown if one.id and one.feedback in _REASONS)
    if not pattern or not names:
        return ""
    return pattern.replace(CITED, f"(?:{'|'.join(map(_escaped, names))})")


def require_patterns() -> Plan[None]:
    """Makes sure that the server holds answers to what they are held to.

    Raises:
        CapabilityError: It does not, whatever it accepts.
    """
    if not (yield from binds_choices()):
        raise CapabilityError(
            "the server does not hold its answers to patterns (structured_outputs)",
            hint="use 'explain/default', or serve with vLLM 0.12 or later",
        )


def check_held(exchange: Exchange, pattern: str) -> None:
    """Makes sure that an answer is what it was held to.

    An answer that was cut at max_tokens cannot match as a whole and passes.

    Raises:
        CapabilityError: It is something else.
    """
    if pattern and exchange.finish_reason != "length" and not re.fullmatch(pattern, exchange.answer.strip()):
        raise CapabilityError(
            "the server's answer does not match the pattern that it was held to",
            hint="use 'explain/default'",
            request_id=exchange.request_id,
        )


def _escaped(text: str) -> str:
    """A text as a pattern of every dialect: `re.escape` also escapes spaces, which some refuse."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)
