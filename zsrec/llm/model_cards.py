"""The cards in a server's list of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from zsrec.core.types import Frozen

_MOST_MODELS = 2000
_LONGEST = 1_000_000_000
# Who says it: vLLM and SGLang; LiteLLM and Anthropic; OpenRouter and Together; Groq; Mistral.
_CONTEXT = ("max_model_len", "max_input_tokens", "context_length", "context_window", "max_context_length")


class ModelCard(Frozen, extra="ignore"):
    """One model as a server lists it; what is missing or has another type is None."""

    owned_by: str | None = None
    parent: str | None = None
    tokens: int | None = None
    llama_cpp: bool = False

    def context(self, cards: Mapping[str, ModelCard]) -> int | None:
        """Tokens that prompt and answer may have together; of a LoRA its parent's."""
        parent = cards.get(self.parent or "")
        return self.tokens if self.tokens is not None or parent is None else parent.tokens


def read_cards(body: object) -> Mapping[str, ModelCard]:
    """The cards by the model's name.

    Raises:
        ValueError: The body is no list of models.
    """
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no list of models")  # noqa: TRY004  (a reply's fault, not a caller's)
    named = [
        entry for entry in entries[:_MOST_MODELS] if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]
    return {_name(entry["id"]): _card(entry) for entry in named}


def find_card(cards: Mapping[str, ModelCard], model: str) -> ModelCard | None:
    """The card of a model by its name; servers take it without Gemini's "models/" and Ollama's ":latest", too."""
    named = (card for name, card in cards.items() if name in (model, f"models/{model}", f"{model}:latest"))
    return next(named, None)


def _name(name: str) -> str:
    return name[:500]


def _card(entry: Mapping[str, Any]) -> ModelCard:
    meta = entry.get("meta")
    found = [entry.get(name) for name in _CONTEXT]
    if isinstance(meta, dict):
        found.append(meta.get("n_ctx"))
    lengths = [one for one in found if isinstance(one, int) and not isinstance(one, bool) and 0 < one <= _LONGEST]
    owner = entry.get("owned_by")
    try:
        return ModelCard(
            owned_by=owner if isinstance(owner, str) else None,
            parent=entry.get("parent"),
            tokens=lengths[0] if lengths else None,
            llama_cpp=owner == "llamacpp" or (owner == "me" and "permissions" in entry),  # llama-cpp-python
        )
    except ValidationError:
        return ModelCard()
