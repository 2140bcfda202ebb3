from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.unit.bench_world import CANARY, FILMS, Quiet, catalog, contacts, llm_method, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, ContextOverflowError, LLMConnectionError, LLMRequestError, ZsrecError
from zsrec.core.types import Exchange
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation import held_out
from zsrec.evaluation.benchmark import Task, in_folder, in_memory, rebuild
from zsrec.evaluation.report import RATES, Prices
from zsrec.evaluation.run_folder import RunFolder
from zsrec.llm.journal import request_key
from zsrec.llm.protocol import ChatRequest


class Model(FakeLLM):
    """Answers from the prompt alone; fails where a test wants it."""

    def __init__(self, *errors: ZsrecError | None) -> None:
        super().__init__("")
        self.errors = list(errors)

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return told_by_prompt(request)


def run(path: Path, llm: FakeLLM, given: Task | None = None, **arguments: object) -> dict[str, object]:
    in_folder(given or task(), RunFolder(path), arguments, Quiet(), llm=llm)
    return json.loads((path / "metrics.json").read_text(encoding="utf-8"))


def contents(path: Path) -> dict[str, bytes]:
    names = ["config.json", "metrics.json", "titles.json"]
    files = [path / name for name in names] + sorted((path / "predictions").iterdir())
    return {file.name: file.read_bytes() for file in files}


