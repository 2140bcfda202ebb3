"""Findings about templates, and the rules that they belong to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from zsrec.core.errors import TemplateError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding about a template.

    Attributes:
        path: The file, as it was named or found.
        line: The line in the file, from 1.
        message: What is wrong and, if known, what was meant.
        severity: "error" where the template cannot be used, "warning" where it can.
        rule: What kind of finding it is, one of `zsrec.prompts.diagnostics.RULES`.
        column: The column in the line, from 1.
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
        """The position in the form that editors read: `path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"

    def to_error(self) -> TemplateError:
        """The exception that loading the template raises for this problem."""
        return TemplateError(self.message, path=self.path, line=self.line)


def raise_first(problems: Iterable[Problem]) -> None:
    """Raises the first error in the order of the file; warnings pass."""
    errors = sorted(problem for problem in problems if problem.severity == "error")
    if errors:
        raise errors[0].to_error()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words "did you mean …" for the nearest known word; empty where none is near."""
    near = difflib.get_close_matches(word.casefold(), sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def question_in_words(place: int, count: int, step: str | None) -> str:
    """The position of a question among a template's questions; empty where there is only one."""
    return f"question {place + 1} of {count}: {step or 'the recommendation'}" if count > 1 else ""


def unanswered(step: str) -> str:
    """The placeholder for the answer of a step that has not been asked."""
    return f"[the answer of {step!r}]"


RULES: Mapping[str, str] = MappingProxyType(
    {
        "unreadable": "The file cannot be read.",
        "front-matter": "The front matter is wrong: a key, a value, or the YAML itself.",
        "syntax": "The Jinja text cannot be parsed.",
        "reference": "What the template extends, includes or imports is missing, not fixed, or goes in a circle.",
        "unknown-helper": "A filter or a test does not exist in templates.",
        "undeclared-variable": "A variable is used and not declared.",
        "unknown-field": "An item's field is misspelt, or is not among the declared columns.",
        "unused-variable": "A variable is declared and not used.",
        "outside-block": "Text, output or control flow outside a block is never sent.",
        "blocks": "A block is missing, or is never sent.",
        "labels": "The ranker needs labels that the prompt does not show.",
        "unpaired-braces": "A variable has one brace on one side, so that it is sent as text.",
        "control-token": "The template's own text holds a chat format's control token.",
        "untrusted-text": "The template undoes what makes titles and users' words harmless.",
        "render": "The template fails on a synthetic user.",
        "scope-order": "A variable that few requests share precedes one that many share.",
        "answer-format": "The prompt does not ask for the answer format that the front matter declares.",
        "label-tokens": "Labels are more than one token for the served model.",
        "context": "A prompt does not fit the served model's context.",
    }
)
"""Id → what it means."""
