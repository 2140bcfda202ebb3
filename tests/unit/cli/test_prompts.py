from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zsrec.cli import app
from zsrec.core.errors import ConfigError, TemplateError
from zsrec.prompts import check

GOOD = """\
---
task: rank
version: 3
variables: {k: {scope: user, type: int}}
---
{% block user %}
Take {{ k }}.
{% endblock %}
"""


@pytest.fixture
def run():
    def run(*arguments: str):
        return CliRunner().invoke(app, ["prompts", *arguments])

    return run


def test_list_shows_every_template_and_what_hides_what(run, tmp_path: Path) -> None:
    (tmp_path / "rank").mkdir()
    (tmp_path / "rank" / "default.j2").write_text(GOOD)
    (tmp_path / "broken.j2").write_text("---\n")
    (tmp_path / "broken2.j2").write_bytes(b"\xff")
    lines = run("list", "--prompts", str(tmp_path)).stdout.splitlines()
    rows = {tuple(line.split()[:4]) for line in lines}
    assert ("rank/default", "rank", "3", "prompts=") in rows
    assert ("generate/default", "generate", "3", "built-in") in rows
    assert [line for line in lines if line.startswith("rank/default") and line.endswith("(hidden by prompts=)")]
    assert len([line for line in lines if line.startswith("broken") and "zsrec prompts check" in line]) == 2


def test_show_prints_path_front_matter_and_text(run) -> None:
    out = run("show", "generate/json").stdout
    assert "generate/json@" in out
    assert "extends: generate/default" in out
    assert "temperature=0.0" in out
    assert "variable: history (items, shared by user)" in out
    assert '{% extends "generate/default" %}' in out


def test_render_prints_the_roles_as_they_will_be_sent(run) -> None:
    out = run(
        "render", "rank/default", "--history", "Heat; Matrix, The (1999)", "--candidates", "Up; Ronin", "--k", "1"
    ).stdout
    assert out.startswith("--- system\n")
    assert "- The Matrix (1999)\n" in out
    assert "- Ronin\n" in out
    about = run("render", "generate/default", "--about", "slow films", "--domain", "books").stdout
    assert "slow films" in about
    assert "books" in about


