"""Checks a template by reading it and then by rendering it for made-up users; nothing is sent anywhere.

    from zsrec.prompts import check, check_text
    for problem in check("./mine/rank.j2"):
        print(problem.place, problem.message)     # ./mine/rank.j2:14:23 undeclared variable …

What is found by reading alone (`zsrec.prompts.checks`), and what lets a title forge something
(`zsrec.prompts.untrusted`), keeps a template from being loaded; the rest is found here only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from zsrec.errors import TemplateError
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.library import Folders, Library
from zsrec.prompts.lint.answer_format import answer_format
from zsrec.prompts.lint.fields import unknown_fields
from zsrec.prompts.lint.order import scope_order
from zsrec.prompts.lint.places import column
from zsrec.prompts.made_up import USERS, columns_asked, rendered, shared_prefix
from zsrec.prompts.problems import Problem
from zsrec.prompts.template import Template
from zsrec.prompts.untrusted import untrusted_text
from zsrec.types import Message

__all__ = ["Checked", "check", "check_text", "checked", "shared_prefix"]


def check(
    target: str | Path | Template, prompts: Folders = None, *, library: Library | None = None
) -> list[Problem]:
    """Everything that is wrong with a template, in the order of its lines.

    Args:
        target: A name, a path (a `Path`, or a text that ends with ".j2") or a loaded template.
        prompts: Folders of the caller's own templates, for what the template extends and includes.
        library: Where to look instead of in a new library of `prompts`; for who checks often.

    Returns:
        Errors and warnings; empty for a template that is fine. A file that cannot be read is a finding too.
    """
    try:
        bundle = target.bundle if isinstance(target, Template) else (library or Library(prompts)).open(target)
    except TemplateError as error:
        path = error.path or str(target)
        return [Problem(path, error.line or 1, _message(error, path), rule="unreadable")]
    return checked(bundle).problems


def check_text(
    text: str, name: str = "draft", prompts: Folders = None, *, library: Library | None = None
) -> list[Problem]:
    """What `check` finds in a template that is on no disk yet, for an editor.

    Args:
        text: The whole file: front matter and body.
        name: What it is called in messages; a template that extends this very name extends the one that the
            library has.
        prompts: As for `check`.
        library: As for `check`.
    """
    return checked((library or Library(prompts)).open_text(text, name)).problems


class Checked(NamedTuple):
    """A template's findings, with the template.

    Attributes:
        problems: See `check`.
        template: Ready to be rendered; None where there is an error.
    """

    problems: list[Problem]
    template: Template | None


def checked(bundle: Bundle) -> Checked:
    """Checks what is read already, and brings the template where nothing keeps it from being used."""
    problems = list(bundle.problems)
    template: Template | None = None
    if not _wrong(problems):
        try:
            template = Template(bundle)
            problems += _probed(bundle, template)
        except TemplateError as error:  # what only compiling finds
            path = error.path or bundle.main.path
            problems.append(Problem(path, error.line or 1, _message(error, path)))
    texts = {unit.source.path: unit.source.text for unit in bundle.units}
    found = [replace(one, column=column(one, texts.get(one.path, ""))) for one in problems]
    return Checked(found, None if _wrong(found) else template)


def _wrong(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _probed(bundle: Bundle, template: Template) -> list[Problem]:
    """What comes out when the template is rendered."""
    prompts: list[tuple[Message, ...]] = []
    with columns_asked() as asked:
        for user in USERS:
            try:
                prompts.append(rendered(template, user))
            except TemplateError as error:
                path = error.path or bundle.main.path
                message = f"{_message(error, path)} [{user['says']}]"
                problem = Problem(path, error.line or 1, message, rule="render")
                return [*(one for one in unknown_fields(bundle, asked) if one.line != problem.line), problem]
    return [
        *unknown_fields(bundle, asked),
        *untrusted_text(bundle, template),
        *scope_order(bundle, template),
        *answer_format(bundle, template, prompts),
    ]


def _message(error: TemplateError, path: str) -> str:
    """The error's sentence without the place before it."""
    return error.message.removeprefix(f"{path}:{error.line}: ").removeprefix(f"{path}: ")
