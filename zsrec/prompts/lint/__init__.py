"""Checks a template by reading it and then by rendering it for made-up users; nothing is sent anywhere.

    from zsrec.prompts import check, check_text
    for problem in check("./mine/rank.j2"):
        print(problem.place, problem.message)     # ./mine/rank.j2:14:23 undeclared variable …

What is found by reading alone (`zsrec.prompts.bundle`), and what lets a title forge something
(`zsrec.prompts.untrusted`), keeps a template from being loaded; the rest is found here only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zsrec.errors import TemplateError
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.library import Folders, Library
from zsrec.prompts.lint.answer_format import answer_format
from zsrec.prompts.lint.order import scope_order
from zsrec.prompts.lint.places import column
from zsrec.prompts.made_up import USERS, rendered, shared_prefix
from zsrec.prompts.problems import Problem
from zsrec.prompts.template import Template
from zsrec.prompts.untrusted import untrusted_text
from zsrec.types import Message

__all__ = ["check", "check_text", "shared_prefix"]


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
    return _found(bundle)


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
    return _found((library or Library(prompts)).open_text(text, name))


def _found(bundle: Bundle) -> list[Problem]:
    problems = list(bundle.problems)
    if not any(problem.severity == "error" for problem in problems):
        problems += _probed(bundle)
    texts = {unit.source.path: unit.source.text for unit in (*bundle.chain, *bundle.parts.values())}
    return [replace(one, column=column(one, texts.get(one.path, ""))) for one in problems]


def _probed(bundle: Bundle) -> list[Problem]:
    """What comes out when the template is rendered."""
    template = Template(bundle)
    prompts: list[tuple[Message, ...]] = []
    for user in USERS:
        try:
            prompts.append(rendered(template, user))
        except TemplateError as error:
            path = error.path or bundle.main.path
            message = f"{_message(error, path)} [{user['says']}]"
            return [Problem(path, error.line or 1, message, rule="render")]
    return [
        *untrusted_text(bundle, template),
        *scope_order(bundle, template),
        *answer_format(bundle, template, prompts),
    ]


def _message(error: TemplateError, path: str) -> str:
    """The error's sentence without the place before it."""
    return error.message.removeprefix(f"{path}:{error.line}: ").removeprefix(f"{path}: ")
