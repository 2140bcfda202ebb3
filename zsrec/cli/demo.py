"""`zsrec demo`: the whole line once, on real parts, from nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from zsrec import data
from zsrec.candidates import popularity
from zsrec.cli.console import out, show
from zsrec.recommender import Recommender
from zsrec.server import ConsoleProgress, ServerOptions, running_server
from zsrec.text import display_title

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
    movies = data.sample()
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


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(demo)
