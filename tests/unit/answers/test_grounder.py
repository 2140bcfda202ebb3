"""Mention → match, on a catalog small enough to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.title_index import TitleIndex
from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog

FILMS = {
    "heat": "Heat (1995)",
    "the-heat": "The Heat (2013)",
    "matrix": "Matrix, The (1999)",
    "fear62": "Cape Fear (1962)",
    "fear91": "Cape Fear (1991)",
    "kb1": "Kill Bill: Vol. 1 (2003)",
    "kb2": "Kill Bill: Vol. 2 (2004)",
    "hope": "Star Wars: Episode IV - A New Hope (1977)",
    "fargo": "Fargo (1996)",
    "brian": "Monty Python's Life of Brian (1979)",
    "ghost": "Ghost Dog: The Way of the Samurai (1999)",
    "t2": "Terminator 2: Judgment Day (1991)",
    "gw": "Guardians of the Galaxy 2 (2017)",
    "inc": "Intouchables (2011)",
    "seven": "Seven (a.k.a. Se7en) (1995)",
    "m": "M (1931)",
    "moonmile": "Moonlight Mile (2002)",
    "moby": "Moby Dick (1956)",
    "oldboy": "Oldboy (2013)",
    "old-boy": "Old Boy (2003)",
    "sematary": "Pet Sematary (1989)",
    "zootopia": "Zootopia (2016)",
    "spirited": "千と千尋の神隠し (2001)",
    "war": "Война и мир (1967)",
    "spider": "Spider-Man (2002)",
    "dumbo": "Dumbo (1941)",
}


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    return Grounder(Catalog(list(FILMS), list(FILMS.values()), domain="movies"))


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("The Matrix (1999)", "matrix"),
        ("Matrix", "matrix"),
        ("TheMatrix", "matrix"),
        ("Cape Fear (1991)", "fear91"),
        ("Cape Fear (1963)", "fear62"),
        ("Kill Bill Volume 2", "kb2"),
        ("Star Wars: A New Hope", "hope"),
        ("A New Hope (1977)", "hope"),
        ("Life of Brian (1979)", "brian"),
        ("Ghost Dog", "ghost"),
        ("Terminator 2", "t2"),
        ("Guardians of the Galaxy Vol. 2", "gw"),
        ("The Intouchables", "inc"),
        ("Se7en", "seven"),
        ("Oldboy", "oldboy"),
        ("Old Boy", "old-boy"),
        ("Zootopa", "zootopia"),
        ("千と千尋の神隠し", "spirited"),
        ("война и мир", "war"),
        ("M", "m"),
        ("Seven (a.k.a. Se7en) (1995)", "seven"),
        ("Seven (Thriller)", "seven"),
        ("Kill Bill: Vol. 1 (2003)", "kb1"),
        ("Fargo (1997) - Crime", "fargo"),
        ("Heat (1995)", "heat"),
    ],
)
def test_it_finds(grounder: Grounder, mention: str, item: str) -> None:
    match = grounder.ground(mention)
    assert (match.item_id, match.reason) == (item, None)
    assert match.score >= grounder.calibration.threshold
    assert match.method in ("exact", "fuzzy")


@pytest.mark.parametrize(
    "mention",
    [
        "John Wick", "Moana", "Moonlight", "Fargo (TV series)", "Spider-Man: Homecoming", "Dumbo (2019)",
        "Zootopia 2",
        "Kill Bill: Vol. 3", "Ma", "", "***", "1999", "Terminator 3", "\ud800",
    ],
)  # fmt: skip
def test_it_abstains(grounder: Grounder, mention: str) -> None:
    match = grounder.ground(mention)
    assert match.item_id is None
    assert match.method is None
    assert match.reason in ("not_in_catalog", "below_threshold")


@pytest.mark.parametrize(
    ("mention", "items"),
    [("Cape Fear", {"fear62", "fear91"}), ("Kill Bill", {"kb1", "kb2"}), ("Heat", {"heat", "the-heat"})],
)
def test_a_tie_is_ambiguous_with_the_whole_set(grounder: Grounder, mention: str, items: set[str]) -> None:
    match = grounder.ground(mention)
    assert (match.item_id, match.reason, set(match.alternatives)) == (None, "ambiguous", items)


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("The Matrix: The Last Stand (2014)", None),  # one year off says nothing, and the rest speaks against it
        ("The Matrix: The Last Stand", None),
        ("The Matrix - The Last Stand", None),
        ("The Matrix: The Last Stand (2013)", "stand"),
        ("X-Men: The Last Stand", "x-men"),
        ("Batman: The Dark Knight", "knight"),  # heads a series in this catalog
        ("Matrix: Revisiting the Matrix", "revisited"),  # a word in common
        ("Heist: The Dark Knight", "knight"),  # a genre
        ("The Last Stand (2014)", "stand"),
    ],
)
def test_two_titles_in_one_are_neither(mention: str, item: str | None) -> None:
    films = {
        "matrix": "Matrix, The (1999)", "stand": "Last Stand, The (2013)", "x-men": "X-Men: The Last Stand (2006)",
        "batman": "Batman (1989)", "phantasm": "Batman: Mask of the Phantasm (1993)",
        "knight": "Dark Knight, The (2008)", "heist": "Heist (2001)", "revisited": "Revisiting the Matrix (2001)",
    }  # fmt: skip
    match = Grounder(Catalog(list(films), list(films.values()), domain="movies")).ground(mention)
    assert match.item_id == item


NEAR = {
    "ringer": "The Wedding Ringer (2015)",
    "singer": "The Jazz Singer (1927)",
    "hole": "Rabbit Hole (2010)",
    "hope": "Hope Springs (2012)",
    "ivan": "Ivan Vasilievich: Back to the Future (1973)",
    "future2": "Back to the Future Part II (1989)",
    "future3": "Back to the Future Part III (1990)",
    "purge": "The Purge (2013)",
    "anarchy": "The Purge: Anarchy (2014)",
    "orion": "Orion: A Visual Novel",
    "nation": "Bop Gun (One Nation)",
    "magic": "Three (2010)",
    "corelli": "Captain Corelli's Mandolin (2001)",
    "walkin": "Keep On Walkin' (1992)",
}


@pytest.fixture(scope="module")
def near() -> Grounder:
    return Grounder(Catalog(list(NEAR), list(NEAR.values()), domain="movies"))


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("The Wedding Singer", None),  # another word of titles, not a slip
        ("The Wedding Rinegr", "ringer"),
        ("Rabbit Hope", None),
        ("Rabbit Hloe", "hole"),
        ("Back to the Future", None),  # its second part is here, so it is no subtitle of another film
        ("Ivan Vasilievich", "ivan"),
        ("The Purge: Anarchy - a gripping and unforgettable story", "anarchy"),  # a subtitle, then a remark
        ("The Purge - a gripping and unforgettable story", "purge"),
        ("Masked: A Visual Novel", None),  # another head before the same tail
        ("Nation", None),
        ("Three Is A Magic Number", None),  # a title and no description
        ("Three is a film about numbers", "magic"),
        ("The Mandolin", None),
        ("Captain Correlli's Mandolin", "corelli"),
        ("Keep On Walkin' - a song about walking away", "walkin"),
    ],
)
def test_near_names(near: Grounder, mention: str, item: str | None) -> None:
    assert near.ground(mention).item_id == item


def test_a_word_in_two_scripts_with_another_half_is_not_the_item() -> None:
    catalog = Catalog(["float", "gump"], ["宣夜 Float Night", "阿甘正传 Forrest Gump"], domain="games")
    grounder = Grounder(catalog)
    assert grounder.ground("宣夜 Float Night").item_id == "float"
    assert grounder.ground("宣夜 Foxhole Night").item_id is None


def test_a_creator_that_is_a_medium_word_is_no_other_medium() -> None:
    artist = {"artist": ["The Game"]}
    catalog = Catalog(["a"], ["Hate It or Love It"], attributes=artist, domain="music", creator="artist")
    assert Grounder(catalog).ground('"Hate It or Love It" by The Game').item_id == "a"


def test_context_settles_ties_and_nothing_else(grounder: Grounder) -> None:
    assert grounder.ground("Cape Fear", Context(candidates=("fear91", "heat"))).item_id == "fear91"
    assert grounder.ground("Cape Fear", Context(history=("fear62",))).item_id == "fear62"
    assert grounder.ground("Cape Fear", Context(candidates=("fear91",), history=("fear62",))).item_id == "fear91"
    assert grounder.ground("Cape Fear", Context(candidates=("fear62", "fear91"))).reason == "ambiguous"
    assert grounder.ground("Cape Fear (1991)", Context(candidates=("fear62",))).item_id == "fear91"
    assert grounder.ground("John Wick", Context(candidates=("moby",))).item_id is None


def test_a_mention_does_not_read_the_creators_of_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(
        ["a", "b"], ["Fargo", "Heat"], attributes={"by": ["Coen", "Mann"]}, creator="by", domain="movies"
    )
    grounder = Grounder(catalog)
    assert grounder.ground("Fargo").item_id == "a"  # the index is there
    monkeypatch.setattr(Catalog, "creators", property(lambda _: pytest.fail("a list as long as the catalog")))
    assert grounder.ground("Fargo (TV series)").item_id is None


def test_another_medium_is_no_obstacle_where_the_catalog_is_of_it() -> None:
    books = Grounder(Catalog(["1"], ["Fargo"], domain="novels"))
    assert books.ground("Fargo (novel)").item_id == "1"
    assert books.ground("Fargo (TV series)").item_id is None


def test_products_and_books_without_years() -> None:
    shop = Grounder(
        Catalog(["a", "b", "c"], ["Acme Kettle 2000", "Acme Kettle 3000", "Blue Mug, Large"], domain="products")
    )
    assert shop.ground("the Acme kettle 3000").item_id == "b"
    assert shop.ground("Blue Mug (Large)").item_id == "c"
    assert shop.ground("Acme Kettle 4000").item_id is None


def test_many_is_one_by_one(grounder: Grounder) -> None:
    mentions = ["Heat (1995)", "John Wick", "Cape Fear"]
    assert grounder.ground_many(mentions) == [grounder.ground(mention) for mention in mentions]


def test_a_moved_grounder_indexes_what_is_new_or_all_of_another_catalog(grounder: Grounder) -> None:
    grown = grounder.catalog.extended([{"id": "new", "title": "John Wick (2014)"}])
    assert grounder.moved(grown).ground("John Wick").item_id == "new"
    smaller = grounder.catalog.without(["matrix"])
    assert grounder.moved(smaller).ground("The Matrix").item_id is None
    renamed = Catalog(grounder.catalog.ids, [f"Renamed {n}" for n in range(len(grounder.catalog))])
    assert grounder.moved(renamed).ground("Renamed 0").item_id == grounder.catalog.ids[0]


def test_an_extended_catalog_finds_old_and_new(grounder: Grounder) -> None:
    more = grounder.catalog.extended([{"id": "new", "title": "John Wick (2014)"}])
    extended = grounder.extended(more)
    assert extended.ground("John Wick").item_id == "new"
    assert extended.ground("The Matrix").item_id == "matrix"
    assert grounder.ground("John Wick").item_id is None


def test_an_index_of_another_catalog_is_refused(films: Catalog) -> None:
    with pytest.raises(ConfigError, match="another catalog"):
        Grounder(films, index=TitleIndex.build(["Heat (1995)"]))


class Concepts:
    """An embedder that knows two concepts."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.full((len(texts), 3), 0.01, dtype=np.float32)
        for row, text in enumerate(texts):
            lower = text.lower()
            vectors[row, 0 if "spirited" in lower or "神隠し" in text else 1 if "moby" in lower else 2] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_semantic_stage_comes_last() -> None:
    catalog = Catalog(["s", "m", "h"], ["千と千尋の神隠し (2001)", "Moby Dick (1956)", "Heat (1995)"])
    grounder = Grounder(catalog, semantic=Concepts())
    found = grounder.ground_many(
        ["Spirited Away", "Spirited Away (2001)", "Spirited Away (1990)", "Heat", "Spirited"]
    )
    assert [(match.item_id, match.method) for match in found] == [
        ("s", "semantic"), ("s", "semantic"), (None, None), ("h", "exact"), (None, None),
    ]  # fmt: skip
    assert grounder.ground("Spirited Away (TV series)").item_id is None
    assert Grounder(catalog).ground("Spirited Away").item_id is None
    assert (
        grounder.extended(catalog.extended([{"id": "n", "title": "Ran (1985)"}])).ground("Spirited Away").item_id
        == "s"
    )


def test_a_meaning_that_two_items_share_is_not_chosen() -> None:
    catalog = Catalog(["a", "b"], ["神隠し 一", "神隠し 二"])
    assert Grounder(catalog, semantic=Concepts()).ground("Spirited Away").item_id is None
