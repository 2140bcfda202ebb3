from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from zsrec.cli import console as watch
from zsrec.core.types import Exchange, Usage
from zsrec.evaluation.report import Prices


def test_the_bar_shows_tokens_speed_and_cost(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    console = Console(width=160, record=True)
    monkeypatch.setattr(watch, "err", console)
    seen = watch.TerminalWatch(Prices(1.0, 2.0))
    exchange = Exchange(
        messages=(), answer="x", usage=Usage(prompt_tokens=1000, completion_tokens=500), seconds=2.0
    )
    seen.start("[red]generate", 4)
    seen.reply(exchange, True)
    seen.step()
    assert seen._spent() == "1,500 tokens · cost 0.0020"  # paid for in an earlier life: no speed
    seen.reply(exchange, False)
    now[0] += 3.0  # five seconds since the request was sent
    assert seen._spent() == "3,000 tokens · 100 out/s · cost 0.0040"
    seen.step()
    console.print(seen._bar)
    shown = console.export_text()
    assert "[red]generate" in shown
    assert "2/4" in shown
    seen.start("next", 2)
    assert seen._spent() == "3,000 tokens · cost 0.0040"
    assert "[red]" not in str([task.description for task in seen._bar.tasks])


def test_a_file_gets_lines_about_every_half_minute(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    console = Console(width=160, record=True, force_terminal=False)
    console.get_time = lambda: now[0]  # type: ignore[method-assign]
    monkeypatch.setattr(watch, "err", console)
    exchange = Exchange(messages=(), answer="x", usage=Usage(prompt_tokens=100, completion_tokens=50), seconds=2.0)
    with watch.TerminalWatch(Prices()) as seen:
        seen.start("[red]rank/default", 20)
        for _ in range(20):
            now[0] += 5.0
            seen.reply(exchange, True)
            seen.step()
        seen.start("next", 1)
    told = console.export_text().splitlines()
    assert told[0] == "[red]rank/default: 0 of 20"
    assert [line.split(" · ")[0] for line in told[1:]] == [
        "[red]rank/default: 5 of 20", "[red]rank/default: 11 of 20", "[red]rank/default: 17 of 20",
        "[red]rank/default: 20 of 20", "next: 0 of 1",
    ]  # fmt: skip
    assert told[2].endswith("to go · 1,800 tokens")
    assert told[4] == "[red]rank/default: 20 of 20 · done in 0:01:40 · 3,000 tokens"


def test_a_terminal_gets_the_bar_alone(monkeypatch) -> None:
    console = Console(width=160, record=True, force_terminal=True)
    monkeypatch.setattr(watch, "err", console)
    seen = watch.TerminalWatch(Prices())
    seen.start("rank/default", 1)
    seen.step()
    assert console.export_text() == ""


def test_a_table_in_a_pipe_is_as_wide_as_its_texts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table(*(f"column {number}" for number in range(12)), box=None)
    table.add_row(*["0.1234–0.5678"] * 12)
    watch.print_table(table)
    assert capsys.readouterr().out.splitlines()[1].split() == ["0.1234–0.5678"] * 12
