"""`zsrec serve` before it listens: what is wrong is said, and nothing is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from zsrec.cli import app
from zsrec.core.errors import ZsrecError


def complaint(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert isinstance(result.exception, ZsrecError), result.output
    return str(result.exception)


def test_it_does_not_listen_for_everybody_without_keys() -> None:
    assert "without keys" in complaint("--host", "0.0.0.0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--columns", "user"], "--columns"),
        (["--keys", "absent"], "absent"),
        (["--base-url", "http://example.org/v1"], "example.org"),
        (["--template", "no/such"], "no/such"),
        (["--template", "../x.j2"], "not among those served"),
        (["--catalog", "absent.csv"], "absent.csv"),
        (["--api-key-file", "absent.key"], "absent.key"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in complaint(*arguments)
