"""What the commands share: two consoles, and how an error or a result is shown."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsrec.errors import ZsrecError
from zsrec.text import display_title
from zsrec.types import Recommendation, Recommendations

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(error: ZsrecError, where: str = "") -> None:
    """Shows an error and what to do about it on standard error."""
    err.print(Text(f"{where}error: ", style="bold red") + Text(error.message), soft_wrap=True)
    if error.hint:
        err.print(Text(f"  hint: {error.hint}", style="dim"), soft_wrap=True)


def show(recommendations: Recommendations, title: str) -> None:
    """Shows a ranked list, where each item came from, and what could not be matched.

    Titles and answers are untrusted: they are printed as text, never as markup or control codes.
    """
    table = Table(title=plain(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for name in ("title", "score", "how it was matched"):
        table.add_column(name, overflow="fold")
    for one in recommendations:
        if one.provenance is None and one.source == "llm":
            how = plain(_parts(one))
        elif one.provenance is None:
            how = Text(f"filled from {one.source}", style="yellow")
        else:
            mention, match = one.provenance.mention, one.provenance.match
            how = plain(f"{match.method} {match.score:.2f}  ← {mention.text}")
        table.add_row(str(one.rank), plain(display_title(one.item.title)), f"{one.score:.2f}", how)
    out.print(table)
    if not len(recommendations):
        out.print(Text("(nothing could be recommended)", style="yellow"))
    for line in _remarks(recommendations):
        out.print(Text("  ") + plain(line), style="dim", soft_wrap=True)
    out.print()


def _parts(one: Recommendation) -> str:
    """What a candidate's score is made of."""
    if one.parts is None:
        return "ranked by the model"
    parts = [f"llm {one.parts.llm:.2f}"]
    if one.parts.prior is not None:
        parts.insert(0, f"prior {one.parts.prior:.2f}")
    if one.parts.probability is not None:
        parts.append(f"p {one.parts.probability:.3f}")
    return " · ".join(parts)


def _remarks(recommendations: Recommendations) -> list[str]:
    trace = recommendations.trace
    lines = [
        f"not matched: {one.mention.text!r} ({(one.match.reason or '').replace('_', ' ')})"
        for one in trace.unresolved
    ]
    lines += [f"left out: {one.grounded.mention.text!r} ({one.why.replace('_', ' ')})" for one in trace.dropped]
    lines += [f"history: {name!r} is unknown ({why.replace('_', ' ')})" for name, why in trace.history.unresolved]
    lines += [f"note: {note}" for note in trace.notes]
    usage = [exchange.usage for exchange in trace.exchanges]
    tokens = f"{sum(u.prompt_tokens or 0 for u in usage)}+{sum(u.completion_tokens or 0 for u in usage)}"
    model = trace.exchanges[0].model if trace.exchanges else None
    lines.append(f"{trace.mode} · {trace.template} · {model} · {tokens} tokens")
    return lines


def plain(text: str) -> Text:
    """Untrusted text as it may be printed: no markup, no control codes."""
    return Text("".join(c if c.isprintable() else "�" for c in text))
