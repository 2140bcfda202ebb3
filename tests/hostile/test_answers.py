"""Hostile answers and catalogs: what comes out stands in the catalog, quickly, and a terminal stays itself."""

from __future__ import annotations

import time

import pytest

from tests.hostile.attacks import ATTACKS, HOMOGLYPHS, Attack
from tests.unit.fakes import FakeLLM
from zsrec.answers.grounder import Grounder
from zsrec.cli import console
from zsrec.data.catalog import Catalog
from zsrec.recommender.recommender import Recommender

SHORT = [one for one in ATTACKS if len(one.text) < 1000]
WRAPPED = ["{}", "1. {}\n2. Ronin (1998)", '["{}", "Ronin (1998)"]', "I suggest {} and Ronin (1998)."]


def answers(attack: Attack) -> list[str]:
    return [form.replace("{}", attack.text) for form in WRAPPED]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_answer_never_brings_an_item_that_the_catalog_lacks(films: Catalog, attack: Attack) -> None:
    texts = answers(attack)
    with Recommender(films, llm=FakeLLM(*texts)) as rec:
        for text in texts:
            started = time.process_time()
            found = rec.recommend(["Thief (1981)"], 5)
            assert time.process_time() - started < 10.0
            assert {one.item.id for one in found} <= set(films.ids) - {"6"}
            for one in found:
                assert one.item == films[one.item.id]
                assert one.provenance is not None
                mention = one.provenance.mention
                assert text[mention.start : mention.end] == mention.text


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_hostile_item_does_not_take_the_place_of_another(films: Catalog, attack: Attack) -> None:
    grounder = Grounder(films.extended([{"id": "evil", "title": attack.text}]))
    for title, item_id in (("Heat (1995)", "1"), ("Ronin (1998)", "2")):
        match = grounder.ground(title)
        if match.item_id is None:  # a twin makes it ambiguous, which is said
            assert set(match.alternatives) >= {item_id, "evil"}
        else:
            assert match.item_id == item_id


@pytest.mark.parametrize("name", HOMOGLYPHS)
def test_a_homoglyph_is_the_title_or_nothing(films: Catalog, name: str) -> None:
    title = HOMOGLYPHS[name]
    expected = "1" if title.endswith("(1995)") else "2"
    assert Grounder(films).ground(title).item_id in {expected, None}


@pytest.mark.parametrize("attack", SHORT, ids=lambda attack: attack.name)
def test_a_terminal_shows_text_and_nothing_else(
    films: Catalog, attack: Attack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", type(console.out)(highlight=False, width=2000, force_terminal=False))
    catalog = films.extended([{"id": "evil", "title": attack.text}])
    with Recommender(catalog, llm=FakeLLM(f"1. {attack.text}\n2. Ronin (1998)")) as rec:
        console.show(rec.recommend([attack.text, "Heat (1995)"], 3), attack.text)
    shown = capsys.readouterr().out
    assert not {char for char in shown if not char.isprintable()} - {"\n"}
    if attack.name == "rich markup":
        assert "[bold red]" in shown
