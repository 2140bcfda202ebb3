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

from zsrec.cli.console import complain, err, out, show
from zsrec.cli.options import made_retriever
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.core.privacy import redactor
from zsrec.core.types import Recommendations
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.readers import Columns, read_histories
from zsrec.data.tables import SUFFIXES
from zsrec.data.titles import display_title
from zsrec.llm.vllm_options import ConsoleProgress, ServerOptions
from zsrec.llm.vllm_server import running_server
from zsrec.recommender.recommender import Outcome, Recommender
from zsrec.recommender.request import DEFAULT_POOL, Fill
from zsrec.retrieval.by_name import NAMES as RETRIEVERS
from zsrec.retrieval.popularity import popularity

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
HistoryOption = Annotated[
    str,
    typer.Option(
        help="Titles or ids, oldest first, with ';' between; or an interactions file.", rich_help_panel=OF_USER
    ),
]
LikedOption = Annotated[str, typer.Option(help="Titles or ids that the user liked.", rich_help_panel=OF_USER)]
DislikedOption = Annotated[
    str, typer.Option(help="Titles or ids that the user disliked.", rich_help_panel=OF_USER)
]
ColumnsOption = Annotated[
    str, typer.Option(help="The interactions file's columns: user,item,time,rating.", rich_help_panel=OF_USER)
]
COLUMNS = "userId,movieId,timestamp,rating"


def open_catalog(path: Path | None, id_column: str, title: str, domain: str) -> Catalog:
    """The caller's catalog, or the MovieLens sample."""
    if path is None:
        return movielens.sample().catalog
    return Catalog.from_file(path, id=id_column, title=title, domain=domain)


def recommend(
    catalog: CatalogOption = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    history: HistoryOption = "",
    user: Annotated[
        str | None,
        typer.Option(help="One user of the interactions file; without it all of them.", rich_help_panel=OF_USER),
    ] = None,
    liked: LikedOption = "",
    disliked: DislikedOption = "",
    about: Annotated[str | None, typer.Option(help="The user in words.", rich_help_panel=OF_USER)] = None,
    columns: ColumnsOption = COLUMNS,
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
    trace: Annotated[
        bool,
        typer.Option(
            help="Whether the lines hold the trace: the history, the prompts, the answers.",
            rich_help_panel=OF_OUTPUT,
        ),
    ] = True,
    redact_name: Annotated[
        list[str] | None,
        typer.Option(help="A name to take out of the user's own words. May be repeated.", rich_help_panel=OF_USER),
    ] = None,
) -> None:
    """Recommends items for one user, or for every user of an interactions file.

    Nothing is written down but the result: a history stays on this machine and goes to the model's host only,
    without e-mail addresses, phone and card numbers in the user's own words (ZSREC_REDACT).
    """
    if fill not in (None, "candidates", "popularity"):
        raise ConfigError(f"--fill is {fill!r}", hint="write 'candidates' or 'popularity'")
    fill_from: Fill | None = fill  # type: ignore[assignment]  # narrowed by the check above
    items = open_catalog(catalog, id_column, title, domain)
    users, all_histories = users_of(history, user, columns)
    retrieve = None
    if retriever is not None:
        retrieve = made_retriever(retriever, items, _interactions(interactions, history), columns_of(columns))
    elif interactions is not None:
        raise ConfigError("--interactions without --retriever", hint=f"name one of {', '.join(RETRIEVERS)}")
    users = {name: one.liked(*titles(liked)).disliked(*titles(disliked)) for name, one in users.items()}
    made = Recommender(
        items,
        model=model,
        base_url=base_url,
        template=template,
        prompts=prompts,
        popularity=popularity(all_histories.values()) if all_histories else None,
    ).with_retriever(retrieve, pool=pool)
    if redact_name:
        made = made.with_redaction(redactor(made.settings.redact, redact_name))
    with made as recommender:
        if len(users) == 1:
            (name,) = users
            result = recommender.recommend(
                users[name], k, about=about, candidates=titles(candidates) or None, fill=fill_from
            )
            with _lines(out, as_json=as_json) as lines:
                if lines is None:
                    show(result, f"User {name}" if name else "For you")
                else:
                    _write(lines, name, result, trace=trace)
            return
        if about or candidates:
            raise ConfigError("--about and --candidates are for one user", hint="name one with --user")
        failed = _recommend_all(recommender, users, k, fill_from, out, trace=trace)
    if failed:
        raise ZsrecError(f"{failed} of {len(users)} users failed; the others' results are complete")


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command()(recommend)
    app.command()(demo)


