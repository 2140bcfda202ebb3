"""Against position bias: the candidates in several orders, and when enough of them were seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence


def orders(members: Sequence[int], seed: int) -> Iterator[tuple[int, ...]]:
    """Orders of the candidates, each as far from those before as rotations go; without end.

    One seeded shuffle, rotated by 0, 1/2, 1/4, 3/4, 1/8, … of its length (the van der Corput sequence): after any
    number of orders each candidate has stood in slots spread evenly over the list, which as many shuffles would
    reach only on average. The shuffle takes the retriever's order out of the prompt. After as many orders as there
    are candidates the rotations are used up, and another shuffle begins.

    Args:
        members: The candidates.
        seed: The same seed and candidates give the same orders.
    """
    rng = random.Random(f"{seed}:{len(members)}")  # noqa: S311  (no secret)
    while True:
        base = list(members)
        rng.shuffle(base)
        for shift in _spread(len(base)):
            yield tuple(base[shift:] + base[:shift])


def _spread(n: int) -> Iterator[int]:
    """0 to n - 1, each once, in the order in which the van der Corput sequence meets them."""
    seen: set[int] = set()
    number = 0
    while len(seen) < n:
        fraction, step, rest = 0.0, 0.5, number
        while rest:
            fraction += step * (rest & 1)
            rest >>= 1
            step /= 2
        shift = int(fraction * n)
        if shift not in seen:
            seen.add(shift)
            yield shift
        number += 1


def ranked(scores: Mapping[int, float]) -> tuple[int, ...]:
    """The candidates by score, best first; equal scores stand in the order of their numbers."""
    return tuple(sorted(scores, key=lambda one: (-scores[one], one)))


def overlap(a: Sequence[int], b: Sequence[int], k: int) -> float:
    """The share of the first k of `a` that is among the first k of `b`, in [0, 1]."""
    first, second = set(a[:k]), set(b[:k])
    return len(first & second) / len(first)


def kendall(a: Sequence[int], b: Sequence[int]) -> float:
    """Kendall's tau (1938) of two orders of the same candidates, in [-1, 1]; 1 for a single one."""
    if len(a) < 2:
        return 1.0
    place = {one: number for number, one in enumerate(b)}
    places = [place[one] for one in a]
    pairs = len(places) * (len(places) - 1) // 2
    swapped = sum(places[i] > places[j] for i in range(len(places)) for j in range(i + 1, len(places)))
    return 1.0 - 2.0 * swapped / pairs
