"""Answers in the flow: candidates' lines and numbers, cut thoughts, ambiguous titles, and what the trace says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.popularity import Popularity

HEAT, RONIN, MATRIX, UP, TOYS, THIEF, SOLARIS, SOLARIS_2002 = "12345678"
FRONT = """---
task: rank
version: 1
answer: titles
description: A test.
variables:
  domain:     {scope: catalog, type: str, default: items}
  history:    {scope: user, type: items}
  about:      {scope: user, type: str, default: ""}
  candidates: {scope: user, type: items}
  k:          {scope: user, type: int, default: 10}
---
{% block user %}
{% if about %}{{ about }}{% endif %}

Known {{ domain }}:
{% for item in history %}
- {{ item.display }}
{% endfor %}

Candidates:
{% for item in candidates %}
LINE
{% endfor %}

Name the best {{ k }} candidates.
{% endblock %}
"""
BARE = "{{ item.display }}"
EXTRAS = "{{ item.display }} by somebody [{{ item.genres }}] 6.99 EUR"
NUMBERED = "[{{ loop.index }}] {{ item.display }}"
DOTTED = "{{ loop.index }}. {{ item.display }} | {{ item.genres }}"
BULLETS = "- {{ item.title }} ({{ item.genres }})"
CANDIDATES = (HEAT, RONIN, UP, TOYS)


def ask(
    films: Catalog, answer: str, *, line: str | None = None, folder: Path | None = None, **how: object
) -> Recommendations:
    template = None
    if line is not None and folder is not None:
        template = folder / "lines.j2"
        template.write_text(FRONT.replace("LINE", line), encoding="utf-8")
    finish = str(how.pop("finish", "stop"))
    llm = FakeLLM(Exchange(messages=(), answer=answer, finish_reason=finish))
    made = {name: how.pop(name) for name in ("popularity", "settings") if name in how}
    history = how.pop("history", ["Thief (1981)"])
    with Recommender(films, llm=llm, template=template, **made) as rec:  # type: ignore[arg-type]
        return rec.recommend(history, 4, **how)  # type: ignore[arg-type]


def ids(found: Recommendations) -> str:
    return "".join(one.item.id for one in found)


@pytest.mark.parametrize(
    ("line", "answer", "expected"),
    [
        (BARE, "Ronin (1998)\nUp (2009)\nHeat (1995)", "241"),
        (BARE, "Heat (1995)\nRonin (1998)\nUp (2009)\nToy Story (1995)", "1245"),
        (BARE, "Toy Story (1995)", "5"),
        (BARE, "1. Ronin (1998)\n2. Heat (1995)", "21"),
        (BARE, "- Ronin (1998)\n- Heat (1995)", "21"),
        (BARE, "Sure! Here are the best:\nRonin (1998)\nHeat (1995)", "21"),
        (BARE, "**Ronin (1998)**\n**Heat (1995)**", "21"),
        (BARE, "Title: Ronin (1998)\nTitle: Heat (1995)", "21"),
        (BARE, "3. Up (2009)\n2. Ronin (1998)\n1. Heat (1995)", "124"),
        (BARE, "ronin (1998)\nheat (1995)", "21"),
        (BARE, "<think>Up (2009)\nHeat (1995)</think>\nRonin (1998)", "2"),
        (BARE, "Candidates:\nHeat (1995)\nRonin (1998)\n\nAnswer:\nUp (2009)", "4"),
        (
            EXTRAS,
            "Ronin (1998) by somebody [Action|Crime] 6.99 EUR\nUp (2009) by somebody [Animation] 6.99 EUR",
            "24",
        ),
        (EXTRAS, "1. Ronin (1998) by somebody [Action|Crime] 6.99 EUR", "2"),
        (EXTRAS, "* Up (2009) by somebody [Animation] 6.99 EUR\n* Heat (1995)", "41"),
        (EXTRAS, "Heat\nRonin", "12"),
        (EXTRAS, '["Ronin (1998)", "Heat (1995)"]', "21"),
        (NUMBERED, "[2] > [1]", "21"),
        (NUMBERED, "[2] > [1] > [4] > [3]", "2154"),
        (NUMBERED, "2 > 1", "21"),
        (NUMBERED, "2, 1, 3", "214"),
        (NUMBERED, "[2]\n[1]", "21"),
        (NUMBERED, "[2, 1]", "21"),
        (NUMBERED, '{"ranking": [4, 3]}', "54"),
        (NUMBERED, "1. [4]\n2. [3]", "54"),
        (NUMBERED, "Candidate 2", "2"),
        (NUMBERED, "[2] Ronin (1998)\n[1] Heat (1995)", "21"),
        (NUMBERED, "[3] Up (2009)\n[2] Ronin (1998)\n[1] Heat (1995)", "421"),
        (NUMBERED, "1. Up (2009)\n2. Heat (1995)", "41"),
        (NUMBERED, "2 > 9", "2"),
        (NUMBERED, "The best is [2].", "2"),
        (NUMBERED, "<think>[1] maybe</think>[3] > [2]", "42"),
        (DOTTED, "2. Ronin (1998) | Action|Crime\n1. Heat (1995) | Crime|Thriller", "21"),
        (DOTTED, "3, 1", "41"),
        (DOTTED, "Up (2009) | Animation", "4"),
        (BULLETS, "- Ronin (1998) (Action|Crime)\n- Heat (1995) (Crime|Thriller)", "21"),
        (BULLETS, "Ronin (1998) (Action|Crime)", "2"),
    ],
)
def test_candidates_named_by_their_lines_or_numbers(
    films: Catalog, tmp_path: Path, line: str, answer: str, expected: str
) -> None:
    assert ids(ask(films, answer, line=line, folder=tmp_path, candidates=CANDIDATES)) == expected


@pytest.mark.parametrize("template", ["rank/terse", "rank/default", "llmrank/sequential"])
def test_candidates_lines_of_the_built_in_templates(films: Catalog, template: str) -> None:
    llm = FakeLLM("Ronin (1998)\nHeat (1995)")
    with Recommender(films, llm=llm, template=template) as rec:
        found = rec.recommend(["Thief (1981)"], 4, candidates=CANDIDATES)
    assert ids(found) == "21"


def test_a_line_that_two_candidates_begin_with_is_not_certain(tmp_path: Path) -> None:
    twins = Catalog.from_items(
        [{"id": "1", "title": "Dune"}, {"id": "2", "title": "Dune"}, {"id": "3", "title": "Up"}]
    )
    found = ask(twins, "Dune\nUp", line=BARE, folder=tmp_path, candidates=("1", "2", "3"), history=["Heat"])
    assert ids(found) == "3"
    assert [one.match.reason for one in found.trace.unresolved] == ["ambiguous"]


def test_prose_of_the_prompt_is_still_an_echo(films: Catalog, tmp_path: Path) -> None:
    found = ask(
        films, "Name the best 4 candidates.\nRonin (1998)", line=BARE, folder=tmp_path, candidates=CANDIDATES
    )
    assert ids(found) == RONIN
    assert [skip.why for skip in found.trace.skipped] == ["echo of the prompt"]


# -- cut answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<think>\nMaybe\n1. Heat (1995)\n2. Ronin (1998)", ""),
        ("[THINK]1. Heat (1995)\n2. Ronin (1998)", ""),
        ("<seed:think>1. Heat (1995)", ""),
        ("<|START_THINKING|>1. Heat (1995)", ""),
        ("<|begin_of_thought|>1. Heat (1995)", ""),
        ("<|channel>thought\n1. Heat (1995)", ""),
        ("<|channel|>analysis<|message|>1. Heat (1995)", ""),
        ("analysisThe user likes crime.\n1. Heat (1995)", ""),
        ("◁think▷1. Heat (1995)", ""),
        ("Okay, the user likes Thief (1981). Maybe:\n1. Heat (1995)\n2. Ronin (1998)", ""),
        ("Alright, let me think. The user watched a crime film.\n- Heat (1995)\n- Ro", ""),
        ("Hmm, the user wants films. Let's see, Heat (1995) would fit. Ronin (1998) as w", ""),
        ("We need to recommend films. The user likes Thief. Heat (1995) and", ""),
        ("1. Heat (1995)\n2. Ronin (1998)\n3. Toy Sto", "12"),
        ("Here are my picks:\n1. Heat (1995)\n2. Ronin (1998)\n3. To", "12"),
        ("Sure! Based on the user's history, here are some films:\n1. Heat (1995)\n2. Ronin (1998)", "12"),
        ('["Heat (1995)", "Ronin (1998)", "Toy', "12"),
        ("Okay, the user likes crime.\n</think>\n1. Heat (1995)\n2. Ro", "1"),
        ("Okay, the user likes crime.\n\n**Answer:**\n1. Heat (1995)\n2. Ro", "1"),
        ("Heat (1995)\nRonin (1998)\nToy", "12"),
    ],
)
def test_a_cut_thought_recommends_nothing_and_a_cut_list_stays_a_list(
    films: Catalog, answer: str, expected: str
) -> None:
    found = ask(films, answer, finish="length")
    assert ids(found) == expected
    thought = any("thought was cut at max_tokens" in note for note in found.trace.notes)
    assert thought is not bool(expected)
    assert any("cut at max_tokens" in note for note in found.trace.notes)
    assert ("unfinished thought" in [skip.why for skip in found.trace.skipped]) is thought


@pytest.mark.parametrize(
    ("answer", "finish", "expected"),
    [
        ("The history shows crime. Heat (1995) would fit", "length", ""),
        ("The history shows crime. I recommend Heat (1995).", "stop", HEAT),
        ("1. Heat (1995)\n2. Ro", "length", HEAT),
        ("The history shows crime.\n</think>\n1. Heat (1995)\n2. Ro", "length", HEAT),
    ],
)
def test_a_model_that_is_told_to_think(films: Catalog, answer: str, finish: str, expected: str) -> None:
    assert ids(ask(films, answer, finish=finish, settings=Settings(thinking="on"))) == expected


def test_thinking_aloud_that_was_not_cut_is_read(films: Catalog) -> None:
    assert ids(ask(films, "Okay, the user likes crime. I recommend Heat (1995).")) == HEAT


# -- ambiguous titles ---------------------------------------------------------------------------------


def test_an_ambiguous_title_abstains_without_popularity(films: Catalog) -> None:
    found = ask(films, "1. Solaris\n2. Heat")
    assert ids(found) == HEAT
    assert [one.match.reason for one in found.trace.unresolved] == ["ambiguous"]
    assert not any("popular" in note for note in found.trace.notes)


def test_a_popularity_list_settles_an_ambiguous_title(films: Catalog) -> None:
    found = ask(films, "1. Solaris\n2. Heat", popularity=[HEAT, SOLARIS_2002, SOLARIS])
    assert ids(found) == SOLARIS_2002 + HEAT
    match = found.trace.grounded[0].match
    assert (match.method, match.alternatives) == ("popular", (SOLARIS,))
    assert found.trace.mode == "training-free"
    assert any("1 ambiguous title was taken as the most popular" in note for note in found.trace.notes)


@pytest.mark.parametrize("how", ["call", "settings"])
def test_abstaining_can_be_asked_for(films: Catalog, how: str) -> None:
    popularity = [SOLARIS_2002, SOLARIS]
    if how == "call":
        found = ask(films, "1. Solaris\n2. Heat", popularity=popularity, ambiguous="abstain")
    else:
        found = ask(films, "1. Solaris\n2. Heat", popularity=popularity, settings=Settings(ambiguous="abstain"))
    assert ids(found) == HEAT
    assert found.trace.mode == "zero-shot"


def test_a_strict_recommender_uses_no_interactions(films: Catalog) -> None:
    found = ask(films, "1. Solaris\n2. Heat", popularity=[SOLARIS], settings=Settings(strict=True))
    assert ids(found) == HEAT


def with_popularity(films: Catalog, **values: object) -> Catalog:
    rows = [{"id": one.id, "title": one.title, "popularity": values.get("_" + one.id, 1)} for one in films]
    return Catalog.from_items(rows, domain="movies")


def test_a_column_of_the_catalog_gives_the_share(films: Catalog) -> None:
    found = ask(with_popularity(films, _7=30, _8=10), "1. Solaris\n2. Heat", settings=Settings(strict=True))
    assert ids(found) == SOLARIS + HEAT
    match = found.trace.grounded[0].match
    assert (match.score, match.method, match.alternatives) == (0.75, "popular", (SOLARIS_2002,))
    assert found.trace.mode == "zero-shot"


@pytest.mark.parametrize("value", [1, "x", float("nan"), float("inf"), -3, None])
def test_equal_or_unusable_popularity_abstains(films: Catalog, value: object) -> None:
    found = ask(with_popularity(films, _7=value, _8=value), "1. Solaris\n2. Heat")
    assert ids(found) == HEAT


def test_interactions_of_the_retriever_are_counted(films: Catalog) -> None:
    users = {"a": [SOLARIS, HEAT], "b": [SOLARIS], "c": [SOLARIS_2002, SOLARIS]}
    histories = {user: History(events=tuple(Event(item=i, by="id") for i in seen)) for user, seen in users.items()}
    retriever = Popularity(Interactions.from_histories(histories, catalog=Ids(films.ids)))
    with Recommender(films, llm=FakeLLM("1. Solaris\n2. Up"), template="generate/default").with_retriever(
        retriever
    ) as rec:
        found = rec.recommend(["Thief (1981)"], 4)
    assert ids(found).startswith(SOLARIS + UP)
    assert found.trace.grounded[0].match.score == 0.75
    assert found.trace.mode == "training-free"


def test_a_year_or_a_candidate_decides_before_popularity(films: Catalog, tmp_path: Path) -> None:
    assert ids(ask(films, "1. Solaris (1972)", popularity=[SOLARIS_2002, SOLARIS])) == SOLARIS
    found = ask(
        films, "1. Solaris", line=BARE, folder=tmp_path, candidates=(HEAT, SOLARIS), popularity=[SOLARIS_2002]
    )
    assert ids(found) == SOLARIS


# -- ambiguous titles of the history --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "popularity", "expected"),
    [
        ("1. Solaris\n2. Heat", None, HEAT),
        ("1. Solaris (1972)\n2. Heat", None, HEAT),
        ("1. Solaris (2002)\n2. Heat", None, HEAT),
        ("1. Solaris\n2. Heat", [SOLARIS, SOLARIS_2002], HEAT),
        ("1. Solaris (1972)\n2. Heat", [SOLARIS, SOLARIS_2002], HEAT),
        ("1. Solaris (2002)\n2. Heat", [SOLARIS, SOLARIS_2002], SOLARIS_2002 + HEAT),
        ('[{"title": "Solaris", "year": 2002}, {"title": "Heat"}]', [SOLARIS, SOLARIS_2002], SOLARIS_2002 + HEAT),
    ],
)
def test_all_meanings_of_a_title_of_the_history_are_known(
    films: Catalog, answer: str, popularity: list[str] | None, expected: str
) -> None:
    found = ask(films, answer, popularity=popularity, history=["Solaris", "Thief (1981)"])
    assert ids(found) == expected
    note = "1 title of the history names several items (2 in all); all of them count as known"
    assert note in found.trace.notes
    assert found.trace.history.unresolved == (("Solaris", "ambiguous"),)


def test_meanings_of_the_history_are_no_candidates(films: Catalog, tmp_path: Path) -> None:
    found = ask(
        films, "Solaris (1972)\nHeat (1995)", line=BARE, folder=tmp_path, candidates=(SOLARIS, HEAT, SOLARIS_2002),
        history=["Solaris"],
    )  # fmt: skip
    assert found.trace.pool is not None
    assert found.trace.pool.ids == (HEAT,)
    assert ids(found) == HEAT


def test_a_year_in_the_history_leaves_the_other_item(films: Catalog) -> None:
    found = ask(films, "1. Solaris (2002)\n2. Solaris (1972)", history=["Solaris (1972)"])
    assert ids(found) == SOLARIS_2002
    assert not any("history names" in note for note in found.trace.notes)


# -- what the trace says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "an empty answer"),
        ("\n ...", "an empty answer"),
        ("I'm sorry, but I can't help with that.", "a refusal"),
        ("As an AI language model, I do not watch films.", "a refusal"),
        ("抱歉，我无法推荐。", "a refusal"),
        ("What kind of films do you like?", "a question"),
        ("<think>Heat (1995)</think>", "only thoughts"),
        ("Great acting and a dark mood await you.", "no list"),
        ('{"avoid": ["Heat (1995)"]}', "only what is left out (avoid)"),
    ],
)
def test_an_answer_that_names_nothing_says_of_which_kind_it_is(films: Catalog, answer: str, kind: str) -> None:
    found = ask(films, answer)
    assert len(found) == 0
    assert f"an answer names nothing: {kind}" in found.trace.notes


def test_what_the_parser_leaves_out_is_in_the_trace(films: Catalog) -> None:
    answer = "<think>Up</think>Sure!\n1. Heat (1995)\n2. ~~Ronin~~\n\nAvoid:\n- Solaris (1972)\n\n"
    answer += "User: more\nAssistant: Up"
    found = ask(films, answer)
    assert ids(found) == HEAT
    skipped = [(answer[skip.start : skip.end].strip(), skip.why) for skip in found.trace.skipped]
    assert ("<think>Up</think>", "thought") in skipped
    assert ("~~Ronin~~", "struck out") in skipped
    assert ("Avoid:\n- Solaris (1972)", "avoid") in skipped
    assert ("Up", "another part") in skipped
    assert ("Sure", "no title") in skipped
    assert {skip.exchange for skip in found.trace.skipped} == {0}
