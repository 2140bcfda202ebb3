"""`zsrec recommend`: recommendations for one user, or for every user of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import Progress

from zsrec import data
from zsrec.candidates import popularity
from zsrec.catalog import Catalog
from zsrec.cli.console import complain, err, show
from zsrec.cli.retriever import RETRIEVERS, made_retriever
from zsrec.errors import ConfigError, ZsrecError
from zsrec.interactions import Columns, read_histories
from zsrec.job import DEFAULT_POOL
from zsrec.recommender import Fill, Outcome, Recommender
from zsrec.tables import SUFFIXES
from zsrec.types import History, Recommendations

IN_CATALOG = "Catalog"
OF_USER = "User"
FROM_MODEL = "Model and prompt"
OF_OUTPUT = "Output"

CatalogOption = Annotated[
    Path | None,
    typer.Option(help="CSV, TSV, JSONL or Parquet; without it the MovieLens sample.", rich_help_panel=IN_CATALOG),
]
IdOption = Annotated[str, typer.Option("--id", help="The catalog's id column.", rich_help_panel=IN_CATALOG)]
TitleOption = Annotated[str, typer.Option(help="The catalog's title column.", rich_help_panel=IN_CATALOG)]
DomainOption = Annotated[str, typer.Option(help="What the items are, in the plural.", rich_help_panel=IN_CATALOG)]


def open_catalog(path: Path | None, id_column: str, title: str, domain: str) -> Catalog:
    """The caller's catalog, or the MovieLens sample."""
    if path is None:
        return data.sample().catalog
    return Catalog.from_file(path, id=id_column, title=title, domain=domain)


def recommend(
    catalog: CatalogOption = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    history: Annotated[
        str,
        typer.Option(
            help="Titles or ids, oldest first, with ';' between; or an interactions file.", rich_help_panel=OF_USER
        ),
    ] = "",
    user: Annotated[
        str | None,
        typer.Option(help="One user of the interactions file; without it all of them.", rich_help_panel=OF_USER),
    ] = None,
    liked: Annotated[str, typer.Option(help="Titles or ids that the user liked.", rich_help_panel=OF_USER)] = "",
    disliked: Annotated[
        str, typer.Option(help="Titles or ids that the user disliked.", rich_help_panel=OF_USER)
    ] = "",
    about: Annotated[str | None, typer.Option(help="The user in words.", rich_help_panel=OF_USER)] = None,
    columns: Annotated[
        str,
        typer.Option(help="The interactions file's columns: user,item,time,rating.", rich_help_panel=OF_USER),
    ] = "userId,movieId,timestamp,rating",
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.", rich_help_panel=FROM_MODEL)] = 10,
    template: Annotated[
        str | None, typer.Option(help="A template's name or path (ZSREC_TEMPLATE).", rich_help_panel=FROM_MODEL)
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="A folder of your own templates (ZSREC_PROMPTS).", rich_help_panel=FROM_MODEL),
    ] = None,
    candidates: Annotated[
        str, typer.Option(help="Titles or ids to choose from, with ';' between.", rich_help_panel=FROM_MODEL)
    ] = "",
    retriever: Annotated[
        str | None,
        typer.Option(
            help=f"Where templates of the task rank choose from, learned from the interactions file: "
            f"{', '.join(RETRIEVERS)}.",
            rich_help_panel=FROM_MODEL,
        ),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(
            help="Others' interactions for --retriever; by default --history, if that is a file.",
            rich_help_panel=FROM_MODEL,
        ),
    ] = None,
    pool: Annotated[
        int, typer.Option(help="How many candidates the retriever gives.", min=1, rich_help_panel=FROM_MODEL)
    ] = DEFAULT_POOL,
    fill: Annotated[
        str | None,
        typer.Option(help="Fill a short list from 'candidates' or 'popularity'.", rich_help_panel=FROM_MODEL),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="The server's address with /v1 (ZSREC_BASE_URL).", rich_help_panel=FROM_MODEL),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The served model's name (ZSREC_MODEL).", rich_help_panel=FROM_MODEL)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON line a user, with the whole trace.", rich_help_panel=OF_OUTPUT)
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON lines to this file.", rich_help_panel=OF_OUTPUT)
    ] = None,
) -> None:
    """Recommends items for one user, or for every user of an interactions file.

    Nothing is written down but the result: a history stays on this machine and goes to the model's host only.
    """
    if fill not in (None, "candidates", "popularity"):
        raise ConfigError(f"--fill is {fill!r}", hint="write 'candidates' or 'popularity'")
    fill_from: Fill | None = fill  # type: ignore[assignment]  # narrowed by the check above
    items = open_catalog(catalog, id_column, title, domain)
    users, all_histories = _users(history, user, columns)
    retrieve = None
    if retriever is not None:
        retrieve = made_retriever(retriever, items, _interactions(interactions, history), columns_of(columns))
    elif interactions is not None:
        raise ConfigError("--interactions without --retriever", hint=f"name one of {', '.join(RETRIEVERS)}")
    users = {name: one.liked(*titles(liked)).disliked(*titles(disliked)) for name, one in users.items()}
    with Recommender(
        items,
        model=model,
        base_url=base_url,
        template=template,
        prompts=prompts,
        popularity=popularity(all_histories.values()) if all_histories else None,
    ).with_retriever(retrieve, pool=pool) as recommender:
        if len(users) == 1:
            (name,) = users
            result = recommender.recommend(
                users[name], k, about=about, candidates=titles(candidates) or None, fill=fill_from
            )
            with _lines(out, as_json=as_json) as lines:
                if lines is None:
                    show(result, f"User {name}" if name else "For you")
                else:
                    _write(lines, name, result)
            return
        if about or candidates:
            raise ConfigError("--about and --candidates are for one user", hint="name one with --user")
        failed = _recommend_all(recommender, users, k, fill_from, out)
    if failed:
        raise ZsrecError(f"{failed} of {len(users)} users failed; the others' results are complete")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(recommend)


