"""Time from a key press in the playground's editor to the new findings on the page, in a real Chromium.

    python benchmarks/playground_relint.py [KEYS]

Needs the extras `playground` and `web`, and Debian's chromium. No model server is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time

from playwright.sync_api import Page, sync_playwright

from zsrec.playground import draft as drafts
from zsrec.prompts import Library

WATCH = """
() => {
  window.marked = new Promise((resolve) => {
    let start;
    addEventListener("keydown", () => { start = performance.now(); }, { once: true, capture: true });
    const observer = new MutationObserver(() => { observer.disconnect(); resolve(performance.now() - start); });
    observer.observe(document.querySelector(".findings").parentElement, { childList: true });
  });
}
"""
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    """Prints the load, the percentiles, and the processor time of one check."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    command = [sys.executable, "-m", "zsrec", "playground", "--port", "0", "--base-url", "http://127.0.0.1:9/v1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:  # noqa: S603  (our own command)
        assert server.stderr is not None  # noqa: S101  (it is a pipe)
        url = re.findall(r"http://\S+", server.stderr.readline())[0]
        try:
            milliseconds = sorted(_press(url, keys))
        finally:
            server.terminate()
    median, p95 = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.95)]
    print(f"{keys} keys, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"key to findings: median {median:.0f} ms, p95 {p95:.0f} ms, most {milliseconds[-1]:.0f} ms")
    print(f"one check: {_check():.0f} ms of processor time")


def _press(url: str, keys: int) -> list[float]:
    found: list[float] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page: Page = chromium.new_page()
        page.goto(url)
        page.get_by_text("What the model would receive:").wait_for()
        page.locator(".cm-content").click()
        page.keyboard.press("Control+End")
        for _ in range(keys):
            page.evaluate(WATCH)
            page.keyboard.press("x")
            found.append(page.evaluate("window.marked"))
            page.wait_for_timeout(150)  # a person types six keys a second
        chromium.close()
    return found


def _check() -> float:
    library = Library()
    draft = drafts.opened("generate/default", library)
    start = time.process_time()
    for place in range(20):
        drafts.drafted(draft.text + " " * place, draft.origin, library)
    return (time.process_time() - start) * 1000 / 20


if __name__ == "__main__":
    main()
