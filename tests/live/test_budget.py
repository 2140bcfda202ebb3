"""What the real server's prefix cache shares between the orders of one user's candidates."""

from __future__ import annotations

import asyncio

import pytest

from zsrec.core.settings import Settings
from zsrec.data.movielens import Dataset
from zsrec.evaluation.prefix_cache import Measured, label_tokens, measure_orders
from zsrec.evaluation.token_budget import Served, budget_of, cast_of
from zsrec.llm.client import OpenAIClient
from zsrec.prompts import load_template

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_orders_share_what_stands_before_the_candidates(base_url: str, movielens: Dataset) -> None:
    template = load_template("rank/label")
    cast = cast_of(movielens, template, others=2)

    async def measured() -> Measured:
        async with OpenAIClient(Settings.load(base_url=base_url)) as client:
            server = await client.handshake()
            counters = await client.cache_counters()
            assert counters is not None
            meter = Served(client, server.model, counters.block)
            budget = await budget_of(template, cast.typical, meter)
            assert sum(part.tokens for part in budget.parts) == budget.total
            assert await label_tokens(template, client, 20) == []
            return await measure_orders(template, cast.others, meter, client, count=2)

    found = asyncio.run(measured())
    assert found.requests == 2
    if not found.disturbed:  # nobody else asks the tests' own server
        assert found.hits == found.possible
    assert found.of_before >= 0.85
