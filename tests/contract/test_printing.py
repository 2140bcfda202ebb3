"""Only `zsrec.cli.console` prints, and nothing that it prints moves a terminal's cursor or hides a text."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import zsrec
from tests.hostile.attacks import ATTACKS
from zsrec.cli import app, console
from zsrec.cli.progress import ConsoleProgress

ROOT = Path(zsrec.__file__).parent
PRINTS = {
    "cli/console.py",
    "llm/llamacpp_serve.py",  # runs in the engine's environment and writes the engine's log
}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
EVIL = "\x1b[2J\x1b]0;owned\x07Heat\x9b31m \u202egnp\u2066 \u200b\u180b\u3164[red]x[/red]\r\x08\x7f\U000e0041"


def _ways(tree: ast.AST) -> Iterator[str]:
    """Every way of printing past the console in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "Console" | "rprint" as name)):
                yield f"{name}() in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                yield f"sys.{name} in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="typer" | "click"), attr="echo" | "secho" | "prompt" | "confirm"):
                yield f"{node.attr} in line {node.lineno}"
            case ast.Attribute(attr="StreamHandler"):
                yield f"StreamHandler in line {node.lineno}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[ast.Constant(), *_]):
                yield f"os.write in line {node.lineno}"
            case ast.ImportFrom(module="sys" | "typer" | "click" | "rich", names=names):
                yield from (one.name for one in names if one.name in {"print", "echo", "secho", *STREAMS})


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_prints_but_by_the_console(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() not in PRINTS:
        assert list(_ways(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    ["print('x')", "sys.stdout.write('x')", "typer.echo('x')", "from rich import print", "Console().print('x')",
     "os.write(1, b'x')", "logging.StreamHandler()", "from sys import stderr"],
)  # fmt: skip
def test_every_other_way_is_seen(line: str) -> None:
    assert list(_ways(ast.parse(line)))


def shown(char: str) -> bool:
    return char == "\n" or (char.isprintable() and char not in "\u180b\u3164")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    for name in ("out", "err"):
        monkeypatch.setattr(console, name, console.SafeConsole(file=text, width=200, highlight=False))
    return text


def test_nothing_gets_through_whoever_made_it(printed: io.StringIO) -> None:
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL, style="red"))
    console.out.print(EVIL)
    console.out.print(Text(EVIL) + Text(EVIL, style="bold"))
    console.print_table(table)
    console.print_line(EVIL)
    console.echo(EVIL)
    console.print_json({EVIL: [EVIL]})
    progress = ConsoleProgress(console.SafeConsole(file=printed, width=200))
    with progress.step(EVIL):
        progress.line(EVIL)
        progress.note(EVIL)
    with console.TerminalWatch() as watch:
        watch.start(EVIL, 1)
        watch.say(EVIL)
    found = printed.getvalue()
    assert found.count("Heat") >= 12
    assert {char for char in found if not shown(char)} == set()


def test_on_a_terminal_only_rich_s_own_codes_are_printed() -> None:
    text = io.StringIO()
    console.SafeConsole(file=text, force_terminal=True, width=200).print(Text(EVIL, style="red"))
    assert text.getvalue().startswith("\x1b[31m")
    for code in ("\x1b[2J", "\x1b]0", "\x07", "\x9b", "\u202e", "\r", "\x08", "\x7f"):
        assert code not in text.getvalue()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_json_is_printable_and_reads_back(attack: object) -> None:
    text = getattr(attack, "text")[:2000]  # noqa: B009
    for indent in (None, 2):
        written = console.json_text({text: [text, EVIL]}, indent)
        assert json.loads(written) == {text: [text, EVIL]}
        assert {char for char in written if not shown(char)} <= set("\u200d\u200c\ufe0f")
        written.encode()


@given(st.text())
def test_any_text_reads_back(text: str) -> None:
    assert json.loads(console.json_text(text)) == text


def test_a_template_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    front = "task: rank\nversion: 1\nranker: generate\nanswer: numbered\n"
    front += "variables: {candidates: {type: items, scope: pool}}"
    loop = "{% for c in candidates %}{{ c.display }} {% endfor %}"
    body = f"{{% block user %}}\u202e\tRank\u009b31m: {loop}1.{{% endblock %}}\n"
    for name, said in (("evil", "x\u202e\u2066\\x9b31m\\e[2J"), ("evil_raw", "x\x9b31m\x1b[2J")):
        text = f'---\n{front}\ndescription: "{said}"\n---\n{body}'
        (tmp_path / f"{name}.j2").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["prompts", "check", "evil_raw", "--prompts", str(tmp_path)])
    assert "evil_raw.j2:7:1: the front matter holds the control character U+009B" in result.output
    for command in (["list"], ["show", "evil"], ["show", str(tmp_path / "evil.j2")], ["check", "evil"]):
        result = CliRunner().invoke(app, ["prompts", *command, "--prompts", str(tmp_path)])
        assert "evil" in result.output
        assert {char for char in result.output if not shown(char)} <= {"\t"}
