"""`zsrec verify`: damage in run folders, batch outputs and journals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from zsrec.cli.console import print_line
from zsrec.cli.options import option
from zsrec.core.checked_lines import read_lines, repair
from zsrec.core.checksums import SUMS
from zsrec.core.errors import ConfigError, DamagedError
from zsrec.core.resumable_folder import CONFIG, ResumableFolder
from zsrec.core.untrusted_text import printable
from zsrec.evaluation.run_folder import JOURNAL, RunFolder
from zsrec.serving.batch_folder import BatchFolder
from zsrec.serving.histories import FEEDBACK


def verify(
    paths: Annotated[list[Path], typer.Argument(help="Run folders, batch outputs or journals, or files in them.")],
    fix: Annotated[bool, option("Remove what is damaged, so that it is made again.", "--repair")] = False,
) -> None:
    """Check that what zsrec wrote is as it was written, and name the damage with file and line.

    With --repair, damaged lines, parts and files are removed. The same `bench`, `prompts compare` or `batch`
    command then asks again for what is missing, and for nothing else; feedback that was lost stays lost.
    """
    damaged = False
    for path in paths:
        found = _of_folder(folder, fix) if (folder := _folder_of(path)) is not None else _of_lines(path, fix)
        for error in found:
            print_line(error.message, "red")
        if not found:
            print_line(f"{printable(str(path))}: as it was written", "green")
        elif fix:
            again = "now run the same command again" if folder is not None else "what was lost stays lost"
            print_line(f"{printable(str(path))}: what is damaged was removed; {again}", "yellow")
        else:
            damaged = True
            print_line("remove it with --repair; the same command then makes it again", "yellow")
    if damaged:
        raise typer.Exit(1)


def _folder_of(path: Path) -> ResumableFolder | None:
    """The run or job that a path is or is part of."""
    for one in (path.absolute(), *list(path.absolute().parents)[:3]):
        if any((one / "_zsrec" / name).exists() for name in (CONFIG, SUMS)):
            return BatchFolder(one)
        if any((one / name).exists() for name in (CONFIG, SUMS)) and one.name != "_zsrec":
            return RunFolder(one)
    return None


def _of_folder(folder: ResumableFolder, fix: bool) -> Sequence[DamagedError]:
    with folder.locked():
        if not folder.sums.exists:
            print_line(
                f"{folder.path}: made before there were checksums; only what can be read is checked", "yellow"
            )
        return folder.repair() if fix else list(folder.faults())


def _of_lines(path: Path, fix: bool) -> Sequence[DamagedError]:
    """A journal on its own: that of a service or of `bench conversations`."""
    path = path / JOURNAL if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            f"{path}: no run, batch output or journal", hint="name a folder or file that zsrec wrote"
        )
    purpose = min((FEEDBACK, JOURNAL), key=lambda one: len(read_lines(path, one).faults))
    found = list(read_lines(path, purpose).errors(path))
    if fix:
        repair(path, purpose)
    return found
