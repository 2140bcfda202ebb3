"""Books, songs, games and Chinese titles: creators, aliases, series, labels and scripts."""

from __future__ import annotations

import pytest

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import item_ids, read_answer
from zsrec.answers.title_index import TitleIndex
from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.titles import simplified_letters

BOOKS = {
    "snow-n": ("The Snowman (Harry Hole, #7)", "Jo Nesbø"),
    "snow-b": ("The Snowman", "Raymond Briggs"),
    "caspian": ("Prince Caspian (Chronicles of Narnia, #2)", "C.S. Lewis"),
    "nephew": ("The Magician's Nephew (Chronicles of Narnia, #6)", "C.S. Lewis"),
    "1984": ("1984", "George Orwell"),
    "candide": ("Candide", "Voltaire"),
    "before": ("Me Before You (Me Before You, #1)", "Jojo Moyes"),
    "origin": ("Origin (Lux, #4)", "Jennifer L. Armentrout"),
    "rings": ("The Lord of the Rings (The Lord of the Rings, #1-3)", "J.R.R. Tolkien"),
    "angels": ("Angels & Demons (Robert Langdon, #1)", "Dan Brown"),
}
FILMS = {
    "gump": ("阿甘正传 Forrest Gump", ""),
    "rings2": ("指环王2：双塔奇兵 The Two Towers", ""),
    "smurfs": ("蓝精灵2", ""),
    "thief": ("捉贼记", "月黑高飞(港)|Bicycle Thieves"),
    "gilda": ("Love, Gilda", ""),
}


def catalog(rows: dict[str, tuple[str, str]], column: str, domain: str) -> Catalog:
    items = [{"id": key, "title": title, column: more} for key, (title, more) in rows.items()]
    path_free = Catalog.from_items(items)
    attributes = {column: [more for _, more in rows.values()]}
    return Catalog(
        path_free.ids,
        path_free.titles,
        attributes=attributes,
        domain=domain,
        creator=column if column == "author" else None,
        aliases=column if column == "aliases" else None,
    )


@pytest.fixture(scope="module")
def books() -> Grounder:
    return Grounder(catalog(BOOKS, "author", "books"))


@pytest.fixture(scope="module")
def films() -> Grounder:
    return Grounder(catalog(FILMS, "aliases", "movies"))


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("The Snowman by Jo Nesbø", "snow-n"),
        ("The Snowman by Raymond Briggs", "snow-b"),
        ("The Snowman", None),
        ("The Snowman - Jo Nesbo", "snow-n"),
        ("Jo Nesbø: The Snowman", "snow-n"),
        ("The Snowman (Jo Nesbø, 2007)", "snow-n"),
        ("The Snowman, Jo Nesbø", "snow-n"),
        ("1984 by ['George Orwell']", "1984"),
        ("Candide by Voltaire", "candide"),
        ("Me Before You (novel) by Jojo Moyes", "before"),
        ("Origin by Dan Brown", None),
        ("The Chronicles of Narnia: Prince Caspian by C.S. Lewis", "caspian"),
        ("Prince Caspian (Narnia, Book 3)", None),
        ("Chronicles of Narnia", None),
        ("The Lord of the Rings Trilogy by J.R.R. Tolkien", "rings"),
        ("Angels & Demons (film)", None),
        ("Angels & Demons (novel)", "angels"),
    ],
)
def test_books(mention: str, item: str | None, books: Grounder) -> None:
    assert books.ground(mention).item_id == item


def test_a_series_abstains_with_its_books(books: Grounder) -> None:
    match = books.ground("The Chronicles of Narnia by C.S. Lewis")
    assert (match.item_id, match.reason, set(match.alternatives)) == (None, "ambiguous", {"caspian", "nephew"})


@pytest.mark.parametrize(
    "answer",
    [
        "1. The Snowman by Jo Nesbø\n2. Candide",
        'I suggest "The Snowman" by Jo Nesbø and "Candide" by Voltaire. Enjoy!',
    ],
)
def test_creators_behind_the_mentions_of_an_answer(answer: str, books: Grounder) -> None:
    assert list(item_ids(read_answer(answer, books).grounded)) == ["snow-n", "candide"]


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("阿甘正传", "gump"),
        ("Forrest Gump", "gump"),
        ("阿甘正传（Forrest Gump）", "gump"),
        ("《阿甘正传》：一部经典的剧情片", "gump"),
        ("电影「阿甘正传」", "gump"),
        ("《阿甘正传》（1994）", "gump"),
        ("指环王２：双塔奇兵", "rings2"),
        ("指环王：双塔奇兵", "rings2"),
        ("蓝精灵二", "smurfs"),
        ("蓝精灵II", "smurfs"),
        ("蓝精灵3", None),
        ("月黑高飞", "thief"),
        ("Bicycle Thieves", "thief"),
        ("《Love, Gilda》", "gilda"),
        ("捉奸记", None),
    ],
)
def test_chinese_films(mention: str, item: str | None, films: Grounder) -> None:
    assert films.ground(mention).item_id == item


