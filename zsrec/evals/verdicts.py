"""What a paired comparison of two templates says, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from zsrec.evals.estimates import LEVEL, Comparison
from zsrec.evals.metrics import Values
from zsrec.types import Frozen

_COSTS = ("tokens", "seconds")
_PARTS = ("tokens in", "tokens out", "requests")  # said by "tokens"

Columns = Mapping[str, Mapping[str, Values]]


class Kind(NamedTuple):
    """What a measure is.

    Attributes:
        better: Whether more or less of it is better.
        bound: The largest value; None where there is none.
        percent: Whether it is a share that people read in percent.
    """

    better: Literal["more", "less"]
    bound: float | None = None
    percent: bool = False


class Paired(Frozen):
    """Two templates in one measure, on the users for whom both have it.

    Attributes:
        comparison: Their difference with interval and p-values.
        better: Whether more or less of the measure is better.
        percent: Whether the measure is a share.
        differing: The users whose two values differ.
        least: How many have to differ before random signs can call anything a difference: n of one sign come up
            once in 2^(n - 1), times the number of tests that are corrected together.
        detectable: About the smallest difference that so many users show four times in five (80% power); where no
            two users differ, the largest that they do not rule out.
    """

    comparison: Comparison
    better: Literal["more", "less"]
    percent: bool
    differing: int
    least: int
    detectable: float

    @property
    def winner(self) -> str | None:
        """The template that is shown to be better; None where nothing is shown."""
        found = self.comparison
        if found.p_holm >= LEVEL or not found.difference:
            return None
        return found.a if (found.difference > 0) == (self.better == "more") else found.b

    @property
    def verdict(self) -> str:
        """What the comparison says, in plain words."""
        found, winner = self.comparison, self.winner
        difference = (
            f"{found.a} − {found.b} = {self._signed(found.difference)} "
            f"[{self._signed(found.low)}, {self._signed(found.high)}], corrected p = {found.p_holm:.3f}"
        )
        if winner is None:
            size = self._plain(self.detectable)
            if not self.differing:
                why = f"all users are alike, and one of up to {size} may be unseen"
            elif self.differing < self.least:
                why = f"{_people(self.differing)}, and a test of so many needs {self.least}"
            else:
                why = f"one of about {size} shows four times in five"
            return f"{found.metric}: no difference that {found.users:,} users could show: {difference} ({why})"
        return f"{found.metric}: {winner} has {self.better}: {difference}, {found.users:,} users"

    def _plain(self, value: float) -> str:
        return written(value, percent=self.percent)

    def _signed(self, value: float) -> str:
        return f"{'-' if value < 0 else '+'}{self._plain(abs(value))}".replace("-", "−")


def written(value: float, *, percent: bool = False) -> str:
    """A number as people read it: shares in percent, others with three digits that tell something."""
    if percent:
        return f"{value:.1%}"
    size = abs(value)
    return (
        f"{value:,.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3f}"
    )


def verdict(a: str, b: str, paired: Sequence[Paired], columns: Columns) -> str:
    """What to make of two templates: first what they find, then what goes wrong, then what they cost.

    Args:
        a: One template.
        b: The other.
        paired: All pairs in all measures, the main measure first.
        columns: A value a user by template and measure; NaN where a user has none.
    """
    mine = [one for one in paired if (one.comparison.a, one.comparison.b) == (a, b)]
    main, others = mine[0], [one for one in mine[1:] if one.comparison.metric not in (*_COSTS, *_PARTS)]
    said = [main.verdict, *(one.verdict for one in others if one.winner)]
    if not any(columns[name][main.comparison.metric].any() for name in (a, b)):
        said.append("Neither found any user's held-out item, so hits cannot tell them apart")
    winners = {one.winner for one in (main, *others) if one.winner}
    costs = list(_costs(a, b, mine, columns))
    if main.winner:
        end = f"Take {main.winner}."
    elif len(winners) == 1:
        end = f"By what these users show, take {winners.pop()}."
    elif winners:
        end = "Each is better in something: decide by what matters to you."
    else:
        end = "Nothing here says that either is better: take the cheaper one, or ask more users."
    return " ".join((*(f"{one}." for one in said), *costs, end))


def _costs(a: str, b: str, mine: Sequence[Paired], columns: Columns) -> Iterator[str]:
    """How much more the dearer one takes, of what is shown to differ."""
    for one in mine:
        if one.comparison.metric in _COSTS and one.winner:
            key = one.comparison.metric
            both = ~np.isnan(columns[a][key] + columns[b][key])
            of = {name: float(columns[name][key][both].mean()) for name in (a, b)}
            dearer = a if one.winner == b else b
            yield f"{dearer} takes {written(of[dearer])} {key} a user, {one.winner} {written(of[one.winner])}."


def _people(number: int) -> str:
    return "only one user differs" if number == 1 else f"only {number} users differ"
