"""Ranking by one token: candidates carry labels, and the first token's log-probabilities rank them.

Source: reading a ranking from the first token's distribution is FIRST (Reddy et al. 2024), without its training.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from zsrec.core.errors import AnswerError
from zsrec.core.types import Exchange, Message, RankingUse
from zsrec.llm.protocol import LLM, ChatRequest, LabelSet, chat_all
from zsrec.prompts.front_matter import Ranking
from zsrec.ranking.base import Content, Order, RankingResult, RankingTask

LOW_MASS, LEAST_MASS = 0.1, 0.001
"""Below the first, the labels' probability together is a note; below the second an error."""


async def rank_by_label(task: RankingTask, members: Order, options: Ranking, llm: LLM) -> RankingResult:
    """Ranks some of the candidates by the log-probabilities of their labels."""
    labels = await llm.labels(len(members))
    reader = _LabelReader(task, labels, llm)
    rounds = [[tuple(members)]]
    if options.permutations > 1:
        several = list(islice(orders(members, task.sampling.seed), options.permutations))
        rounds = [several[:2], *([one] for one in several[2:])]
    half = min(task.k, (len(members) + 1) // 2)
    readings: list[LabelReading] = []
    stability: list[tuple[float, float]] = []
    sums = dict.fromkeys(members, 0.0)
    best: tuple[int, ...] = ()
    for together in rounds:
        found = await reader.read(together, "user")
        priors = await reader.priors(together, options)
        for order, reading, prior in zip(together, found, priors, strict=True):
            readings.append(reading)
            freed = log_softmax([a - b for a, b in zip(reading.logprobs, prior, strict=True)])
            for one, logprob in zip(order, freed, strict=True):
                sums[one] += logprob
            before, best = best, ranked(sums)
            if before:
                stability.append((overlap(before, best, half), kendall(before, best)))
        if stability and stability[-1][0] == 1.0:
            break
    mass = sum(one.mass for one in readings) / len(readings)
    if mass < LEAST_MASS:
        answer = reader.exchanges[0].answer
        raise AnswerError(
            f"all labels together have a probability of {mass:.1g}: the model begins with {answer[:20]!r}",
            raw=answer,
            hint="the template must ask for a label only, as its last words",
        )
    means = log_softmax([sums[one] / len(readings) for one in members])
    unseen = sum(one.unseen for one in readings)
    return RankingResult(
        order=best,
        exchanges=tuple(reader.exchanges),
        use=RankingUse(
            ranker="label",
            labels_by=labels.by,
            permutations=len(readings),
            stability=tuple(stability),
            label_mass=mass,
        ),
        probabilities={one: math.exp(logprob) for one, logprob in zip(members, means, strict=True)},
        notes=_notes(labels, unseen, len(readings) * len(members), readings),
    )


class LabelReading(NamedTuple):
    """One answer: log-probabilities by slot that sum to 1, the labels' mass before, and labels not reported."""

    logprobs: list[float]
    mass: float
    unseen: int


def read_labels(reported: Mapping[str, float], labels: LabelSet, answer: str) -> LabelReading:
    """Renormalises over the labels; one that was not reported is half as likely as the last that was."""
    if not reported:
        raise AnswerError(
            f"none of the {len(labels.labels)} labels is among the tokens that the model may begin with",
            raw=answer,
            hint="the template must ask for a label only, and show {{ item.label }} beside each candidate",
        )
    mass = math.exp(_log_sum(list(reported.values())))
    lowest = min(reported.values()) - math.log(2.0)
    values = [reported.get(label.text, lowest) for label in labels.labels]
    return LabelReading(log_softmax(values), mass, len(values) - len(reported))


class _LabelReader:
    """Asks about orders of the candidates and keeps the exchanges."""

    def __init__(self, task: RankingTask, labels: LabelSet, llm: LLM) -> None:
        self._task = task
        self._labels = labels
        self._texts = [label.text for label in labels.labels]
        self._llm = llm
        self.exchanges: list[Exchange] = []

    async def read(self, together: Sequence[Order], content: Content) -> list[LabelReading]:
        prompts = [self._task.render(order, self._texts, content) for order in together]
        return [
            read_labels(one.label_logprobs or {}, self._labels, one.answer) for one in await self._ask(prompts)
        ]

    async def priors(self, together: Sequence[Order], options: Ranking) -> list[list[float]]:
        """What the labels get without the user, by order and slot; all 0 where nothing is divided out."""
        if options.calibrate == "none":
            return [[0.0] * len(self._texts) for _ in together]
        if options.calibrate == "titles":
            return [one.logprobs for one in await self.read(together, "no_user")]
        prompt = self._task.render(together[0], self._texts, "nothing")
        memory = self._task.memory
        if prompt not in memory:  # the same for all users and orders: all titles are "N/A"
            (exchange,) = await self._ask([prompt])
            memory[prompt] = exchange.label_logprobs or {}
        prior = read_labels(memory[prompt], self._labels, "").logprobs
        return [prior for _ in together]

    async def _ask(self, prompts: Sequence[tuple[Message, ...]]) -> tuple[Exchange, ...]:
        sampling = self._task.sampling.model_copy(update={"max_tokens": 1})
        requests = (ChatRequest(messages=one, sampling=sampling, labels=self._labels) for one in prompts)
        found = await chat_all(self._llm, requests)
        self.exchanges += found
        return found


def orders(members: Sequence[int], seed: int) -> Iterator[tuple[int, ...]]:
    """Orders of the candidates, each as far from those before as rotations go; without end."""
    rng = random.Random(f"{seed}:{len(members)}")  # noqa: S311  (no secret)
    while True:
        base = list(members)
        rng.shuffle(base)
        for shift in _spread(len(base)):
            yield tuple(base[shift:] + base[:shift])


def _spread(n: int) -> Iterator[int]:
    """0 to n - 1, each once, in the order of the van der Corput sequence."""
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
    """The candidates by score, best first; equal scores are in the order of their numbers."""
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


def log_softmax(values: Sequence[float]) -> list[float]:
    """The values less the logarithm of the sum of their exponentials: log-probabilities that sum to 1."""
    total = _log_sum(values)
    return [value - total for value in values]


def _log_sum(values: Sequence[float]) -> float:
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def _notes(labels: LabelSet, unseen: int, wanted: int, readings: Sequence[LabelReading]) -> tuple[str, ...]:
    notes = []
    mass = sum(one.mass for one in readings) / len(readings)
    if mass < LOW_MASS:
        notes.append(f"all labels together have a probability of {mass:.2g}: the model wanted to answer otherwise")
    slots = {one.logprobs.index(max(one.logprobs)) for one in readings}
    if len(readings) > 1 and len(slots) == 1:
        label = labels.labels[slots.pop()].text
        notes.append(f"label {label} was the likeliest in each of {len(readings)} orders: the order decides much")
    if labels.by == "top_logprobs":
        notes.append(
            f"the server lacks logprob_token_ids; labels were read from its {labels.most} most likely tokens"
        )
    if unseen:
        notes.append(
            f"{unseen} of {wanted} labels were not reported; they count as half as likely as the last that was"
        )
    return tuple(notes)
