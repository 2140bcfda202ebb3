"""Tokens by part, shared beginnings, and the cache's counters."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import CapabilityError, ConfigError
from zsrec.core.types import Exchange, Message, Usage
from zsrec.data.history import History
from zsrec.data.movielens import Dataset
from zsrec.evaluation.prefix_cache import (
    Shared,
    context_fits,
    label_tokens,
    measure_orders,
    measure_users,
    orders_of,
    prefix_of,
)
from zsrec.evaluation.token_budget import Estimate, Served, Tokens, answers_for, budget_of, cast_of, questions_of
from zsrec.llm.protocol import ChatRequest, Label, LabelSet, ServerInfo
from zsrec.llm.responses import CacheCounters, read_counters
from zsrec.prompts import load_template

PAGE = """\
# HELP vllm:prefix_cache_queries_total Prefix cache queries.
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 300.0
vllm:prefix_cache_queries_total{engine="1",model_name="m"} 12.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 64.0
vllm:prefix_cache_hits_total{engine="1",model_name="m"} 0.0
vllm:prefix_cache_hits_created{engine="0"} 1.7e+09
vllm:cache_config_info{effective_attention_block_size="16",block_size="32",engine="0"} 1.0
"""


class Words:
    """Counts words."""

    name = "words"
    block: int | None = 4

    async def tokens(self, prompt: tuple[Message, ...] | str) -> Tokens:
        if isinstance(prompt, str):
            return prompt.split()
        return [word for message in prompt for word in [message.role, *message.content.split()]]


class Cache:
    """A server whose prefix cache is as vLLM's: whole blocks, each with all before it, one cache a salt."""

    def __init__(self, block: int, *, noise: int = 0) -> None:
        self.block, self.noise = block, noise
        self.blocks: set[tuple[object, ...]] = set()
        self.queries = self.hits = 0

    async def chat(self, request: ChatRequest) -> Exchange:
        words = list(await Words().tokens(request.messages))
        ends = range(self.block, len(words) + 1, self.block)
        keys = [(request.cache_salt, *words[:end]) for end in ends]
        self.hits += self.block * sum(key in self.blocks for key in keys)
        self.queries += len(words) + self.noise
        self.blocks.update(keys)
        usage = Usage(prompt_tokens=len(words), completion_tokens=1)
        return Exchange(messages=request.messages, answer="A", finish_reason="length", model="m", usage=usage)

    async def cache_counters(self) -> CacheCounters | None:
        return CacheCounters(self.queries, self.hits, self.block)


def test_parts_sum_to_the_whole(movielens: Dataset) -> None:
    template = load_template("rank/label")
    cast = cast_of(movielens, template)
    typical = asyncio.run(budget_of(template, cast.typical, Words()))
    worst = asyncio.run(budget_of(template, cast.worst, Words()))
    for budget in (typical, worst):
        assert sum(part.tokens for part in budget.parts) == budget.total
        assert [part.name for part in budget.parts] == ["system", "user", "history", "candidates", "rest"]
        assert budget.shown == 10  # `last: 10`
        assert budget.candidates == 20
    assert worst.total > typical.total
    assert typical.part("system") == len(
        "You recommend movies. You answer with the label of one candidate and nothing else.".split()
    )
    assert typical.part("nothing such") == 0


@pytest.mark.parametrize(
    "name", ["generate/default", "generate/json", "rank/default", "rank/terse", "explain/default"]
)
def test_every_kind_of_template_is_counted(name: str, movielens: Dataset) -> None:
    template = load_template(name)
    cast = cast_of(movielens, template)
    budget = asyncio.run(budget_of(template, cast.worst, Estimate()))
    assert budget.part("history") > 0
    assert budget.candidates == {"generate": 0, "rank": 20, "explain": 1}[template.task]
    assert asyncio.run(prefix_of(template, cast, Estimate())).users.tokens > 0


def test_nobody_with_a_history_is_an_error(movielens: Dataset) -> None:
    empty = Dataset(movielens.catalog, {"1": History()})
    with pytest.raises(ConfigError, match="no user has a history"):
        cast_of(empty, load_template("rank/label"))


def test_orders_share_what_stands_before_the_candidates(movielens: Dataset) -> None:
    label, pool_first = load_template("rank/label"), load_template("rank/terse")
    cast = cast_of(movielens, label)
    prefix = asyncio.run(prefix_of(label, cast, Words()))
    assert prefix.orders is not None
    assert prefix.orders.tokens == prefix.before
    assert prefix.orders.cached == prefix.before // 4 * 4
    other = asyncio.run(prefix_of(pool_first, cast_of(movielens, pool_first), Words()))
    assert other.orders is not None
    assert other.orders.tokens < other.users.tokens
    assert Shared(tokens=7, of=9, block=None).cached == 7


def test_a_windows_ranker_asks_about_windows(movielens: Dataset) -> None:
    template = load_template("rank/window")
    person = cast_of(movielens, template).typical
    asked = orders_of(template, person)
    assert [len(one) for one in asked] == [4, 4, 4, 4]
    assert asked[0] == person.candidates[16:20]
    assert [len(one) for one in orders_of(load_template("rank/pairwise"), person)] == [2, 2, 2, 2]


def test_the_counters_are_read_and_summed() -> None:
    assert read_counters(PAGE) == CacheCounters(queries=312, hits=64, block=32)
    assert CacheCounters(10, 6, 32).since(CacheCounters(4, 1, 32)) == CacheCounters(6, 5, 32)
    assert read_counters("python_gc_objects_collected_total 3") is None


