"""Words that mean something in titles, one data file per language (`words/*.json`)."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def _load() -> dict[str, dict[str, Any]]:
    files = resources.files("zsrec.data").joinpath("words").iterdir()
    found = {file.name.removesuffix(".json"): json.loads(file.read_text("utf-8")) for file in files}
    return dict(sorted(found.items()))


_WORDS = _load()
_EN, _ZH = _WORDS["en"], _WORDS["zh"]


def _all(name: str) -> frozenset[str]:
    found = (word for words in _WORDS.values() for word in words.get(name, "").split())
    return frozenset(word.replace("_", " ") for word in found)


def _phrases(name: str) -> tuple[str, ...]:
    return tuple(phrase for words in _WORDS.values() for phrase in words.get(name, "").split("|") if phrase)


def _by_word(name: str) -> dict[str, str]:
    return {
        word.replace("_", " "): of
        for words in _WORDS.values()
        for of, listed in words.get(name, {}).items()
        for word in listed.split()
    }


MOVABLE_ARTICLES = sorted(_all("articles"), key=lambda article: (-len(article), article))
"""Articles of all languages that catalogs put behind a name, in their usual case."""

ARTICLES = frozenset(_EN["articles"].lower().split())
"""The articles that are left out when names are compared."""

SMALL_WORDS = _all("small_words")
"""Words that carry so little that models drop or add them."""

FILLERS = frozenset(_EN["fillers"].split())
"""Words that say what every item of such a catalog is, or in which format."""

MARKERS = frozenset(_EN["markers"].split())
"""Words that only introduce a number: "Chapter Two", "Vol. 2"."""

UNITS: list[str] = _EN["units"].split()
ORDINALS: list[str] = _EN["ordinals"].split()
SPELLINGS: dict[str, str] = _EN["spellings"]
"""Words that are spelled another way before names are compared."""

HAN_NUMBERS: dict[str, str] = _ZH["numbers"]
HAN_COUNTERS: str = _ZH["counters"]
"""What stands behind a Chinese ordinal: "part", "season", "volume"."""

EDGE_WORDS = _all("edge_words")
"""Words at which a title may be cut in two."""

NOTES = _all("notes")
"""Words that name a genre or an edition: alone they say nothing of a title."""

EDITIONS = _all("editions")
"""Words that end the name of an edition."""

VERSIONS = _all("versions")
"""Words that name a version or a recording."""

VERSION_MODIFIERS = _all("version_modifiers")
"""Words beside them that tell no two works apart either."""

FEATURES = _phrases("features")
"""What begins a note on guests or on where a recording is from."""

SETS = _all("sets")
"""Words behind a name that make it the name of several items."""

MEDIA = _by_word("media")
"""The medium that a word names; "set" is one of several items."""

DOMAINS = _by_word("domains")
"""The medium of a catalog's items, by the word that names them."""

CREDITS = _phrases("credits")
"""What stands before names of people or places."""

PREDICATES = _phrases("predicates")
"""What begins a description in small letters."""

OPENERS = _all("openers")
"""Words that open a list or an answer and are no part of a name: "Films: …"."""

HOUSES = _all("houses")
"""Companies that are named before a title."""

JOINTS = _all("joints")
"""Words that join the titles of a list."""

MAKERS = _all("makers")
"""Words between a title and who made it."""
