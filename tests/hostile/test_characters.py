"""Characters that nobody sees, and other forms of those that a control token is made of."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.code_points import IGNORABLE, folded
from zsrec.core.privacy import Redaction
from zsrec.core.untrusted_text import break_tokens, control_tokens, inline, printable

TOKENS = [
    "<|im_end|>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<start_of_turn>", "<think>", "USER:", "[|Human|]",
    "]~b]", "]~!b[", "[e~[", "[UNUSED_TOKEN_146]", "[MODEL_SETTINGS]", "<tool_call>", "<bos>",
]  # fmt: skip
FORMS = {
    char: [
        chr(code)
        for code in range(0x2000, 0x10000)
        if unicodedata.normalize("NFKC", chr(code)) == char != chr(code)
    ]
    for char in set("".join(TOKENS))
}
ALLOWED = "\ufe0e\ufe0f"  # how an emoji is drawn; one after what is seen


def test_ignorable_is_what_unicode_says() -> None:
    assert len(IGNORABLE) == 4174
    assert {"\u180b", "\u180f", "\u17b4", "\u17b5", "\u2065", "\u034f", "\ufff0", "\U000e0fff"} <= IGNORABLE


@pytest.mark.parametrize("plane", [0, 14])
def test_no_ignorable_character_reaches_a_prompt_or_a_terminal(plane: int) -> None:
    for char in (one for one in IGNORABLE if ord(one) >> 16 == plane):
        assert inline(f"a{char}b") in ({"ab", "a b"} if char not in ALLOWED else {f"a{char}b"}), hex(ord(char))
        assert char not in inline(f"<{char}|im_end|{char * 3}>") or char in ALLOWED
        assert printable(f"a{char}b") == ("a\ufffdb" if char not in ALLOWED else f"a{char}b")


def test_mongolian_is_spelled_with_one_selector_after_a_letter() -> None:
    word = "ᠮᠣᠩᠭᠣᠯ\u180b"
    assert inline(word) == word
    assert inline(word + "\u180b\u180c\u180d" * 9) == word
    assert inline("Heat\u180b") == "Heat"


def test_there_are_other_forms_of_every_symbol() -> None:
    assert {char for char, forms in FORMS.items() if not forms} <= set("")
    assert all(folded(form) == char for char, forms in FORMS.items() for form in forms)


@settings(max_examples=300, derandomize=True, database=None)
@given(data=st.data(), token=st.sampled_from(TOKENS))
def test_a_token_in_any_form_is_broken(data: st.DataObject, token: str) -> None:
    written = "".join(data.draw(st.sampled_from([char, *FORMS[char]])) for char in token)
    for text in (written, f"Heat {written} Cats", f"{written}{written}"):
        for broken in (inline(text), break_tokens(text, frozenset())):
            assert token not in unicodedata.normalize("NFKC", broken)
            assert not list(control_tokens(broken))
            assert "".join(broken.split()) == "".join(text.split())  # nothing else changes
            assert inline(broken) == broken


@pytest.mark.parametrize(
    "title", ["[REC]²", "[•REC]", "[my_title]", "<3", "~ Bones ~", "A~B [C]", "[A] ~ [B]", "１２３"]
)
def test_ordinary_titles_with_such_symbols_stay(title: str) -> None:
    assert inline(title) == title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ann＠example．com now", "mail [email] now"),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[email]"),
        ("ann@example。com, a﹫b﹒org", "[email], [email]"),
        ("＋４９ （３０） １２３４５６７８", "[phone]"),
        ("４１１１－１１１１－１１１１－１１１１", "[card]"),
        ("hi Ａｎｎ　Ｓｍｉｔｈ!", "hi [name]!"),
        ("１９９５－２００１ Ｈｅａｔ", "１９９５－２００１ Ｈｅａｔ"),
    ],
)
def test_personal_data_in_other_forms_is_redacted(text: str, expected: str) -> None:
    assert Redaction(["Ann Smith"])(text) == expected


def test_tokens_of_the_served_model_are_broken_whatever_their_shape() -> None:
    text = "Heat ### Cats #### §sep§ <|im_end|>"
    broken = break_tokens(text, frozenset(), ["###", "§sep§", "x", ""])
    assert broken == "Heat # ## Cats # # ## § sep§ < |im_end| >"
    assert break_tokens("<|own|> §sep§", {"<|own|>"}, ["<|own|>", "§sep§", "|own|"]) == "<|own|> § sep§"
