"""Requests as files, and recorded replies in a server's place."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import BadReplyError, CapabilityError, DataError, MissingReplyError
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Message, Sampling
from zsrec.llm.journal import Journal, JournalledLLM
from zsrec.llm.offline import OfflineLLM, RecordedReplies, RequestFolder, batch_key
from zsrec.llm.protocol import ChatRequest

TINY = Settings.load(model="m")


def request(text: str = "hello", **more: object) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),), **more)  # type: ignore[arg-type]


def written(path: Path, *plain: object) -> Path:
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in plain) + "\n", "utf-8")
    return path


def batch_line(of: ChatRequest, text: str | None = "Heat", **body: object) -> dict[str, object]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | body
    reply = {"id": "r", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    return {"id": "b", "custom_id": batch_key(of), "response": {"status_code": 200, "body": reply}, "error": None}


def chat(llm: OfflineLLM, of: ChatRequest) -> Exchange:
    return asyncio.run(llm.chat(of))


def test_a_text_is_found_by_the_asker(tmp_path: Path) -> None:
    replies = RecordedReplies.read(
        "gpt", [written(tmp_path / "a.jsonl", {"id": "u", "text": "Heat"}, "", {"id": 7, "text": ""})]
    )
    found = chat(OfflineLLM("u", replies), request())
    assert (found.answer, found.model, found.finish_reason) == ("Heat", "gpt", None)
    assert chat(OfflineLLM("7", replies), request()).answer == ""
    assert chat(OfflineLLM("u", replies), request()) == found  # the same question again
    with pytest.raises(MissingReplyError, match="asks several times"):
        chat(OfflineLLM("u", replies), request("and then?"))
    with pytest.raises(MissingReplyError, match="no reply for 'v'"):
        chat(OfflineLLM("v", replies), request())
    assert replies.counts().model_dump() == {
        "answered": 1, "missing": ("u", "v"), "failed": (), "duplicate": (), "foreign": (),
    }  # fmt: skip


def test_a_batch_reply_is_found_by_the_request_whoever_asks(tmp_path: Path) -> None:
    replies = RecordedReplies.read("m", [written(tmp_path / "a.jsonl", batch_line(request()))])
    for asker in "uv":
        found = chat(OfflineLLM(asker, replies), request())
        assert (found.answer, found.usage.prompt_tokens, found.finish_reason) == ("Heat", 3, "stop")
    with pytest.raises(MissingReplyError):
        chat(OfflineLLM("u", replies), request(sampling=Sampling(temperature=1)))


def test_a_live_runs_journal_is_replies(tmp_path: Path) -> None:
    live = FakeLLM(Exchange(messages=(), answer="Heat", finish_reason="length", model="live"))
    with Journal(tmp_path / "exchanges.jsonl") as journal:
        asyncio.run(JournalledLLM(live, journal).chat(request()))
        with pytest.raises(BadReplyError):
            asyncio.run(JournalledLLM(FakeLLM(BadReplyError("no text came")), journal).chat(request("again")))
    replies = RecordedReplies.read("m", [tmp_path / "exchanges.jsonl"])
    found = chat(OfflineLLM("whoever", replies), request())
    assert (found.answer, found.finish_reason, found.model) == ("Heat", "length", "live")
    with pytest.raises(BadReplyError, match="no text came"):
        chat(OfflineLLM("whoever", replies), request("again"))
    assert replies.counts().notes == ("1 failed replies, the first for 'whoever'",)


def test_a_recorded_text_may_say_that_it_was_cut(tmp_path: Path) -> None:
    cut = {"id": "u", "text": "1. Heat\n2. Ron", "finish_reason": "length"}
    replies = RecordedReplies.read("gpt", [written(tmp_path / "a.jsonl", cut)])
    assert chat(OfflineLLM("u", replies), request()).finish_reason == "length"


def test_what_failed_is_counted_and_a_later_success_replaces_it(tmp_path: Path) -> None:
    failed = {"custom_id": batch_key(request()), "response": {"status_code": 500, "body": {}}, "error": None}
    cases = [
        failed, failed | {"response": None, "error": {"message": "boom"}}, batch_line(request(), None),
        failed | {"response": {"status_code": 200, "body": {"choices": 7}}},
    ]  # fmt: skip
    for n, case in enumerate(cases):
        replies = RecordedReplies.read("m", [written(tmp_path / f"{n}.jsonl", case)])
        with pytest.raises(BadReplyError):
            chat(OfflineLLM("u", replies), request())
        assert replies.counts().failed == ("u",)
    both = [tmp_path / "0.jsonl", written(tmp_path / "b.jsonl", batch_line(request()))]
    replies = RecordedReplies.read("m", both)
    assert chat(OfflineLLM("u", replies), request()).answer == "Heat"
    assert replies.counts().duplicate == ()


def test_duplicates_and_foreign_replies_are_listed(tmp_path: Path) -> None:
    rows = [{"id": "u", "text": "first"}, {"id": "u", "text": "second"}, {"id": "x", "text": "for nobody"}]
    replies = RecordedReplies.read("m", [written(tmp_path / "a.jsonl", *rows)])
    assert chat(OfflineLLM("u", replies), request()).answer == "first"
    counts = replies.counts()
    assert (counts.duplicate, counts.foreign) == (("u",), ("x",))
    assert counts.notes == ("1 duplicate replies, the first for 'u'", "1 foreign replies, the first for 'x'")


@pytest.mark.parametrize(
    "bad",
    [
        "{", "[]", "7", '{"id": "u"}', '{"id": null, "text": "x"}', '{"id": "u", "text": 7}', '{"custom_id": ""}',
        '{"request": 7, "reply": {}}', '{"id": "u", "text": "x", "finish_reason": 7}',
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    path = written(tmp_path / "a.jsonl", {"id": "u", "text": "x"}, bad)
    with pytest.raises(DataError, match=r"a\.jsonl:2: is neither"):
        RecordedReplies.read("m", [path])
    with pytest.raises(DataError, match="cannot be read"):
        RecordedReplies.read("m", [tmp_path / "none.jsonl"])


def test_labels_are_read_from_the_most_likely_tokens(tmp_path: Path) -> None:
    llm = OfflineLLM("u", requests=RequestFolder(tmp_path / "r", TINY))
    labels = asyncio.run(llm.labels(2))
    asked = request(labels=labels)
    with pytest.raises(MissingReplyError):
        chat(llm, asked)
    top = [{"token": "B", "logprob": -0.5}, {"token": "A", "logprob": -1.0}]
    logprobs = {"content": [{"token": "B", "logprob": -0.5, "top_logprobs": top}]}
    replies = RecordedReplies.read("m", [written(tmp_path / "a.jsonl", batch_line(asked, "B", logprobs=logprobs))])
    assert chat(OfflineLLM("u", replies), asked).label_logprobs == {"A": -1.0, "B": -0.5}
    texts = RecordedReplies.read("m", [written(tmp_path / "b.jsonl", {"id": "u", "text": "B"})])
    with pytest.raises(BadReplyError, match="no log-probabilities"):
        chat(OfflineLLM("u", texts), asked)
    with pytest.raises(CapabilityError, match="20 labels"):
        asyncio.run(llm.labels(21))


def test_requests_are_sharded_and_each_is_asked_once(tmp_path: Path) -> None:
    folder = RequestFolder(tmp_path / "r", TINY, shard_requests=2)
    for n in (0, 1, 2, 3, 4, 4, 0):
        folder.add(request(f"question {n}"))
    files = folder.write()
    assert [file.name for file in files] == [f"requests-000{n}.jsonl" for n in (1, 2, 3)]
    sent = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    assert len(sent) == len(folder) == 5
    assert sent[0]["custom_id"] == batch_key(request("question 0"))
    assert sent[0]["body"]["messages"] == [{"role": "user", "content": "question 0"}]
    again = RequestFolder(tmp_path / "r", TINY)
    for n in (4, 3, 2, 1, 0):
        again.add(request(f"question {n}"))
    assert again.write() == files  # the round is still unanswered
    assert sorted(one.name for one in (tmp_path / "r").iterdir()) == ["round-1"]
    (tmp_path / "r" / ".round.part").mkdir()
    (tmp_path / "r" / ".round.part" / "requests-0001.jsonl").write_text("torn")  # by a process that was killed
    more = RequestFolder(tmp_path / "r", TINY)
    more.add(request("question 9"))
    assert [file.parent.name for file in more.write()] == ["round-2"]
    small = RequestFolder(tmp_path / "s", TINY, shard_bytes=10)
    small.add(request("a"))
    small.add(request("b"))
    assert len(small.write()) == 2
    assert RequestFolder(tmp_path / "t", TINY).write() == ()


def test_what_is_unknown_offline_is_said_so() -> None:
    llm = OfflineLLM("u")
    info = asyncio.run(llm.handshake())
    assert (info.model, info.context_length, info.counts_tokens) == ("offline", None, False)
    assert asyncio.run(llm.count_tokens(())) is None
    with pytest.raises(MissingReplyError):
        chat(llm, request())
