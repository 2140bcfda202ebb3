"""Whatever the text: no failure, exact spans, linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zsrec.answers.parser import MOST_MENTIONS, PARSERS, parse

BITS = st.sampled_from(
    [
        "Heat", "Ronin (1998)", "The Good, the Bad and the Ugly", "a film", " ", "\n", "\n\n", "1. ", "2) ",
        "- ", "* ", "**", "*", "_", '"', "'", "“", "”", "《", "》", "「", "」", "、", "：", "[", "]", "{",
        "}", "(", ")", ":", ": ", ",", ", ", " and ", " or ", " - ", " – ", " -> ", "|", "|---|---|\n", "\\",
        "\\u00e9", "\\ud83d", "<think>", "</think>", "<li>", "</li>", "<|im_start|>", "[|Human|]", "User:",
        "###", "```json\n", "I recommend ", "Since you liked ", "Title: ", '"title": ', '"year": 1995',
        "(1995)", "🎬 ", "1\ufe0f\u20e3 ", "\u2028", "\r\n", "\x00", "İ", "ß", "&amp;",
    ]
)  # fmt: skip
ANSWERS = st.one_of(st.text(max_size=300), st.lists(BITS, max_size=60).map("".join))


@given(answer=ANSWERS, style=st.sampled_from(sorted(PARSERS)), side=st.sampled_from([None, "left", "right"]))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_gives_exact_spans(answer: str, style: str, side: str | None) -> None:
    mentions = parse(answer, style, side, echo=["Heat", answer[:50] + "\n" + answer[50:]])  # type: ignore[arg-type]
    for mention in mentions:
        assert mention.text == answer[mention.start : mention.end]
        assert mention.text.strip() == mention.text != ""
        for start, end in mention.readings:
            assert 0 <= start < end <= len(answer)
            assert (start, end) != (mention.start, mention.end)
    texts = [(mention.text, mention.query) for mention in mentions]
    assert len(set(texts)) == len(texts)


TITLES = st.lists(
    st.sampled_from(["Heat", "Ronin", "Up", "Thief", "Alien", "12 Monkeys", "M"]), min_size=1, unique=True
)


@given(names=TITLES, mark=st.sampled_from(["{}. ", "{}) ", "- ", "* ", "**{}.** ", "#{} "]))
def test_a_list_gives_its_titles_in_order(names: list[str], mark: str) -> None:
    answer = "\n".join(mark.format(place) + name for place, name in enumerate(names, start=1))
    assert [mention.text for mention in parse(answer)] == names


SIZE = 100_000
PATTERNS = [
    "a", "A ", "1. ", "1. Heat\n", "- Heat - a\n", "[", "{", '["', "['", '{"a":', "{'a':'", "(", "((", '"',
    "“", "《", "*", "**", "**A** ", "_", "|", "| a |\n", "-", " - ", " ", "\n", "\t", ",", ", ", "A, ",
    "A, and ", " or A", "by A ", ": ", ": A, ", "<think>", "</think>", "<", "<b>", "[a](b)", "[|Human|]",
    "[|", "\nUser: a", "###\n", "1.2.", "\\", "\\u00e9", "、", "。", "recommend ", "you liked ",
    "I recommend A. ", "(1999)", "A (1999) ", "\nTitle: a", "'", "A' ", "👍", "1\ufe0f\u20e3", "\u200b",
    "<|channel|>a<|message|>", "1. A, B - C: D\n", "A is a ", "&amp;", "Sure, ", "(A ", "[A](",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_hundred_kilobytes_of_anything_stay_fast(pattern: str) -> None:
    answer = (pattern * (SIZE // len(pattern) + 1))[:SIZE]
    began = time.process_time()
    mentions = parse(answer)
    assert time.process_time() - began < 1.5  # a quiet machine needs less than a third of it
    assert len(mentions) <= MOST_MENTIONS


BEGINS = ["## ", "User", "1. ", "| --", "**", "Title:", '["', "I recommend A", "```", "- A -"]


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("filler", [" ", "\t", "-", "*", "#", "A"])
def test_a_long_run_behind_a_mark_stays_fast(begin: str, filler: str) -> None:
    began = time.process_time()
    parse(f"{begin}{filler * SIZE}x")
    parse(f"1. Heat\n{begin}{filler * SIZE}x\n2. Ronin")
    assert time.process_time() - began < 1.5


def test_a_long_list_is_read_up_to_the_limit() -> None:
    answer = "\n".join(f"{place}. Film {place}" for place in range(1, 2000))
    mentions = parse(answer)
    assert len(mentions) == MOST_MENTIONS
    assert mentions[-1].text == f"Film {MOST_MENTIONS}"


def test_an_answer_far_behind_blanks_is_found() -> None:
    assert [mention.text for mention in parse("\n" * 50_000 + "1. Heat")] == ["Heat"]
    assert [mention.text for mention in parse("<think>" + "so " * 20_000 + "</think>1. Heat")] == ["Heat"]
