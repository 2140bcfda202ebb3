"""Two ways to count tokens: by the served model's own tokenizer, or roughly, without any server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from zsrec.errors import CapabilityError
from zsrec.types import Message

if TYPE_CHECKING:  # importing the openai package takes a second
    from zsrec.llm.client import OpenAIClient

Tokens = Sequence[int | str]
"""A prompt's tokens in their order; equal ones are equal."""


class Meter(Protocol):
    """Whatever tells a prompt's tokens.

    Attributes:
        name: How they were counted, for the reader: "counted by smollm2", "estimated".
        block: Tokens in a block of the server's prefix cache; None where nobody knows.
    """

    name: str
    block: int | None

    async def chat(self, messages: tuple[Message, ...]) -> Tokens:
        """The tokens of a chat, its format included."""
        ...

    async def text(self, text: str) -> Tokens:
        """The tokens of a text by itself."""
        ...


# Up to six letters of a word with the space before it; a figure; any other sign; a line break.
_PIECE = re.compile(r" ?[^\W\d_]{1,6}|\d| ?[^\w\s]|\s|_")
_FORMAT = 5  # around each message: two marks, the role's name, two line breaks


class Estimate:
    """Counts without a tokenizer.

    Latin letters by sixes, each figure and each sign, and every CJK character alone: on the shipped templates with
    MovieLens titles docs/linter.md states how far that is from a real tokenizer.
    """

    name = "estimated"
    block: int | None = None

    async def chat(self, messages: tuple[Message, ...]) -> Tokens:
        """See `Meter`."""
        tokens: list[str] = []
        for message in messages:
            tokens += [f"<{message.role}>", *["<format>"] * (_FORMAT - 1), *_pieces(message.content)]
        return tokens

    async def text(self, text: str) -> Tokens:
        """See `Meter`."""
        return _pieces(text)


class Served:
    """Counts with the served model's own tokenizer (vLLM's /tokenize).

    Args:
        client: Of the server.
        model: The served model's name.
        block: Tokens in a block of its prefix cache.
    """

    def __init__(self, client: OpenAIClient, model: str, block: int | None) -> None:
        self.name = f"counted by {model}"
        self.block = block
        self._client = client

    async def chat(self, messages: tuple[Message, ...]) -> Tokens:
        """See `Meter`.

        Raises:
            CapabilityError: The server does not tell tokens.
            LLMError: The server failed.
        """
        return await self._ids(messages)

    async def text(self, text: str) -> Tokens:
        """See `Meter`.

        Raises:
            CapabilityError: The server does not tell tokens.
            LLMError: The server failed.
        """
        return await self._ids(text) if text else []

    async def _ids(self, prompt: tuple[Message, ...] | str) -> Tokens:
        found = await self._client.token_ids(prompt)
        if found is None:
            raise CapabilityError(
                "the server does not tell tokens (vLLM's /tokenize)",
                hint="leave out --base-url for an estimate",
            )
        return found


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for found in _PIECE.finditer(text):
        piece = found[0]
        pieces += [piece] if piece.isascii() else list(piece.strip()) or [piece]
    return pieces
