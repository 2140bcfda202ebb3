"""The real vLLM: `make test` starts one and says where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from zsrec.core.settings import Settings
from zsrec.data.movielens import Dataset
from zsrec.recommender.recommender import Recommender


@pytest.fixture(scope="session")
def base_url() -> str:
    """The base URL of a real server."""
    url = os.environ.get("ZSREC_TEST_BASE_URL")
    if not url:
        pytest.skip("no real server: run `make test`, or set ZSREC_TEST_BASE_URL to one that runs")
    return url


@pytest.fixture
def recommender(base_url: str, movielens: Dataset) -> Iterator[Recommender]:
    """With the shipped templates, three of them cut short: a 135M model repeats itself up to any limit."""
    prompts = Path(__file__).parent / "prompts"
    settings = Settings.load(timeout=800)
    with Recommender(movielens.catalog, base_url=base_url, prompts=prompts, settings=settings) as one:
        yield one
