"""Broken templates, and what their authors read."""
# ruff: noqa: E501  (a row of the table is a line)

from __future__ import annotations

import time
from pathlib import Path

import pytest

from zsrec.core.errors import TemplateError, TemplateNotFoundError
from zsrec.prompts import Library, check, load_template

HEAD = """\
---
task: rank
version: 2
answer: numbered
sampling: {temperature: 0, max_tokens: 256}
variables:
  domain: {scope: catalog, default: movies}
  candidates: {scope: pool, type: items}
  history: {scope: user, type: items}
---
"""  # ten lines
BODY = """\
{% block system %}In a numbered list: You rank {{ domain }}.{% endblock %}
{% block user %}
{% for item in candidates %}{{ item.display }}
{% endfor %}
{% for item in history %}{{ item.display }}
{% endfor %}
{% endblock %}
"""
KNOWN = "task, version, answer, side, ranker, ranking, pattern, sampling, images, variables, steps, description"
SAMPLING = "temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty, max_tokens, seed, stop"


def head(old: str, new: str) -> str:
    assert old in HEAD
    return HEAD.replace(old, new) + BODY


def body(old: str, new: str) -> str:
    assert old in BODY
    return HEAD + BODY.replace(old, new)


BROKEN = {
    "undeclared": (body("in history", "in hisory"), "15: undeclared variable 'hisory' (did you mean 'history'?)"),
    "answer": (head("numbered", "numberd"), "4: unknown answer 'numberd'; known: json, numbered, titles"),
    "key": (head("version: 2", "versoin: 2"), f"3: unknown key 'versoin' (did you mean 'version'?); known: {KNOWN}"),
    "sampling key": (
        head("max_tokens", "max_token"),
        f"5: unknown key 'max_token' (did you mean 'max_tokens'?); known: {SAMPLING}",
    ),
    "variable key": (
        head("scope: pool", "scop: pool"),
        "8: unknown key 'scop' (did you mean 'scope'?); known: scope, type, default, last",
    ),
    "task": (
        head("task: rank", "task: rankk"),
        "2: unknown task 'rankk' (did you mean 'rank'?); known: generate, rank, compare, explain, profile",
    ),
    "scope": (head("scope: pool", "scope: pol"), "8: unknown scope 'pol' (did you mean 'pool'?); known: catalog, pool, user"),
    "version": (head("version: 2", "version: 0"), "3: version: input should be greater than or equal to 1, found 0"),
    "version type": (head("version: 2", "version: two"), "3: version: input should be a valid integer, found 'two'"),
    "temperature": (
        head("temperature: 0", "temperature: 9"),
        "5: sampling.temperature: input should be less than or equal to 2, found 9",
    ),
    "temperature type": (
        head("temperature: 0", "temperature: yes"),
        "5: sampling.temperature: input should be a valid number, found True",
    ),
    "default type": (head("default: movies", "default: 3"), "7: the default of 'domain' is no str: 3"),
    "items default": (
        head("pool, type: items", "pool, type: items, default: x"),
        "8: 'candidates' is a list of items and cannot have a default",
    ),
    "name": (head("  history:", "  _h: {scope: user}\n  history:"), "9: '_h' is not a valid variable name: use letters, digits and '_'"),
    "duplicate": (head("answer:", "version: 3\nanswer:"), "4: 'version' appears twice (first on line 3)"),
    "ranker": (head("answer:", "ranker: lable\nanswer:"), "4: unknown ranker 'lable' (did you mean 'label'?); "
               "known: generate, label, window, pairwise, choose"),
    "ranking key": (head("answer:", "ranking: {permutation: 2}\nanswer:"), "4: unknown key 'permutation' "
                    "(did you mean 'permutations'?); known: permutations, calibrate, llm_weight, window, stride, within"),
    "ranking value": (head("answer:", "ranking: {permutations: 0}\nanswer:"),
                      "4: ranking.permutations: input should be greater than or equal to 1, found 0"),
    "ranker's task": (HEAD.replace("task: rank", "task: generate\nranker: label") + BODY,
                      "3: a ranker needs 'task: rank', and the task is 'generate'"),
    "ranking's ranker": (head("answer:", "ranker: window\nranking: {within: generate, permutations: 2}\nanswer:"),
                         "5: permutations: the ranker 'window' has no log-probabilities to average over orders"),
    "no labels": (head("answer:", "ranker: label\nanswer:"), "4: the ranker 'label' needs {{ item.label }} beside each"),
    "images": (head("answer:", "images: candidate\nanswer:"),
               "4: unknown of 'candidate' (did you mean 'candidates'?); known: history, candidates"),
    "images key": (head("answer:", "images: {of: candidates, colum: photo}\nanswer:"),
                   "4: unknown key 'colum' (did you mean 'column'?); known: of, column, most, kilobytes"),
    "images' number": (head("answer:", "images: {of: candidates, most: 900}\nanswer:"),
                       "4: images.most: input should be less than or equal to 64, found 900"),
    "images' items": (head("answer:", "images: candidates\nanswer:").replace("  candidates:", "  pool:").replace("in candidates", "in pool"),
                      "4: images of 'candidates', which is no variable of type items"),
    "last": (head("pool, type: items", "pool, type: items, last: 3"), "8: 'last' applies only to the history, not to 'candidates'"),
    "yaml": (head("version: 2", "version: [2"), "4: the front matter is not valid YAML: expected ',' or ']', but got ':'"),
    "alias": (head("version: 2", "version: &v 2"), "3: YAML anchors and aliases ('&', '*') are not supported; quote the value"),
    "python tag": (
        head("version: 2", "version: !!python/object/apply:os.getcwd []"),
        "3: the front matter is not valid YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.getcwd'",
    ),
    "no task": (head("task: rank\n", ""), "1: the front matter has no 'task'; known: generate, rank, compare, explain, profile"),
    "no front matter": (BODY, "1: a template starts with '---' and its front matter"),
    "not closed": (HEAD.removesuffix("---\n") + BODY, "1: the front matter has no closing '---'"),
    "no mapping": ("---\n- a\n---\n" + BODY, "1: the front matter is not a mapping: write 'key: value' lines"),
    "too long": (head("version: 2", "version: 2" + " " * 20_000), "1: the front matter is longer than 16384 characters"),
    "too deep": (head("version: 2", "version: " + "[" * 15_000), "3: the front matter is nested too deeply"),
    "text outside": (HEAD + BODY + "\n\n  Answer now.\n", "20: text outside a block is never sent"),
    "output outside": (HEAD + BODY + "{{ domain }}\n", "18: output outside a block is never sent"),
    "loop outside": (HEAD + BODY + "{% if domain %}\n{% endif %}\n", "18: 'if' outside a block has no effect"),
    "no user": (body("block user", "block users"), "11: there is no block 'user', so nothing would be sent"),
    "odd block": (
        HEAD + BODY + "{% block assitant %}{% endblock %}",
        "18: block 'assitant' is never sent; roles: system, user",
    ),
    "syntax": (body("{% endfor %}\n{% endblock", "{% endblock"), "16: encountered unknown tag 'endblock'. You probably made a nesting mistake."),
    "unclosed": (body("{{ domain }}", "{{ domain"), "11: expected name or number"),
    "filter": (body("item.display }}\n{% endfor %}\n{% for", "item.display|inlin }}\n{% endfor %}\n{% for"),
               "13: unknown filter 'inlin' (did you mean 'inline'?)"),
    "test": (body("in history %}", "in history if item is definde %}"), "15: unknown test 'definde' (did you mean 'defined'?)"),
    "missing parent": (
        HEAD + '{% extends "rank/defualt" %}\n' + BODY,
        "11: 'extends': there is no template 'rank/defualt' (did you mean 'rank/default'?)",
    ),
    "dynamic include": (body("You rank", "{% include domain %}"), "11: 'include' needs one template's name in quotes"),
    "traversal": (body("You rank", '{% include "../../etc/passwd" %}'), "11: 'include': '../../etc/passwd' is not a valid template name"),
    "absolute": (body("You rank", '{% include "/etc/passwd" %}'), "11: 'include': '/etc/passwd' is not a valid template name"),
    "backslash": (body("You rank", r'{% include "a\\b" %}'), r"11: 'include': 'a\\b' is not a valid template name"),
    "attribute": (
        body("in history %}{{ item.display", "in history %}{{ item.genres"),
        "15: an item has no attribute 'genres' [for a title that the catalog lacks]",
    ),
    "division": (body("You rank", "{{ 1 / 0 }}"), "11: division by zero [for a user with a history]"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_template_names_its_line(name: str, tmp_path: Path) -> None:
    text, expected = BROKEN[name]
    path = tmp_path / "rank.j2"
    path.write_text(text, encoding="utf-8")
    errors = [str(problem) for problem in check(path) if problem.severity == "error"]
    assert errors
    assert errors[0].removeprefix(f"{path}:").startswith(expected)
    if not expected.endswith("]"):  # found by reading alone, so loading finds it too
        with pytest.raises(TemplateError) as raised:
            load_template(path)
        assert str(raised.value).startswith(errors[0])


ESCAPES = {
    "class": "{{ history.__class__ }}",
    "mro": "{{ ''.__class__.__mro__ }}",
    "globals": "{{ history[0].display.__init__.__globals__ }}",
    "attr filter": "{{ history|attr('__class__') }}",
    "macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "environment": "{{ self.__init__ }}",
    "format": "{{ '{0.__class__}'.format(history) }}",
    "mutation": "{{ history[0].attributes.update({'a': 1}) }}",
    "setattr": "{% set history[0].title = 'x' %}",
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "long range": "{% for i in range(999999999) %}x{% endfor %}",
    "repeat": "{{ 'x' * 999999999 }}",
    "repeat list": "{{ [1] * 999999999 }}",
    "power": "{{ 9 ** 999999999 }}",
    "percent": "{{ '%999999999d' % 1 }}",
    "center": "{{ 'x'|center(999999999) }}",
    "indent": "{{ 'x'|indent(999999999, true) }}",
    "flood": "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
    "pad": "{{ 'x'.ljust(900000000) }}",
    "pad an attribute": "{{ 'x'|attr('rjust')(900000000) }}",
    "zeros": "{{ '1'.zfill(900000000) }}",
    "format width": "{{ '{:>900000000}'.format(1) }}",
    "bytes": "{{ (1).to_bytes(900000000, 'big') }}",
    "doubling": "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "adding": "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "lists": "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "captured": "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set c %}{{ ns.s }}{{ ns.s }}{% endset %}"
    "{% set ns.s = c %}{% endfor %}",
    "replaced": "{% set ns = namespace(s='xxxx') %}{% for i in range(9) %}{% set ns.s = ns.s.replace('x', ns.s) %}{% endfor %}",
    "replace filter": "{% set ns = namespace(s='xxxx') %}{% for i in range(9) %}{% set ns.s = ns.s|replace('x', ns.s) %}{% endfor %}",
    "joined": "{% set ns = namespace(s='xxxx') %}{% for i in range(9) %}{% set ns.s = ns.s.join(ns.s|list) %}{% endfor %}",
    "join filter": "{% set ns = namespace(s='xxxx') %}{% for i in range(9) %}{% set ns.s = ns.s|list|join(ns.s) %}{% endfor %}",
    "squares": "{% set ns = namespace(n=9) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "nested": "{% for i in range(9999) %}{% for j in range(9999) %}{% set x = i * j %}{% endfor %}{% endfor %}",
    "macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "batch": "{{ [1]|batch(900000000, 0)|list }}",
    "slice": "{{ [1]|slice(900000000)|list }}",
    "tojson": "{{ [1]|tojson(900000000) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_no_template_gets_out_of_the_sandbox(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rank.j2"
    path.write_text(body("{% block user %}\n", "{% block user %}\n" + ESCAPES[name] + "\n"), encoding="utf-8")
    started = time.thread_time()
    errors = [problem for problem in check(path) if problem.severity == "error"]
    assert time.thread_time() - started < 10
    assert errors
    assert errors[0].line == 13 or name == "flood"


def warnings(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "rank.j2"
    path.write_text(text, encoding="utf-8")
    load_template(path)  # a warning keeps no one from using it
    found = check(path)
    assert {problem.severity for problem in found} <= {"warning"}
    return [str(problem).removeprefix(f"{path}:") for problem in found]


def test_a_sound_template_has_no_findings(tmp_path: Path) -> None:
    assert warnings(HEAD + BODY, tmp_path) == []


def test_what_many_share_behind_what_one_has_is_a_warning(tmp_path: Path) -> None:
    text = body("in candidates", "in swap").replace("in history", "in candidates").replace("in swap", "in history")
    (found,) = warnings(text, tmp_path)
    assert found.startswith("13: warning: 'history' (user) precedes 'candidates' (pool): shared prefix ")
    share = int(found.removesuffix("%").rsplit(" ", 1)[1])
    assert 0 < share < 20


def test_an_unused_variable_is_a_warning(tmp_path: Path) -> None:
    text = head("  history:", "  mood: {scope: user, default: calm}\n  history:")
    assert warnings(text, tmp_path) == ["9: warning: variable 'mood' is declared and never used"]


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (missing,) = check(tmp_path / "no.j2")
    assert (missing.line, missing.message) == (1, "there is no such template file")
    (tmp_path / "latin.j2").write_bytes("---\ntask: rank # é".encode("latin-1"))
    (latin,) = check(tmp_path / "latin.j2")
    assert (latin.line, latin.message) == (2, "the file is not UTF-8")
    (tmp_path / "big.j2").write_bytes(b"x" * 300_000)
    (big,) = check(tmp_path / "big.j2")
    assert big.message == "the file is longer than 262144 bytes"
    with pytest.raises(TemplateNotFoundError, match="did you mean 'rank/default'"):
        load_template("rank/defualt")


def test_line_numbers_hold_for_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rank.j2"
    path.write_bytes(b"\xef\xbb\xbf" + body("in history", "in hisory").replace("\n", "\r\n").encode())
    assert [problem.line for problem in check(path) if problem.severity == "error"] == [15]


def test_an_undefined_result_of_a_filter_may_have_a_default(tmp_path: Path) -> None:
    path = tmp_path / "rank.j2"
    line = "{{ (history|first).display|default('nobody') }}{{ []|first|default('none') }}\n"
    path.write_text(body("{% block user %}\n", "{% block user %}\n" + line), encoding="utf-8")
    (message,) = [
        one for one in load_template(path).render(history=["Up"], candidates=["Heat"]) if one.role == "user"
    ]
    assert "Upnone" in message.content


ODD_FILES = {
    "directory": None,
    "utf-16": "---\ntask: rank\n---\n".encode("utf-16"),
    "version": b"---\ntask: rank\nversion: " + b"1:" * 3000 + b"1\n---\n{% block user %}x{% endblock %}",
    "digits": b"---\ntask: rank\n---\n{% block user %}{{ " + b"9" * 9000 + b" }}{% endblock %}",
    "depth": b"---\ntask: rank\n---\n{% block user %}{{ "
    + b"(" * 5000
    + b"1"
    + b")" * 5000
    + b" }}{% endblock %}",
    "date": b"---\ntask: 2020-13-45\n---\nx",
    "key": b"---\n? {a: b}\n: c\n---\n",
    "surrogate": b'---\ntask: "\\ud800"\n---\n',
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_one_odd_file_is_a_typed_error_and_hides_no_other(name: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.j2"
    content = ODD_FILES[name]
    path.mkdir() if content is None else path.write_bytes(content)
    assert {entry.name for entry in Library(tmp_path).entries()} >= {"odd", "rank/default"}
    assert [problem for problem in check("odd", prompts=tmp_path) if problem.severity == "error"]
    with pytest.raises(TemplateError):
        load_template("odd", prompts=tmp_path)
