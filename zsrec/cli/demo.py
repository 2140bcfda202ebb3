"""`zsrec demo`: what zsrec does with and without a model, on the MovieLens sample."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from zsrec.cli.console import TerminalWatch, out, print_line, print_table, show
from zsrec.cli.options import option
from zsrec.cli.progress import ConsoleProgress
from zsrec.cli.tables import result_table
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.movielens import SAMPLE
from zsrec.data.titles import display_title
from zsrec.evaluation.benchmark import Task, in_folder
from zsrec.evaluation.datasets import Data, from_movielens
from zsrec.evaluation.llm_methods import NAMED, LLMMethod
from zsrec.evaluation.report import Report
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.splits import Split, leave_one_out
from zsrec.evaluation.statistics import Estimate
from zsrec.llm.vllm_options import ServerOptions
from zsrec.llm.vllm_server import running_server, up
from zsrec.prompts import load_template
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.base import Method
from zsrec.retrieval.by_name import methods
from zsrec.retrieval.semantic import Vectors

WORDS = "Slow-burn heist films and clever thrillers, nothing gory."
ROWS = {
    "pop": "popularity",
    "itemknn": "item-kNN",
    "cooccurrence": "co-occurrence (the default retriever)",
    "label+prior": "co-occurrence, ranked again with the model",
}
RETRIEVER, WITH_MODEL = "cooccurrence", "label+prior"
K, POOL, NEWEST = 5, 10, 5
LARGER_MODELS = (
    "A larger model pays where somebody says what they want. In recorded dialogues about films GPT-3.5 has "
    "NDCG@10 .114 alone and .126 with retrieval, a 13B model .080 and .097, this 135M model .008 and .070; "
    "retrieval alone has .074. "
    "For a history no model that we tried beats retrieval (README, What wins where)."
)


def demo(
    users: Annotated[int, option("How many users' lists to show.", min=0, max=50)] = 3,
    port: Annotated[int, option("The model server's port.")] = 8321,
    stop: Annotated[bool, option("Stop the server at the end if this command started it.", "--stop")] = False,
) -> None:
    """Start a local model, and recommend films for 200 MovieLens users and for a person known by words only.

    The scoreboard hides each user's last film and looks for it among five recommendations, without a model and
    with one. Then the first users' lists are shown with reasons, and the answer to somebody's words.
    """
    data = from_movielens(SAMPLE)
    split = leave_one_out(data.interactions)
    with _server(ServerOptions(port=port), stop=stop) as base_url:
        settings = Settings.load(base_url=base_url)
        made, _ = methods([name for name in ROWS if name not in NAMED], _no_vectors, data.catalog)
        _show_scores(_measured(data, split, made, settings))
        known = made[RETRIEVER](split.training)
        with Recommender(data.catalog, settings=settings, retriever=known) as recommender:
            ranking = recommender.with_template(NAMED[WITH_MODEL]).with_retriever(known, pool=POOL)
            notes = [_show_user(ranking, split, case) for case in range(min(users, len(split)))]
            said = dict.fromkeys(note for found in notes for note in found)
            for note in said:
                print_line(f"note: {note}", "dim")
            out.print()
            _show_words(recommender, set(said))
    print_line(LARGER_MODELS)
    _show_next(None if stop else port)


def _no_vectors() -> Vectors:
    raise ConfigError("no item vectors in the demo")


@contextmanager
def _server(options: ServerOptions, *, stop: bool) -> Iterator[str]:
    """The base URL of a server that stays up, or ends with the block."""
    if stop:
        with running_server(options, progress=ConsoleProgress()) as base_url:
            yield base_url
    else:
        yield up(options, progress=ConsoleProgress()).base_url


def _measured(data: Data, split: Split, made: Mapping[str, Method], settings: Settings) -> Report:
    """The same run as `zsrec bench run` makes."""
    task = Task(
        data=data.name,
        catalog=data.catalog,
        problems=[split],
        methods=made,
        llm_methods=[
            LLMMethod(
                WITH_MODEL,
                load_template(NAMED[WITH_MODEL]),
                RETRIEVER,
                made[RETRIEVER],
                POOL,
                newest=NEWEST,
                prior=True,
            )
        ],
        ks=(K,),
    )
    with tempfile.TemporaryDirectory(prefix="zsrec-demo-") as scratch, TerminalWatch() as watch:
        return in_folder(task, RunFolder(Path(scratch) / "run"), {}, watch, settings=settings)


def _show_scores(found: Report) -> None:
    out.print()
    print_line(
        f"Each of {found.users} MovieLens users' last film is hidden. Is it among {K} of {found.items:,}?", "bold"
    )
    metrics = [f"HR@{K}", f"NDCG@{K}"]
    table = result_table("", *metrics)
    for one in found.methods:
        table.add_row(ROWS[one.method], *(_interval(one.metrics[name]) for name in metrics))
    print_table(table)
    print_line("HR: the share that is; NDCG counts the place too; 95% intervals.", "dim")
    out.print()


def _interval(found: Estimate) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _show_user(ranking: Recommender, split: Split, case: int) -> tuple[str, ...]:
    """Shows one user's list, with each film's place for retrieval and for the model; returns the notes."""
    items, catalog = split.training.items, ranking.catalog
    history = [items[code] for code in split.history(case).tolist()]
    target = items[int(split.targets[case])]
    found = ranking.recommend(history, K)
    retrieved = found.trace.pool.ids if found.trace.pool else ()
    ranked = found.trace.ranking.order if found.trace.ranking else ()
    name = split.training.users[int(split.users[case])]
    print_line(f"MovieLens user {name}, who knows {len(history)} films", "bold")
    print_line(f"newest first: {'; '.join(_title(catalog, one) for one in history[:-4:-1])}")
    for one in found:
        hit = one.item.id == target
        places = f"retrieval #{retrieved.index(one.item.id) + 1}, model #{ranked.index(one.item.id) + 1}"
        title = f"{one.rank}  {_title(catalog, one.item.id)}{'  ← the hidden film' if hit else ''}"
        print_line(title, "green" if hit else None)
        print_line(f"   {one.reason or 'nobody shares it'} · {places}", "dim")
    if target not in found.ids:
        print_line(f"hidden: {_title(catalog, target)}, {_missed(target, retrieved)}", "yellow")
    out.print()
    return found.trace.notes


def _missed(target: str, pool: tuple[str, ...]) -> str:
    return f"#{pool.index(target) + 1} of the candidates" if target in pool else "not among the candidates"


def _show_words(recommender: Recommender, said: set[str]) -> None:
    """The list for somebody who says what they want, and the model's own answer to it."""
    found = recommender.recommend(about=WORDS, k=K)
    show(found, f"Somebody new, in their own words: {WORDS}", said)
    print_line("What the model said by itself:", "bold")
    for line in _answer(found):
        print_line(f"  {line}")
    out.print()