def test_what_is_measured_is_what_the_cache_did(movielens: Dataset) -> None:
    template = load_template("rank/label")
    people = cast_of(movielens, template, others=3).others
    found = asyncio.run(measure_orders(template, people, Words(), Cache(4)))  # type: ignore[arg-type]
    assert (found.requests, found.users, found.disturbed) == (9, 3, False)
    assert found.hits == found.possible
    assert 0.9 < found.of_before <= 1
    coarse = Words()
    coarse.block = 64
    missed = asyncio.run(measure_orders(template, people, coarse, Cache(64)))  # type: ignore[arg-type]
    assert missed.hits == missed.possible < found.hits
    users = asyncio.run(measure_users(load_template("rank/default"), people, Words(), Cache(4)))  # type: ignore[arg-type]
    assert 0 < users.of_all < 1


def test_others_on_the_server_are_noticed(movielens: Dataset) -> None:
    template = load_template("rank/label")
    people = cast_of(movielens, template, others=2).others[:1]
    found = asyncio.run(measure_orders(template, people, Words(), Cache(4, noise=1)))  # type: ignore[arg-type]
    assert found.disturbed

    class Silent(Cache):
        async def cache_counters(self) -> CacheCounters | None:
            return None

    with pytest.raises(CapabilityError, match="does not count its cache's hits"):
        asyncio.run(measure_users(template, people, Words(), Silent(4)))  # type: ignore[arg-type]


def test_a_server_that_tells_no_tokens_is_an_error_and_not_an_estimate() -> None:
    class NoTokens:
        async def token_ids(self, prompt: object) -> None:
            return None

    meter = Served(NoTokens(), "m", None)  # type: ignore[arg-type]
    assert asyncio.run(meter.tokens("")) == []
    with pytest.raises(CapabilityError, match="does not return tokens"):
        asyncio.run(meter.tokens("Heat"))


def test_labels_of_several_tokens_are_a_warning() -> None:
    template = load_template("rank/label")

    class NoB(FakeLLM):
        async def labels(self, count: int) -> LabelSet:
            texts = [text for text in "ACDEFG" if text != "B"][:count]
            return LabelSet(
                labels=tuple(Label(text=text, token=n) for n, text in enumerate(texts)),
                by="logprob_token_ids",
                most=52,
            )

    (found,) = asyncio.run(label_tokens(template, NoB(""), 3))
    assert (found.severity, found.message) == (
        "warning",
        "B are not one token each for this model; D stand for them",
    )
    assert asyncio.run(label_tokens(template, FakeLLM(""), 20)) == []
    (none,) = asyncio.run(label_tokens(template, FakeLLM(""), 60))
    assert (none.rule, none.severity, none.message) == ("label-tokens", "error", "at most 52 labels")
    assert asyncio.run(label_tokens(load_template("rank/default"), FakeLLM(""), 60)) == []
    assert asyncio.run(label_tokens(load_template("rank/window"), FakeLLM(""), 60)) == []


@pytest.mark.parametrize(
    ("length", "severities"), [(None, []), (100_000, []), (2_000, ["warning"]), (600, ["error"])]
)
def test_a_prompt_that_does_not_fit_is_said(length: int | None, severities: list[str], movielens: Dataset) -> None:
    template = load_template("rank/default")
    budget = asyncio.run(budget_of(template, cast_of(movielens, template).worst, Estimate()))
    server = ServerInfo(base_url="http://127.0.0.1/v1", model="m", context_length=length)
    assert [one.severity for one in context_fits(template, budget, server)] == severities


def test_a_step_is_measured_and_predicted_by_itself(movielens: Dataset) -> None:
    template = load_template("nir/rank")
    cast = cast_of(movielens, template, others=3)
    first, second, last = (
        asyncio.run(prefix_of(template, cast, Words(), step)) for step in questions_of(template)
    )
    assert first.follows is None
    assert second.follows is not None
    assert last.follows is not None
    assert second.follows.tokens < last.follows.tokens
    assert [one.orders is None for one in (first, second, last)] == [True, True, False]
    for step in questions_of(template):
        found = asyncio.run(measure_users(template, cast.others, Words(), Cache(4), step))
        prompts = [one.render(template, step, **answers_for(template, step)) for one in cast.others[1:]]
        words = [len(asyncio.run(Words().tokens(prompt))) for prompt in prompts]
        assert (found.queries, found.requests) == (sum(words), 2)
        assert 0 < found.hits < found.queries


def test_stand_ins_of_answers_are_marked_and_as_long_as_their_limit(movielens: Dataset) -> None:
    template = load_template("nir/rank")
    assert answers_for(template, "taste") == {}
    (taste,) = answers_for(template, "typical").values()
    assert taste.startswith("[the answer of 'taste'] ")
    assert len(taste) == template.steps["taste"].limit
    cast = cast_of(movielens, template)
    budget = asyncio.run(budget_of(template, cast.typical, Words(), "typical"))
    assert budget.part("taste") == len(taste.split())
    assert budget.total == sum(part.tokens for part in budget.parts)
    server = ServerInfo(base_url="", model="m", context_length=budget.total + 119)
    (problem,) = context_fits(template, budget, server, "typical")  # its own max_tokens are 120
    assert problem.message.startswith("step 'typical': a history of ")