@pytest.mark.skipif(not simplified_letters(), reason="needs the extra zh")
def test_traditional_letters(films: Grounder) -> None:
    assert films.ground("捉賊記").item_id == "thief"


def test_labels_of_other_items_speak_against_an_item() -> None:
    titles = [
        f"{name} - {system}"
        for name in "Ace Bolt Core Dash Echo Fuse Gate".split()
        for system in ("Alpha", "Beta")
    ]
    titles = [title for title in titles if title not in ("Ace - Beta", "Bolt - Alpha", "Bolt - Beta")] + ["Bolt"]
    shop = Grounder(Catalog(titles, titles, domain="games"))
    assert shop.ground("Core - Beta").item_id == "Core - Beta"
    assert shop.ground("Core for Beta").item_id == "Core - Beta"
    assert shop.ground("Core").reason == "ambiguous"
    assert shop.ground("Ace").item_id == "Ace - Alpha"
    assert shop.ground("Ace - Beta").item_id is None


PRODUCTS = {
    "rally-p": "Rally Stars - PlayStation 2", "rally-x": "Rally Stars - Xbox 360",
    "island": "Island - The Game - Xbox 360", "island-old": "Island",
    "gold": "Rally Stars V Gold Edition [Digital Code]", "plain": "Rally Stars 5",
    "legacy": "Rally Legacy (Includes Desert Trail, Big Ice Two) - PlayStation 2",
    "legacy-d": "Rally Legacy [Download]",
    "caps": "(4) Rubber Grip Caps for Thumb Sticks",
    "guard": "Foamy Guard (TM) premium dust cover with soft lining",
    "headset": "Orion Wireless Headset Blue Arrow Analog: In-line Volume Control / Leather Ear Pads",
    "bundle": "Pocket Handheld Black (Japan import - only for Japanese games)",
    **{f"more-{place}": f"Puzzle Box {word} - {label}" for place, (word, label) in enumerate(
        (word, label) for word in ("Amber", "Birch", "Cedar", "Delta", "Ember")
        for label in ("PlayStation 2", "Xbox 360", "Game Boy Advance")
    )},
    **{f"code-{word}": f"{word} Quest [Digital Code]" for word in ("Frost", "Gale", "Haze", "Iris")},
    **{f"load-{word}": f"{word} Farm [Download]" for word in ("Frost", "Gale", "Haze", "Iris")},
}  # fmt: skip


@pytest.fixture(scope="module")
def products() -> Grounder:
    items = [{"id": key, "title": title} for key, title in PRODUCTS.items()]
    return Grounder(Catalog.from_items(items, domain="products"))


@pytest.mark.parametrize(
    ("mention", "item"),
    [
        ("Rally Stars - Xboxx 360", "rally-x"),  # a slip in a label
        ("Ralyl Stars - Xnox 360", "rally-x"),
        ("Rally Stars - PlayStation 3", None),
        ("Island - The Game", "island"),  # no note: a title goes so
        ("Island", "island-old"),
        ("Rally Stars 5 Gold Edition", "gold"),  # "V" counts before an edition
        ("Rally Legacy (Includes Desert", "legacy"),  # cut off inside brackets
        ("Rally Legacy (Includes Desert Trail,", "legacy"),
        ("Rally Legacy (Includes Snow", None),
        ("Pocket Handheld Black (Japan import -", "bundle"),
        ("Rubber Grip Caps for Thumb Sticks", "caps"),  # a count in front left out
        ("Foamy Guard premium dust cover with soft lining", "guard"),
        ("Foamy Guard® premium dust cover with soft lining", "guard"),
        ("Orion Wireless Headset Blue Arrow Analog In-line", "headset"),  # cut off behind many words
    ],
)
def test_products(mention: str, item: str | None, products: Grounder) -> None:
    assert products.ground(mention).item_id == item


def test_an_index_of_other_creators_is_refused(books: Grounder) -> None:
    titles = books.catalog.titles
    with pytest.raises(ConfigError, match="another catalog"):
        books.index.check(titles, ["nobody"] * len(titles))
    TitleIndex.build(titles, books.catalog.creators).check(titles, books.catalog.creators)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="writer"):
        Catalog(["1"], ["Heat"], creator="writer")
