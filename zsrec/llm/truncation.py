"""Servers that cut long prompts in silence (Ollama), found by comparing their token counts with the text."""

from __future__ import annotations

from collections.abc import Sequence

from zsrec.core.types import Message

_SHORTEST = 2000  # characters; of less nothing can be told
_MOST_PER_TOKEN = 9.0  # characters per token, more than any tokenizer reaches on titles
_MOST_RISE = 1.4  # against the lowest figure of this server's earlier prompts


class TruncationCheck:
    """Characters per prompt token of one server, over its replies."""

    def __init__(self) -> None:
        self._usual: float | None = None

    def note(self, prompt: Sequence[Message], tokens: int | None) -> list[str]:
        """A note where the server counts far fewer tokens than the prompt must have."""
        characters = sum(len(message.content) for message in prompt)
        if not tokens or characters < _SHORTEST:
            return []
        ratio = characters / tokens
        if ratio > _MOST_PER_TOKEN or (self._usual is not None and ratio > _MOST_RISE * self._usual):
            return [
                f"the server counts {tokens:,} tokens for {characters:,} characters: it may have cut the prompt "
                "(serve the model with a longer context, or set ZSREC_CONTEXT_LENGTH to what it has)"
            ]
        self._usual = ratio if self._usual is None else min(self._usual, ratio)
        return []
