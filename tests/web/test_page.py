"""The playground in a real Chromium, before a model that answers from a script."""

from __future__ import annotations

import math
import re
import statistics
import string
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.faults.server import ScriptedServer, answers, completion, fails, send
from tests.web.conftest import HOSTILE, Playground, write
from zsrec.data import movielens

pytestmark = pytest.mark.web
Tab = Callable[..., Any]
ANSWER = (
    "1. Heat (1995) - tense\n2. A Film That Nobody Made (2031)\n3. Jumanji (1995)\n4. Back to the Future Part III"
)


def run(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def test_the_whole_path(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers(ANSWER)]
    page = tab(playground.url)
    page.get_by_label("User", exact=True).click()
    page.get_by_role("option").nth(1).click()
    page.get_by_text("tokens, counted by tiny's tokenizer").wait_for()
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    assert page.locator("mark").all_inner_texts() == [
        "Heat (1995)",
        "Jumanji (1995)",
        "Back to the Future Part III",
    ]
    assert page.locator("del").all_inner_texts() == ["A Film That Nobody Made (2031)"]
    assert "not in the catalog" in page.locator("pre", has=page.locator("del")).inner_text()
    assert page.locator(".ranked .title").all_inner_texts()[:2] == ["Heat (1995)", "Jumanji (1995)"]
    assert page.locator(".ranked .what").first.inner_text().split("\n")[0].startswith("Heat (1995) exact")
    assert "tense" in page.locator(".ranked .what").first.inner_text()

    like = page.get_by_role("button", name="Like Heat (1995)", exact=True)
    like.focus()
    page.keyboard.press("Enter")
    page.locator("button[aria-label='Like Heat (1995)'][aria-pressed=true]").wait_for()
    page.get_by_label("Say something about these").fill("less violent")
    model.scripts[:] = [answers("1. Casino (1995)")]
    page.get_by_role("button", name="Next round").click()
    page.get_by_role("heading", name="Round 2").wait_for()
    sent = model.requests[-1]["messages"][0]["content"]
    assert "(liked)" in sent
    assert sent.rstrip().endswith("less violent")
    assert "Heat (1995)" in sent
    page.get_by_text("The same in Python").click()
    assert ".like('6').say('less violent').show(" in page.get_by_role("region", name="Python").inner_text()
    page.get_by_text("The same request as curl").click()
    page.get_by_text("/chat/completions").wait_for()


def test_a_result_is_in_view_and_marked_when_it_is_out_of_date(
    tab: Tab, playground: Playground, model: ScriptedServer
) -> None:
    model.scripts[:] = [answers(ANSWER)]
    page = tab(playground.url, viewport={"width": 1440, "height": 900})
    assert page.locator(".chip").count() == 12
    assert page.locator(".chip").first.inner_text().endswith(HOSTILE)
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    for part in (page.locator(".ranked li").last, page.get_by_role("button", name="Next round")):
        box = part.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 900
    assert page.evaluate("document.documentElement.scrollHeight") <= 900
    assert page.locator(".stale").count() == 0
    write(page, "\n{# changed #}")
    page.get_by_text("From before your last change").wait_for()
    assert page.locator(".stale .ranked").count() == 1
    page.keyboard.press("Control+z")
    page.locator(".stale").wait_for(state="detached")
    page.get_by_label("How many").fill("2")
    page.locator(".stale").wait_for()
    run(page)
    page.locator(".stale").wait_for(state="detached")
    assert page.locator(".ranked > li").count() == 2


def test_labels_are_shown_as_bars(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    def labels(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        """Jumanji's label gets 0.4 and the other one 0.1, in whichever order they are shown."""
        shown = re.search(r"^([AB])\. Jumanji", body["messages"][-1]["content"], re.M)
        likely = dict.fromkeys(string.ascii_uppercase[:20], 1e-4) | {"A": 0.1, "B": 0.1}
        likely[shown[1] if shown else "A"] = 0.4
        reply = completion("The")
        top = [{"token": letter, "logprob": math.log(p), "bytes": None} for letter, p in likely.items()]
        reply["choices"][0]["logprobs"] = {"content": [{**top[0], "token": "The", "top_logprobs": top}]}
        send(handler, reply)

    model.scripts[:] = [labels]
    page = tab(playground.url)
    page.get_by_label("Start from").click()
    page.get_by_label("Start from").fill("rank/label")
    page.get_by_role("option", name="rank/label Ranks").click()
    page.get_by_label("Candidates").fill("Casino (1995)\nJumanji (1995)")
    page.get_by_text("A. Casino (1995)").wait_for()
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    assert page.locator(".ranked .title").all_inner_texts() == ["Jumanji (1995)", "Casino (1995)"]
    assert page.locator(".ranked .prob .note").all_inner_texts() == ["80.0%", "20.0%"]
    first = page.locator(".labels").first
    assert [one.split("\n")[1] for one in first.locator("li").all_inner_texts()] == ["40.0%", "10.0%"]
    long, short = (first.locator(".prob > span > span").nth(n).bounding_box()["width"] for n in (0, 1))
    assert 3.5 < long / short < 4.5
    assert page.get_by_text("The", exact=True).count() == 0


def test_two_templates_side_by_side(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers("1. Heat (1995)\n2. Casino (1995)")]
    page = tab(playground.url)
    page.get_by_text("Compare two templates").click()
    page.get_by_role("heading", name="Template B").wait_for()
    page.get_by_label("Start from").nth(1).click()
    page.get_by_role("option", name="rank/terse").click()
    page.get_by_label("Candidates").fill("Heat (1995)\nCasino (1995)\nJumanji (1995)")
    page.get_by_text("What the model would receive:").nth(1).wait_for()
    run(page)
    page.get_by_role("heading", name="Round 1").nth(1).wait_for()
    assert page.locator(".ranked").count() == 2
    assert {len(one["messages"][-1]["content"]) for one in model.requests[-2:]} != {0}
    page.get_by_role("button", name="Dislike Casino (1995)").first.click()
    page.locator("button[aria-label='Dislike Casino (1995)'][aria-pressed=true]").nth(1).wait_for()


def test_a_broken_template_is_marked_and_not_sent(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    page = tab(playground.url)
    asked = len(model.requests)
    write(page, "\n{{ hisory }}")
    page.get_by_text("undeclared variable 'hisory' (did you mean 'history'?)").wait_for()
    assert "hisory" in page.locator(".lint-error").inner_text()
    run(page)
    page.get_by_role("alert").get_by_text("nothing was sent").wait_for()
    assert len(model.requests) == asked


def test_fast_typing_loses_nothing_and_marks_come_quickly(tab: Tab, playground: Playground) -> None:
    page = tab(playground.url)
    typed = "zsrec " * 30
    write(page, typed)
    page.get_by_text("text outside a block is never sent").wait_for()
    assert page.locator(".cm-line").last.inner_text() == typed
    seconds = []
    for _ in range(8):
        page.keyboard.press("Control+End")
        page.evaluate(_WATCH)
        page.keyboard.press("Enter")
        seconds.append(page.evaluate("window.marked") / 1000)
    assert (
        statistics.median(seconds) < 1
    )  # 0.2 on a machine at rest; what is measured stands in docs/playground.md


def test_a_failing_server_takes_nothing_away(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers("1. Heat (1995)")]
    page = tab(playground.url)
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    page.get_by_role("button", name="Like Heat (1995)", exact=True).click()
    page.get_by_label("Say something about these").fill("funnier")
    model.scripts[:] = [fails(400, "out of order")]
    page.get_by_role("button", name="Next round").click()
    page.get_by_role("alert").get_by_text("out of order").wait_for()
    assert page.locator("button[aria-label='Like Heat (1995)']").get_attribute("aria-pressed") == "true"
    assert page.get_by_label("Say something about these").input_value() == "funnier"
    model.scripts[:] = [answers("1. Casino (1995)")]
    page.get_by_role("button", name="Next round").click()
    page.get_by_role("heading", name="Round 2").wait_for()
    assert page.get_by_role("alert").inner_text() == ""
    assert model.requests[-1]["messages"][0]["content"].count("funnier") == 1


def test_a_run_can_be_cancelled_and_the_server_is_left_alone(
    tab: Tab, playground: Playground, model: ScriptedServer
) -> None:
    asked, hung_up = threading.Event(), threading.Event()

    def waits(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        asked.set()
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":  # the other side closed the connection
            hung_up.set()
        handler.close_connection = True

    model.scripts[:] = [answers("1. Heat (1995)")]
    page = tab(playground.url)
    cancel = page.get_by_role("button", name="Cancel")
    assert not cancel.is_visible()
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    model.scripts[:] = [waits]
    before = len(model.requests)
    page.get_by_label("Say something about these").fill("funnier")
    page.get_by_role("button", name="Next round").click()
    assert asked.wait(10)
    cancel.click()
    assert hung_up.wait(10)
    page.get_by_text("Cancelled: nothing has changed.").wait_for()
    page.locator("button:focus", has_text="Run").wait_for()
    assert len(model.requests) == before + 1  # not asked again
    assert page.get_by_role("alert").inner_text() == ""
    assert page.get_by_label("Say something about these").input_value() == "funnier"
    model.scripts[:] = [answers("1. Casino (1995)")]
    page.get_by_role("button", name="Next round").click()
    page.get_by_role("heading", name="Round 2").wait_for()
    assert not cancel.is_visible()


def test_every_question_of_a_template_with_steps_is_seen_before_and_after(
    tab: Tab, playground: Playground, model: ScriptedServer
) -> None:
    model.scripts[:] = [answers("Tense crime."), answers("Heat (1995)"), answers("Heat (1995) <- Casino (1995)")]
    page = tab(playground.url)
    page.get_by_label("Start from").click()
    page.get_by_label("Start from").fill("nir/")
    page.get_by_role("option", name="nir/rank").click()
    page.get_by_label("Candidates").fill("Casino (1995)\nJumanji (1995)")
    page.get_by_text("3 questions, the longest").wait_for()
    seen = page.get_by_role("region", name="The user role of question 3 of 3: the recommendation").inner_text()
    assert "[the answer of 'taste']" in seen
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    assert page.locator("h4").all_inner_texts() == [
        "Question 1 of 3: taste",
        "Question 2 of 3: typical",
        "Question 3 of 3: the recommendation",
    ]
    page.get_by_text("What was sent").nth(2).click()
    label = "The user role sent for question 3 of 3: the recommendation, template A"
    sent = page.get_by_role("region", name=label).inner_text()
    assert sent.strip() == model.requests[-1]["messages"][-1]["content"].strip()
    assert "Answer: Tense crime." in sent
    for number, text in ((1, "Tense crime."), (2, "Heat (1995)"), (3, "Casino (1995)")):
        assert text in page.get_by_role("region", name=f"Answer {number} of template A").inner_text()


SIZES = [
    {"viewport": {"width": 1440, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
]


@pytest.mark.parametrize("options", SIZES, ids=["desktop", "phone"])
def test_a_conversation(tab: Tab, playground: Playground, model: ScriptedServer, options: dict[str, Any]) -> None:
    model.scripts[:] = [answers("1. Casino (1995)\n2. Heat (1995)")]
    page = tab(playground.url, **options)
    page.get_by_text("A conversation", exact=True).click()
    page.get_by_text("Template A: converse/default").wait_for()
    run(page)
    page.get_by_role("alert").get_by_text("nothing is known of this person").wait_for()
    field = page.get_by_label("Say what you want")
    field.fill("I loved Heat (1995). Something quieter?")
    page.get_by_role("region", name="The user role").get_by_text("Something quieter?").wait_for()
    page.get_by_role("button", name="Send").click()
    page.get_by_role("heading", name="Round 1").wait_for()
    turns = page.get_by_role("list", name="The conversation").locator("li")
    assert turns.all_inner_texts() == [
        "You\nI loved Heat (1995). Something quieter?",
        "Recommended\nCasino (1995)",
    ]
    assert field.input_value() == ""
    page.get_by_text("named in the conversation, so not recommended: Heat (1995) (liked)").wait_for()
    assert page.locator(".stale").count() == 0
    box = page.locator(".ranked li").first.bounding_box()
    assert 0 <= box["y"] <= options["viewport"]["height"] - box["height"]
    page.get_by_role("button", name="Like Casino (1995)", exact=True).click()
    field.fill("out of order")
    model.scripts[:] = [fails(400, "down")]
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").get_by_text("down").wait_for()
    assert field.input_value() == "out of order"  # a failure takes nothing away
    assert turns.count() == 2
    field.fill("older")
    model.scripts[:] = [answers("1. Jumanji (1995)")]
    field.press("Enter")
    page.get_by_role("heading", name="Round 2").wait_for()
    assert [one.split("\n")[1] for one in turns.all_inner_texts()][2:] == ["older", "Jumanji (1995)"]
    sent = model.requests[-1]["messages"][-1]["content"]
    assert [line for line in sent.splitlines() if line.startswith(("User: ", "You: "))] == [
        "User: I loved Heat (1995). Something quieter?",
        "You: Casino (1995)",
        "User: older",
    ]
    assert "The user liked: Casino (1995); Heat (1995)" in sent
    page.get_by_role("button", name="Start over").click()
    page.get_by_role("list", name="The conversation").locator("li").first.wait_for(state="detached")
    if options is SIZES[1]:
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_candidates_come_from_any_retriever(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers("1. Casino (1995)\n2. Heat (1995)\n3. Jumanji (1995)")]
    page = tab(playground.url)
    page.get_by_label("Retrieval").click()
    page.get_by_role("option", name="itemknn").click()
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    assert page.locator(".ranked .note", has_text="from retrieval").count() == 2
    page.get_by_text("in turn with what the model names").wait_for()
    page.get_by_text("The same in Python").click()
    assert "fill='retrieval'" in page.get_by_role("region", name="Python").inner_text()
    page.get_by_label("Start from").click()
    page.get_by_label("Start from").fill("rank/default")
    page.get_by_role("option", name="rank/default Chooses").click()
    prompt = page.get_by_role("region", name="The user role")
    page.get_by_text("Template A: rank/default").wait_for()
    page.locator(".stale").wait_for()
    prompt.get_by_text("A.").wait_for()
    by_contacts = prompt.inner_text()
    page.get_by_label("Retrieval").click()
    page.get_by_role("option", name="pop —").click()
    page.wait_for_function(
        "([old]) => document.querySelectorAll('pre.text')[1].innerText !== old", arg=[by_contacts]
    )


def test_no_server_at_all(tab: Tab) -> None:
    alone = Playground("--base-url", "http://127.0.0.1:9/v1")
    try:
        page = tab(alone.url)
        page.get_by_text("tokens, estimated from bytes: no server counts them").wait_for()
        write(page, "\n{# mine #}")
        run(page)
        page.get_by_role("alert").get_by_text("http://127.0.0.1:9/v1").wait_for(timeout=20_000)
        assert "{# mine #}" in page.locator(".cm-content").inner_text()
        page.context.close()  # or it may notice that its server stops
    finally:
        alone.stop()


def test_five_thousand_items(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    titles = movielens.sample().catalog.titles
    history = "\n".join(titles[place % len(titles)] for place in range(5_000))
    model.scripts[:] = [answers("1. Heat (1995)\n2. An Unheard Of Film (2031)")]
    page = tab(playground.url)
    page.get_by_text("A history I type").click()
    page.get_by_label("History", exact=True).evaluate(_PASTE, history)
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for(timeout=60_000)
    page.get_by_text("oldest of 5,000 events were left out to fit the context").wait_for()
    assert page.locator(".out").all_inner_texts() == ["Heat (1995)"]


def test_two_tabs_know_nothing_of_each_other(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers("1. Heat (1995)")]
    one, other = tab(playground.url), tab(playground.url)
    write(one, "\n{# only here #}")
    run(one)
    one.get_by_role("heading", name="Round 1").wait_for()
    assert other.get_by_role("heading", name="Round 1").count() == 0
    assert "only here" not in other.locator(".cm-content").inner_text()
    assert other.get_by_role("button", name="Next round").is_disabled()


def test_a_hostile_title_and_a_hostile_answer_stay_text(
    tab: Tab, playground: Playground, model: ScriptedServer
) -> None:
    script = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    model.scripts[:] = [answers(f"1. Heat (1995) - {script}\n2. {script}\n3. {HOSTILE}")]
    page = tab(playground.url)
    page.get_by_role("region", name="The system role").get_by_text("<img src=x onerror").wait_for()
    run(page)
    page.get_by_role("heading", name="Round 1").wait_for()
    page.get_by_label("User", exact=True).click()
    page.get_by_role("option").first.wait_for()
    assert script in page.get_by_role("region", name="Answer 1 of template A").inner_text()
    assert page.locator("main img, main script, .q-menu img").count() == 0
    assert page.title() == "zsrec playground"


def test_a_phone_and_a_keyboard_are_enough(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [answers(ANSWER)]
    page = tab(playground.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Round 1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".cm-content").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.cm-editor')") is None
    unnamed = page.evaluate(_UNNAMED)
    assert unnamed == []


def test_nothing_typed_is_written_down(tab: Tab, playground: Playground, model: ScriptedServer) -> None:
    model.scripts[:] = [fails(400, "no: planted-secret")]
    page = tab(playground.url)
    page.get_by_label("In words").fill("planted-secret")
    page.get_by_role("region", name="The user role").get_by_text("planted-secret").wait_for()
    run(page)
    page.get_by_role("alert").get_by_text("400").wait_for()
    assert "planted-secret" not in "".join(playground.lines)


# A person who leaves a field makes it change, which ends the wait for more typing; a script has to say so.
_PASTE = """
(field, text) => {
  field.value = text;
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}
"""
_WATCH = """
() => {
  window.marked = new Promise((resolve, reject) => {
    let start;
    setTimeout(() => reject(new Error("no mark in 5 s")), 5000);
    addEventListener("keydown", () => { start = performance.now(); }, { once: true, capture: true });
    const observer = new MutationObserver(() => { observer.disconnect(); resolve(performance.now() - start); });
    observer.observe(document.querySelector(".findings").parentElement, { childList: true });
  });
}
"""
_UNNAMED = """
() => [...document.querySelectorAll("button, input, textarea, [role=textbox], [role=combobox]")]
  .filter((e) => e.offsetParent !== null)
  .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
  .filter((e) => !e.closest("label")?.textContent.trim())
  .map((e) => e.outerHTML.slice(0, 200))
"""
