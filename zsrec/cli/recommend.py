"""`zsrec recommend`: recommendations for one user, or for every user of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

from zsrec.cli import options
from zsrec.cli.console import TerminalWatch, complain, json_text, lines_out, print_line, show
from zsrec.cli.options import (
    OUTPUT,
    USER,
    CatalogOptions,
    UserOptions,
    columns_of,
    expand_groups,
    option,
    prepare_retriever,
    read_tables,
    titles,
)
from zsrec.core.errors import BadValueError, ConfigError, ZsrecError
from zsrec.core.privacy import redactor
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.recommender.many import Outcome
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.request import DEFAULT_POOL
from zsrec.retrieval.by_name import NAMES as RETRIEVERS
from zsrec.retrieval.rerank import Reranked


@expand_groups
def recommend(
    catalog: CatalogOptions,
    who: UserOptions,
    redact_name: Annotated[
        list[str] | None, option("A name to remove from --about; repeatable.", panel=USER)
    ] = None,
    k: options.HowMany = 10,
    template: options.TemplateName = None,
    prompts: options.PromptsFolder = None,
    candidates: options.Candidates = "",
    retriever: options.RetrieverName = None,
    interactions: options.Interactions = None,
    pool: options.PoolSize = DEFAULT_POOL,
    where: options.Where = None,
    diversity: options.Diversity = None,
    no_model: Annotated[
        bool, option("Ask no model: the retriever's order, with its reasons.", "--no-model", panel=options.MODEL)
    ] = False,
    fill: options.FillFrom = None,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    as_json: Annotated[bool, option("Print one JSON line per user.", "--json", panel=OUTPUT)] = False,
    out: Annotated[Path | None, option("Write the JSON lines to this file.", panel=OUTPUT)] = None,
    trace: Annotated[bool, option("Whether JSON holds history, prompts and answers.", panel=OUTPUT)] = True,
) -> None:
    """Recommend items for one user, or for every user of an interactions file.

    A history goes to the model's host and nowhere else, without e-mail addresses, phone and card numbers in the
    user's own words (ZSREC_REDACT). Only the result is written.
    """
    if retriever is None and diversity is not None:
        raise ConfigError("--diversity without --retriever", hint=f"name one of {', '.join(RETRIEVERS)}")
    bad: dict[str, BadValueError] = {}
    users, everybody = who.read(bad, **catalog.text)
    others = interactions or (Path(who.history) if retriever is not None and who.from_file else None)
    sources = catalog.sources(
        template=template, prompts=prompts, interactions=others, columns=columns_of(who.columns), pool=pool,
        retriever=retriever,
    )  # fmt: skip
    tables = read_tables(sources, everybody)
    retrieve = prepare_retriever(sources, tables)
    if retrieve is not None and diversity is not None:
        retrieve = Reranked(retrieve, tables.catalog, trade_off=diversity)
    if no_model and retrieve is None and tables.known is None and not candidates:
        raise ConfigError(
            "--no-model without an order of the items",
            hint=f"name a --retriever ({', '.join(RETRIEVERS)}), give --interactions for what is popular, "
            "or your own --candidates, best first",
        )
    settings = Settings.load(model=model, base_url=base_url)
    made = sources.make(Recommender, tables, retrieve, settings)
    if retrieve is not None and not no_model and made.pipeline.template_given and not made.pipeline.ranks:
        raise ConfigError(
            f"--retriever {retriever} goes with templates that rank; {made.pipeline.template.ref} generates",
            hint="leave --template out, name one that ranks, or use --no-model for the retriever's order",
        )
    if redact_name:
        made = made.with_redaction(redactor(made.settings.redact, redact_name))
    with made as recommender, _lines(out, as_json=as_json or len(users) > 1) as lines:
        if len(users) == 1 and not bad:
            ((name, history),) = users.items()
            wanted = titles(candidates) or None
            if no_model:
                result = recommender.retrieval_order(
                    history, k, about=who.about, candidates=wanted, where=where or ()
                )
            else:
                result = recommender.recommend(
                    history, k, about=who.about, candidates=wanted, fill=fill, where=where or ()
                )
            if lines is None:
                show(result, f"User {name}" if name else "For you")
            else:
                _write(lines, name, result, trace=trace)
            return
        if who.about or candidates or where or no_model:
            raise ConfigError(
                "--about, --candidates, --where and --no-model are for one user", hint="name one with --user"
            )
        names, failed, unknown = list(users), len(bad), 0
        for name, error in bad.items():
            complain(error, f"user {name}: ")
        with TerminalWatch() as watch:
            watch.start("users", len(names))

            def done(number: int, outcome: Outcome) -> None:
                nonlocal failed, unknown
                watch.step()
                if isinstance(outcome, ZsrecError):
                    failed += 1
                    complain(outcome, f"user {names[number]}: ")
                else:
                    unknown += outcome.trace.history.is_unknown
                    _write(lines or lines_out(), names[number], outcome, trace=trace)

            recommender.recommend_many(users, k, fill=fill, on_done=done)
    if unknown:
        print_line(f"the catalog has no item of {unknown:,} of {len(users):,} histories", "yellow", error=True)
    if failed:
        total = len(users) + len(bad)
        raise ZsrecError(f"{failed} of {total} users failed; the others' results are complete")


@contextmanager
def _lines(out: Path | None, *, as_json: bool) -> Iterator[TextIO | None]:
    """Where JSON lines go: a file, standard output, or nowhere (None)."""
    if out is not None:
        with _private(out) as file:
            yield file
    else:
        yield lines_out() if as_json else None


def _private(path: Path) -> TextIO:
    """A new file for histories, which only its owner may read; a link to a file is not written through."""
    if path.is_symlink() and path.resolve().is_file():
        raise ConfigError(f"{path} is a link to {path.resolve()}", hint="name the file itself with --out")
    try:
        return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint="check --out") from error


def _write(lines: TextIO, user: str, result: Recommendations, *, trace: bool) -> None:
    found = result.model_dump(mode="json", exclude=None if trace else {"trace"})
    lines.write(json_text({"user": user or None, **found}) + "\n")
    lines.flush()