def _recommend_all(
    recommender: Recommender, users: dict[str, History], k: int, fill: Fill | None, out: Path | None
) -> int:
    names, failed = list(users), 0
    with _lines(out, as_json=True) as lines, Progress(console=err, transient=True) as bar:
        task = bar.add_task("users", total=len(names))

        def done(number: int, outcome: Outcome) -> None:
            nonlocal failed
            bar.advance(task)
            if isinstance(outcome, ZsrecError):
                failed += 1
                complain(outcome, f"user {names[number]}: ")
            else:
                _write(lines or sys.stdout, names[number], outcome)

        recommender.recommend_many(users, k, fill=fill, on_done=done)
    return failed


def _users(history: str, user: str | None, columns: str) -> tuple[dict[str, History], dict[str, History]]:
    """The users to recommend for, and everybody in the file (for popularity)."""
    if Path(history).suffix.lower() not in SUFFIXES:
        if user is not None:
            raise ConfigError("--user without an interactions file", hint="give the file with --history")
        return {"": History.of(*titles(history))}, {}
    everybody = read_histories(
        history,
        columns=columns_of(columns),
        liked_from=data.LIKED_FROM,
        disliked_to=data.DISLIKED_TO,
    )
    if user is None:
        return everybody, everybody
    if user not in everybody:
        raise ConfigError(
            f"no user {user!r} among the {len(everybody)} of {history}", hint="check --user and --columns"
        )
    return {user: everybody[user]}, everybody


def columns_of(text: str) -> Columns:
    """The columns of an interactions file from `user,item,time,rating`.

    Raises:
        ConfigError: It is something else.
    """
    names = [name.strip() or None for name in text.split(",")]
    names += [None] * (4 - len(names))
    if len(names) != 4 or not names[0] or not names[1]:
        raise ConfigError(
            f"--columns is {text!r}", hint="write user,item,time,rating; leave time or rating empty if absent"
        )
    return Columns(user=names[0], item=names[1], time=names[2], rating=names[3])


def _interactions(path: Path | None, history: str) -> Path:
    if path is not None:
        return path
    if Path(history).suffix.lower() in SUFFIXES:
        return Path(history)
    raise ConfigError(
        "--retriever without interactions", hint="give others' interactions with --interactions FILE"
    )


def titles(text: str) -> list[str]:
    """Titles or ids with ";" between."""
    return [part.strip() for part in text.split(";") if part.strip()]


@contextmanager
def _lines(out: Path | None, *, as_json: bool) -> Iterator[TextIO | None]:
    """Where JSON lines go: a file, standard output, or nowhere (None)."""
    if out is not None:
        with out.open("w", encoding="utf-8") as file:
            yield file
    else:
        yield sys.stdout if as_json else None


def _write(lines: TextIO, user: str, result: Recommendations) -> None:
    lines.write(json.dumps({"user": user or None, **result.model_dump(mode="json")}, ensure_ascii=False) + "\n")
    lines.flush()
