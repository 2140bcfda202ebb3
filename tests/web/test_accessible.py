"""The page under axe, the rules that browsers' own accessibility audits run, in a real Chromium.

The rules come with the package axe-playwright-python and are put into the page from this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.faults.server import ScriptedServer, answers, fails
from tests.web.conftest import Playground, write

pytestmark = pytest.mark.web
Tab = Callable[..., Any]
# What fades in is pale until it stands: the colours of an audit in between are nobody's.
STILL = """async () => {
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const ends = document.getAnimations().filter(one => one.effect.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(ends.map(one => one.finished));
}"""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def audit(_tools: None) -> Callable[[Any], list[str]]:
    """What is serious or critical, one line each: the rule, where, and why."""
    if find_spec("axe_playwright_python") is None:
        pytest.skip("axe-playwright-python is not installed: pip install 'zsrec[web]'")
    from axe_playwright_python.sync_playwright import Axe

    def audited(page: Any) -> list[str]:
        page.evaluate(STILL)
        found = Axe().run(page).response
        assert len(found["passes"]) > 10  # it did look
        return list(_lines(found["violations"]))

    return audited


def _lines(violations: list[dict[str, Any]]) -> Iterator[str]:
    for one in violations:
        if one["impact"] in {"serious", "critical"}:
            for node in one["nodes"]:
                yield f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_every_state_of_the_page_is_accessible(
    tab: Tab,
    playground: Playground,
    model: ScriptedServer,
    audit: Callable[[Any], list[str]],
    options: dict[str, Any],
) -> None:
    page = tab(playground.url, **options)
    found = {"first": audit(page)}
    page.get_by_label("User", exact=True).click()
    page.get_by_role("option").first.wait_for()
    found["a list"] = audit(page)
    page.keyboard.press("Escape")
    page.get_by_text("A history I type").click()
    page.get_by_label("History", exact=True).fill("Heat (1995)")
    page.get_by_label("In words").fill("tense")
    page.get_by_text("Compare two templates").click()
    page.get_by_text("What the model would receive:").nth(1).wait_for()
    model.scripts[:] = [answers("1. Casino (1995) - slow\n2. A Film That Nobody Made\n3. Heat (1995)")]
    page.get_by_label("Candidates").fill("Casino (1995)\nJumanji (1995)")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("heading", name="Round 1").nth(1).wait_for()
    page.get_by_role("button", name="Like Casino (1995)").first.click()
    page.locator("button[aria-label='Like Casino (1995)'][aria-pressed=true]").first.wait_for()
    for text in ("The same in Python", "The same request as curl"):
        page.get_by_text(text).first.click()
    page.get_by_text("/chat/completions").first.wait_for()
    found["a round"] = audit(page)
    model.scripts[:] = [fails(400, "out of order")]
    page.get_by_role("button", name="Next round").click()
    page.get_by_role("alert").get_by_text("out of order").first.wait_for()
    write(page, "\n{{ hisory }}")
    page.get_by_text("undeclared variable 'hisory'").wait_for()
    found["errors"] = audit(page)
    page.get_by_text("A conversation", exact=True).click()
    page.get_by_label("Say what you want").fill("something slow")
    model.scripts[:] = [answers("1. Casino (1995)")]
    page.keyboard.press("Control+z")
    page.get_by_label("Retrieval").click()
    page.get_by_role("option", name="lexical").click()
    found["a conversation"] = audit(page)
    page.get_by_label("Start from").first.click()
    page.get_by_role("option").first.wait_for()
    found["the templates"] = audit(page)
    assert {state: lines for state, lines in found.items() if lines} == {}
