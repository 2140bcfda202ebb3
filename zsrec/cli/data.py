"""`zsrec data`: the MovieLens sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from zsrec.cli.console import err, out, plain
from zsrec.data.download import BASE_URL, CITATION, SETS, MovieLensSet, cache_folder, fetch, named
from zsrec.data.movielens import load_ratings

app = typer.Typer(help="Data sets to try and measure zsrec with.", no_args_is_help=True)


@app.command()
def movielens(
    name: Annotated[
        str | None, typer.Argument(help=f"The set: {', '.join(SETS)}; latest-small by default.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Take this local folder or zip instead of fetching.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--to", help="Where fetched sets are kept; zsrec's cache folder by default.")
    ] = None,
    base_url: Annotated[str, typer.Option(help="Where the archives and their .md5 files are.")] = BASE_URL,
) -> None:
    """Fetches a MovieLens set with its checksum, or checks a local one; prints where it lies and what is in it.

    A broken download goes on where it ended. The set's own licence applies: `zsrec data info NAME`.
    """
    folder = source or fetched(named(name or "latest-small"), target, base_url)
    loaded = load_ratings(folder)
    users = len(loaded.result.interactions.users)
    out.print(
        f"{folder}: {len(loaded.catalog):,} movies, {users:,} users, {loaded.result.rows:,} ratings",
        soft_wrap=True,
    )
    for note in loaded.result.notes[1:]:
        out.print(plain(note), style="yellow", soft_wrap=True)
    known = name or ("latest-small" if source is None else None)
    licence = named(known).licence if known else "see the set's README; all sets are for research use only."
    out.print(f"Licence: {licence}\nCite: {CITATION}", soft_wrap=True)


def fetched(one: MovieLensSet, target: Path | None, base_url: str = BASE_URL) -> Path:
    """The folder of a set, fetched with a progress bar where it is not there yet; see `zsrec.data.fetch`."""
    with Progress(*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn(), console=err) as bar:
        task = bar.add_task(one.folder, total=None)

        def on_bytes(done: int, size: int | None) -> None:
            bar.update(task, completed=done, total=size)

        return fetch(one.name, target, base_url=base_url, on_bytes=on_bytes)


@app.command()
def info(
    name: Annotated[str | None, typer.Argument(help="A set; all of them by default.")] = None,
) -> None:
    """Says what a set holds, its licence, how to cite it, and where it lies once fetched."""
    if name is None:
        _show_all()
        return
    one = named(name)
    folder = cache_folder() / one.folder
    state = "fetched" if (folder / one.form.ratings).is_file() else "not fetched"
    lines = (
        f"MovieLens {one.name}: {one.users:,} users, {one.movies:,} movies, {one.ratings:,} ratings, {one.years}",
        f"Files: {one.form.movies}, {one.form.ratings} ({one.form.encoding}); archive about {one.megabytes} MB",
        f"From: {BASE_URL}/{one.archive}, MD5 {one.md5 or 'as published beside it (this set changes)'}",
        f"Cached: {folder} ({state})",
        f"Licence: {one.licence}",
        f"Cite: {CITATION}",
    )
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _show_all() -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("set", "users", "movies", "ratings", "MB", "years"):
        table.add_column(column, justify="left" if column in ("set", "years") else "right", no_wrap=True)
    for one in SETS.values():
        table.add_row(
            one.name, f"{one.users:,}", f"{one.movies:,}", f"{one.ratings:,}", f"{one.megabytes}", one.years
        )
    out.print(table)
    out.print(Text(f"Research use only. Cite: {CITATION}"), soft_wrap=True)


def register(main: typer.Typer) -> None:
    """Adds the commands to the application."""
    main.add_typer(app, name="data")
