"""What can be wrong with a template, said so that its author can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from zsrec.errors import TemplateError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding about a template.

    Attributes:
        path: The file, as it was named or found.
        line: The line in the file, from 1.
        message: What is wrong and, where one can tell, what was meant.
        severity: "error" where the template cannot be used, "warning" where it can.
        rule: What kind of finding it is, one of `zsrec.prompts.rules.RULES`.
        column: The column in the line, from 1, of what the message speaks of.
    """

    path: str
    line: int
    message: str
    severity: Literal["error", "warning"] = "error"
    rule: str = field(default="syntax", kw_only=True)
    column: int = field(default=1, kw_only=True)

    def __str__(self) -> str:
        label = "" if self.severity == "error" else "warning: "
        return f"{self.path}:{self.line}: {label}{self.message}"

    @property
    def place(self) -> str:
        """Where it is, as editors read it: `path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"

    def to_error(self) -> TemplateError:
        """The exception that loading the template raises for this problem."""
        return TemplateError(self.message, path=self.path, line=self.line)


def raise_first(problems: Iterable[Problem]) -> None:
    """Raises the first error in the order of the file; warnings pass.

    Raises:
        TemplateError: There is an error.
    """
    errors = sorted(problem for problem in problems if problem.severity == "error")
    if errors:
        raise errors[0].to_error()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words "did you mean …" for the nearest known word; empty where none is near."""
    near = difflib.get_close_matches(word.casefold(), sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
