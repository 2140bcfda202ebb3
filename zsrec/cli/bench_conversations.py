"""`zsrec bench conversations`: recommendation to people who say what they want."""

from __future__ import annotations

import asyncio
import json as json_
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from zsrec.answers.grounder import Grounder
from zsrec.cli import options
from zsrec.cli.console import TerminalWatch, err, plain, print_line, print_table
from zsrec.cli.offline import check_asks, read_replies, show_requests
from zsrec.cli.options import (
    RequiredCatalog,
    columns_of,
    comma_separated,
    cut_offs,
    expand_groups,
    named_by,
    option,
    two_columns,
)
from zsrec.cli.tables import interval, result_table
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.files import atomic_write
from zsrec.core.settings import Settings
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.readers import read_interactions
from zsrec.evaluation.conversation_report import (
    ConversationReport,
    conversation_markdown,
    conversation_report,
    reply_notes,
    signed,
)
from zsrec.evaluation.conversations import (
    Row,
    Turn,
    answers_of,
    ask_turns,
    generated_row,
    hybrid_row,
    link_items,
    linked_interactions,
    read_turns,
    retrieval_row,
    words_of,
)
from zsrec.evaluation.run_folder import JOURNAL
from zsrec.llm.journal import Journal, JournalledLLM
from zsrec.llm.offline import OfflineLLM, RecordedReplies, RequestFolder
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval import Popularity
from zsrec.retrieval.by_name import retriever_named

BEHAVIOUR = ("pop", "itemknn", "cooccurrence")
WORDS = ("semantic", "lexical")
"""The retrievers that read words."""

TEMPLATE = "converse/default"
LLM_ROWS = ("generate", "hybrid")
METHODS = (*BEHAVIOUR, *WORDS, *LLM_ROWS)


@dataclass(frozen=True)
class TalkCatalog(RequiredCatalog):
    """The catalog of the items that dialogues are about."""

    domain: options.Domain = "movies"


@expand_groups
def conversations(
    turns: Annotated[Path, option("Turns as JSON lines: id, dialog, conversation, mentioned, targets.")],
    catalog: TalkCatalog,
    methods: Annotated[
        str,
        option(f"Some of {', '.join(METHODS)}.", panel=options.METHODS, show_default=", ".join(METHODS)),
    ] = ",".join(METHODS),
    interactions: Annotated[
        Path | None, option("Other users' interactions, for rows of behaviour.", panel=options.CATALOG)
    ] = None,
    interaction_items: Annotated[
        Path | None, option("Their items with titles, linked to --catalog by title.", panel=options.CATALOG)
    ] = None,
    columns: Annotated[
        str, option("The interactions' columns: user,item,time.", "--columns", panel=options.CATALOG)
    ] = "userId,movieId,timestamp",
    interaction_item_columns: Annotated[
        str, option("The columns of --interaction-items: id,title.", panel=options.CATALOG)
    ] = "movieId,title",
    link: Annotated[
        bool, option("Print which item was linked to which, and stop.", "--link", panel=options.CATALOG)
    ] = False,
    replies: options.Replies = None,
    requests_only: options.RequestsOnly = None,
    template: options.TemplateName = None,
    prompts: options.PromptsFolder = None,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    k: Annotated[str, option("Cut-offs of Recall, separated by commas.", "-k", "--k", panel=options.PROTOCOL)] = (
        "1,5,10,20"
    ),
    seed: options.Seed = 0,
    out: Annotated[
        Path | None,
        option("A folder for the report and a live model's replies, which are not asked for again.",
               panel=options.OUTPUT),
    ] = None,
    json: options.ReportFile = None,
) -> None:  # fmt: skip
    """Measure recommendation in conversations: find what a dialog's next turn recommends.

    Mentioned items are taken out of every list. The lift of a language model over the best method without one is
    printed first, with its interval.
    """
    names, ks = comma_separated(methods), cut_offs(k)
    if unknown := [name for name in names if name not in METHODS]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(METHODS)}")
    if not names or len(set(names)) < len(names):
        raise ConfigError("no method, or one of them twice", hint=f"name some of {', '.join(METHODS)}, once each")
    if link and interactions is None:
        raise ConfigError("--link needs --interactions", hint="and --interaction-items, whose titles are linked")
    asks = any(name in LLM_ROWS for name in names)
    check_asks(replies, requests_only, " and ".join(LLM_ROWS), asks=asks)
    items = catalog.open()
    asked = read_turns(turns, items)
    settings = Settings.load(base_url=base_url, model=model)
    recorded = read_replies(replies)
    requests = None if requests_only is None else RequestFolder(requests_only, settings)
    offline = recorded or requests is not None
    grounder = Grounder(items)
    known, notes = None, []
    if interactions is not None:
        id_column, title = two_columns(interaction_item_columns, "--interaction-item-columns")
        other_items = interaction_items or interactions
        with named_by("--interaction-item-columns", other_items):
            others = Catalog.from_file(other_items, id=id_column, title=title, **catalog.text)
        links = link_items(others, grounder)
        if link:
            for one in links:
                found = f"{one.found} {items[one.found].title}" if one.found else "nothing"
                print_line(f"{one.item} {one.title} → {found}")
            return
        names_of = columns_of(columns, rating=False)
        read = read_interactions(interactions, columns=names_of, catalog=Ids(others.ids), **catalog.text)
        known = linked_interactions(read.interactions, links, items)
        linked = [one.found for one in links if one.found]
        notes = [
            *read.notes,
            f"{len(linked):,} of {len(links):,} items of the interactions linked to {len(set(linked)):,} of "
            f"{len(items):,} items, with {len(known):,} interactions",
        ]
    rows, skipped = _retrieval_rows(names, asked, words_of(asked, grounder), items, known, seed)
    if asks:
        fill = _retrieved(rows)
        recommender = AsyncRecommender(
            items,
            template=template or (settings.template if "template" in settings.model_fields_set else TEMPLATE),
            prompts=prompts,
            settings=settings,
            llm=OfflineLLM("") if offline else None,
        )
        popularity = None if known is None else Popularity(known)  # settles ambiguous titles
        recommender = recommender.with_grounder(grounder).with_retriever(popularity)
        sources: list[RecordedReplies | None] = [*recorded] or [None]
        rows += asyncio.run(_llm_rows(names, asked, recommender, sources, requests, fill, max(ks), out))
    if requests is not None:
        show_requests(requests)
        return
    if not rows:
        raise ConfigError("no method can run", hint="; ".join(f"{name}: {why}" for name, why in skipped.items()))
    report = conversation_report(
        rows, asked, ks, data=turns.name, items=len(items), seed=seed, skipped=skipped, notes=tuple(notes)
    )
    text = json_.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
    if out is not None:
        _write(out / "report.json", text)
        _write(out / "report.md", conversation_markdown(report))
    if json is not None:
        _write(json, text)
    show(report)


