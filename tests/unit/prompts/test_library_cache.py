"""A recommender's templates are loaded once, and once more when a file has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import TemplateNotFoundError
from zsrec.data.catalog import Catalog
from zsrec.prompts.library import TemplateCache
from zsrec.recommender.recommender import Recommender

MINE = """\
---
task: profile
version: {}
variables:
  history: {{scope: user, type: items}}
---
{{% block user %}}
{{% include "_part" %}} {{{{ history|join("; ") }}}}
{{% endblock %}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_part.j2").write_text("I know")
    (tmp_path / "mine.j2").write_text(MINE.format(1))
    return tmp_path


def test_it_is_the_same_template_until_a_file_changes(folder: Path) -> None:
    cache = TemplateCache(folder)
    for name in ("mine", folder / "mine.j2", "profile/default"):
        assert cache.load(name) is cache.load(name)
    first = cache.load("mine")
    (folder / "_part.j2").write_text("I have seen")
    second = cache.load("mine")
    assert "I have seen Heat" in second.render(history=["Heat"])[0].content
    assert "I know Heat" in first.render(history=["Heat"])[0].content
    (folder / "mine.j2").write_text(MINE.format(2))
    assert cache.load("mine").ref.version == 2
    (folder / "mine.j2").unlink()
    with pytest.raises(TemplateNotFoundError):
        cache.load("mine")


def test_a_new_file_that_hides_another_is_seen(folder: Path) -> None:
    cache = TemplateCache(folder)
    (folder / "own.j2").write_text('---\ntask: rank\n---\n{% extends "rank/label" %}\n')
    assert cache.load("own") is cache.load("own")
    assert cache.load("profile/default").ref.path != str(folder / "profile" / "default.j2")
    (folder / "profile").mkdir()
    (folder / "rank").mkdir()
    (folder / "profile" / "default.j2").write_text(MINE.format(7))
    (folder / "rank" / "label.j2").write_text('---\ntask: rank\nversion: 9\n---\n{% extends "rank/label" %}\n')
    assert cache.load("profile/default").ref.version == 7
    assert [unit.source.name for unit in cache.load("own").bundle.chain] == ["own", "rank/label", "rank/label"]
    assert cache.load("own") is cache.load("own")


def test_a_profile_loads_its_template_once(films: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    from zsrec.prompts import library

    tried = []
    real = library.untrusted_text
    monkeypatch.setattr(library, "untrusted_text", lambda *given: tried.append(given) or real(*given))
    with Recommender(films, llm=FakeLLM("I like crime.")) as rec:
        tried.clear()
        for _ in range(3):
            rec.taste_summary(["Heat"])
        rec.with_template("rank/default").taste_summary(["Heat"])
    assert len(tried) == 2  # profile/default and rank/default
