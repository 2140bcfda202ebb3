"""The vectors of names: built, saved, opened, extended."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zsrec.answers.grounder import Grounder
from zsrec.answers.semantic_match import NameVectors, SemanticStage
from zsrec.core.errors import ConfigError, DataError
from zsrec.data.catalog import Catalog

TITLES = ["Heat (1995)", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)", "Ronin (1998)"]


class Hashed:
    """An embedder whose vectors depend on the text only; it counts what it embeds."""

    def __init__(self, size: int = 32) -> None:
        self.size, self.embedded = size, 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        rows = [
            np.random.default_rng(int(hashlib.blake2b(text.lower().encode()).hexdigest()[:8], 16)).normal(
                size=self.size
            )
            for text in texts
        ]
        vectors = np.array(rows, dtype=np.float32).reshape(len(texts), self.size)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_each_name_of_an_item_leads_to_it_and_cosines_are_right() -> None:
    embedder = Hashed()
    vectors = NameVectors.build(TITLES, embedder)
    queries = embedder.encode(["Heat", "Le Fabuleux destin d'Amélie Poulain", "Amelie"])
    found = vectors.nearest(queries, 4)
    assert [items[0][0] for items in found] == [0, 1, 1]
    assert all(items[0][1] == pytest.approx(1.0, abs=2e-3) for items in found)
    assert all(len({item for item, _ in items}) == len(items) == 3 for items in found)
    exact = float(queries[0] @ embedder.encode(["Ronin"])[0])
    assert dict(found[0])[2] == pytest.approx(exact, abs=2e-3)


def test_saved_and_opened_they_say_the_same(tmp_path: Path) -> None:
    embedder = Hashed()
    vectors = NameVectors.build(TITLES, embedder).extended([*TITLES, "Up (2009)"], embedder)
    vectors.save(tmp_path)
    opened = NameVectors.open(tmp_path)
    queries = embedder.encode(["Heat", "Up", "Something else"])
    assert opened.nearest(queries, 5) == vectors.nearest(queries, 5)
    opened.check([*TITLES, "Up (2009)"])


def test_only_new_titles_are_embedded() -> None:
    embedder = Hashed()
    vectors = NameVectors.build(TITLES, embedder)
    before = embedder.embedded
    more = vectors.extended([*TITLES, "Up (2009)"], embedder)
    assert embedder.embedded == before + 1
    assert more.nearest(embedder.encode(["Up"]), 3)[0][0][0] == 3
    assert more.extended([*TITLES, "Up (2009)"], embedder) is more


def test_vectors_of_another_catalog_or_model_are_refused(tmp_path: Path) -> None:
    vectors = NameVectors.build(TITLES, Hashed())
    with pytest.raises(ConfigError, match="another catalog"):
        SemanticStage(Hashed(), TITLES[:2], vectors)
    with pytest.raises(ConfigError, match="32"):
        vectors.nearest(Hashed(16).encode(["Heat"]), 1)
    with pytest.raises(DataError, match="no vectors"):
        NameVectors.open(tmp_path)
    vectors.save(tmp_path)
    (tmp_path / "vectors-0.usearch").write_bytes(b"torn")
    with pytest.raises(DataError, match="no vectors"):
        NameVectors.open(tmp_path)


def test_a_grounder_takes_saved_vectors_and_keeps_them_when_the_catalog_grows(tmp_path: Path) -> None:
    embedder = Hashed()
    catalog = Catalog(["a", "b", "c"], TITLES)
    NameVectors.build(TITLES, embedder).save(tmp_path)
    stage = SemanticStage(embedder, TITLES, NameVectors.open(tmp_path))
    before = embedder.embedded
    grounder = Grounder(catalog, semantic=stage)
    grown = grounder.moved(catalog.extended([{"id": "d", "title": "Up (2009)"}]))
    assert embedder.embedded == before + 1
    assert grown.ground("Quite another title").item_id is None
    assert embedder.embedded == before + 2


def test_an_empty_catalog_has_no_neighbours() -> None:
    assert SemanticStage(Hashed(), []).find(["Two words"]) == [None]
