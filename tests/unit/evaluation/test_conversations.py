"""Conversations: turns, links, rows, the report, and recorded answers on the way of live ones."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.faults.server import ScriptedServer, completion, send
from tests.unit.fakes import FakeLLM
from zsrec.answers.grounder import Grounder
from zsrec.cli import app
from zsrec.core.errors import ConfigError, DataError
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation.conversation_report import MAIN, conversation_markdown, conversation_report
from zsrec.evaluation.conversations import (
    Answer,
    Turn,
    answers_of,
    ask_turns,
    generated_row,
    hybrid_row,
    link_items,
    linked_interactions,
    read_turns,
    retrieval_row,
    words_of,
)
from zsrec.evaluation.llm_methods import Outcome
from zsrec.evaluation.metrics import NOWHERE, Place
from zsrec.ranking.fusion import in_turn
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval import ItemKNN, Lexical, Popularity

FILMS = ["Heat (1995)", "Ronin", "Alien", "Solaris (1972)", "Solaris (2002)", "Paterson", "Big", "Jaws"]
CATALOG = Catalog.from_items([{"id": f"i{n}", "title": title} for n, title in enumerate(FILMS)], domain="movies")


def turn(name: str, targets: str, mentioned: str = "", dialog: str = "d", *texts: str) -> Turn:
    said = tuple(("user", text) for text in texts or ("something like Heat",))
    return Turn(name, dialog, said, tuple(mentioned.split()), tuple(targets.split()))


TURNS = [turn("t1", "i1", "i0"), turn("t2", "i2 i5", "", "e"), turn("t3", "i7", "i2 i1", "e")]


SAID = ["something like Heat"] * len(TURNS)


def rows() -> list[Contact]:
    return [Contact(f"u{n}", item, float(n)) for n in range(3) for item in ("i0", "i1", "i2", "i6")[: 4 - n]]


def lines(path: Path, *plain: object) -> Path:
    path.write_text("\n".join(json.dumps(one) for one in plain) + "\n", encoding="utf-8")
    return path


def plain(one: Turn, **more: object) -> dict[str, object]:
    said = [{"role": role, "text": text} for role, text in one.conversation]
    return {**one._asdict(), "conversation": said} | more


# -- reading ------------------------------------------------------------------------------------------------


def test_turns_come_back(tmp_path: Path) -> None:
    empty = turn("t0", "i4")._replace(conversation=())
    found = read_turns(lines(tmp_path / "t.jsonl", *map(plain, [*TURNS, empty])), CATALOG)
    assert found == [*TURNS, empty]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"targets": []}, r"t\.jsonl:2: is no turn: no target"),
        ({"targets": ["gone"]}, r"t\.jsonl:2: item 'gone' is not in the catalog"),
        ({"mentioned": ["gone"]}, "item 'gone'"),
        ({"conversation": [{"role": "system", "text": "x"}]}, "role 'system', expected user or assistant"),
        ({"conversation": [{"role": "user"}]}, "'text'"),
        ({"id": "t1"}, "id 't1' stands twice"),
        ({"id": None}, "None is no id"),
        ({"dialog": 1.5}, "1.5 is no id"),
    ],
)
def test_a_bad_turn_is_named(tmp_path: Path, bad: dict[str, object], match: str) -> None:
    path = lines(tmp_path / "t.jsonl", plain(TURNS[0]), plain(TURNS[1], **bad))
    with pytest.raises(DataError, match=match):
        read_turns(path, CATALOG)


def test_no_turns_at_all(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("{\n", encoding="utf-8")
    with pytest.raises(DataError, match=":1: is no turn"):
        read_turns(tmp_path / "t.jsonl", CATALOG)
    (tmp_path / "t.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is no turn"):
        read_turns(tmp_path / "t.jsonl", CATALOG)
    with pytest.raises(DataError, match="cannot be read"):
        read_turns(tmp_path / "none.jsonl", CATALOG)


def test_a_retriever_reads_the_newest_words_without_the_assistants_lists() -> None:
    said = (
        ("user", "Alien was fine"),
        ("assistant", "How about Ronin?"),
        ("assistant", "Ronin (1998); Paterson; Jaws"),
        ("user", "no, slower"),
    )
    asked = [
        turn("t", "i1"),
        turn("t", "i1")._replace(conversation=()),
        turn("t", "i1")._replace(conversation=said),
    ]
    assert words_of(asked, Grounder(CATALOG)) == [
        "something like Heat",
        "",
        "Alien was fine\nHow about Ronin?\nno, slower",
    ]


# -- behaviour of others ------------------------------------------------------------------------------------


def test_items_are_linked_by_title_and_others_are_left_out() -> None:
    others = Catalog.from_items(
        [
            {"id": "1", "title": "Heat (1995)"}, {"id": "2", "title": "Ronin (1998)"},
            {"id": "3", "title": "Solaris"}, {"id": "4", "title": "Unknown Pleasures (2002)"},
        ]
    )  # fmt: skip
    links = link_items(others, Grounder(CATALOG))
    assert [(one.item, one.found) for one in links] == [("1", "i0"), ("2", "i1"), ("3", None), ("4", None)]
    contacts = [Contact("u", item, float(n)) for n, item in enumerate("1234")]
    known = linked_interactions(Interactions.from_contacts(contacts, catalog=Ids(others.ids)), links, CATALOG)
    assert list(known.items.ids) == list(CATALOG.ids)
    assert {known.items[code] for code in known.columns.item.tolist()} == {"i0", "i1"}


# -- rows ---------------------------------------------------------------------------------------------------


def test_a_retriever_never_shows_what_was_mentioned_and_falls_back_aloud() -> None:
    known = Interactions.from_contacts(rows(), catalog=Ids(CATALOG.ids))
    pop = Popularity(known)
    row = retrieval_row("itemknn", ItemKNN(known), TURNS, SAID, fallback=pop)
    assert row.places[0] == Place(0)  # the item that goes with Heat
    assert row.notes[-1] == "1 of 3 turns fell back to popularity: nothing speaks for any item"
    for order, one in zip(row.orders, TURNS, strict=True):
        assert not set(order) & set(one.mentioned)
    assert row.orders[1] == retrieval_row("pop", pop, TURNS, SAID).orders[1]
    assert row.places[1] == Place(2)  # without a mention: i0 and i1 are better known than i2
    assert row.places[3] == NOWHERE
    assert row.shortcut[0] != NOWHERE


def asked(*answers: str) -> tuple[Answer, ...]:
    async def main() -> tuple[Answer, ...]:
        contacts = [Contact("u", "i3", 1.0), *(Contact(f"v{n}", "i4", 1.0) for n in range(3))]
        known = Interactions.from_contacts(contacts, catalog=Ids(CATALOG.ids))
        recommender = AsyncRecommender(CATALOG, llm=FakeLLM(*answers), template="converse/default")
        recommender = recommender.with_retriever(Popularity(known))
        found = []
        for one in TURNS:
            found += await ask_turns(recommender, [one], k=5)
        return answers_of(found, TURNS)

    return asyncio.run(main())


def test_an_answer_says_what_it_names_and_an_ambiguous_title_is_the_most_popular() -> None:
    first, second, third = asked(
        "1. Heat\n2. Ronin\n3. Ronin", "1. Solaris\n2. The Zorblax Affair", "1. Jaws\n2. Alien"
    )
    assert first == Answer(("i0", "i1"), named=2, not_in_catalog=0, repeated=1)
    assert second == Answer(("i4",), named=2, not_in_catalog=1, repeated=0)
    row = generated_row("generate", (first, second, third), TURNS)
    assert row.orders == (("i1",), ("i4",), ("i7",))
    assert row.places == (Place(0), NOWHERE, NOWHERE, Place(0))
    assert row.shortcut == (Place(1), NOWHERE, NOWHERE, Place(0))


def test_a_hybrid_takes_turns_and_the_model_opens() -> None:
    answers = asked("1. Heat\n2. Ronin", "nothing comes to mind", "1. Jaws")
    known = Interactions.from_contacts(rows(), catalog=Ids(CATALOG.ids))
    pop = retrieval_row("pop", Popularity(known), TURNS, SAID)
    generated = generated_row("generate", answers, TURNS)
    hybrid = hybrid_row("hybrid", generated, [pop], TURNS)
    assert hybrid.orders == tuple(in_turn(*both) for both in zip(generated.orders, pop.orders, strict=True))
    assert [order[0] for order in hybrid.orders] == ["i1", "i0", "i7"]
    assert hybrid.mode == "training-free"
    fell = replace(pop, fell_back=frozenset({1}))
    assert hybrid_row("hybrid", generated, [fell], TURNS).orders[1] == ()


def test_the_benchmarks_hybrid_is_the_recommenders() -> None:
    known = Interactions.from_contacts(rows(), catalog=Ids(CATALOG.ids))
    talk = (("user", "I saw Heat. Something about aliens, or jaws?"),)
    asked_for = [one._replace(conversation=talk) for one in TURNS[:1]]
    said = words_of(asked_for, Grounder(CATALOG))
    found = [
        retrieval_row("lexical", Lexical(CATALOG), asked_for, said),
        retrieval_row("itemknn", ItemKNN(known), asked_for, said),
    ]
    llm = FakeLLM("1. Big\n2. Paterson\n3. Jaws")

    async def main() -> list[Outcome]:
        recommender = AsyncRecommender(CATALOG, llm=llm, template="converse/default", retriever=ItemKNN(known))
        return await ask_turns(recommender, asked_for, k=8, fill="retrieval")

    outcomes = asyncio.run(main())
    hybrid = hybrid_row(
        "hybrid", generated_row("generate", answers_of(outcomes, asked_for), asked_for), found, asked_for
    )
    (one,) = outcomes
    assert isinstance(one, Recommendations)
    assert tuple(one.ids) == hybrid.orders[0]
    assert [each.source for each in one][:4] == ["llm", "llm", "llm", "retrieval"]


# -- the report ---------------------------------------------------------------------------------------------


def test_means_are_over_targets_and_intervals_over_dialogs() -> None:
    rng = np.random.default_rng(0)
    turns = [
        turn(f"t{n}", f"i{n % 8}" if n % 3 else f"i{n % 8} i{(n + 1) % 8}", "", f"d{n // 4}") for n in range(80)
    ]
    named = [tuple(f"i{i}" for i in rng.permutation(8)[:3]) for _ in turns]
    row = generated_row("generate", tuple(Answer(one, 3) for one in named), turns)
    pop = generated_row("pop", tuple(Answer(("i0",), 1) for _ in turns), turns)
    plain_pop = replace(pop, answers=None)
    report = conversation_report([plain_pop, row], turns, (1, 10), data="x", items=8, seed=3)
    hits = [target in order for order, one in zip(named, turns, strict=True) for target in one.targets]
    found = report.methods[1].metrics
    assert found["Recall@10"].mean == pytest.approx(np.mean(hits))
    assert list(found) == ["Recall@1", "Recall@10", MAIN]
    assert found["Recall@10"].low < found["Recall@10"].mean < found["Recall@10"].high
    assert (report.users, report.dialogs, report.targets) == (80, 20, len(hits))
    # The bootstrap of dialogs, drawn here anew: 2,000 times 20 dialogs with replacement.
    groups = [[hit for hit, (one, _) in zip(hits, [(t, x) for t in turns for x in t.targets], strict=True)
               if one.dialog == f"d{d}"] for d in range(20)]  # fmt: skip
    means = [np.mean(np.concatenate([groups[d] for d in rng.integers(20, size=20)])) for _ in range(2000)]
    assert [found["Recall@10"].low, found["Recall@10"].high] == pytest.approx(
        np.quantile(means, [0.025, 0.975]), abs=0.02
    )
    lift = report.lift[0]
    assert (lift.metric, lift.a, lift.b) == (MAIN, "generate", "pop")
    assert lift.difference == pytest.approx(found[MAIN].mean - report.methods[0].metrics[MAIN].mean)
    assert lift.low < lift.difference < lift.high
    text = conversation_markdown(report)
    assert text.index("## Lift over the best") < text.index("## Methods")


def test_nothing_found_is_no_certainty() -> None:
    row = generated_row("generate", tuple(Answer((), 0) for _ in TURNS), TURNS)
    report = conversation_report([row], TURNS, (10,), data="x", items=8)
    most = 1 - 0.025 ** (1 / 2)  # two dialogs
    assert report.methods[0].metrics["Recall@10"].high == pytest.approx(most)
    assert report.methods[0].rates["no answer"].mean == 0.0
    assert "not in the catalog" not in report.methods[0].rates  # nothing was named
    assert report.lift == ()
    other = replace(row, method="pop", answers=None)
    (lift, *_) = conversation_report([other, row], TURNS, (10,), data="x", items=8).lift
    assert (lift.difference, lift.low, lift.high) == (0.0, -most, most)


# -- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    lines(tmp_path / "turns.jsonl", *map(plain, TURNS))
    items = "\n".join(["item,title", *(f"{one.id},{one.title}" for one in CATALOG)])
    (tmp_path / "items.csv").write_text(items + "\n", encoding="utf-8")
    table = [f"{one.user},{one.item},{one.time:.0f}" for one in rows()]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,timestamp", *table]) + "\n", encoding="utf-8")
    (tmp_path / "movies.csv").write_text(items.replace("item,", "movieId,") + "\n", encoding="utf-8")
    lines(
        tmp_path / "answers.jsonl",
        {"id": "t1", "text": "1. Heat\n2. Ronin"}, {"id": "t2", "text": "1. Alien\n2. Zorblax"},
        {"id": "t2", "text": "1. Big"}, {"id": "zzz", "text": "1. Big"},
    )  # fmt: skip
    return tmp_path


def invoke(files: Path, *more: object) -> Result:
    argv = ["bench", "conversations", "--turns", files / "turns.jsonl", "--catalog", files / "items.csv", *more]
    return CliRunner().invoke(app, [str(part) for part in argv])


def test_recorded_answers_over_the_command_line(files: Path) -> None:
    result = invoke(
        files, "--methods", "pop,itemknn,generate,hybrid", "--interactions", files / "ratings.csv",
        "--interaction-items", files / "movies.csv", "--replies", f"gpt={files / 'answers.jsonl'}",
        "--json", files / "out.json", "--out", files / "out",
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads((files / "out.json").read_text("utf-8"))
    assert [one["method"] for one in found["methods"]] == ["pop", "itemknn", "generate[gpt]", "hybrid[gpt]"]
    generated = found["methods"][2]
    assert list(generated["metrics"]) == ["Recall@1", "Recall@5", "Recall@10", "Recall@20", "NDCG@10"]
    assert generated["metrics"]["Recall@5"]["mean"] == pytest.approx(2 / 4)
    assert generated["users"] == found["users"] == 3
    assert generated["replies"] == {
        "answered": 2, "missing": ["t3"], "failed": [], "duplicate": ["t2"], "foreign": ["zzz"],
    }  # fmt: skip
    assert generated["rates"]["no answer"]["mean"] == pytest.approx(1 / 3)
    assert generated["rates"]["repeated mentions"]["mean"] == pytest.approx(1 / 4)
    assert {one["b"] for one in found["lift"]} <= {"pop", "itemknn"}
    assert {(one["a"], one["b"]) for one in found["comparisons"]} >= {("pop", "hybrid[gpt]")}
    assert "1 missing replies, the first for 't3'" in result.output
    assert result.output.index("lift of generate[gpt]") < result.output.index("Recall@1")
    assert json.loads((files / "out" / "report.json").read_text("utf-8")) == found
    assert (files / "out" / "report.md").read_text("utf-8").startswith("# Conversations: turns.jsonl\n")


def test_a_server_is_asked_once_for_each_turn(files: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: dict[str, object]) -> None:
        send(handler, completion("1. Ronin\n2. Jaws"))

    with ScriptedServer(answer) as server:
        argv = ("--methods", "lexical,generate,hybrid", "--base-url", server.base_url, "--out", files / "out")
        first = invoke(files, *argv, "--json", files / "a.json")
        assert first.exit_code == 0, (first.output, first.exception)
        sent = len(server.requests)
        assert sent == len(TURNS)
        second = invoke(files, *argv, "--json", files / "b.json")
        assert second.exit_code == 0, (second.output, second.exception)
        assert len(server.requests) == sent  # its replies are stored
    found = json.loads((files / "a.json").read_text("utf-8"))
    assert found == json.loads((files / "b.json").read_text("utf-8"))
    assert [one["method"] for one in found["methods"]] == ["lexical", "generate", "hybrid"]
    assert found["methods"][1]["metrics"]["Recall@1"]["mean"] == pytest.approx(2 / 4)
    assert found["methods"][1]["replies"] is None


def test_links_are_printed(files: Path) -> None:
    result = invoke(
        files, "--interactions", files / "ratings.csv", "--interaction-items", files / "movies.csv", "--link"
    )
    assert result.exit_code == 0
    assert "i0 Heat (1995) → i0 Heat (1995)" in result.output
    assert len(result.output.splitlines()) == len(FILMS)
    assert "needs --interactions" in str(invoke(files, "--link").exception)


def test_a_row_that_cannot_run_is_left_out_aloud(files: Path) -> None:
    result = invoke(files, "--methods", "pop,generate", "--replies", f"gpt={files / 'answers.jsonl'}")
    assert "pop: left out: it needs --interactions" in result.output
    for more, match in (
        (("--methods", "pop"), "no method can run"),
        (("--methods", "magic"), "unknown method 'magic'"),
        (("--methods", "pop,pop"), "twice"),
        (("--replies", "gpt"), "expected NAME=FILE"),
        (("--requests-only", files / "r"), "requests for no model"),
    ):
        found = invoke(files, *more).exception
        assert isinstance(found, ConfigError), (more, found)
        assert match in str(found)


def test_requests_are_written_and_their_replies_go_on(files: Path) -> None:
    model = ("--methods", "generate", "--model", "tiny")
    result = invoke(files, *model, "--requests-only", files / "r")
    assert result.exit_code == 0, (result.output, result.exception)
    (path,) = (files / "r" / "round-1").iterdir()
    requests = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [one["url"] for one in requests] == ["/v1/chat/completions"] * 3
    assert all(one["body"]["model"] == "tiny" for one in requests)
    assert "something like Heat" in json.dumps(requests[0]["body"]["messages"])
    assert path.stat().st_mode & 0o077 == 0  # they hold histories
    body = {"choices": [{"message": {"content": "1. Jaws"}, "finish_reason": "stop"}], "model": "tiny"}
    replies = [
        {"custom_id": one["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        for one in requests[:2]
    ]
    replies.append(
        {"custom_id": requests[2]["custom_id"], "response": None, "error": {"message": "out of memory"}}
    )
    done = lines(files / "replies.jsonl", *replies)
    result = invoke(files, *model, "--replies", f"tiny={done}", "--requests-only", files / "r")
    (again,) = (files / "r" / "round-2").iterdir()  # the failed one is asked again
    assert json.loads(again.read_text("utf-8"))["custom_id"] == requests[2]["custom_id"]
    retried = [{**replies[0], "custom_id": requests[2]["custom_id"]}]
    more = lines(files / "more.jsonl", *retried)
    both = ("--replies", f"tiny={done}", "--replies", f"tiny={more}")
    result = invoke(files, *model, *both, "--requests-only", files / "r")
    assert "every request has a reply" in result.output
    result = invoke(files, *model, *both, "--json", files / "out.json")
    (row,) = json.loads((files / "out.json").read_text("utf-8"))["methods"]
    assert row["replies"]["answered"] == 3
    assert row["metrics"]["Recall@1"]["mean"] == pytest.approx(1 / 4)
