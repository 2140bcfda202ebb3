"""Fixtures that all rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from zsrec.data.catalog import Catalog
from zsrec.data.movielens import Dataset, sample

REPO = Path(__file__).parent.parent

# How long one example takes says more about a busy machine than about the code.
settings.register_profile("zsrec", deadline=None)
settings.load_profile("zsrec")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests mean the defaults, whatever the developer has set."""
    for name in os.environ:
        if name.startswith(("ZSREC_", "OPENAI_")) and not name.startswith(("ZSREC_TEST_", "ZSREC_HOME")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def movielens() -> Dataset:
    """The sample in the package."""
    return sample()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with ml-latest-small and grounding-dev; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("ZSREC_TEST_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set ZSREC_TEST_DATA")
    return folder


@pytest.fixture
def films() -> Catalog:
    """A catalog small enough to read."""
    rows = [
        ("1", "Heat (1995)", "Crime|Thriller"),
        ("2", "Ronin (1998)", "Action|Crime"),
        ("3", "Matrix, The (1999)", "Sci-Fi"),
        ("4", "Up (2009)", "Animation"),
        ("5", "Toy Story (1995)", "Animation"),
        ("6", "Thief (1981)", "Crime"),
        ("7", "Solaris (1972)", "Sci-Fi"),
        ("8", "Solaris (2002)", "Sci-Fi"),
    ]
    return Catalog.from_items(
        [{"id": item_id, "title": title, "genres": genres} for item_id, title, genres in rows], domain="movies"
    )
