"""Runs every shipped template on a real server for a few real users, and writes down what came of it.

    python -m benchmarks.templates --base-url http://127.0.0.1:8000/v1 --users 2 [NAME …]

What a run says: whether a template works from end to end with the model at hand, what it costs, and how often the
model leaves the form that was asked for. It says nothing about quality: two users show no difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

from zsrec.core.errors import ZsrecError
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Recommendations
from zsrec.data import movielens
from zsrec.data.history import History
from zsrec.llm.client import OpenAIClient
from zsrec.llm.forwarding import ForwardingLLM
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.prompts import Library
from zsrec.recommender.explanations import Explanations
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.recommender.taste_summary import TasteSummary
from zsrec.retrieval import popularity

RESULTS = Path(__file__).parent / "results" / "templates.json"
K, POOL, NEWEST, MOST_TOKENS = 5, 10, 10, 80
_LISTED = re.compile(r"^\s*(?:\d{1,2}[.)、．]|[-*•]|\[|\{|\")", re.MULTILINE)
_SENTENCE = {"explain": re.compile(r"^\W*(?:because you|因为您)", re.I), "profile": re.compile(r"^\W*(?:I\b|我)")}


class Capped(ForwardingLLM):
    """A model whose answers are cut short, so that a look at everything takes minutes on a CPU."""

    def __init__(self, llm: LLM, most: int) -> None:
        super().__init__(llm)
        self._most = most

    async def chat(self, request: ChatRequest) -> Exchange:
        most = min(self._most, request.sampling.max_tokens)
        sampling = request.sampling.model_copy(update={"max_tokens": most})
        return await self.llm.chat(request.model_copy(update={"sampling": sampling}))


def well_formed(task: str, answer: str) -> bool:
    """Whether an answer has the form that was asked for: a list, or a sentence with the wanted beginning."""
    form = _SENTENCE.get(task, _LISTED)
    return form.search(answer.strip()) is not None


async def one(rec: AsyncRecommender, history: History, pool: tuple[str, ...]) -> dict[str, Any]:
    """One user with the recommender's template."""
    template, catalog = rec.template, rec.catalog
    found: dict[str, Any] = {}
    if template.task == "explain":
        item = (catalog[pool[0]],)
        said: Explanations = await rec.explain(item, history, template=template)
        exchanges = tuple(line.exchange for line in said if line.exchange is not None)
        found["usable"] = sum(bool(line.cited) for line in said)
    elif template.task == "profile":
        me: TasteSummary = await rec.taste_summary(history, template=template)
        exchanges = (me.exchange,)
        found["usable"] = int(bool(me.text))
    else:
        candidates = pool if template.task == "rank" else None
        result: Recommendations = await rec.recommend(history, K, candidates=candidates)
        exchanges = result.trace.exchanges
        found["usable"] = len(result)
        found["unresolved"] = len(result.trace.unresolved)
        found["dropped"] = len(result.trace.dropped)
    labels = template.ranker == "choose"  # answers with a label, which has no form to miss
    read = [one for one in exchanges if not (one.step or labels or one.label_logprobs)]
    return found | {
        "requests": len(exchanges),
        "prompt_tokens": sum(one.usage.prompt_tokens or 0 for one in exchanges),
        "completion_tokens": sum(one.usage.completion_tokens or 0 for one in exchanges),
        "wrong_format": sum(not well_formed(template.task, one.answer) for one in read),
        "cut": sum(one.finish_reason == "length" for one in read),
        "answer": exchanges[-1].answer,
    }


async def run(names: list[str], users: int, base_url: str) -> dict[str, Any]:
    """Every named template for so many users of the sample data, at most 16 at once."""
    movies = movielens.sample()
    popular = popularity(movies.histories.values())
    chosen = sorted(movies.histories.items(), key=lambda pair: (len(pair[1]), pair[0]))[10 : 10 + users]
    settings = Settings.load(timeout=900).replaced(model=None, base_url=base_url)
    llm = Capped(OpenAIClient(settings), MOST_TOKENS)
    rows: dict[str, Any] = {}
    gate = asyncio.Semaphore(16)
    async with AsyncRecommender(movies.catalog, settings=settings, llm=llm) as rec:
        info = await llm.handshake()

        async def template(name: str) -> None:
            mine = rec.with_template(name)
            outcomes = []
            for _, whole in chosen:
                history = whole.model_copy(update={"events": whole.events[-NEWEST:]})
                seen = {event.item for event in whole.events}
                pool = tuple([item for item in popular if item not in seen][:POOL])
                async with gate:
                    try:
                        outcomes.append(await one(mine, history, pool))
                    except ZsrecError as error:
                        outcomes.append({"error": f"{type(error).__name__}: {error.message}"})
            rows[name] = summed(mine.template.task, outcomes)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(template(name))
        await llm.aclose()
    return {"model": info.model, "server": info.version, "k": K, "pool": POOL, "newest": NEWEST,
            "max_tokens": MOST_TOKENS, "users": users, "templates": rows}  # fmt: skip


def summed(task: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """One template's row: sums over its users, its errors, and the first user's last answer to be looked at."""
    done = [one for one in outcomes if "error" not in one]
    fields = [field for field in (done[0] if done else ()) if field != "answer"]
    row: dict[str, Any] = {"task": task} | {field: sum(one[field] for one in done) for field in fields}
    errors = [one["error"] for one in outcomes if "error" in one]
    return row | ({"errors": errors} if errors else {}) | ({"answer": done[0]["answer"][:400]} if done else {})


def main() -> None:
    """Runs the named templates (all by default) and merges them into the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    shipped = [entry.name for entry in Library().entries() if entry.origin == "built-in"]
    names = [
        name for name in shipped if not given.names or name in given.names or name.split("/")[0] in given.names
    ]
    start = time.monotonic()
    report = asyncio.run(run(names, given.users, given.base_url))
    if given.out.exists():
        before = json.loads(given.out.read_text(encoding="utf-8"))
        report["templates"] = before["templates"] | report["templates"]
    report["templates"] = dict(sorted(report["templates"].items()))
    given.out.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in names:
        print(name, {key: value for key, value in report["templates"][name].items() if key != "answer"})
    print(f"{len(names)} templates, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
