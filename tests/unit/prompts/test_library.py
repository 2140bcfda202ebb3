from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zsrec.core.errors import ConfigError, TemplateError, TemplateNotFoundError
from zsrec.prompts import Library, library, load_template

TEXT = "---\ntask: rank\nversion: 3\n---\n{% block user %}HERE{% endblock %}\n"


def put(folder: Path, name: str, says: str) -> Path:
    path = folder / (name + ".j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT.replace("HERE", says), encoding="utf-8")
    return folder


def says(name: str | Path, prompts: Path | list[Path] | None = None) -> str:
    return load_template(name, prompts).render(history=["Heat"], candidates=["Up"])[-1].content


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of templates, declared by an entry point."""
    folder = tmp_path / "site" / "zsrec_test_pack"
    put(folder, "rank/default", "pack")
    (folder / "__init__.py").write_text("raise RuntimeError('a pack is data: it must not be run')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    declared = EntryPoint("test", "zsrec_test_pack", library.GROUP)
    monkeypatch.setattr(library, "entry_points", lambda group: [declared])
    return folder


def test_the_order_of_the_look_up(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "rank/default"
    assert says(name) == "pack"
    others = [put(tmp_path / "e1", "other", "x"), put(tmp_path / "e2", name, "environment")]
    monkeypatch.setenv("ZSREC_PROMPTS", os.pathsep.join(map(str, others)))
    assert says(name) == "environment"
    first, second = put(tmp_path / "a1", name, "argument"), put(tmp_path / "a2", name, "argument 2")
    assert says(name, first) == "argument"
    assert says(name, [second, first]) == "argument 2"
    explicit = put(tmp_path / "mine", "x", "path") / "x.j2"
    assert says(explicit, first) == says(str(explicit), first) == "path"


def test_what_shadows_what(tmp_path: Path, pack: Path) -> None:
    own = put(put(tmp_path / "own", "rank/default", "x"), "my/new", "x")
    (own / "_part.j2").write_text("no front matter")
    listed = [
        (e.name, e.origin, e.shadowed_by)
        for e in Library(own).entries()
        if e.name in {"rank/default", "my/new", "_part"}
    ]
    assert listed == [
        ("my/new", "prompts=", None),
        ("rank/default", "prompts=", None),
        ("rank/default", "pack test", "prompts="),
        ("rank/default", "built-in", "prompts="),
    ]


def test_a_template_may_extend_the_one_it_shadows(tmp_path: Path, pack: Path) -> None:
    path = tmp_path / "own" / "rank" / "default.j2"
    path.parent.mkdir(parents=True)
    path.write_text(
        '---\ntask: rank\n---\n{% extends "rank/default" %}{% block user %}my {{ super() }}{% endblock %}'
    )
    assert says("rank/default", tmp_path / "own") == "my pack"


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "a\\b", "a\0b", "", "a//b", ".hidden", "a b"])
def test_a_name_is_never_a_way_out_of_the_folders(name: str) -> None:
    with pytest.raises(TemplateError, match="is not a valid template name"):
        Library().find(name)


def test_missing_templates_and_folders_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TemplateNotFoundError) as missing:
        load_template("rank/tersee")
    assert "did you mean 'rank/terse'?" in str(missing.value)
    assert "zsrec prompts list" in str(missing.value)
    with pytest.raises(TemplateNotFoundError, match="there is no such template file"):
        load_template(tmp_path / "none.j2")
    with pytest.raises(ConfigError, match="prompts=: no folder"):
        Library(tmp_path / "none")
    monkeypatch.setenv("ZSREC_PROMPTS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="ZSREC_PROMPTS: no folder"):
        Library()


def test_a_broken_pack_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = EntryPoint("gone", "zsrec_no_such_package.prompts", library.GROUP)
    monkeypatch.setattr(library, "entry_points", lambda group: [declared])
    with pytest.raises(
        ConfigError, match=r"prompt pack 'gone': there is no package 'zsrec_no_such_package\.prompts'"
    ):
        load_template("rank/default")