def test_check_says_what_is_wrong_and_exits_with_one(run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.j2", tmp_path / "bad.j2"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("{{ k }}", "{{ kk }}"))
    fine = run("check", str(good), "rank/terse")
    assert fine.exit_code == 0
    assert "two users of one pool share the first" in fine.stdout
    wrong = run("check", str(tmp_path))
    assert wrong.exit_code == 1
    assert f"{bad}:7:9: undeclared variable 'kk' (did you mean 'k'?)" in wrong.stdout
    as_json = run("check", str(tmp_path), "--json")
    assert as_json.exit_code == 1
    assert {
        "path": str(bad),
        "line": 7,
        "message": "undeclared variable 'kk' (did you mean 'k'?)",
        "severity": "error",
        "rule": "undeclared-variable",
        "column": 9,
    } in json.loads(as_json.stdout)["problems"]


def test_check_without_names_checks_all(run) -> None:
    done = run("check")
    assert done.exit_code == 0
    assert "generate/default: ok" in done.stdout


def test_errors_go_up_to_the_front_door(run, tmp_path: Path) -> None:
    assert isinstance(run("render", "rank/nosuch").exception, TemplateError)
    missing = run("check", str(tmp_path / "none.j2"))
    assert missing.exit_code == 1
    assert "there is no such template file" in missing.stdout


def test_check_can_speak_sarif_and_be_strict(run, tmp_path: Path) -> None:
    path = tmp_path / "mine.j2"
    path.write_text(GOOD.replace("task: rank", "task: rank\nanswer: json"))
    assert run("check", str(path)).exit_code == 0
    strict = run("check", str(path), "--strict", "--sarif")
    assert strict.exit_code == 1
    (result,) = json.loads(strict.stdout)["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("answer-format", "warning")
    both = run("check", str(path), "--json", "--sarif")
    assert isinstance(both.exception, ConfigError)
    assert isinstance(run("check", str(path), "--measure").exception, ConfigError)


def test_check_leaves_parts_of_others_to_these(run, tmp_path: Path) -> None:
    (tmp_path / "_part.j2").write_text("{{ k }}")
    (tmp_path / "good.j2").write_text(GOOD)
    assert run("check", str(tmp_path)).exit_code == 0


def test_check_counts_a_template_without_a_server(run) -> None:
    out = run("check", "rank/label", "--budget").stdout
    assert "tokens, estimated" in out
    assert "history (10 of 48; " in out
    assert "orders of one user's candidates share the first " in out
    costs = json.loads(run("check", "rank/label", "--budget", "--json").stdout)["costs"]["rank/label"]
    assert costs["typical"]["total"] == sum(part["tokens"] for part in costs["typical"]["parts"])
    assert costs["orders"] is None


def test_every_question_of_a_template_with_steps_is_counted(run) -> None:
    out = run("check", "nir/rank", "--budget").stdout
    headings = [line.strip() for line in out.splitlines() if line.strip().startswith("question ")]
    assert headings == [
        "question 1 of 3: taste",
        "question 2 of 3: typical",
        "question 3 of 3: the recommendation",
    ]
    assert out.count("answer of 'taste'") == 2
    assert out.count("answer of 'typical'") == 1
    assert out.count("shares with the question before") == 2
    costs = json.loads(run("check", "nir/rank", "--budget", "--json").stdout)["costs"]["nir/rank"]
    assert list(costs["steps"]) == ["taste", "typical"]
    totals = [costs["steps"]["taste"], costs["steps"]["typical"], costs]
    assert [one["typical"]["total"] for one in totals] == sorted(one["typical"]["total"] for one in totals)
    for one in totals:
        assert one["typical"]["total"] == sum(part["tokens"] for part in one["typical"]["parts"])
    first, second = costs["steps"].values()
    assert second["prefix"]["follows"]["tokens"] == first["typical"]["total"]  # each stands below the one before
    assert costs["prefix"]["orders"] is not None
    assert second["prefix"]["orders"] is None  # an earlier step is asked in one order only


def test_every_question_is_rendered_with_its_place_and_what_is_not_answered_yet(run) -> None:
    out = run("render", "nir/rank", "--sample").stdout
    assert [line for line in out.splitlines() if line.startswith("===")] == [
        "=== question 1 of 3: taste",
        "=== question 2 of 3: typical",
        "=== question 3 of 3: the recommendation",
    ]
    assert out.count("[the answer of 'taste']") == 2
    assert out.count("[the answer of 'typical']") == 1
    curl = run("render", "nir/rank", "--sample", "--as-curl", "--model", "tiny").stdout
    assert curl.count("curl ") == 3
    assert '"max_tokens": 100' in curl.split("# question 2")[0]
    assert "=== question 1 of 3: taste" in run("diff", "rank/default", "nir/rank").stdout


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "items.csv").write_text(
        "sku,name,genre\n1,Dracula,horror\n2,Emma,romance\n3,Kim,adventure\n4,She,adventure\n", encoding="utf-8"
    )
    (tmp_path / "sales.csv").write_text("who,sku,at\na,1,10\na,2,20\nb,3,5\nb,1,6\nc,3,7\n", encoding="utf-8")
    (tmp_path / "mine.j2").write_text(
        GOOD.replace(
            "variables: {k: {scope: user, type: int}}",
            "variables:\n  candidates: {scope: pool, type: items, fields: [genre]}\n"
            "  history: {scope: user, type: items, last: 2}\n  k: {scope: user, type: int}",
        ).replace(
            "Take {{ k }}.",
            "{% for one in candidates %}\n* {{ one.id }} {{ one.title }}, {{ one.genre }}\n{% endfor %}\n"
            "{% for one in history %}\n- {{ one.title }} {{ one.feedback }} {{ one.age }}\n{% endfor %}\n{{ k }}",
        ),
        encoding="utf-8",
    )
    return tmp_path


def test_a_shop_sees_its_own_items_in_the_prompt(run, shop: Path) -> None:
    own = ("render", str(shop / "mine.j2"), "--catalog", str(shop / "items.csv"), "--id", "sku", "--title", "name")
    one = run(*own, "--history", "dracula; Nobody's Book", "--liked", "4", "--candidates", "Kim; 2", "-k", "1")
    assert one.stdout == (
        "--- user\n* 3 Kim, adventure\n* 2 Emma, romance\n- Nobody's Book seen 2\n- She liked 1\n1\n"
    )
    assert "not in the catalog: Nobody's Book" in one.stderr
    first = run(*own, "--history", "Emma")
    assert [line for line in first.stdout.splitlines() if line.startswith("*")] == [
        "* 1 Dracula, horror",
        "* 3 Kim, adventure",
        "* 4 She, adventure",
    ]
    assert "the first 3 of the catalog that the user does not know" in first.stderr
    sales = ("--history", str(shop / "sales.csv"), "--columns", "who,sku,at")
    reader = run(*own, *sales, "--user", "a")
    assert reader.stdout.splitlines()[1:4] == ["* 3 Kim, adventure", "- Dracula seen 2", "- Emma seen 1"]
    assert "the 1 most popular" in reader.stderr


def test_what_a_shop_may_get_wrong_is_said(run, shop: Path) -> None:
    name, own = str(shop / "mine.j2"), ("--catalog", str(shop / "items.csv"), "--id", "sku", "--title", "name")
    sales = ("--history", str(shop / "sales.csv"), "--columns", "who,sku,at")
    assert "name one with --user" in str(run("render", name, *own, *sales).exception.hint)
    assert "give it with --catalog" in str(run("render", name, *sales).exception.hint)
    assert isinstance(run("render", name, *own, "--sample").exception, ConfigError)
    assert "'Nix' is not in the catalog" in str(run("render", name, *own, "--candidates", "Nix").exception)


@pytest.mark.parametrize("task", ["generate", "rank", "compare", "explain", "profile"])
def test_a_new_template_is_sound_and_commented(run, tmp_path: Path, task: str) -> None:
    done = run("new", f"mine/{task}", "--task", task, "--into", str(tmp_path))
    assert done.exit_code == 0, done.output
    path = tmp_path / "mine" / f"{task}.j2"
    assert f"wrote {path}" in done.stdout
    assert check(path) == []
    assert "# scope: who shares the value" in path.read_text()
    assert run("render", str(path), "--sample").stdout.count("--- ") == 2


def test_a_new_template_may_extend_another(run, tmp_path: Path) -> None:
    done = run("new", "mine", "--extends", "rank/label", "--into", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert check(tmp_path / "mine.j2") == []
    text = (tmp_path / "mine.j2").read_text()
    assert '{% extends "rank/label" %}' in text
    assert "system, user, question" in text


def test_a_new_template_overwrites_nothing(run, tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("precious")
    wrong = [
        run("new", "mine", "--task", "rank", "--into", str(tmp_path)),
        run("new", "../mine", "--task", "rank", "--into", str(tmp_path)),
        run("new", "other", "--task", "rnak", "--into", str(tmp_path)),
        run("new", "other", "--into", str(tmp_path)),
        run("new", "other", "--extends", "rank/label", "--task", "explain", "--into", str(tmp_path)),
    ]
    assert [type(one.exception) for one in wrong] == [ConfigError] * 5
    assert "exists already" in str(wrong[0].exception)
    assert "did you mean 'rank'?" in str(wrong[2].exception)
    assert (tmp_path / "mine.j2").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.j2"]


def test_render_shows_labels_and_a_sample_user(run) -> None:
    assert "A. Up" in run("render", "rank/label", "--candidates", "Up; Ronin").stdout
    sample = run("render", "rank/label", "--sample").stdout
    assert "T. Seven" in sample
    assert isinstance(run("render", "rank/label", "--sample", "--history", "Heat").exception, ConfigError)


def test_a_curl_command_is_whole_and_holds_no_key(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZSREC_API_KEY", "sk-secret")
    title = "It's $(touch forged) `x`\nZSREC_REQUEST"
    out = run("render", "rank/label", "--candidates", title, "--as-curl", "--model", "m").stdout
    assert "sk-secret" not in out
    assert "${ZSREC_API_KEY:-none}" in out
    # A shell that reads it hands the body to curl as it is, and runs nothing in it.
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > args\ncat > body\n')
    (tmp_path / "curl").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ZSREC_API_KEY": "sk-secret"}
    subprocess.run(["sh", "-e"], input=out, text=True, cwd=tmp_path, env=env, check=True)
    body = json.loads((tmp_path / "body").read_text())
    assert body["model"] == "m"
    assert body["messages"][1]["content"].splitlines()[1] == "A. It's $(touch forged) `x` ZSREC_REQUEST"
    assert (body["temperature"], body["max_tokens"], body["top_logprobs"]) == (0.0, 1, 20)
    assert "Authorization: Bearer sk-secret" in (tmp_path / "args").read_text()
    assert not (tmp_path / "forged").exists()
    assert isinstance(run("render", "rank/label", "--as-curl").exception, ConfigError)


def test_diff_shows_front_matter_and_roles(run) -> None:
    out = run("diff", "rank/label", "rank/window").stdout
    assert "- ranker: label" in out
    assert "+ ranker: window" in out
    assert "the roles are the same for a user of the sample" in out
    roles = run("diff", "generate/default", "generate/json").stdout
    assert "+What are the 10 best movies for me that I do not know yet? Answer only with a JSON array" in roles
