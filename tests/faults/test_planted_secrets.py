"""Secrets planted in histories, in the user's words, in keys and in answers, on every path that sends or writes.

Whatever is logged at the most talkative level, and whatever is written down and kept, must have none of them.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, fails, send
from tests.faults.service import ADMIN, KEY, Process
from tests.faults.test_bench_kill import FILMS
from tests.unit.serve_fakes import CATALOG
from zsrec.core.settings import Settings
from zsrec.data.catalog import Catalog
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.session import Session

PLANTED = {
    "history": "PlantedHistory",
    "about": "PlantedAbout",
    "critique": "PlantedCritique",
    "answer": "PlantedAnswer",
    "user": "planted-user-",
    "e-mail": "planted@example.org",
    "model's key": "planted-model-key-zz",
    "hash key": "planted-hash-key-zz-9",
    "tenant's key": KEY,
    "admin's key": ADMIN,
}
PROMPT = "already knows"  # words of the prompt of generate/default, beside the titles of a history
TOLD = (
    f"PlantedAnswer, as you like.\n1. The Matrix (1999)\n2. {FILMS[7]}\n3. PlantedAnswer (1999)\n4. {FILMS[9]}\n"
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda handler, _: send(handler, completion(TOLD))) as running:
        yield running


def planted_in(text: str) -> list[str]:
    return [what for what, secret in PLANTED.items() if secret.lower() in text.lower()]


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


def found_in(folder: Path, *inputs: str) -> dict[str, list[str]]:
    """The files with secrets, hidden ones too; but for the test's own inputs."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in inputs]
    found = {str(path.relative_to(folder)): planted_in(text_of(path)) for path in files}
    return {name: secrets for name, secrets in found.items() if secrets}


