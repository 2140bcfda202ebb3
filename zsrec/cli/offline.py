"""Recorded replies and request files on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zsrec.cli.console import print_line
from zsrec.core.errors import ConfigError
from zsrec.llm.offline import RecordedReplies, RequestFolder


def read_replies(given: Sequence[str] | None) -> list[RecordedReplies]:
    """The replies of `--replies NAME=FILE`, the files of one name together.

    Raises:
        ConfigError: An option is not NAME=FILE.
        DataError: A file cannot be read.
    """
    files: dict[str, list[str]] = {}
    for one in given or ():
        name, equals, file = one.partition("=")
        if not (name and equals and file):
            raise ConfigError(f"--replies is {one!r}, expected NAME=FILE", hint="for example gpt-4=answers.jsonl")
        files.setdefault(name, []).append(file)
    return [RecordedReplies.read(name, paths) for name, paths in files.items()]


def check_asks(replies: Sequence[str] | None, requests_only: Path | None, methods: str, *, asks: bool) -> None:
    """Raises a `ConfigError` for replies or requests that nobody would read: no method asks the model."""
    if not asks and (replies or requests_only is not None):
        raise ConfigError(
            f"{'--replies' if replies else '--requests-only'} without a method that asks the model",
            hint=f"name one of {methods} with --methods, or leave it out",
        )


def show_requests(requests: RequestFolder | None) -> None:
    """Writes the requests and says how they are answered."""
    files = () if requests is None else requests.write()
    if not files:
        print_line("every request has a reply: leave --requests-only out for the report")
        return
    assert requests is not None  # noqa: S101  (it has files)
    print_line(f"{len(requests):,} requests, which hold users' histories:")
    for file in files:
        answers = file.with_name(file.name.replace("requests", "replies"))
        print_line(f"vllm run-batch -i {file} -o {answers} --model {requests.model}")
    print_line("then the same command with --replies NAME=FILE for each file of replies")
