"""The version stands in all its places, and what a release ships is described."""

from __future__ import annotations

import re
import tomllib

import yaml

import zsrec
from tests.conftest import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def test_one_version_everywhere() -> None:
    changes = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## \[(\d[^\]]*)\] - (.+)$", changes, re.MULTILINE)[0]
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    compose = yaml.safe_load((REPO / "docker/compose.yaml").read_text(encoding="utf-8"))
    images = [one["image"] for one in compose["services"].values() if one.get("image", "").startswith("zsrec:")]
    images += re.findall(r"image: (zsrec:\S+)", (REPO / "docker/compose.yaml").read_text(encoding="utf-8"))
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert newest[0] == zsrec.__version__
    assert str(citation["version"]) == zsrec.__version__
    assert set(images) == {f"zsrec:{zsrec.__version__}"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d|not yet published", newest[1])


def test_unreleased_comes_first() -> None:
    sections = re.findall(r"^## \[([^\]]+)\]", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == "Unreleased"


def test_the_citation_says_what_the_format_needs() -> None:
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["project"]["license"]


def test_every_extra_is_tried_and_described() -> None:
    script = (REPO / ".ci" / "package.py").read_text(encoding="utf-8")
    described = (REPO / "docs" / "releasing.md").read_text(encoding="utf-8")
    for extra in PROJECT["project"]["optional-dependencies"]:
        assert f'"{extra}"' in script, f"add a check of {extra!r} to .ci/package.py"
        if extra not in ("dev", "docs", "web"):
            assert f"`{extra}`" in described, f"docs/releasing.md does not say what is tried of {extra!r}"
