"""The playground's whole path in a real Chromium, with the real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.live.conftest import base_url  # noqa: F401  (fixture)
from tests.web.conftest import Playground

pytestmark = [pytest.mark.live, pytest.mark.web, pytest.mark.timeout(600)]


def test_the_whole_path(tab: Callable[..., Any], base_url: str) -> None:  # noqa: F811
    one = Playground("--base-url", base_url)
    try:
        page = tab(one.url)
        page.set_default_timeout(300_000)
        page.get_by_text("tokenizer").wait_for()
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_role("heading", name="Round 1").wait_for()
        answer = page.get_by_role("region", name="Answer 1 of template A").inner_text()
        assert answer.strip()
        assert page.locator("mark, del, .out").count() > 0
        page.get_by_label("Say something about these").fill("less violent")
        page.get_by_role("button", name="Next round").click()
        page.get_by_role("heading", name="Round 2").wait_for()
        page.get_by_text("The same request as curl").click()
        page.get_by_text("less violent").last.wait_for()
    finally:
        one.stop()
