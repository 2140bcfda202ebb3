"""`zsrec data`: the MovieLens sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from zsrec import data
from zsrec.cli.console import err, out

app = typer.Typer(help="Data sets to try zsrec with.", no_args_is_help=True)


@app.command()
def movielens(
    name: Annotated[str, typer.Argument(help="The set: latest-small.")] = "latest-small",
    folder: Annotated[
        Path | None, typer.Option("--from", help="Take this local folder (with movies.csv and ratings.csv).")
    ] = None,
    target: Annotated[Path, typer.Option("--to", help="Where downloaded sets are kept.")] = Path("data"),
) -> None:
    """Fetches a MovieLens set with its checksum, or checks a local folder; prints where it lies.

    The set's own licence applies: research use, cite Harper & Konstan (2015).
    """
    if folder is None:
        with Progress(
            *Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn(), console=err
        ) as bar:
            task = bar.add_task(f"ml-{name}", total=None)
            folder = data.fetch(
                name, target, on_bytes=lambda done, size: bar.update(task, completed=done, total=size)
            )
    loaded = data.load(folder)
    events = sum(map(len, loaded.histories.values()))
    out.print(f"{folder}: {len(loaded.catalog):,} movies, {len(loaded.histories):,} users, {events:,} ratings")
    out.print(f"Licence: {folder / 'README.txt'}\nCite: {data.CITATION}")


def register(main: typer.Typer) -> None:
    """Adds the commands to the application."""
    main.add_typer(app, name="data")