def _retrieved(rows: Sequence[Row]) -> list[Row]:
    """The rows of a hybrid, as a recommender takes them: meaning alone, or words and behaviour."""
    by_name = {row.method: row for row in rows}
    if "semantic" in by_name:
        return [by_name["semantic"]]
    behaviour = next((row for row in rows if row.method in BEHAVIOUR and row.method != "pop"), None)
    return [row for row in (by_name.get("lexical"), behaviour) if row is not None]


def _retrieval_rows(
    names: Sequence[str],
    turns: Sequence[Turn],
    words: Sequence[str],
    catalog: Catalog,
    known: Interactions | None,
    seed: int,
) -> tuple[list[Row], dict[str, str]]:
    """The rows without a model, and the methods that cannot run, with the reason."""
    others = Interactions.from_contacts([], catalog=Ids(catalog.ids)) if known is None else known
    pop = Popularity(others)
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for name in names:
        if name in LLM_ROWS:
            continue
        if known is None and name in BEHAVIOUR:
            skipped[name] = "it needs --interactions"
            continue
        try:
            with err.status(f"preparing {name}"):
                retriever = retriever_named(name, others, catalog)
        except MissingExtraError as error:
            skipped[name] = " ".join(str(error).split())
            continue
        fallback = None if name in WORDS or name == "pop" else pop
        rows.append(retrieval_row(name, retriever, turns, words, fallback=fallback, seed=seed))
    return rows, skipped


async def _llm_rows(
    names: Sequence[str],
    turns: Sequence[Turn],
    recommender: AsyncRecommender,
    sources: Sequence[RecordedReplies | None],
    requests: RequestFolder | None,
    fill: Sequence[Row],
    k: int,
    out: Path | None,
) -> list[Row]:
    """Rows of recorded replies, or of the server's model, whose replies are stored in `out`."""
    rows: list[Row] = []
    async with recommender:
        for replies in sources:
            offline = replies is not None or requests is not None
            with ExitStack() as stack:
                watch = stack.enter_context(TerminalWatch())
                watch.start("turns", len(turns))
                asked = recommender
                if not offline and out is not None:
                    out.mkdir(parents=True, exist_ok=True)
                    journal = stack.enter_context(Journal(out / JOURNAL, JOURNAL))
                    asked = recommender.with_llm(JournalledLLM(recommender.llm, journal, on_reply=watch.reply))
                llm_of = partial(OfflineLLM, replies=replies, requests=requests) if offline else None
                outcomes = await ask_turns(asked, turns, k=k, llm_of=llm_of, on_done=watch.step)
            suffix = "" if replies is None else f"[{replies.name}]"
            answers = answers_of(outcomes, turns)
            generated = generated_row(f"generate{suffix}", answers, turns)
            if replies is not None:
                generated = replace(generated, replies=replies.counts())
            rows += [generated] if "generate" in names else []
            rows += [hybrid_row(f"hybrid{suffix}", generated, fill, turns)] if "hybrid" in names else []
    return rows


def show(report: ConversationReport) -> None:
    """Show the lift, the metrics, what answers name, and the notes."""
    for one in report.lift:
        print_line(f"lift of {one.a} over {one.b}, {one.metric}: {signed(one)}, p = {one.p:.4f}", "bold")
    keys = list(report.methods[0].metrics)
    table = result_table("method", *keys)
    for row in report.methods:
        table.add_row(plain(row.method), *(interval(row.metrics[key]) for key in keys))
    print_table(table)
    for row in report.methods:
        if row.rates:
            print_line(f"{row.method}: " + ", ".join(f"{name} {one.mean:.1%}" for name, one in row.rates.items()))
        for note in (*row.notes, *reply_notes(row.replies)):
            print_line(f"{row.method}: {note}", "yellow")
    for name, why in report.skipped.items():
        print_line(f"{name}: left out: {why}", "yellow")
    print_line(f"Intervals: {report.intervals}.", "dim")
    print_line(
        f"{report.users:,} turns of {report.dialogs:,} dialogs, {report.targets:,} targets. {report.protocol}",
        "dim",
    )
    for note in report.notes:
        print_line(note, "dim")


def _write(path: Path, text: str) -> None:
    with atomic_write(path, hint="check --out and --json") as file:
        file.write(text.encode("utf-8", "replace"))
