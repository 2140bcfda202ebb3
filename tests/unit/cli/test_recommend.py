"""The command line as a person types it, against a scripted server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, answers, fails
from zsrec import cli

ANSWER = "1. The Matrix (1999) - great\n2. Ronin (1998)\n3. Bogus \x1b[31mFilm"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "films.csv"
    path.write_text(
        'id,name\n1,Heat (1995)\n2,Ronin (1998)\n3,"Matrix, The (1999)"\n4,Up (2009)\n', encoding="utf-8"
    )
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(answers(ANSWER)) as one:
        monkeypatch.setenv("ZSREC_BASE_URL", one.base_url)
        monkeypatch.setenv("ZSREC_MAX_RETRIES", "0")
        yield one


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *argv: object
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["zsrec", *map(str, argv)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    shown = capsys.readouterr()
    return int(caught.value.code or 0), shown.out, shown.err


@pytest.fixture
def zsrec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *argv: run(capsys, monkeypatch, *argv)


def test_one_user_in_words_people_read(zsrec: object, server: ScriptedServer, catalog: Path) -> None:
    code, shown, _ = zsrec(  # type: ignore[operator]
        "recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", "Heat; Cats", "-k", 3
    )
    assert code == 0
    assert "The Matrix (1999)" in shown
    assert "exact" in shown
    assert "not matched: 'Bogus" in shown
    assert "history: 'Cats' is unknown" in shown
    assert "\x1b[31m" not in shown
    assert "Heat (1995)" in json.dumps(server.requests[0]["messages"])


def test_json_holds_the_trace(zsrec: object, server: ScriptedServer, catalog: Path) -> None:
    code, shown, _ = zsrec(  # type: ignore[operator]
        "recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", "1", "--json"
    )
    result = json.loads(shown)
    assert code == 0
    assert [one["item"]["id"] for one in result["items"]] == ["3", "2"]
    assert result["trace"]["exchanges"][0]["answer"] == ANSWER


def test_a_name_is_taken_out_and_the_trace_left_out(zsrec: object, server: ScriptedServer, catalog: Path) -> None:
    code, shown, _ = zsrec(  # type: ignore[operator]
        "recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--about", "for Ann Smith",
        "--redact-name", "Ann Smith", "--json", "--no-trace",
    )  # fmt: skip
    assert code == 0
    assert "trace" not in json.loads(shown)
    assert [one["item"]["id"] for one in json.loads(shown)["items"]] == ["3", "2"]
    assert "[name]" in json.dumps(server.requests)
    assert "Smith" not in json.dumps(server.requests)


def test_every_user_of_a_file(zsrec: object, server: ScriptedServer, catalog: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "r.csv"
    ratings.write_text("u,i\na,1\nb,2\nc,9\n", encoding="utf-8")
    argv = ["recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", ratings]
    argv += ["--columns", "u,i,,", "--fill", "popularity", "-k", 3, "--out", tmp_path / "out.jsonl"]
    code, _, _ = zsrec(*argv)  # type: ignore[operator]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert code == 0
    assert sorted(line["user"] for line in lines) == ["a", "b", "c"]
    filled = {line["user"]: [item["source"] for item in line["items"]] for line in lines}
    assert filled["b"] == ["llm", "popularity"]


def test_a_retriever_gives_the_candidates(
    zsrec: object, server: ScriptedServer, catalog: Path, tmp_path: Path
) -> None:
    """Whoever met 1 met 3, and 2 stands alone: a pool of one is 3, and nothing else can be recommended."""
    ratings = tmp_path / "r.csv"
    ratings.write_text("u,i,t\na,1,1\na,3,2\nb,1,1\nb,3,2\nc,2,1\nc,4,2\n", encoding="utf-8")
    argv = ["recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", "1", "--columns"]
    argv += ["u,i,t,", "--template", "rank/default", "--retriever", "itemknn", "--pool", 1, "--json"]
    code, shown, _ = zsrec(*argv, "--interactions", ratings)  # type: ignore[operator]
    result = json.loads(shown)
    assert code == 0
    assert [one["item"]["id"] for one in result["items"]] == ["3"]
    assert result["items"][0]["parts"]["prior"] == 1.0
    assert result["trace"]["mode"] == "training-free"
    code, _, complaint = zsrec(*argv)  # type: ignore[operator]
    assert (code, "interactions with --interactions FILE" in complaint) == (1, True)
    argv[argv.index("itemknn")] = "magic"
    code, _, complaint = zsrec(*argv, "--interactions", ratings)  # type: ignore[operator]
    assert (code, "write one of pop, itemknn, cooccurrence, lexical, semantic, fused" in complaint) == (1, True)


def test_without_a_model_every_item_says_why(zsrec: object, catalog: Path, tmp_path: Path) -> None:
    ratings = tmp_path / "r.csv"
    ratings.write_text("u,i,t\na,1,1\na,3,2\nb,1,1\nb,3,2\nc,1,1\nc,4,2\n", encoding="utf-8")
    argv = [
        "recommend",
        "--catalog",
        catalog,
        "--id",
        "id",
        "--title",
        "name",
        "--history",
        "1",
        "--domain",
        "movies",
        "--columns",
    ]
    argv += [
        "u,i,t,",
        "--interactions",
        ratings,
        "--no-model",
        "--retriever",
        "cooccurrence",
        "--diversity",
        "0.9",
    ]
    code, shown, _ = zsrec(*argv, "--json")  # type: ignore[operator]
    result = json.loads(shown)
    assert code == 0
    assert [one["item"]["id"] for one in result["items"]] == ["3", "4"]
    assert result["items"][0]["reason"].startswith("2 of the 3 who saw")
    code, shown, _ = zsrec(*argv, "--where", "id != 3")  # type: ignore[operator]
    assert code == 0
    assert "1 of the 3 who saw" in " ".join(shown.split())
    assert "where id != 3" in shown


def test_a_retriever_that_would_not_be_used_is_an_error(zsrec: object, catalog: Path) -> None:
    argv = ["recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", "1"]
    generates = [*argv, "--retriever", "lexical", "--template", "generate/default"]
    code, _, complaint = zsrec(*generates)  # type: ignore[operator]
    assert (code, "leave --template out" in complaint) == (1, True)
    code, _, complaint = zsrec(*argv, "--diversity", "0.5")  # type: ignore[operator]
    assert (code, "--diversity without --retriever" in complaint) == (1, True)


def test_some_users_fail_and_the_others_are_kept(
    zsrec: object, server: ScriptedServer, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZSREC_CONCURRENCY", "1")
    server.scripts[:] = [fails(500, "boom"), answers(ANSWER)]
    ratings = tmp_path / "r.csv"
    ratings.write_text("u,i\na,1\nb,2\n", encoding="utf-8")
    argv = ["recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", ratings, "--columns"]
    code, shown, complaints = zsrec(*argv, "u,i,,")  # type: ignore[operator]
    assert code == 1
    assert [json.loads(line)["user"] for line in shown.splitlines()] == ["b"]
    assert "user a: error:" in complaints
    assert "1 of 2 users failed" in complaints


def test_a_template_edited_on_the_spot(
    zsrec: object, server: ScriptedServer, catalog: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "my.j2"
    head = (
        "---\ntask: generate\nversion: 1\nanswer: titles\nvariables:\n  history: {scope: user, type: items}\n---\n"
    )
    argv = [
        "recommend",
        "--catalog",
        catalog,
        "--id",
        "id",
        "--title",
        "name",
        "--history",
        "Heat",
        "--template",
        mine,
    ]
    mine.write_text(head + "{% block user %}After {{ history[0].display }}?{% endblock %}\n", encoding="utf-8")
    assert zsrec(*argv)[0] == 0  # type: ignore[operator]
    assert server.requests[0]["messages"][-1]["content"] == "After Heat (1995)?"
    mine.write_text(head + "{% block user %}\nAfter {{ hisory }}?{% endblock %}\n", encoding="utf-8")
    code, _, complaint = zsrec(*argv)  # type: ignore[operator]
    assert code == 1
    assert "my.j2:9: undeclared variable 'hisory' (did you mean 'history'?)" in complaint
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (["--history", ""], "nothing is known of the user"),
        (["--history", "Heat", "--user", "1"], "--user needs an interactions file"),
        (["--history", "absent.csv"], "no such file"),
        (["--history", "Heat", "--catalog", "absent.csv"], "absent.csv: no such file"),
        (["--history", "Heat", "--base-url", "http://example.org/v1"], "not on the list of hosts"),
        (["--history", "Heat", "--template", "absent"], "no template 'absent'"),
    ],
)
def test_mistakes_are_explained(zsrec: object, server: ScriptedServer, argv: list[str], match: str) -> None:
    code, shown, complaint = zsrec("recommend", *argv)  # type: ignore[operator]
    assert code == 1
    assert shown == ""
    assert match in complaint
    assert "hint: " in complaint
    assert "Traceback" not in complaint


def test_a_choice_of_words_is_checked_before_anything_is_read(zsrec: object, server: ScriptedServer) -> None:
    code, shown, complaint = zsrec("recommend", "--history", "Heat", "--fill", "luck")  # type: ignore[operator]
    assert (code, shown, server.requests) == (2, "", [])
    assert "--fill" in complaint
    assert "'luck' is not one of 'candidates', 'popularity'" in complaint


def test_doctor(zsrec: object, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown, _ = zsrec("doctor")  # type: ignore[operator]
    assert code == 0
    assert "tiny, context of 4,096 tokens" in shown
    assert f"histories go to {server.base_url}" in shown
    assert "reports no log-probabilities" in shown
    assert "does not limit answers to a choice" in shown
    monkeypatch.setenv("ZSREC_BASE_URL", "http://127.0.0.1:9/v1")
    code, shown, _ = zsrec("doctor")  # type: ignore[operator]
    assert code == 1
    assert "FAIL server" in shown
    assert "zsrec model up" in shown


def test_data_from_a_local_folder(zsrec: object, tmp_path: Path) -> None:
    folder = REPO / "zsrec" / "data" / "movielens_sample"
    code, shown, _ = zsrec("data", "movielens", "--from", folder)  # type: ignore[operator]
    assert code == 0
    assert "1,297 movies, 200 users, 12,104 ratings" in shown
    code, _, complaint = zsrec("data", "movielens", "--from", tmp_path)  # type: ignore[operator]
    assert code == 1
    assert "no MovieLens set here" in complaint


def test_no_model_needs_an_order(zsrec: object, catalog: Path) -> None:
    argv = ["recommend", "--catalog", catalog, "--id", "id", "--title", "name", "--history", "1", "--no-model"]
    code, _, complaint = zsrec(*argv)  # type: ignore[operator]
    assert (code, "name a --retriever" in complaint) == (1, True)
    code, _, _ = zsrec(*argv, "--candidates", "3; 2")  # type: ignore[operator]
    assert code == 0
