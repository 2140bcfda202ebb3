from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.unit.bench_world import CANARY, FILMS, task
from tests.unit.fakes import FakeLLM
from zsrec.core.errors import BadReplyError, LLMConnectionError
from zsrec.core.types import Exchange
from zsrec.evaluation.memorization import EXAMPLES, PREFIX, Question, probe, probe_report
from zsrec.llm.protocol import ChatRequest


class Reciter(FakeLLM):
    """Knows the file by heart, and every user's next title where it is told to."""

    def __init__(self, form: str) -> None:
        super().__init__("")
        self.form = form

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        asked = request.messages[-1].content
        number = asked.removesuffix("::")
        title = FILMS[int(number)] if asked.endswith("::") else "Something Else (1901)"
        answer = self.form.format(id=number, title=title, name=title[:-7])
        return Exchange(messages=request.messages, answer=answer, finish_reason="stop", model="m")


def asked(llm: FakeLLM, questions: int = 6) -> tuple[Question, ...]:
    given = task()
    numbers = np.arange(12)
    return asyncio.run(probe(llm, given.catalog, given.problems[0], numbers, questions=questions, concurrency=3))


@pytest.mark.parametrize(
    ("form", "right"),
    [
        ("{title}", True), ("{id}::{title}", True), ("\n  {title}\nmore", True), ("{name}", True),
        ("*{title}*", True), ("The title is {title}", False), ("{name} (1900)", False), ("", False),
        ("9999::{title}", False),
    ],
)  # fmt: skip
def test_titles_are_recognised(form: str, right: bool) -> None:
    found = asked(Reciter(form))
    assert [one.right for one in found if one.kind == "title"] == [right] * 6
    assert [one.right for one in found if one.kind == "next"] == [False] * 6


def test_the_next_title_is_the_last_one_that_is_known() -> None:
    given = task()
    split, llm = given.problems[0], Reciter("{title}")
    found = [one for one in asked(llm) if one.kind == "next"]
    items = split.training.items
    for number, one in enumerate(found):
        history = [given.catalog[items[code]].title for code in split.history(number).tolist()]
        assert one.expected == history[-1]
        target = given.catalog[items[int(split.targets[number])]].title
        assert one.expected != target
        assert llm.requests[6 + number].messages[-1].content.splitlines() == history[-PREFIX - 1 : -1]


def test_examples_are_not_asked_for_and_targets_take_no_part() -> None:
    llm = Reciter("{title}")
    found = asked(llm, questions=99)
    titles = [one for one in found if one.kind == "title"]
    assert len(titles) == len(FILMS) - EXAMPLES
    shown = llm.requests[0].messages[0].content
    assert not [one for one in titles if one.expected in shown]
    assert CANARY not in {one.expected for one in found}  # in the catalog, with no event


def test_a_report_has_shares_and_shows_right_answers_first() -> None:
    questions = [
        Question(kind="title", asked=str(n), expected="x", answer="y", right=n % 4 == 3) for n in range(8)
    ]
    found = probe_report("m", questions, seed=0)
    assert found.right["title"].mean == 0.25
    assert found.questions == {"title": 8}
    assert [one.right for one in found.examples] == [True, True, False]


def test_an_answer_without_text_is_wrong_and_a_dead_server_stops() -> None:
    assert not any(one.right for one in asked(FakeLLM(BadReplyError("no text"))))
    with pytest.raises(LLMConnectionError):
        asked(FakeLLM(LLMConnectionError("gone")))