def zsrec(folder: Path, server: ScriptedServer, *command: str, **environment: str) -> str:
    """Everything that a command prints, at the openai package's most talkative."""
    done = subprocess.run(
        [sys.executable, "-m", "zsrec", *command], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(REPO), "OPENAI_LOG": "debug", "ZSREC_BASE_URL": server.base_url,
             "ZSREC_API_KEY": PLANTED["model's key"], **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def sent(server: ScriptedServer) -> str:
    return json.dumps(server.requests)


def test_the_service_at_its_most_talkative(tmp_path: Path, server: ScriptedServer) -> None:
    service = Process(tmp_path, server.base_url, "--log-level", "debug", "--deadline", "5")
    full = {
        "history": ["Heat", "PlantedHistory"], "about": "PlantedAbout, write to planted@example.org",
        "user": "planted-user-1", "k": 2,
    }  # fmt: skip
    try:
        for key in (KEY, ADMIN):
            status, body = service.post("/v1/recommend", full, key=key)
            assert (status, body["degraded"]) == (200, None)
        server.scripts = [fails(400, "PlantedHistory PlantedAbout PlantedAnswer")]
        assert service.post("/v1/recommend", full)[1]["degraded"]["reason"] == "llm_refused"
        assert service.post("/v1/ground", {"text": "1. PlantedAnswer"})[0] == 200
        assert service.post("/v1/recommend", full | {"k": "PlantedHistory"})[0] == 422
    finally:
        service.stop()
    assert "PlantedAbout" in sent(server)
    assert not {"user", "e-mail", "tenant's key", "admin's key", "hash key"} & set(planted_in(sent(server)))
    salts = [body["cache_salt"] for body in server.requests]
    assert len(set(salts)) == 2  # one a tenant, and no tenant's name
    assert not {"shop", "ops"} & set(salts)
    assert planted_in("".join(service.lines)) == []
    assert any('"level": "debug"' in line or '"event": "recommend"' in line for line in service.lines)
    assert found_in(tmp_path, "keys", "model.key", "hash.key") == {}


def test_the_command_line_for_one_user_and_for_a_file(tmp_path: Path, server: ScriptedServer) -> None:
    (tmp_path / "films.csv").write_text(CATALOG)
    asked = ["recommend", "--catalog", "films.csv", "--json", "-k", "2"]
    one = ["--history", "Heat;PlantedHistory", "--about", "PlantedAbout of planted@example.org"]
    told = zsrec(tmp_path, server, *asked, *one, "--out", "whole.jsonl")
    assert set(planted_in((tmp_path / "whole.jsonl").read_text())) >= {"history", "about", "answer"}
    (tmp_path / "whole.jsonl").unlink()
    told += zsrec(tmp_path, server, *asked, *one, "--out", "out.jsonl", "--no-trace")
    rows = "userId,movieId,timestamp,rating\nplanted-user-1,1,1,5\nplanted-user-1,2,2,5\n"
    (tmp_path / "ratings.csv").write_text(rows)
    batch = ["--history", "ratings.csv", "--user", "planted-user-1"]
    told += zsrec(tmp_path, server, *asked, *batch, "--out", "batch.jsonl", "--no-trace")
    assert "3" in [one["item"]["id"] for one in json.loads((tmp_path / "out.jsonl").read_text())["items"]]
    assert "PlantedHistory" in sent(server)
    assert not {"user", "e-mail"} & set(planted_in(sent(server)))
    assert planted_in(told) == []
    # Whose results these are is what the file is for; nothing else of them stands there.
    assert found_in(tmp_path, "ratings.csv") == {"batch.jsonl": ["user"]}


@pytest.mark.slow
def test_a_benchmark_that_keeps_nothing_and_one_that_is_scrubbed(tmp_path: Path, server: ScriptedServer) -> None:
    rng = random.Random(0)
    rows = [f"planted-user-{u},{i},{t}" for u in range(30) for t, i in enumerate(rng.sample(range(60), 8))]
    (tmp_path / "inter.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *(f"{n},{t}" for n, t in enumerate(FILMS))]))
    inputs = ("inter.csv", "items.csv")
    bench = ["bench", "run", "--interactions", "inter.csv", "--catalog", "items.csv", "--methods", "pop,generate",
             "--users", "12"]  # fmt: skip
    told = zsrec(tmp_path, server, *bench, "--out", "whole", "--json", "whole.json")
    assert set(found_in(tmp_path, *inputs)) == {
        "whole/exchanges.jsonl", "whole/predictions/pop.jsonl.gz", "whole/predictions/generate.jsonl.gz",
    }  # fmt: skip
    assert PROMPT in (tmp_path / "whole" / "exchanges.jsonl").read_text()
    keyed = {"ZSREC_KEEP": "none", "ZSREC_HASH_KEY": PLANTED["hash key"]}
    told += zsrec(tmp_path, server, *bench, "--out", "clean", **keyed)
    told += zsrec(tmp_path, server, "bench", "scrub", "whole")
    told += zsrec(
        tmp_path, server, "prompts", "compare", "generate/default", "rank/default", "--interactions", "inter.csv",
        "--catalog", "items.csv", "--users", "6", "--keep", "answers", "--out", "prompts",
    )  # fmt: skip
    assert planted_in(told) == []
    assert found_in(tmp_path, *inputs) == {"prompts/exchanges.jsonl": ["answer"]}  # as was asked for
    for path in tmp_path.rglob("*"):
        assert path.name in inputs or not path.is_file() or PROMPT not in text_of(path), path


def test_a_session_while_every_logger_says_everything(server: ScriptedServer, films: Catalog) -> None:
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    root, keep = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    try:
        settings = Settings.load(base_url=server.base_url, api_key=PLANTED["model's key"])
        with Recommender(films, settings=settings) as rec:
            session = Session(rec, ["Heat (1995)", "PlantedHistory"], about="PlantedAbout, planted@example.org")
            first = session.recommend(2)
            session.like(first[0]).say("PlantedCritique: write to planted@example.org")
            server.scripts = [fails(503, "PlantedHistory"), lambda handler, _: send(handler, completion(TOLD))]
            session.recommend(2)
    finally:
        root.removeHandler(keep)
        root.setLevel(level)
    assert {"history", "about", "critique"} == set(planted_in(sent(server)))
    assert any("openai" in one or "HTTP" in one for one in records)
    assert [one for one in records if planted_in(one)] == []
