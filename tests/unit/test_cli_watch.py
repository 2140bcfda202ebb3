from __future__ import annotations

from rich.console import Console

from zsrec.cli import watch
from zsrec.evals.llm_report import Prices
from zsrec.types import Exchange, Usage


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
