"""What all commands share: help, completion, version, and old names of options."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from zsrec import __version__
from zsrec.cli import app
from zsrec.core.errors import ConfigError


def _commands(command: Any = None, name: str = "zsrec") -> Iterator[tuple[str, Any]]:
    command = command or get_command(app)
    yield name, command
    for child, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {child}")


COMMANDS = dict(_commands())


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"zsrec {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_is_cut_and_every_option_is_described(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert "…" not in shown.output.replace("TEMPLATE…", "").replace("[the answer of …]", "").replace(
        "NAME=VALUE,…", ""
    )
    for one in COMMANDS[name].params:
        assert one.help, f"{name}: {one.name} has no help"
        for word in re.findall(r"[\w-]+", one.help):
            assert len(word) > 20 or word in shown.output, (one.name, word)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_accepted(name: str) -> None:
    for example in re.findall(r"`(zsrec .*?)`", COMMANDS[name].epilog or ""):
        assert example.startswith(name)
        COMMANDS[name].make_context(name, shlex.split(example.removeprefix(name)))


@pytest.mark.parametrize("option", ["--id", "--title", "--prompts", "--retriever", "--fill", "--seed"])
def test_an_option_that_several_commands_have_is_declared_once(option: str) -> None:
    params = [one for command in COMMANDS.values() for one in command.params if option in one.opts]
    assert len(params) > 1
    assert len({(one.help.replace("; repeatable", ""), one.nargs) for one in params}) == 1


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (["ground", "--catalog", "c.csv", "--in", "x", "--out", "-"], "--in", "--input"),
        (["ground", "--catalog", "c.csv", "--in=x", "--out", "-"], "--in", "--input"),
        (["ground-fit", "--catalog", "c.csv", "--in", "x", "--out", "w"], "--in", "--input"),
        (
            ["bench", "run", "--interactions", "i", "--catalog", "j", "--candidates", "no"],
            "--candidates",
            "--retriever",
        ),
        (["bench", "movielens", "--candidates", "no"], "--candidates", "--retriever"),
        (["bench", "run", "--interactions", "i", "--items", "j"], "--items", "--catalog"),
        (["bench", "conversations", "--turns", "i", "--items=j"], "--items", "--catalog"),
        (["prompts", "compare", "a", "b", "--candidates", "no"], "--candidates", "--retriever"),
    ],
)
def test_an_old_name_works_with_a_warning(arguments: list[str], old: str, new: str) -> None:
    before = CliRunner().invoke(app, arguments)
    now = CliRunner().invoke(app, [one.replace(old, new) if one.startswith(old) else one for one in arguments])
    assert f"warning: {old} is now {new}" in before.stderr.replace("\n", " ")
    assert "warning" not in now.stderr
    assert (before.exit_code, str(before.exception)) == (now.exit_code, str(now.exception))
    if new == "--retriever":
        assert isinstance(now.exception, ConfigError)
        assert "--retriever" in str(now.exception)


def test_an_old_name_is_free_where_it_means_something_else() -> None:
    shown = CliRunner().invoke(app, ["prompts", "render", "rank/default", "--candidates", "Up; Ronin"])
    assert shown.exit_code == 0
    assert "warning" not in shown.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("zsrec rec", {"recommend"}),
        ("zsrec prompts co", {"compare"}),
        ("zsrec recommend --template rank/la", {"rank/label", "rank/label-debiased"}),
        ("zsrec recommend --retriever item", {"itemknn"}),
        ("zsrec recommend --fill pop", {"popularity"}),
        ("zsrec bench run --protocol cold", {"cold-users", "cold-items"}),
        ("zsrec prompts show generate/", {"generate/default", "generate/json"}),
    ],
)
def test_the_shell_completes_names(typed: str, offered: set[str]) -> None:
    env = {
        **os.environ,
        "_ZSREC_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    shown = CliRunner().invoke(app, [], prog_name="zsrec", env=env)
    assert set(shown.output.split()) >= offered
    assert all(one.startswith(typed.rpartition(" ")[2]) for one in shown.output.split())
