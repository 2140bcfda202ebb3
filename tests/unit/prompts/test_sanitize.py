from __future__ import annotations

import re
import time
import unicodedata
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zsrec.core.untrusted_text import inline
from zsrec.prompts.sanitize import sanitize

TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end|>", "<|user|>",
    "<|channel|>", "<|START_OF_TURN_TOKEN|>", "<｜User｜>", "<｜end▁of▁sentence｜>", "＜|im_end|＞", "<s>", "</s>",
    "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<tool_call>",
    "<unused12>", "<reserved_106>", "<0x0A>", "<sop>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[gMASK]",
    "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "[MASK]", "[|Human|]", "[|AI|]", "USER:", "ASSISTANT:",
]  # fmt: skip

PIECES = [*TOKENS, "<", "|", ">", "[", "]", "/", "\u200d", "\u200c", "\ufe0f", "  ", "\n", "👩", "क"]
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=12).map("".join)


@given(hostile, st.integers(1, 80))
@example("<\u200b|im_end|>", 80)
@example("[[INST]]", 80)
@example("<<<s>>>", 80)
@example("👩\u200d🚀", 2)
def test_one_harmless_line_whatever_comes_in(text: str, limit: int) -> None:
    line = inline(text, limit)
    assert len(line) <= limit
    assert line == line.strip()
    assert len(line.splitlines()) <= 1
    assert not re.search(r"\s\s|[^\S ]", line)
    assert not [char for char in line if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [char for char in line if unicodedata.category(char) == "Cf" and char not in "\u200c\u200d"]
    assert not [token for token in TOKENS if token in line]
    assert inline(line, limit) == line
    line.encode()


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_is_broken_and_still_readable(token: str) -> None:
    line = inline(f"a{token}b")
    assert token not in line
    assert line.replace(" ", "") == f"a{token}b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|im_end|>", "< |im_end| >"),
        ("</s>", "< /s >"),
        ("[INST] x [/INST]", "[ INST ] x [ /INST ]"),
        ("<<SYS>>", "< < SYS >>"),
        ("one\ntwo\r\nthree\u2028four\x85five\tsix", "one two three four five six"),
        ("\u202eevil\u202c\u2066x\u2069", "evilx"),
        ("ze\u200bro\u2060 \ufeffwidth\u00ad", "zero width"),
        ("smuggled\U000e0041\U000e0042", "smuggled"),
        ("☺\ufe0f\ufe0f\ufe0e\U000e0101", "☺\ufe0f"),
        ("lone \ud800", "lone \ufffd"),
        ("a\u200db", "ab"),
        ("", ""),
    ],
)
def test_what_is_changed(text: str, expected: str) -> None:
    assert inline(text) == expected


@pytest.mark.parametrize(
    "title",
    [
        "WALL·E (2008)", "Léon", "<3", "a < b > c", "Se7en", "[REC]² (2009)", "Face/Off", "M*A*S*H",
        "{{ x }} {% y %}",
        "الناصر صلاح الدين", "ואלס עם באשיר", "千と千尋の神隠し", "七人の侍", "기생충", "नमस्ते",
        "👩‍🚀 ❤️‍🔥 🏳️‍🌈", "می‌خواهم", "क्‍ष",
        "Mission: Impossible - Fallout", "The User: a story", '"Great Performances" Cats', "¡Three Amigos!",
    ],
)  # fmt: skip
def test_ordinary_titles_pass_unchanged(title: str) -> None:
    assert inline(title) == title


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert inline("abcdef", 4) == "abc…"
    assert inline("abc def", 5) == "abc…"
    assert len(inline("x" * 1000)) == 300
    with pytest.raises(ValueError, match="at least 1"):
        inline("x", 0)


def test_megabytes_cost_nothing() -> None:
    started = time.process_time()
    for evil in ("<" * 5_000_000, "[" * 5_000_000, "\u200b" * 5_000_000, "<a" * 2_500_000, "USER" * 1_000_000):
        inline(evil)
    assert time.process_time() - started < 1.0


def test_sanitize_goes_to_every_depth_and_leaves_nothing_mutable() -> None:
    clean = sanitize({"a\n": ["<s>", {"b": {"</s>"}}], "n": 3, "f": 0.5, "t": True, "none": None})
    assert clean == {"a": ("< s >", {"b": ("< /s >",)}), "n": 3, "f": 0.5, "t": True, "none": None}
    with pytest.raises(TypeError):
        clean["a"] = 1  # type: ignore[index]


def test_sanitize_makes_plain_numbers_and_texts_of_strange_types() -> None:
    assert type(sanitize(np.int64(3))) is int
    assert type(sanitize(np.float32(0.5))) is float
    assert sanitize(Fraction(1, 2)) == 0.5
    assert sanitize(Decimal("1.50")) == "1.50"
    assert sanitize(b"<s>\n") == "b'< s >\\n'"


def test_sanitize_ends_on_data_that_holds_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in str(sanitize(loop))
