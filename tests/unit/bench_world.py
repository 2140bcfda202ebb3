"""A small world to benchmark in: films, users, and a task over them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from zsrec.core.types import Exchange, Usage
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation import leave_one_out
from zsrec.evaluation.benchmark import Task
from zsrec.evaluation.llm_methods import LLMMethod
from zsrec.llm.protocol import ChatRequest
from zsrec.prompts import load_template
from zsrec.retrieval import ItemKNN, Popularity
from zsrec.retrieval.base import Method

FILMS = [f"Film {chr(65 + n // 26)}{chr(65 + n % 26)} ({1950 + n})" for n in range(40)]
CANARY = "Zanzibar Canary Quux (2099)"
RETRIEVERS: Mapping[str, Method] = {"pop": Popularity, "itemknn": ItemKNN}


class Quiet:
    """Watches and says nothing; counts what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.steps = self.replies = self.replayed = 0

    def start(self, what: str, total: int) -> None:
        self.told.append(what)

    def step(self) -> None:
        self.steps += 1

    def reply(self, exchange: Exchange, replayed: bool) -> None:
        self.replies += 1
        self.replayed += replayed

    def say(self, text: str) -> None:
        self.told.append(text)


def catalog() -> Catalog:
    rows = [{"id": str(n), "title": title} for n, title in enumerate(FILMS)]
    return Catalog.from_items([*rows, {"id": "canary-id", "title": CANARY}], domain="movies")


def contacts(users: int = 24, events: int = 9) -> list[Contact]:
    rng = random.Random(0)
    return [
        Contact(f"u{user}", str(item), float(time))
        for user in range(users)
        for time, item in enumerate(rng.sample(range(len(FILMS)), events))
    ]


def llm_method(name: str, template: str, **more: Any) -> LLMMethod:
    source = more.pop("source", "itemknn" if template.startswith("rank") else None)
    retriever = None if source is None else RETRIEVERS[source]
    return LLMMethod(name, load_template(template), source, retriever, **more)


def task(rows: list[Contact] | None = None, **more: Any) -> Task:
    films = catalog()
    known = Interactions.from_contacts(contacts() if rows is None else rows, catalog=Ids(films.ids))
    given = {
        "methods": RETRIEVERS,
        "llm_methods": [llm_method("generate", "generate/default"), llm_method("rank", "rank/default", pool=8)],
        "ks": (5, 10),
        "users": 12,
        "problems": [leave_one_out(known)],
        "catalog": films,
    }
    return Task(data="world", **(given | more))


def told_by_prompt(request: ChatRequest) -> Exchange:
    """Names films that depend on the prompt alone."""
    rng = random.Random("".join(message.content for message in request.messages))
    text = "\n".join(f"{n}. {title}" for n, title in enumerate(rng.sample(FILMS, 10), 1))
    usage = Usage(prompt_tokens=len(request.messages[-1].content), completion_tokens=len(text) // 4)
    return Exchange(
        messages=request.messages, answer=text, finish_reason="stop", model="fake", usage=usage, seconds=0.5
    )
