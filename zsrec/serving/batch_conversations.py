"""Conversations of a batch job's users, as they stand in the input and in a chunk."""

from __future__ import annotations

import json

from zsrec.core.errors import ConfigError
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.data.history import Turn
from zsrec.recommender.conversation import as_turns

_HINT = 'a list of {"role": "user" or "assistant", "text": "…"}, oldest first, or the same as JSON text'


def as_text(value: object) -> str | None:
    """A conversation of the input as JSON text; None for an empty one.

    Raises:
        ConfigError: It is no list of turns.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = read_json(value)
        except DuplicateKeyError:
            raise ConfigError("a turn of the conversation has a key twice", hint=_HINT) from None
        except (ValueError, RecursionError):
            raise ConfigError("the conversation is no JSON", hint=_HINT) from None
    if not value or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, list):
        raise ConfigError("the conversation is no list of turns", hint=_HINT)
    return json.dumps([(turn.role, turn.text) for turn in as_turns(value)], ensure_ascii=False)


def turns_of(text: str | None) -> tuple[Turn, ...]:
    """The turns of a text of `as_text`."""
    return as_turns(json.loads(text)) if text else ()