def _answer(found: Recommendations) -> Iterator[str]:
    """The titles that the model named, and what became of each."""
    dropped = {id(one.grounded): one.why for one in found.trace.dropped}
    for one in found.trace.grounded:
        if one.match.item_id is None:
            fate = f"✗ {(one.match.reason or 'not matched').replace('_', ' ')}"
        elif (why := dropped.get(id(one))) is not None:
            fate = f"✗ {why.replace('_', ' ')}"
        else:
            fate = "✓"
        yield f"{one.mention.text}  {fate}"
    if not found.trace.grounded:
        yield "no title"


def _title(catalog: Catalog, item_id: str) -> str:
    return display_title(catalog[item_id].title)


def _show_next(port: int | None) -> None:
    """Commands that work at once; without a port the server is down."""
    zsrec = "python -m zsrec" if sys.argv[0].endswith("__main__.py") else shlex.quote(sys.argv[0])
    print_line("Next:", "bold")
    if port is None:
        print_line(f"  {zsrec} model up --port 8000")
        print_line(f'  {zsrec} recommend --history "Heat; Ronin" --retriever cooccurrence')
        print_line(f"  {zsrec} prompts list")
        return
    server = f"--base-url http://localhost:{port}/v1"
    print_line(f'  {zsrec} recommend --about "a film for children about animals" {server}')
    print_line(f"  {zsrec} chat {server}")
    print_line(f"  {zsrec} model down --port {port}   # the server stays up until then")
