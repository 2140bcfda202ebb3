"""The control tokens of the model that is served, from its own tokenizer where the server can be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from zsrec.core.untrusted_text import break_tokens

Ask = Callable[[str, Mapping[str, Any] | None], Awaitable[object]]
"""Gets a path of the server, or posts to it; None where that fails."""

_CHAT = [{"role": role, "content": "a"} for role in ("system", "user", "assistant", "user")]
_MOST, _LONGEST = 5000, 100


async def control_tokens(ask: Ask, model: str, *, llama_cpp: bool) -> tuple[str, ...]:
    """Return the texts of control tokens; none where the server does not tell.

    vLLM lists all of them under /tokenizer_info (with its `--enable-tokenizer-info-endpoint`, which
    `zsrec model up` gives). Without that, the tokens of a chat are read, and those count that begin and end with a
    symbol: they part the turns. llama.cpp tokenizes a chat with and without control tokens, and the difference is
    exactly those.
    """
    if llama_cpp:
        found = await _of_llama_cpp(ask)
    else:
        found = _listed(await ask("/tokenizer_info", None)) or await _of_chat(ask, model)
    usable = (one for one in found if isinstance(one, str) and 2 < len(one) <= _LONGEST and one.isprintable())
    return tuple(dict.fromkeys(one for one in usable if _is_name(one) and not any(map(str.isspace, one))))[:_MOST]


def unshaped(tokens: Iterable[str]) -> tuple[str, ...]:
    """Return the tokens that the sanitiser does not know by their shape."""
    return tuple(one for one in tokens if break_tokens(one, frozenset()) == one)


def _is_name(token: str) -> bool:
    """Whether a token has letters and symbols: "..." and "user" are in ordinary texts."""
    return any(map(str.isalnum, token)) and not token.replace("_", "a").isalnum()


def _listed(info: object) -> list[object]:
    """The added tokens of a tokenizer's configuration."""
    if not isinstance(info, dict):
        return []
    added = info.get("added_tokens_decoder")
    single = [info.get(f"{name}_token") for name in ("bos", "eos", "pad", "unk", "sep", "cls", "mask")]
    further = [info.get(f"{name}_special_tokens") for name in ("additional", "extra")]
    lists = [one for one in further if isinstance(one, list)]
    return [*(added.values() if isinstance(added, dict) else ()), *single, *(one for few in lists for one in few)]


async def _of_chat(ask: Ask, model: str) -> list[object]:
    for chat in (_CHAT, _CHAT[1:]):  # some templates refuse the role "system"
        answer = await ask("/tokenize", {"model": model, "messages": chat, "return_token_strs": True})
        tokens = answer.get("token_strs") if isinstance(answer, dict) else None
        if isinstance(tokens, list):
            return [one for one in tokens if isinstance(one, str) and _has_symbols_around(one)]
    return []


def _has_symbols_around(token: str) -> bool:
    return bool(token) and not token[0].isalnum() and not token[-1].isalnum() and token[0] != "▁"


async def _of_llama_cpp(ask: Ask) -> list[object]:
    for chat in (_CHAT, _CHAT[1:]):
        answer = await ask("/apply-template", {"messages": chat})
        prompt = answer.get("prompt") if isinstance(answer, dict) else None
        if isinstance(prompt, str):
            parsed, plain = [await _pieces(ask, prompt, parse_special=parse) for parse in (True, False)]
            return [one for one in parsed if one not in plain]
    return []


async def _pieces(ask: Ask, prompt: str, *, parse_special: bool) -> list[object]:
    fields = {"content": prompt, "add_special": True, "parse_special": parse_special, "with_pieces": True}
    answer = await ask("/tokenize", fields)
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    return [one.get("piece") for one in tokens if isinstance(one, dict)] if isinstance(tokens, list) else []
