"""A real Chromium before a real `zsrec playground`; skipped, with the reason, where one of them is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, answers

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HOSTILE = "<img src=x onerror=document.title='owned'> {{ 7*7 }} (1999)"
SAMPLE = REPO / "zsrec" / "data" / "movielens_sample"


class Playground:
    """A running playground; `lines` is all that it wrote."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "zsrec", "playground", "--port", "0", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(REPO), "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def _wait(self) -> str:
        for _ in range(2400):  # two minutes
            found = re.findall(r"http://127\.0\.0\.1:\d+/ ", "".join(self.lines))
            if found:
                return found[0].strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise AssertionError("the playground did not start:\n" + "".join(self.lines))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def _tools() -> None:
    for module, extra in (("nicegui", "playground"), ("playwright", "web")):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'zsrec[{extra}]'")
    if not Path(CHROMIUM).is_file():
        pytest.skip("there is no chromium: make browser, or apt-get install chromium")


@pytest.fixture(scope="session")
def model(_tools: None) -> Iterator[ScriptedServer]:
    """A model that answers from a script; a word is a token."""
    with ScriptedServer(answers("nothing")) as server:
        server.count_tokens = lambda messages: sum(len(one["content"].split()) for one in messages) + 7
        yield server


@pytest.fixture(scope="session")
def hostile_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MovieLens sample with one more film, which is no film, as the newest of the first user."""
    folder = tmp_path_factory.mktemp("movielens")
    for name in ("movies.csv", "ratings.csv"):
        shutil.copy(SAMPLE / name, folder / name)
    with (folder / "movies.csv").open("a", encoding="utf-8") as movies:
        movies.write(f'999999,"{HOSTILE}",Horror,\n')
    with (folder / "ratings.csv").open("a", encoding="utf-8") as ratings:
        ratings.write("3,999999,5.0,1944656650\n")
    return folder


@pytest.fixture(scope="session")
def playground(model: ScriptedServer, hostile_data: Path) -> Iterator[Playground]:
    """A playground before the scripted model."""
    one = Playground("--data", str(hostile_data), "--base-url", model.base_url)
    yield one
    one.stop()


@pytest.fixture(scope="session")
def browser(_tools: None) -> Iterator[Any]:
    """One Chromium for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens tabs; at the end none of them may have had an error or asked another host for anything."""
    opened: list[Any] = []
    faults: list[str] = []
    hosts: set[str] = set()

    def open_tab(url: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)  # machines are shared
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
        page.goto(url)
        page.get_by_text("What the model would receive:").first.wait_for()
        return page

    yield open_tab
    for context in opened:
        context.close()
    assert faults == []
    assert all(host.startswith("127.0.0.1:") for host in hosts), hosts


def write(page: Any, text: str, number: int = 0) -> None:
    """Types at the end of an editor, as fast as a keyboard can."""
    page.locator(".cm-content").nth(number).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)
