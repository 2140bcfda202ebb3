"""Made-up bodies, replies, journals and error messages: a typed error or a result, and nothing else.

Seeded by the examples themselves (`derandomize`), so that a run in CI is the same every day.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import read_answer
from zsrec.core.errors import BadReplyError, DataError, TemplateError
from zsrec.core.types import Message
from zsrec.data.catalog import Catalog
from zsrec.llm.capabilities import read_labels
from zsrec.llm.failures import message_of, quoted
from zsrec.llm.journal import Journal
from zsrec.llm.model_cards import read_cards
from zsrec.llm.protocol import Label
from zsrec.llm.responses import Reply, read_counters
from zsrec.prompts import load_template
from zsrec.prompts.linter import check
from zsrec.serving.batch_rows import Answer

FILMS = Catalog.from_items([{"id": "1", "title": "Heat (1995)"}, {"id": "2", "title": "Ronin (1998)"}])
GROUNDER = Grounder(FILMS)
PIECES = [
    "Heat", "Ronin (1998)", "1. ", "- ", "**", "\n", "\n\n", "<think>", "</think>", "{", "}", "[", "]", '"', ":",
    ",", '{"title": "', "```json\n", "|", "|---|\n", "(", ")", "1995", " and ", "《", "》", "\u202e", "\x00", "A",
]  # fmt: skip
bounded = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose keys are often the right ones and whose values seldom are."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=8), values, max_size=6)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client(make(tmp_path_factory.mktemp("fuzz"), FakeLLM(ANSWER))) as one:
        yield one


@bounded
@given(
    st.sampled_from(["/v1/recommend", "/v1/ground", "/v1/feedback"]),
    objects(
        "history", "k", "about", "candidates", "template", "fill", "names", "user", "deadline", "text", "feedback"
    ),
)
def test_a_body(http: TestClient, path: str, body: dict[str, Any]) -> None:
    reply = http.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert reply.status_code in {200, 400, 422}, (path, body)
    assert reply.json()


@bounded
@given(st.sampled_from(["/v1/recommend", "/v1/ground", "/v1/feedback"]), st.binary(max_size=200))
def test_bytes_as_a_body(http: TestClient, path: str, body: bytes) -> None:
    reply = http.post(path, content=body, headers={"content-type": "application/json"})
    assert reply.status_code in {400, 422}


@bounded
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": values,
            "model": values,
            "choices": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "message": objects("content", "reasoning", "reasoning_content"),
                        "finish_reason": values,
                        "logprobs": st.fixed_dictionaries(
                            {"content": st.lists(objects("token", "logprob", "top_logprobs"), max_size=2)}
                        ),
                    },
                ),
                max_size=2,
            ),
            "usage": objects("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
            "error": values,
        },
    )
)
def test_a_reply(body: dict[str, Any]) -> None:
    try:
        reply = Reply.model_validate_json(json.dumps(body))
    except ValueError:
        return
    usage = reply.tokens()
    assert all(count is None or 0 <= count <= 10**8 for count in usage.model_dump().values())
    assert reply.answer is None or isinstance(reply.answer, str)
    try:
        found = read_labels(reply, [Label(text="A"), Label(text="B", token=7)], "http://x/v1")
    except BadReplyError:
        return
    assert all(value <= 0.0 for value in found.values())


@bounded
@given(values | st.binary(max_size=50).map(lambda raw: raw.decode("latin-1")), st.text(max_size=60))
def test_an_error(body: object, prompt: str) -> None:
    said = quoted(message_of(body), (Message(role="user", content=prompt),))
    assert len(said) <= 200
    assert said.isprintable()
    if len(prompt) >= 20 and " ".join(prompt.split()) == prompt and prompt.isprintable():
        assert prompt[:20].lower() not in said.lower()


@bounded
@given(
    values | st.fixed_dictionaries({"data": st.lists(values | objects("id", "max_model_len", "meta", "parent"))})
)
def test_a_list_of_models(body: object) -> None:
    try:
        cards = read_cards(body)
    except ValueError:
        return
    assert all(card.context(cards) is None or card.context(cards) > 0 for card in cards.values())


@bounded
@given(st.text(max_size=200) | st.floats().map(lambda n: f"vllm:prefix_cache_queries_total {n}\n" * 2))
def test_a_page_of_counters(page: str) -> None:
    read_counters(page + "\nvllm:prefix_cache_hits_total 1\n")


front = objects(
    "task", "version", "answer", "description", "sampling", "variables", "extends", "ranker", "steps", "domain"
).map(lambda one: yaml.safe_dump({"task": "generate", "version": 1, **one}, allow_unicode=True))
bodies = st.lists(
    st.sampled_from(
        [
            "{% block user %}", "{% endblock %}", "{% block system %}", "{{ domain }}", "{{ history }}", "{{",
            "}}", "{%", "%}", "{#", "{% for x in history %}", "{% endfor %}", "{{ x.title }}", "{{ 1/0 }}", "{#}",
            "{% if about %}", "{% endif %}", "{% set a = [] %}", "{% include 'x' %}", "{{ ''.__class__ }}",
            "{% extends 'y' %}", "{{ 'x' * 10**9 }}", "{{ loop }}", "text", "\n", "\x00", "{{ x }",
        ]
    ),
    max_size=10,
).map("".join)  # fmt: skip


@bounded
@given(
    front | st.text(max_size=80) | st.sampled_from(["a: &a [*a]", "? ", "!!python/object:x {}", "- " * 50]), bodies
)
def test_a_template_s_file(yaml_text: str, body: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.j2"
        path.write_text(f"---\n{yaml_text}\n---\n{body}", encoding="utf-8", errors="replace")
        check(path)
        with suppress(TemplateError):
            assert load_template(path).ref.name


@bounded
@given(st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_an_answer(answer: str) -> None:
    for one in read_answer(answer, GROUNDER).grounded:
        assert answer[one.mention.start : one.mention.end] == one.mention.text
        assert one.match.item_id is None or one.match.item_id in FILMS


@bounded
@given(
    st.lists(
        st.binary(max_size=60) | objects("key", "items", "prompt_tokens").map(lambda one: json.dumps(one).encode())
    )
)
def test_the_lines_of_a_journal(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(b"\n".join(lines))
        try:
            with Journal(path, usable=Answer.usable) as journal:
                journal.append("new", user="new", items=[])
                assert "new" in journal
                assert all(Answer.from_entry(journal[key]).fits() for key in journal)
        except DataError:
            return  # names the line; see tests/unit/llm/test_journal.py
