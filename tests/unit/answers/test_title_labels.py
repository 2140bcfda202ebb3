"""Labels: known by form, by words, or learned from the catalog."""

from __future__ import annotations

import pytest

from zsrec.answers.title_labels import Conventions, is_version, label_agreement

GAMES = [f"{name} - {system}" for name in "Ace Bolt Core Dash Echo Fuse".split() for system in ("Alpha 3", "Beta")]


def labels(conventions: Conventions, title: str, creator: str = "") -> list[tuple[str, str]]:
    return [(label.kind, " ".join(label.words)) for label in conventions.anatomy(title, creator).labels]


def test_a_tail_that_many_titles_share_is_a_label() -> None:
    conventions = Conventions.learn([*GAMES, "Gate - A Long Way Home"])
    assert conventions.is_label("Alpha 4")  # numbers do not matter
    assert not conventions.is_label("A Long Way Home")
    assert conventions.anatomy("Gate - Beta").core.main == "Gate"
    assert labels(conventions, "Gate - Beta") == [("l", "beta")]
    assert labels(conventions, "Gate - A Long Way Home") == []


def test_a_tail_that_only_counts_is_no_label() -> None:
    assert not Conventions.learn([f"{title} - Part 2" for title in GAMES]).is_label("Part 2")


@pytest.mark.parametrize(
    ("title", "creator", "core", "found"),
    [
        ("Twilight (Twilight, #1)", "", "Twilight", [("s", "twilight one")]),
        ("Guards! (Discworld, #8; Watch, #1)", "", "Guards!", [("s", "discworld eight"), ("s", "watch one")]),
        ("Crazy - Remastered 2009", "", "Crazy", [("n", "remastered 2009")]),
        ("Closer (feat. Halsey)", "", "Closer", [("n", "feat halsey")]),
        ("Crazy - Aerosmith", "Aerosmith", "Crazy", [("c", "aerosmith")]),
        ("Crazy - Aerosmith", "Seal", "Crazy - Aerosmith", []),
        ("(500) Days of Summer (2009)", "", "(500) Days of Summer", []),
        ("Seven (a.k.a. Se7en) (1995)", "", "Seven", []),
    ],
)
def test_labels_by_their_form(title: str, creator: str, core: str, found: list[tuple[str, str]]) -> None:
    anatomy = Conventions().anatomy(title, creator)
    assert anatomy.core.main == core
    assert labels(Conventions(), title, creator) == found


def test_a_title_in_two_scripts_has_two_names() -> None:
    core = Conventions().anatomy("阿甘正传 Forrest Gump").core
    assert (core.main, core.alternatives) == ("阿甘正传", ("Forrest Gump",))
    assert Conventions(bilingual=True).anatomy("喜宴 囍宴").core.alternatives == ("囍宴",)
    assert Conventions().anatomy("喜宴 囍宴").core.alternatives == ()


def test_a_label_with_another_number_clashes() -> None:
    found = Conventions().anatomy("Found (The Missing, #1)").labels
    assert label_agreement(("the", "missing", "book", "one"), found) is True
    assert label_agreement(("the", "missing", "book", "two"), found) is False
    assert label_agreement(("missing", "trilogy"), found) is True
    assert label_agreement(("something", "else"), found) is None


def test_versions() -> None:
    assert all(map(is_version, ("2011 Remaster", "Radio Edit", "Live", "feat. Akon", "Director's Cut")))
    assert not any(map(is_version, ("A Single Man", "Will Ferrell", "Alive", "The Club")))


def test_conventions_survive_json() -> None:
    learned = Conventions.learn(GAMES)
    assert Conventions.from_json(learned.to_json()) == learned


def test_a_slip_in_a_label_is_seen_in_mentions_only() -> None:
    titles = [f"Game {word} - Xbox 360" for word in ("Amber", "Birch", "Cedar", "Delta", "Ember")]
    conventions = Conventions.learn(titles)
    assert conventions.resembles_label("Xnox 360")
    assert conventions.resembles_label("Xbox 360")
    assert not conventions.is_label("Xnox 360")
    assert not conventions.resembles_label("Box")
    assert not conventions.resembles_label("PlayStation 2")
