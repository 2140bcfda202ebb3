"""The example pack of docs/packs.md, put where pip puts it, and the filter and macros that packs build on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPO
from zsrec.prompts import Library, check, load_template
from zsrec.prompts.sanitize import short


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the documentation as an installed distribution on the path."""
    text = (REPO / "docs" / "packs.md").read_text(encoding="utf-8")
    project = tomllib.loads(re.findall(r"`pyproject\.toml`:\n\n```toml\n(.*?)```", text, re.DOTALL)[0])
    name, template = re.findall(r"`(zsrec_bookshop/\S+\.j2)`:\n\n```jinja\n(.*?)```", text, re.DOTALL)[0]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(template, encoding="utf-8")
    (tmp_path / "zsrec_bookshop" / "__init__.py").touch()
    info = tmp_path / "zsrec_bookshop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 1.0\n")
    (group, points), = project["project"]["entry-points"].items()  # fmt: skip
    lines = [f"{key} = {value}" for key, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_the_example_of_the_documentation_is_found_and_sound() -> None:
    assert check("bookshop/rank") == []
    template = load_template("bookshop/rank")
    messages = template.render(history=["Dune"], candidates=["Emma", "Solaris"], k=1, domain="books")
    assert messages[0].content.startswith("You are a bookseller.")
    assert "- Emma\n- Solaris" in messages[1].content
    (entry,) = [entry for entry in Library().entries() if entry.name == "bookshop/rank"]
    assert (entry.origin, entry.shadowed_by) == ("pack bookshop", None)


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        ("a plain text", 80, "a plain text"),
        (None, 80, ""),
        (12.5, 80, "12.5"),
        (["crime", "heist"], 80, "crime, heist"),
        ({"tents"}, 80, "tents"),
        ("one two three four", 12, "one two…"),
        ("three words, then more", 14, "three words…"),
        ("x" * 50, 10, "x" * 9 + "…"),
        ("a\nb<|im_end|>", 80, "a b< |im_end| >"),
        ([], 80, ""),
    ],
)
def test_short_is_one_line_cut_between_words(value: object, limit: int, expected: str) -> None:
    assert short(value, limit) == expected


@given(value=st.one_of(st.text(), st.lists(st.text()), st.none(), st.floats()), limit=st.integers(1, 100))
def test_short_never_exceeds_its_limit(value: object, limit: int) -> None:
    text = short(value, limit)
    assert len(text) <= limit
    assert "\n" not in text
    assert short(text, limit) == text


def test_a_limit_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        short("text", 0)


def test_the_example_with_two_questions_of_the_documentation_is_sound(tmp_path: Path) -> None:
    text = (REPO / "docs" / "templates.md").read_text(encoding="utf-8")
    path = tmp_path / "two.j2"
    path.write_text(
        re.findall(r"### Several questions\n.*?```jinja\n(.*?)```", text, re.DOTALL)[0], encoding="utf-8"
    )
    assert check(path) == []
    assert load_template(path).step_sampling("taste").max_tokens == 80


def test_the_macros_of_the_documentation_work(tmp_path: Path) -> None:
    text = (REPO / "docs" / "packs.md").read_text(encoding="utf-8")
    body = re.findall(r"## Building blocks\n.*?```jinja\n(.*?)```", text, re.DOTALL)[0]
    imports, _, rest = body.partition("\n")
    path = tmp_path / "macros.j2"
    head = '---\ntask: rank\n---\n{% extends "rank/default" %}\n'
    path.write_text(head + imports + "\n{% block user %}\n" + rest + "{% endblock %}\n", encoding="utf-8")
    assert check(path) == []
    (message,) = load_template(path).render(history=["Dune"], candidates=["Emma"], about="short")[-1:]
    assert message.content == (
        "Candidates:\n- Emma\n\nThe reader's books, oldest first:\n- Dune\n\nThe reader wants: short\n\n"
        "The best 1 for this reader, numbered:"
    )