def _recommend_all(
    recommender: Recommender,
    users: dict[str, History],
    k: int,
    fill: Fill | None,
    out: Path | None,
    *,
    trace: bool,
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
                _write(lines or sys.stdout, names[number], outcome, trace=trace)

        recommender.recommend_many(users, k, fill=fill, on_done=done)
    return failed


def users_of(history: str, user: str | None, columns: str) -> tuple[dict[str, History], dict[str, History]]:
    """The users that `--history`, `--user` and `--columns` name, and everybody in the file (for popularity).

    Raises:
        ConfigError: There is no such user, or the columns are no columns.
        DataError: The file cannot be read.
    """
    if Path(history).suffix.lower() not in SUFFIXES:
        if user is not None:
            raise ConfigError("--user without an interactions file", hint="give the file with --history")
        return {"": History.of(*titles(history))}, {}
    everybody = read_histories(
        history,
        columns=columns_of(columns),
        liked_from=movielens.LIKED_FROM,
        disliked_to=movielens.DISLIKED_TO,
    )
    if user is None:
        return everybody, everybody
    if user not in everybody:
        raise ConfigError(
            f"no user {user!r} among the {len(everybody)} of {history}", hint="check --user and --columns"
        )
    return {user: everybody[user]}, everybody


def columns_of(text: str) -> Columns:
    """The columns that `--columns` names.

    Raises:
        ConfigError: They are not two to four names with commas between.
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


def _write(lines: TextIO, user: str, result: Recommendations, *, trace: bool) -> None:
    found = result.model_dump(mode="json", exclude=None if trace else {"trace"})
    lines.write(json.dumps({"user": user or None, **found}, ensure_ascii=False) + "\n")
    lines.flush()


COLD_START = "I love slow-burn heist films and clever thrillers. Nothing gory, please."


def demo(
    k: Annotated[int, typer.Option("-k", "--k", help="How many items a user.")] = 5,
    users: Annotated[int, typer.Option(help="How many MovieLens users.", min=1, max=50)] = 3,
    template: Annotated[str | None, typer.Option(help="A template's name or path.")] = None,
    port: Annotated[int, typer.Option(help="The port for the server.")] = 8321,
) -> None:
    """Starts the embedded vLLM, recommends for MovieLens users and for one known by words only, and stops it.

    The small model names few films that the catalog has and the user lacks: the places left over are filled from
    popularity, and say so. A server that `zsrec model up` started at this port before is used and stays up.
    """
    movies = movielens.sample()
    with (
        running_server(ServerOptions(port=port), progress=ConsoleProgress()) as base_url,
        Recommender(
            movies.catalog,
            base_url=base_url,
            template=template,
            popularity=popularity(movies.histories.values()),
        ) as recommender,
    ):
        for name in list(movies.histories)[:users]:
            history = movies.histories[name]
            newest = [display_title(movies.catalog[event.item].title) for event in history.events[-3:]]
            out.print(f"Their newest films: {'; '.join(newest)}", markup=False)
            show(
                recommender.recommend(history, k, fill="popularity"),
                f"MovieLens user {name} ({len(history)} films known)",
            )
        out.print(f"In their own words: {COLD_START}", markup=False)
        show(recommender.recommend(k=k, about=COLD_START, fill="popularity"), "A new user, known by words only")
    out.print("Done. `zsrec model status` lists the servers that are up; next: `zsrec recommend --help`.")
