"""The index: built, saved, opened memory-mapped, extended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.answers.title_forms import LOOSE, Kind
from zsrec.answers.title_index import Found, TitleIndex
from zsrec.answers.trigrams import buckets_for, build_postings, gram_codes, overlapping
from zsrec.core.errors import ConfigError, DataError
from zsrec.data.titles import key, loose_key, words

TITLES = [
    "Star Wars: Episode IV - A New Hope (1977)",
    "Seven (a.k.a. Se7en) (1995)",
    "Monty Python's Life of Brian (1979)",
    "The Wizard of Oz",
]
MORE = ["Talladega Nights: The Ballad of Ricky Bobby (2006)", "Heat (1995)"]


def test_every_form_leads_to_its_item_and_kind() -> None:
    index = TitleIndex.build(TITLES)
    for text, item, kind in [
        ("Star Wars: Episode IV - A New Hope", 0, Kind.FULL),
        ("Star Wars", 0, Kind.HEAD),
        ("A New Hope", 0, Kind.TAIL),
        ("Star Wars: A New Hope", 0, Kind.SKIP),
        ("Se7en", 1, Kind.ALTERNATIVE),
        ("Monty Python Life of Brian", 2, None),
        ("Monty Pythons Life of Brian", 2, Kind.FULL),
    ]:
        assert index.find(key(words(text))) == ([] if kind is None else [Found(item, kind)]), text
    assert index.find(loose_key(words("Wizard Oz"))) == [Found(3, Kind.FULL + LOOSE)]
    assert index.find("nothing") == []


def test_years_names_and_words() -> None:
    index = TitleIndex.build(TITLES)
    assert [index.entry(item).year for item in range(4)] == [1977, 1995, 1979, None]
    assert [name.words for name in index.names(1)] == [("seven",), ("se7en",)]
    assert index.names(0)[0].parts == (("star", "wars"), ("episode", "four"), ("a", "new", "hope"))
    assert (index.count("of"), index.count("hope"), index.known("heat")) == (2, 1, False)
    assert 0.0 < index.information("of") < index.information("hope") < index.information("unheard") == 1.0
    assert index.dated


def test_similar_names_are_shortlisted() -> None:
    index = TitleIndex.build(TITLES + MORE)
    found = index.shortlist(key(words("Taladega Nihgts")), size=3, budget=1000)
    assert found[0][0] == 4
    assert index.shortlist("qqqqqq", size=3, budget=1000) == []


def test_saved_and_opened_it_answers_the_same(tmp_path: Path) -> None:
    built = TitleIndex.build(TITLES).extended(TITLES + MORE)
    built.save(tmp_path / "index")
    opened = TitleIndex.open(tmp_path / "index")
    opened.check(TITLES + MORE)
    assert len(opened) == 6
    for text in ("starwars", "heat", "7", "lifeofbrian"):
        assert opened.find(text) == built.find(text)
    assert opened.entry(5).year == 1995
    assert isinstance(opened._segments[0].key_hashes.base, np.memmap)
    assert opened.shortlist("talladega", size=2, budget=1000) == built.shortlist("talladega", size=2, budget=1000)


def test_extending_indexes_only_what_is_new() -> None:
    index = TitleIndex.build(TITLES)
    more = index.extended(TITLES + MORE)
    assert more._segments[0] is index._segments[0]
    assert more.find("heat") == [Found(5, Kind.FULL)]
    assert more.names(5)[0].words == ("heat",)
    assert index.extended(TITLES) is index
    assert len(index) == 4


def test_an_index_of_another_catalog_is_refused() -> None:
    index = TitleIndex.build(TITLES)
    with pytest.raises(ConfigError, match="another catalog"):
        index.check(list(reversed(TITLES)))
    with pytest.raises(ConfigError, match="another catalog"):
        index.extended(["Heat (1995)", *TITLES])


def test_a_broken_folder_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no grounding index"):
        TitleIndex.open(tmp_path)
    TitleIndex.build(TITLES).save(tmp_path)
    (tmp_path / "segment-0" / "years.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"years\.npy"):
        TitleIndex.open(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"format": 99, "digests": []}))
    with pytest.raises(DataError, match="format 99"):
        TitleIndex.open(tmp_path)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=20), st.integers(0, 400))
def test_postings_hold_every_trigram_of_every_name(keys: list[str], budget: int) -> None:
    keys = [text.replace("\x02", "").replace("\x03", "") for text in keys]
    buckets = buckets_for(len(keys))
    starts, places = build_postings(keys, buckets)
    for place, text in enumerate(keys):
        codes = gram_codes(text, buckets)
        for code in codes:
            assert place in places[starts[code] : starts[code + 1]]
        found, shared = overlapping(codes, starts, places, budget=budget)
        assert int(shared.sum()) <= budget
        assert list(found) == sorted(set(found.tolist()))
