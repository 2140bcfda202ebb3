"""Whole jobs in this process before a scripted server: configuration, failures, the fallback, the summary."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.server import ScriptedServer, completion, send
from zsrec.core.errors import (
    ConfigError,
    ContextOverflowError,
    LLMTimeoutError,
    MissingExtraError,
    UnknownItemError,
)
from zsrec.core.settings import Settings
from zsrec.data.readers import Columns
from zsrec.recommender.loader import Recipe
from zsrec.serving.batch_chunks import Files, write_chunk
from zsrec.serving.batch_input import Input, Part
from zsrec.serving.batch_job import Summary, run_batch
from zsrec.serving.batch_ray import Worker
from zsrec.serving.batch_worker import Batch, Work, code, replica_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

COLUMNS = Columns(user="user", item="item", time="timestamp", rating=None)
USERS = 12


def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Names the film after the newest one of the history; refuses film 7."""
    newest = int(re.findall(r"Film (\d+)", repr(body["messages"]))[-1])
    if newest == 7:
        send(handler, {"error": {"message": "no"}}, status=400)
    else:
        send(handler, completion(f"1. Film {newest + 1:02d}\n2. No Such Film At All"))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer) as running:
        yield running


@pytest.fixture
def job(tmp_path: Path, server: ScriptedServer) -> Callable[..., Summary]:
    """Runs a job of 12 users; user n's only film is n."""
    films = "".join(f"{n},Film {n:02d}\n" for n in range(30))
    (tmp_path / "films.csv").write_text("movieId,title\n" + films, encoding="utf-8")
    users = [str(n) for n in range(USERS)]
    pq.write_table(pa.table({"user": users, "item": users, "timestamp": [1] * USERS}), tmp_path / "in.parquet")

    def run(
        chunk: int = 5,
        source: Path | None = None,
        columns: Columns = COLUMNS,
        out: str = "out",
        on_note: Callable[[str], None] = lambda _: None,
        **recipe: Any,
    ) -> Summary:
        fields = {"settings": Settings.load(base_url=server.base_url, max_retries=0), "k": 3}
        made = Recipe(catalog=tmp_path / "films.csv", **fields | recipe)
        batch = Batch(Input(source or tmp_path / "in.parquet", columns), made, chunk=chunk)
        return run_batch(batch, tmp_path / out, on_note=on_note)

    return run


