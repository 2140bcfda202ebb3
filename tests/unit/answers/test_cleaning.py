"""What is not part of an answer: thoughts, invented turns, echoes."""

from __future__ import annotations

import pytest

from zsrec.answers.parser import parse


def titles(answer: str, **how: object) -> list[str]:
    return [mention.text for mention in parse(answer, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        "<think>\nThey liked Alien. Maybe:\n1. Alien\n2. Aliens\n</think>\n1. Heat\n2. Ronin",
        "They liked Alien. Maybe 1. Aliens\n</think>\n\n1. Heat\n2. Ronin",
        "<thinking>Alien</thinking><reasoning>Aliens</reasoning>1. Heat\n2. Ronin",
        "<think>a <think>Alien</think>\n1. Heat\n2. Ronin",
        "◁think▷1. Alien◁/think▷1. Heat\n2. Ronin",
        "<|channel|>analysis<|message|>A?<|end|><|start|>assistant<|channel|>final<|message|>1. Heat\n2. Ronin",
    ],
)
def test_thoughts_are_no_answer(answer: str) -> None:
    assert titles(answer) == ["Heat", "Ronin"]


def test_an_unclosed_thought_has_no_answer() -> None:
    assert titles("<think>\nOkay, maybe\n1. Alien\n2. Aliens") == []
    assert titles("1. Heat\n<think>\n1. Alien") == ["Heat"]


@pytest.mark.parametrize(
    "mark",
    [
        "[|Human|] Thank you!\n[\n[|Human|] Sure! Here are more:",
        "[|AI|] Hi there!",
        "[|AI|\nHi there!",
        "[|AI|[|Human|] Hi",
        "User: more please\nSystem: Sure!",
        "Human: more\nAssistant: Sure!",
        "**User:** more",
        "### Human: more",
        "### Instruction:\nmore\n### Response:",
        "###",
        "<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant",
        "<|endoftext|>",
        "</s>",
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\nmore",
        "<end_of_turn>\n<start_of_turn>user",
        "[INST] more [/INST]",
        "用户：再来一些\n助手：",
    ],
)
def test_invented_turns_are_cut(mark: str) -> None:
    assert titles(f"1. Heat\n2. Ronin\n{mark}\n1. Alien\n2. Aliens") == ["Heat", "Ronin"]


def test_small_talk_before_the_answer_is_passed_over() -> None:
    answer = "Sure thing! What genre?\nUser: I liked Alien.\nSystem: Great! Here are two:\n1. Heat\n2. Ronin"
    assert titles(answer) == ["Heat", "Ronin"]
    assert titles("### Response:\n1. Heat\n2. Ronin\n### Instruction:\n1. Alien") == ["Heat", "Ronin"]


def test_the_users_own_turn_counts_only_without_another() -> None:
    assert titles("User: I like Alien (1979).\n1. Aliens\nSystem: 1. Heat") == ["Heat"]
    assert titles("Human: 1. Heat") == ["Heat"]


PROMPT = "Recommend one movie from the list.\nThe user watched:\n1. Alien\n2. Aliens\nAnswer with a numbered list."


def test_an_echo_of_the_prompt_is_passed_over() -> None:
    assert titles(f"{PROMPT}\n1. Heat\n2. Ronin", echo=[PROMPT]) == ["Heat", "Ronin"]
    assert titles("The user watched:\n1. Alien\n2. Aliens\nSo:\n1. Heat", echo=[PROMPT]) == ["Heat"]


def test_a_list_alone_is_no_echo() -> None:
    assert titles("1. Alien\n2. Aliens", echo=[PROMPT]) == ["Alien", "Aliens"]


def test_an_answer_that_is_nothing_but_echo_is_read_all_the_same() -> None:
    assert titles("The user watched:\n1. Alien\n2. Aliens", echo=[PROMPT]) == ["Alien", "Aliens"]