def test_two_runs_agree_to_the_byte_apart_from_times(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(tmp_path / name, Model(), task(questions=4))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a" / "probe.json").read_bytes() == (tmp_path / "b" / "probe.json").read_bytes()
    assert "seconds" not in (tmp_path / "a" / "metrics.json").read_text(encoding="utf-8")


def test_the_folder_tells_everything(tmp_path: Path) -> None:
    llm = Model()
    found = run(tmp_path / "r", llm, task(questions=4, prices=Prices(1.0, 2.0)), files={"x": "y"})
    assert [one["method"] for one in found["methods"]] == ["pop", "itemknn", "generate", "rank"]
    assert [one["users"] for one in found["methods"]] == [24, 24, 12, 12]
    assert [one["mode"] for one in found["methods"]] == [
        "training-free",
        "training-free",
        "zero-shot",
        "training-free",
    ]
    assert found["same_users"]["users"] == 12
    assert {pair["users"] for pair in found["comparisons"] if "generate" in (pair["a"], pair["b"])} == {12}
    generate, rank = (found["methods"][place]["llm"] for place in (2, 3))
    assert set(generate["rates"]) == set(RATES) - {"no candidate"}
    assert set(rank["rates"]) == set(RATES)
    assert generate["lift"] == []
    assert [pair["metric"] for pair in rank["lift"]] == ["HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR@10"]
    assert sum(rank["first_places"]) == pytest.approx(1)
    exchanges = [json.loads(line) for line in (tmp_path / "r" / "exchanges.jsonl").read_text("utf-8").splitlines()]
    assert len(exchanges) == len(llm.requests) == 12 + 12 + 8
    tokens = [one["reply"]["usage"] for one in exchanges[:12]]
    assert generate["total_tokens"] == [
        sum(one["prompt_tokens"] for one in tokens), sum(one["completion_tokens"] for one in tokens),
    ]  # fmt: skip
    spent = sum(one["prompt_tokens"] + 2 * one["completion_tokens"] for one in tokens) / 1e6
    assert generate["cost"]["mean"] == pytest.approx(spent / 12)
    config = json.loads((tmp_path / "r" / "config.json").read_text(encoding="utf-8"))
    assert config["llm_methods"]["generate"]["sha256"] == task().llm_methods[0].template.ref.sha256
    assert "127.0.0.1" not in json.dumps(config)
    assert found["probe"]["questions"] == {"title": 4, "next": 4}


def test_a_report_is_rebuilt_without_a_server_or_data(tmp_path: Path) -> None:
    run(tmp_path / "r", Model(), task(questions=2))
    before = contents(tmp_path / "r")
    pages = [(tmp_path / "r" / name) for name in ("report.md", "report.html")]
    old = [page.read_bytes() for page in pages]
    for page in (*pages, tmp_path / "r" / "metrics.json"):
        page.unlink()
    rebuild(RunFolder(tmp_path / "r"))
    assert contents(tmp_path / "r") == before
    assert [page.read_bytes() for page in pages] == old  # times come from the folder too
    found = rebuild(RunFolder(tmp_path / "r"), Prices(3.0, None))
    assert found.methods[2].llm is not None
    assert found.methods[2].llm.cost is not None


def test_a_finished_run_needs_no_server(tmp_path: Path) -> None:
    run(tmp_path / "r", Model(), task(questions=2))
    before = contents(tmp_path / "r")
    dead = Model(*[LLMConnectionError("gone", retryable=True)] * 99)
    dead.handshake = None  # type: ignore[assignment,method-assign]
    run(tmp_path / "r", dead, task(questions=2))
    assert dead.requests == []
    assert contents(tmp_path / "r") == before


def test_a_server_that_fails_stops_the_run_and_the_same_call_goes_on(tmp_path: Path) -> None:
    gone = LLMConnectionError("gone", retryable=True)
    first = Model(*[None] * 5, gone, gone)
    with pytest.raises(LLMConnectionError):
        run(tmp_path / "r", first)
    second = Model()
    run(tmp_path / "r", second)
    # What was under way when the server failed came to its end and was kept: the first asked all 12 at once.
    assert len(first.requests) == 12
    assert len(second.requests) == 2 + 12
    unbroken = Model()
    run(tmp_path / "whole", unbroken)
    assert contents(tmp_path / "r") == contents(tmp_path / "whole")


def test_what_one_user_brings_about_is_that_users_miss(tmp_path: Path) -> None:
    llm = Model(LLMRequestError("refused", status=400), ContextOverflowError("long", status=400))
    found = run(tmp_path / "r", llm, task(llm_methods=[llm_method("generate", "generate/default")]))
    generate = found["methods"][2]
    assert generate["llm"]["rates"]["no answer"]["mean"] == pytest.approx(1 / 12)
    assert generate["notes"] == ["1 users got no answer; the first: LLMRequestError"]
    # the prompt that was too long was sent again with half of the history
    lengths = sorted(len(request.messages[0].content.splitlines()) for request in llm.requests)
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("status", [401, 400])
def test_what_fails_for_everybody_stops_the_run(tmp_path: Path, status: int) -> None:
    with pytest.raises(LLMRequestError):
        run(tmp_path / "r", Model(*[LLMRequestError("no", status=status)] * 99))
    assert not (tmp_path / "r" / "metrics.json").exists()


def test_users_without_history_or_candidates_are_not_asked_for(tmp_path: Path) -> None:
    films = catalog()
    rows = [Contact("a", "1", 1.0), Contact("b", "2", 1.0)]
    known = Interactions.from_contacts(rows, catalog=Ids(films.ids))
    split = held_out(known, {"a": "5", "cold": "6"})
    llm = Model()
    found = run(tmp_path / "r", llm, Task("d", films, [split], {}, task().llm_methods, ks=(5,)))
    assert len(llm.requests) == 1  # a, by generate: a shares no item with b, so item-kNN has no candidate
    assert [one["llm"]["rates"]["no answer"]["mean"] for one in found["methods"]] == [0.5, 1.0]
    assert "not asked for" in found["methods"][1]["notes"][0]


def test_the_subset_is_drawn_by_hash_and_stays_in_order() -> None:
    split = task().problems[0]
    some = split.drawn(7, seed=3)
    assert len(some) == 7
    assert sorted(some.tolist()) == some.tolist()
    assert set(split.drawn(6, seed=3).tolist()) < set(some.tolist())
    assert split.drawn(7, seed=4).tolist() != some.tolist()
    assert split.drawn(None, seed=3).tolist() == list(range(24)) == split.drawn(99, seed=3).tolist()


def test_a_shuffled_pool_is_the_same_pool(tmp_path: Path) -> None:
    orders = {}
    for shuffled in (False, True):
        llm = Model()
        method = llm_method("rank", "rank/default", pool=8, shuffled=shuffled)
        run(tmp_path / str(shuffled), llm, task(llm_methods=[method]))
        orders[shuffled] = {
            request.messages[1].content.split("Candidates:")[0]: [
                line
                for line in request.messages[1].content.split("Candidates:")[1].splitlines()
                if line[:1] == "-"
            ]
            for request in llm.requests
        }
    assert orders[True] != orders[False]
    assert {user: sorted(pool) for user, pool in orders[True].items()} == {
        user: sorted(pool) for user, pool in orders[False].items()
    }


def test_an_llm_needs_a_folder_and_one_order_of_ties(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stored in a run's folder"):
        in_memory(task(), Quiet())
    twice = task()
    with pytest.raises(ConfigError, match="one order of ties"):
        run(tmp_path / "r", Model(), Task("d", twice.catalog, twice.problems * 2, {}, twice.llm_methods))


# -- nothing knows a target ---------------------------------------------------------------------------------


def whole_prompt(request: ChatRequest) -> str:
    return "\n".join(message.content for message in request.messages)


@pytest.mark.parametrize("source", ["pop", "itemknn"])
def test_a_canary_target_reaches_no_prompt_no_candidates_no_retry_and_no_key(tmp_path: Path, source: str) -> None:
    """The canary is in the catalog and occurs once in all interactions: as u3's target."""
    rows = [*contacts(), Contact("u3", "canary-id", 99.0)]
    methods = [
        llm_method("generate", "generate/default"),
        llm_method("rank", "rank/default", source=source, pool=30),
    ]
    # the first two prompts are found too long, so that they are rendered and sent again
    llm = Model(ContextOverflowError("long", status=400), ContextOverflowError("long", status=400))
    given = task(rows, llm_methods=methods, users=None, questions=30)
    run(tmp_path / "r", llm, given)
    assert len(llm.requests) == 24 + 24 + 2 + 24 + 30
    for request in llm.requests:
        assert "Canary" not in whole_prompt(request)
        assert "canary" not in request.model_dump_json()
    journal = (tmp_path / "r" / "exchanges.jsonl").read_text(encoding="utf-8")
    assert "anary" not in journal
    keys = {json.loads(line)["key"] for line in journal.splitlines()}
    assert keys <= {request_key("fake", request) for request in llm.requests}
    for path in (tmp_path / "r" / "predictions").iterdir():
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:-1]:
            plain = json.loads(line)
            if plain["user"] == "u3":
                assert plain.pop("target") == "canary-id"  # written down after the ranking was made
            assert "canary" not in json.dumps(plain)


def test_what_is_sent_does_not_depend_on_the_target(tmp_path: Path) -> None:
    """Whatever film the target is, and whether or not an answer names it, the same requests are sent."""
    sent = []
    rows = [row for row in contacts() if row.item not in {"7", "8"}]
    for number, target in enumerate(("7", "8", "canary-id")):
        llm = Model()
        run(tmp_path / str(number), llm, task([*rows, Contact("u3", target, 99.0)], users=None, questions=5))
        sent.append(sorted(request.model_dump_json() for request in llm.requests))
    assert sent[0] == sent[1] == sent[2]


def test_a_list_without_the_target_is_a_miss_and_one_with_it_is_found(tmp_path: Path) -> None:
    class Knows(Model):
        async def chat(self, request: ChatRequest) -> Exchange:
            return (await super().chat(request)).model_copy(update={"answer": f"1. {FILMS[7]}\n2. {CANARY}"})

    rows = [row for row in contacts() if row.item not in {"7"}]
    given = task([*rows, Contact("u3", "canary-id", 99.0)], users=None, llm_methods=task().llm_methods[:1])
    run(tmp_path / "r", Knows(), given)
    found = RunFolder(tmp_path / "r").predictions("generate")
    places = dict(zip(found.users, found.above.tolist(), strict=True))
    assert places.pop("u3") == 1
    assert set(places.values()) == {-1}