def output(folder: Path) -> list[dict[str, Any]]:
    """Read as any reader does: the whole folder."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "out").to_pylist()
    return sorted(rows, key=lambda row: (int(row["user"]), row["rank"] or 0))


def test_a_job_and_what_its_rows_say(tmp_path: Path, job: Callable[..., Summary], server: ScriptedServer) -> None:
    found = job()
    rows = output(tmp_path)
    assert [row["user"] for row in rows] == [str(n) for n in range(USERS)]
    assert rows[3] == {
        "user": "3", "rank": 1, "item": "4", "score": 1.0, "source": "llm", "mode": "zero-shot", "degraded": None,
        "error": None, "unmatched": 1, "dropped": 0, "history_given": 1, "history_unknown": 0, "requests": 1,
        "prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": None, "model": "tiny", "named": [],
        "template": rows[3]["template"], "template_sha256": rows[3]["template_sha256"],
    }  # fmt: skip
    assert rows[3]["template"].startswith("generate/default@")
    assert (rows[7]["error"], rows[7]["item"], rows[7]["rank"]) == ("llm_refused", None, None)
    assert found.users == USERS
    assert found.errors == {"llm_refused": 1}
    assert (found.requests, found.prompt_tokens) == (USERS - 1, 10 * (USERS - 1))
    assert json.loads((tmp_path / "out/_zsrec/summary.json").read_text())["users"] == USERS
    assert not (tmp_path / "out/_zsrec/work").exists()  # no history stays behind


def test_the_summary_says_why_lists_are_short_and_what_was_left_out(
    tmp_path: Path, job: Callable[..., Summary]
) -> None:
    found = job()
    assert (found.short, found.empty) == (USERS - 1, 0)  # one title each that the catalog has; one user's error
    assert (found.unmatched, found.dropped) == (USERS - 1, 0)
    assert (job(k=1, out="full").short, job(k=1, out="full").errors) == (0, {"llm_refused": 1})


def test_rows_of_the_interactions_that_are_left_out_are_said(tmp_path: Path, job: Callable[..., Summary]) -> None:
    rows = [f"{user},{user},{user}" for user in range(29)] + ["0,nowhere,1"]
    (tmp_path / "others.csv").write_text("\n".join(["userId,movieId,timestamp", *rows]), encoding="utf-8")
    said: list[str] = []
    job(interactions=tmp_path / "others.csv", on_note=said.append)
    assert any("1 rows name items that the catalog lacks (line 31: 'nowhere')" in note for note in said)


def test_a_finished_job_asks_nobody(job: Callable[..., Summary], server: ScriptedServer) -> None:
    first = job()
    server.models = []  # not even what is served
    asked = len(server.requests)
    assert job() == first
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"k": 4}, "k is 3 there and 4 here"),
        ({"chunk": 6}, "chunk is 5 there"),
        ({"template": "nir/rank", "interactions": "in.parquet"}, "template is"),
        ({"domain": "books"}, "domain is 'items' there and 'books' here"),
    ],
)
def test_another_configuration_is_refused(
    tmp_path: Path, job: Callable[..., Summary], changed: dict[str, Any], field: str
) -> None:
    job()
    if "interactions" in changed:
        changed = changed | {"interactions": tmp_path / "in.parquet", "columns": COLUMNS}
    with pytest.raises(ConfigError, match=field):
        job(**changed)


def test_other_data_are_refused(tmp_path: Path, job: Callable[..., Summary]) -> None:
    job()
    pq.write_table(pa.table({"user": ["1"], "item": ["2"], "timestamp": [1]}), tmp_path / "in.parquet")
    with pytest.raises(ConfigError, match=r"input\.in\.parquet is"):
        job()


def test_another_model_is_refused(job: Callable[..., Summary], server: ScriptedServer, tmp_path: Path) -> None:
    job()
    (tmp_path / "out/_zsrec/summary.json").unlink()  # as if it were not finished
    server.models = ["other"]
    with pytest.raises(ConfigError, match="model is 'tiny' there and 'other' here"):
        job()


def test_a_folder_of_something_else_is_refused(tmp_path: Path, job: Callable[..., Summary]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.parquet").touch()
    with pytest.raises(ConfigError, match="holds files of something else"):
        job()


def test_preparing_that_was_cut_short_begins_anew(
    tmp_path: Path, job: Callable[..., Summary], monkeypatch: pytest.MonkeyPatch, server: ScriptedServer
) -> None:
    from zsrec.serving import batch_job as module

    write, written = module.write_chunk, []

    def dies(*args: Any) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(write(*args))

    monkeypatch.setattr(module, "write_chunk", dies)
    with pytest.raises(KeyboardInterrupt):
        job()
    assert len(list((tmp_path / "out/_zsrec/work").iterdir())) == 1
    monkeypatch.undo()
    assert job().users == USERS
    assert len(server.requests) == USERS


def test_cold_users_and_failures_with_and_without_a_fallback(tmp_path: Path, job: Callable[..., Summary]) -> None:
    lists = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"user": ["1", "2", "3"], "items": [["7"], [], ["4"]]}), lists)
    by_user = Columns(user="user", item="items", time=None, rating=None)
    found = job(source=lists, columns=by_user)
    assert found.errors == {"llm_refused": 1, "no_history": 1}
    assert found.input["empty_histories"] == 1
    (tmp_path / "out").rename(tmp_path / "before")
    found = job(source=lists, columns=by_user, fallback=True, k=2, interactions=_popular(tmp_path))
    assert (found.errors, found.degraded) == ({}, {"llm_refused": 1, "no_history": 1})
    rows = output(tmp_path)
    cold = [row for row in rows if row["user"] == "2"]
    assert [(row["rank"], row["item"], row["source"], row["mode"]) for row in cold] == [
        (1, "20", "popularity", "training-free"), (2, "21", "popularity", "training-free"),
    ]  # fmt: skip
    assert {row["degraded"] for row in cold} == {"no_history"}


def _popular(folder: Path) -> Path:
    path = folder / "others.csv"
    rows = ["a,20,1", "b,20,1", "c,20,1", "a,21,1", "b,21,1", "a,22,1"]
    path.write_text("\n".join(["userId,movieId,timestamp", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_ranking_template_with_a_retriever(tmp_path: Path, job: Callable[..., Summary]) -> None:
    with pytest.raises(ConfigError, match="ranks candidates, and nothing gives any"):
        job(template="rank/default")
    with pytest.raises(ConfigError, match="--retriever pop without interactions"):
        job(template="rank/default", retriever="pop")
    with pytest.raises(ConfigError, match="--retriever is 'magic'"):
        job(template="rank/default", retriever="magic", interactions=_popular(tmp_path))
    found = job(template="rank/default", retriever="pop", interactions=_popular(tmp_path), pool=3)
    assert found.users == USERS
    assert {row["mode"] for row in output(tmp_path) if row["rank"]} == {"training-free"}


def test_several_servers_share_the_users(
    tmp_path: Path, job: Callable[..., Summary], server: ScriptedServer
) -> None:
    with ScriptedServer(answer) as second:
        job(base_urls=(server.base_url, second.base_url))
        asked = [len(server.requests), len(second.requests)]
        (tmp_path / "out/_zsrec/summary.json").unlink()  # a finished job asks nobody
        expected = [sum(replica_of(str(n), 2) == which for n in range(USERS)) for which in (0, 1)]
        assert asked == expected
        assert min(asked) > 0
        second.models = ["other"]
        with pytest.raises(ConfigError, match="serve different models"):
            job(base_urls=(server.base_url, second.base_url))


def test_a_fault_of_ours_is_that_user_s_row(
    tmp_path: Path, job: Callable[..., Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zsrec.recommender.recommender import AsyncRecommender

    recommend = AsyncRecommender.recommend

    async def faulty(self: Any, history: Any, *args: Any, **kwargs: Any) -> Any:
        if history.user == "4":
            raise KeyError(history.events[0].item)
        return await recommend(self, history, *args, **kwargs)

    monkeypatch.setattr(AsyncRecommender, "recommend", faulty)
    (error,) = [name for name in job().errors if name.startswith("internal")]
    assert re.fullmatch(r"internal: KeyError test_batch_job\.py:\d+", error)  # and nothing of the history


def test_codes() -> None:
    assert code(LLMTimeoutError("x")) == "llm_timeout"
    assert code(ContextOverflowError("x")) == "context_overflow"
    assert code(ConfigError("x")) == "not_possible"
    assert code(UnknownItemError("x")) == "unknown_item"


def test_ray_is_named_where_it_is_missing(tmp_path: Path, job: Callable[..., Summary]) -> None:
    script = (
        "import sys; sys.modules['ray'] = sys.modules['ray.data'] = None\n"
        "from pathlib import Path\n"
        "from zsrec.recommender.loader import Recipe\n"
        "from zsrec.serving.batch_input import Input\n"
        "from zsrec.serving.batch_job import run_batch\n"
        "from zsrec.serving.batch_worker import Batch\n"
        "run_batch(Batch(Input(Path('x')), Recipe()), 'out', engine='ray')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "MissingExtraError: the engine 'ray' needs the extra 'batch'" in done.stderr
    assert "pip install 'zsrec[batch]'" in done.stderr
    assert MissingExtraError("x", "batch").hint == "pip install 'zsrec[batch]'"


def test_a_ray_worker_without_ray(tmp_path: Path, job: Callable[..., Summary], server: ScriptedServer) -> None:
    """What a worker does needs no Ray: it is called with numbers of chunks, as often as Ray likes."""
    job()
    rows = output(tmp_path)
    (tmp_path / "out/part-00001.parquet").unlink()
    files = Files(tmp_path / "out")
    files.work.mkdir()
    users = [str(n) for n in range(5, 10)]
    write_chunk(files, 1, Part(pa.array(users), np.arange(6), pa.array(users), None))
    files.sums.adopt([files.sums.name(files.chunk(1))])
    recipe = Recipe(catalog=tmp_path / "films.csv", settings=Settings.load(base_url=server.base_url), k=3)
    worker = Worker(Work(tmp_path / "out", Batch(Input(tmp_path / "in.parquet", COLUMNS), recipe), concurrency=2))
    nothing = {"notes": [""], "wrong": [""], "hint": [""]}
    assert worker({"chunk": np.array([0, 1, 2])}) == {"users": [5], **nothing}
    assert worker({"chunk": np.array([1])}) == {"users": [0], **nothing}
    worker.close()
    assert output(tmp_path) == rows
    (tmp_path / "films.csv").write_text("movieId,title\n1,\n")
    broken = Worker(Work(tmp_path / "out", Batch(Input(tmp_path / "in.parquet", COLUMNS), recipe), concurrency=2))
    assert "films.csv:2: the title is empty" in broken({"chunk": np.array([1])})["wrong"][0]
    broken.close()


def test_workers_are_ray_s(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--workers and --address are Ray's"):
        run_batch(Batch(Input(tmp_path), Recipe()), tmp_path / "out", workers=2)
    with pytest.raises(ConfigError, match="--chunk is at least 1"):
        Batch(Input(tmp_path), Recipe(), chunk=0)


def test_a_bad_value_is_its_users_error_and_the_others_are_answered(
    tmp_path: Path, job: Callable[..., Summary], server: ScriptedServer
) -> None:
    rows = {"user": ["1", "2", "2", "3"], "item": [1.0, 2.0, 2.5, 3.0], "timestamp": [1, 1, 2, 1]}
    pq.write_table(pa.table(rows), tmp_path / "odd.parquet")
    found = job(source=tmp_path / "odd.parquet")
    assert {row["user"]: (row["item"], row["error"]) for row in output(tmp_path)} == {
        "1": ("2", None),
        "2": (None, "bad_value"),
        "3": ("4", None),
    }
    assert found.errors == {"bad_value": 1}
    assert found.input["bad_users"] == 1
