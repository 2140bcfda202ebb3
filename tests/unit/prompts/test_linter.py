"""What the checker finds by trying a template out, and how it is told to machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsrec.core.errors import TemplateError
from zsrec.core.untrusted_text import break_tokens, control_tokens
from zsrec.prompts import Library, Problem, Template, check, check_text, load_template
from zsrec.prompts.diagnostics import RULES
from zsrec.prompts.linter import column
from zsrec.prompts.sarif import sarif

HEAD = """\
---
task: rank
variables:
  candidates: {scope: pool, type: items}
  history:    {scope: user, type: items}
---
{% block user %}
"""


def text(body: str) -> str:
    return f"{HEAD}{body}\n{{% endblock %}}\n"


LIST = "{% for item in candidates %}\n- {{ item.display }}\n{% endfor %}\n{{ history|length }}"


def test_a_text_is_checked_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.j2"
    path.write_text(text("{{ hisory }}" + LIST), encoding="utf-8")
    of_file = [(one.line, one.column, one.message) for one in check(path)]
    of_text = [(one.line, one.column, one.message) for one in check_text(path.read_text(encoding="utf-8"))]
    assert of_text == of_file
    assert of_text[0] == (8, 4, "undeclared variable 'hisory' (did you mean 'history'?)")


def test_a_shipped_text_is_fine_and_may_extend_its_own_name() -> None:
    library = Library()
    assert check_text(library.find("rank/label").text, "rank/label", library=library) == []
    own = '---\ntask: rank\n---\n{% extends "rank/label" %}\n'
    assert check_text(own, "rank/label", library=library) == []


@pytest.mark.parametrize(
    "expression",
    [
        "item.display|reverse",
        "item.display[::-1]",
        'item.display|replace(" ", "\\n")',
        'item.display.replace(" ", "\\n")',
        'item.display.split(" ")|join("\\n")',
        'item.display|replace(" ", "")',
        'item.display|list|map("trim")|join',
        "item.display|upper",
        "item.genres|upper",
    ],
)
def test_no_template_that_lets_a_title_forge_something_is_loaded(expression: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.j2"
    path.write_text(text(LIST.replace("item.display", expression)), encoding="utf-8")
    (found,) = check(path)
    assert (found.rule, found.severity) == ("untrusted-text", "error")
    with pytest.raises(TemplateError, match="can forge"):
        load_template(path)


@pytest.mark.parametrize(
    "expression",
    [
        "item.display|inline(40)",
        "item.display|truncate(30)",
        'item.genres|replace("|", ", ")',
        "item.display|lower",
        "item.display|title",
        "item.display|tojson",
        'item.genres|default("none")',
        'item.genres|upper|inline(20)|replace("S", "s")',
    ],
)
def test_harmless_work_on_texts_is_no_finding(expression: str) -> None:
    assert check_text(text(LIST.replace("item.display", expression))) == []


def test_tags_of_the_author_stay_and_tags_made_of_data_are_broken() -> None:
    tagged = text("<films>\n" + LIST + "\n</films>")
    assert check_text(tagged) == []
    template = Template(Library().open_text(tagged))
    (message,) = template.render(candidates=["</films>", "Heat"])
    assert message.content == "<films>\n- < /films >\n- Heat\n0\n</films>"
    (found,) = check_text(text(LIST.replace("- {{ item.display }}", "<{{ item.display }}>")))
    assert (found.rule, found.severity) == ("untrusted-text", "warning")
    assert "'<Heat>'" in found.message


@pytest.mark.parametrize("token", ["<|im_end|>", "</s>", "[INST]", "<<SYS>>", "<start_of_turn>"])
def test_a_control_token_of_the_authors_is_an_error(token: str) -> None:
    (found,) = check_text(text(LIST + f"\n{token}\n"))
    assert (found.rule, found.line) == ("control-token", 12)


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "</s>", "[INST]", "<<SYS>>", "<think>", "USER:", "[|Human|]", "＜｜end｜＞"]
)
def test_tokens_are_found_and_broken_wherever_they_stand(token: str) -> None:
    whole = f"one\n{token} two\n{token}"
    assert [one.text for one in control_tokens(whole)]
    broken = break_tokens(whole, frozenset())
    assert token not in broken
    assert list(control_tokens(broken)) == []
    assert broken.count("\n") == 2


@pytest.mark.parametrize(
    ("front", "asked", "rule"),
    [
        ("answer: json", "Answer in JSON.", "answer-format"),
        ("answer: json", '["…", "…"]', "answer-format"),
        ("answer: numbered", "1. title", "answer-format"),
        ("answer: numbered", "用编号列出。", "answer-format"),
        ("side: right", "Write pairs.", "answer-format"),
    ],
)
def test_an_answer_must_be_asked_for(front: str, asked: str, rule: str) -> None:
    without = text(LIST).replace("task: rank", f"task: rank\n{front}")
    (found,) = check_text(without)
    assert (found.rule, found.severity, found.line) == (rule, "warning", 3)
    assert check_text(without.replace("{{ history|length }}", "{{ history|length }}\n" + asked)) == []


def test_labels_must_be_shown() -> None:
    hidden = text(LIST.replace("- {{", "{% if not item.label %}x{% endif %}- {{") + "\nWhich label?")
    (found,) = check_text(hidden.replace("task: rank", "task: rank\nranker: label"))
    assert (found.rule, found.severity) == ("labels", "error")
    assert "never shows 'A'" in found.message


def test_a_column_is_that_of_what_the_message_quotes() -> None:
    line = "{{ a_b }} {{ b }} it's"
    assert column(Problem("x", 1, "a user's 'b' is wrong"), line) == 14
    assert column(Problem("x", 1, "'nowhere' to be seen"), "   " + line) == 4
    assert column(Problem("x", 9, "'b' beyond the end"), line) == 1


def test_sarif_has_the_shape_that_its_schema_requires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my prompts").mkdir()
    path = Path("my prompts") / "mine.j2"
    path.write_text(text("{{ hisory }}"), encoding="utf-8")
    document = json.loads(
        json.dumps(sarif([*check(path), Problem("/else/x.j2", 1, "m", rule="unreadable")], "1.2.3"))
    )
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert len(run["results"]) == 4
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note", "none"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        region = location["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        assert region["startColumn"] >= 1
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri in {"my%20prompts/mine.j2", "file:///else/x.j2"}


def findings(body: str, columns: str = "") -> list[tuple[int, str, str]]:
    head = HEAD.replace("scope: pool, type: items", f"scope: pool, type: items{columns}")
    return [
        (one.line, one.severity, one.message)
        for one in check_text(head + body + "\n{{ history|length }}\n{% endblock %}\n")
        if one.rule == "unknown-field"
    ]


EACH = "{{% for item in candidates %}}{{{{ {} }}}}{{% endfor %}}"


@pytest.mark.parametrize(
    "body",
    [
        EACH.format("item.titel"),
        EACH.format('item["titel"]'),
        EACH.format('item.titel|default("")'),
        '{{ candidates|map(attribute="titel")|join("; ") }}',
        '{% for item in candidates|selectattr("titel") %}{{ item }}{% endfor %}',
        '{% for item in candidates if item.feedback == "liked" %}{{ item.titel }}{% endfor %}',  # never reached
        "{% macro line(one) %}{{ one.titel }}{% endmacro %}{% for c in candidates %}{{ line(c) }}{% endfor %}",
    ],
)
def test_a_misspelt_field_of_a_candidate_is_found_with_what_was_meant(body: str) -> None:
    ((line, severity, message),) = findings(body)
    assert (line, severity) == (8, "warning")
    assert message.startswith("'titel' is not a field of an item (did you mean 'title'?)")


@pytest.mark.parametrize("slip", ["titel", "tilte", "Title", "lable", "raitng", "dispaly", "feedbck", "attribtes"])
def test_slips_are_found(slip: str) -> None:
    assert len(findings(EACH.format(f"item.{slip}"))) == 1


@pytest.mark.parametrize(
    "column",
    "genres tags year page pages image images price subtitle ratings titles labels author brand language isbn "
    "description tagline table ids image_url original_title display_name".split(),
)
def test_a_catalogs_columns_are_no_false_alarm(column: str) -> None:
    assert findings(EACH.format(f"item.{column}")) == []
    assert findings(EACH.format(f'item.attributes["{column}"]')) == []
    assert findings(EACH.format(f"item.{column}"), f", fields: [{column}]") == []


def test_declared_columns_make_every_other_one_an_error() -> None:
    declared = ", fields: [genres, titel]"
    assert findings(EACH.format("item.titel ~ item.genres|first ~ item.title ~ loop.index"), declared) == []
    assert findings(EACH.format('item.attributes["titel"]')) == []
    ((line, severity, message),) = findings(EACH.format('item.genre|default("")'), declared)
    assert (line, severity) == (8, "error")
    assert message == "an item has no field 'genre' (did you mean 'genres'?); declared columns: genres, titel"
    ((_, _, message),) = findings(EACH.format("item.year"), ", fields: []")
    assert message == "an item has no field 'year'; declared columns: none"
    (problem,) = check_text(text(LIST).replace("scope: pool, type: items", "scope: pool, fields: [year]"))[:1]
    assert problem.message == "'fields' are columns of items, and 'candidates' is of type 'str'"


def test_every_rule_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "linter.md").read_text(encoding="utf-8")
    assert [rule for rule in RULES if f"`{rule}`" not in page] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ranking: {ranker: label}", "'ranker' belongs one level up, beside 'ranking'"),
        ("temperature: 0", "'temperature' belongs in 'sampling:'"),
        ("permutations: 3", "'permutations' belongs in 'ranking:'"),
        ("description: what: now", "quote the text: description:"),
        ("description: @x", "quote the text: description:"),
        ("\tversion: 1", "indent with spaces"),
        ('description: "open', "an unclosed quote"),
        ("version:1", "write 'key: value'"),
    ],
)
def test_a_yaml_mistake_is_explained_with_its_line(line: str, message: str) -> None:
    text = f"---\ntask: rank\n{line}\n---\n{{% block user %}}hi{{% endblock %}}\n"
    (problem,) = [one for one in check_text(text) if one.rule == "front-matter"]
    assert (problem.line, problem.severity) == (3, "error")
    assert message in problem.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_told_apart(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "wide.j2"
    path.write_bytes("---\ntask: rank\n---\n".encode(encoding))
    (problem,) = check(path)
    assert (problem.rule, problem.message) == ("unreadable", "the file is UTF-16 or binary, not UTF-8")


def test_one_brace_is_not_a_variable() -> None:
    head = "---\ntask: generate\nvariables: {k: {scope: user, type: int}}\n---\n{% block user %}\n{{ k }} "
    texts = {"{ k }}": 1, "{k|abs}}": 1, '{"a": {"b": 1}}': 0, "{{ k }}": 0, "{ k }": 0}
    for text, count in texts.items():
        found = [one for one in check_text(f"{head}{text}{{% endblock %}}\n") if one.rule == "unpaired-braces"]
        assert [(one.line, one.severity) for one in found] == [(6, "warning")] * count, text
