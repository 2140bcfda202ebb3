"""One row of docs/servers.md from a server that runs: every way in which zsrec asks, tried for real.

    python benchmarks/servers.py --name "llama.cpp" --base-url http://127.0.0.1:8080/v1 [--model M] [--out FOLDER]
    python benchmarks/servers.py --table FOLDER

Keys, headers and so on come from the usual settings (`ZSREC_API_KEY`, `ZSREC_EXTRA_HEADERS`, …). A cell says what
happened: what worked and how, or the error's type and words. The histories and films are the packaged sample's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from zsrec import Recommender
from zsrec.core.errors import ContextOverflowError, ZsrecError
from zsrec.core.settings import Settings
from zsrec.core.types import Message, Recommendations, Sampling
from zsrec.data.movielens import sample
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest, ServerInfo

HISTORY = ["Heat (1995)", "Fargo (1996)", "Pulp Fiction (1994)"]
CANDIDATES = [
    "Toy Story (1995)", "Seven (a.k.a. Se7en) (1995)", "Babe (1995)", "Usual Suspects, The (1995)",
    "Clueless (1995)", "Casino (1995)",
]  # fmt: skip
SMALL = ["Toy Story (1995)", "Casino (1995)", "Babe (1995)", "Clueless (1995)"]
COLUMNS = (
    "doctor", "fields", "context", "counts tokens", "generate", "label", "window", "choose", "explain", "images",
    "overflow", "cancel",
)  # fmt: skip
LONG = 100  # tokens of an answer that is cancelled
AT_ONCE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", help="the server's name in the table")
    parser.add_argument("--base-url")
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, help="write the row into this folder, as JSON")
    parser.add_argument("--table", type=Path, help="print the rows of a folder as Markdown")
    given = parser.parse_args()
    if given.table is not None:
        print(table(given.table))
        return
    if not given.name or not given.base_url:
        parser.error("--name and --base-url are needed")
    row = measure(
        given.name, Settings.load(base_url=given.base_url, model=given.model, timeout=300, max_retries=1)
    )
    text = json.dumps(row, indent=1, ensure_ascii=False)
    print(text)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^a-z0-9]+", "-", given.name.lower()).strip("-")
        (given.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def measure(name: str, settings: Settings) -> dict[str, object]:
    """The row of one server; a way of asking that fails is a cell, not an end."""
    films = sample().catalog
    row: dict[str, object] = {"name": name, "model": "", "version": ""}
    row["doctor"] = _doctor(settings)
    with Recommender(films, settings=settings) as recommender:

        def ask(template: str, candidates: list[str] | None) -> Callable[[], str]:
            one = recommender.with_template(template)
            return lambda: _told(one.recommend(HISTORY, 3, candidates=candidates))

        for column, template, candidates in (
            ("generate", "generate/default", None),
            ("label", "rank/label", CANDIDATES),
            ("window", "rank/window", CANDIDATES),
            ("choose", "rank/choose", SMALL),
        ):
            row[column] = _cell(ask(template, candidates))
        row["explain"] = _cell(lambda: _explained(recommender))
        row["label order"] = _cell(lambda: _label_order(recommender))
    row |= asyncio.run(_of_client(settings))
    return row


def _cell(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except ZsrecError as error:
        return _failure(error)


def _failure(error: ZsrecError) -> str:
    return f"{type(error).__name__}: {error.message[:160]}"


def _told(found: Recommendations) -> str:
    used = found.trace.ranking
    by = f", by {used.labels_by}" if used is not None and used.labels_by is not None else ""
    requests = len(found.trace.exchanges)
    return f"works: {len(found)} of 3, {requests} request{'s' if requests > 1 else ''}{by}"


def _explained(recommender: Recommender) -> str:
    films = [recommender.catalog[one] for one in recommender.catalog.ids[:2]]
    found = recommender.explain(films, HISTORY)
    texts = [one for one in found if one.text]
    return f"works: {len(texts)} of 2" if texts else "no text"


def _label_order(recommender: Recommender) -> str:
    """Six candidates by the probability of their labels."""
    found = recommender.with_template("rank/label").recommend(HISTORY, 6, candidates=CANDIDATES)
    shown = ((one.item.title, one.parts.probability if one.parts else None) for one in found)
    return "; ".join(f"{title} {probability or 0:.3f}" for title, probability in shown)


def _doctor(settings: Settings) -> str:
    command = [sys.executable, "-m", "zsrec", "doctor", "--base-url", settings.base_url]
    command += ["--model", settings.model] if settings.model else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)  # noqa: S603
    print(done.stdout, done.stderr, sep="", file=sys.stderr)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    return "ok" if done.returncode == 0 else "; ".join(failed)[:200] or f"exit {done.returncode}"


async def _of_client(settings: Settings) -> dict[str, str]:
    async with OpenAIClient(settings) as client:
        try:
            info = await client.handshake()
        except ZsrecError as error:
            return {"overflow": _failure(error)}
        found = {
            "overflow": await _overflow(client, info),
            "cancel": await _cancel(client),
            "images": await _images(client),
            "lost": "repetition_penalty is ignored" if await _loses_fields(client) else "",
        }
        info = await client.handshake()
    return found | {
        "model": info.model,
        "version": info.version or "",
        "fields": "; ".join(filter(None, (*info.notes, found.pop("lost")))) or "all",
        "context": str(info.context_length or "not said"),
        "counts tokens": "yes" if info.counts_tokens else "no",
    }


async def _loses_fields(client: OpenAIClient) -> bool:
    try:
        return await client.ignores_extras()
    except ZsrecError:
        return False


async def _images(client: OpenAIClient) -> str:
    try:
        await client.require_images()
    except ZsrecError as error:
        return _failure(error)
    return "works"


async def _overflow(client: OpenAIClient, info: ServerInfo) -> str:
    """A prompt of about one and a half contexts, and how the server answers it."""
    words = (info.context_length or 8192) * 3 // 2 // 4
    prompt = (Message(role="user", content="Heat 1995 " * words),)
    try:
        found = await client.chat(ChatRequest(messages=prompt, sampling=Sampling(max_tokens=2)))
    except ContextOverflowError:
        return "works: ContextOverflowError"
    except ZsrecError as error:
        return _failure(error)
    counted = f"answers {words * 2:,} words, counts {found.usage.prompt_tokens or 'no'} tokens"
    return f"{counted}; {found.notes[-1]}" if found.notes and "cut" in found.notes[-1] else counted


async def _cancel(client: OpenAIClient) -> str:
    """How long a small request takes alone, and right after long ones were cancelled."""
    small = ChatRequest(
        messages=(Message(role="user", content="Say hello."),), sampling=Sampling(max_tokens=1, temperature=0)
    )
    long = ChatRequest(
        messages=(Message(role="user", content="Tell a long story about a fox."),),
        sampling=Sampling(max_tokens=LONG, temperature=1.0),
    )
    try:
        await client.chat(small)
        alone = await _seconds(client, small)
        whole = await _seconds(client, long)
        tasks = [asyncio.create_task(client.chat(long)) for _ in range(AT_ONCE)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        after = await _seconds(client, small)
    except ZsrecError as error:
        return _failure(error)
    return f"{after:.1f} s after {AT_ONCE} cancelled (alone {alone:.1f} s; one of the long ones {whole:.1f} s)"


async def _seconds(client: OpenAIClient, request: ChatRequest) -> float:
    started = time.monotonic()
    await client.chat(request)
    return time.monotonic() - started


def table(folder: Path) -> str:
    """The rows of a folder as a table in Markdown, a server a row."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    lines = [f"| server | {' | '.join(COLUMNS)} |", f"|---{'|---' * len(COLUMNS)}|"]
    for row in rows:
        cells = (_short(row.get(column, "—")).replace("|", "\\|") for column in COLUMNS)
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(cell: str) -> str:
    """A cell without its figures and addresses."""
    if cell.startswith("works"):
        ways = {"logprob_token_ids": "yes, by id", "top_logprobs": "yes, by text"}
        return next((words for way, words in ways.items() if cell.endswith(way)), "yes")
    cell = re.sub(r"https?://\S+", "it", cell)
    cell = re.sub(r" after \d+ cancelled.*", "", cell)
    cell = re.sub(r"^CapabilityError: it shows the model no images: .*", "no, says so", cell)
    return re.sub(r"^CapabilityError: ", "no: ", cell)


if __name__ == "__main__":
    main()
