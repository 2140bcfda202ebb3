"""The MovieLens benchmark: `zsrec bench movielens`, and the README's table from a run.

python benchmarks/movielens.py latest-small --methods pop,itemknn,generate --users 200 --out RUN
python benchmarks/movielens.py table RUN --into README.md    # between <!-- bench --> and <!-- /bench -->
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from zsrec.cli.bench import movielens
from zsrec.cli.console import complain
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.evaluation.benchmark import rebuild
from zsrec.evaluation.report_markdown import readme_table
from zsrec.evaluation.run_folder import RunFolder

START, END = "<!-- bench -->\n", "\n<!-- /bench -->"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(movielens)


def table(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    into: Annotated[Path | None, typer.Option(help="Write it between the marks in this file.")] = None,
) -> None:
    """The README's table of a run; nothing else is taken from it."""
    folder = RunFolder(run)
    text = readme_table(rebuild(folder), folder.config())
    if into is None:
        print(text)
        return
    whole = into.read_text(encoding="utf-8")
    before, start, rest = whole.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ConfigError(
            f"{into} has no marks", hint=f"put {START.strip()} and {END.strip()} on lines of their own"
        )
    into.write_text(before + START + text + END + after, encoding="utf-8")


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["table"]:
            del sys.argv[1]
            typer.run(table)
        else:
            app()
    except ZsrecError as error:
        complain(error)
        sys.exit(1)
