"""`zsrec data`: the MovieLens sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from zsrec.cli.console import err, print_line, print_table
from zsrec.cli.options import SetsFolder, option
from zsrec.data.download import BASE_URL, CITATION, SETS, MovieLensSet, cache_folder, fetch, named
from zsrec.data.movielens import load_ratings

app = typer.Typer(help="Data sets to try zsrec and to measure it.", no_args_is_help=True)


@app.command()
def movielens(
    name: Annotated[str | None, typer.Argument(help=f"One of {', '.join(SETS)} [default: latest-small]")] = None,
    source: Annotated[Path | None, option("A local folder or zip, instead of downloading.", "--from")] = None,
    target: SetsFolder = None,
    base_url: Annotated[str, option("The address of the archives and their .md5 files.")] = BASE_URL,
) -> None:
    """Download a MovieLens set and verify its checksum, or read a local one; print its path and contents.

    An interrupted download resumes. The set's own licence applies: `zsrec data info NAME`.
    """
    folder = source or fetched(named(name or "latest-small"), target, base_url)
    loaded = load_ratings(folder)
    users = len(loaded.result.interactions.users)
    print_line(f"{folder}: {len(loaded.catalog):,} movies, {users:,} users, {loaded.result.rows:,} ratings")
    for note in loaded.result.notes[1:]:
        print_line(note, "yellow")
    known = name or ("latest-small" if source is None else None)
    licence = named(known).licence if known else "see the set's README; all sets are for research use only."
    print_line(f"Licence: {licence}")
    print_line(f"Cite: {CITATION}")


def fetched(one: MovieLensSet, target: Path | None, base_url: str = BASE_URL) -> Path:
    """The folder of a set, downloaded with a progress bar unless it is there; see `zsrec.data.download.fetch`."""
    with Progress(*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn(), console=err) as bar:
        task = bar.add_task(one.folder, total=None)

        def on_bytes(done: int, size: int | None) -> None:
            bar.update(task, completed=done, total=size)

        return fetch(one.name, target, base_url=base_url, on_bytes=on_bytes)


@app.command()
def info(name: Annotated[str | None, typer.Argument(help="A set; by default all of them.")] = None) -> None:
    """Show a set's size, licence and citation, and where it is after downloading."""
    if name is None:
        _show_all()
        return
    one = named(name)
    folder = cache_folder() / one.folder
    state = "downloaded" if (folder / one.form.ratings).is_file() else "not downloaded"
    lines = (
        f"MovieLens {one.name}: {one.users:,} users, {one.movies:,} movies, {one.ratings:,} ratings, {one.years}",
        f"Files: {one.form.movies}, {one.form.ratings} ({one.form.encoding}); archive about {one.megabytes} MB",
        f"From: {BASE_URL}/{one.archive}, MD5 {one.md5 or 'as published beside it (this set changes)'}",
        f"Cached: {folder} ({state})",
        f"Licence: {one.licence}",
        f"Cite: {CITATION}",
    )
    for line in lines:
        print_line(line)


def _show_all() -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("set", "users", "movies", "ratings", "MB", "years"):
        table.add_column(column, justify="left" if column in ("set", "years") else "right")
    for one in SETS.values():
        counts = (f"{count:,}" for count in (one.users, one.movies, one.ratings, one.megabytes))
        table.add_row(one.name, *counts, one.years)
    print_table(table)
    print_line(f"Research use only. Cite: {CITATION}")
