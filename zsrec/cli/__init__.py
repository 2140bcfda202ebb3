"""The command line: thin over the Python API, one module a command."""

from __future__ import annotations

import sys

import typer

from zsrec.cli import batch, bench, data, doctor, ground, model, playground, prompts, recommend, serve
from zsrec.cli.console import complain
from zsrec.core.errors import ZsrecError

app = typer.Typer(
    name="zsrec",
    help="Zero-shot sequential recommendation: prompt templates, a local vLLM server, grounded answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (recommend, batch, serve, playground, ground, prompts, model, bench, doctor, data):
    _command.register(app)


def main() -> None:
    """Runs the command line; an error of ours becomes a message and exit code 1."""
    try:
        app()
    except ZsrecError as error:
        complain(error)
        sys.exit(1)
