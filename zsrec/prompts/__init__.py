"""Prompt templates: Jinja files with YAML front matter, found by name, checked, and rendered into chat roles.

    from zsrec.prompts import load_template
    template = load_template("rank/default")
    messages = template.render(history=["Heat", "Ronin"], candidates=["Thief", "Cats"], k=1)

A template's roles are Jinja blocks that are rendered separately: no text in a title can open a role.
"""

from __future__ import annotations

from zsrec.core.untrusted_text import inline
from zsrec.prompts.diagnostics import Problem
from zsrec.prompts.front_matter import FrontMatter, StepOptions, Variable
from zsrec.prompts.item_view import ItemView, item_view, title_view
from zsrec.prompts.library import Entry, Folder, Library, load_template
from zsrec.prompts.linter import check, check_text
from zsrec.prompts.sanitize import sanitize, short
from zsrec.prompts.synthetic_users import shared_prefix
from zsrec.prompts.template import Template

__all__ = [
    "Entry",
    "Folder",
    "FrontMatter",
    "ItemView",
    "Library",
    "Problem",
    "StepOptions",
    "Template",
    "Variable",
    "check",
    "check_text",
    "inline",
    "item_view",
    "load_template",
    "sanitize",
    "shared_prefix",
    "short",
    "title_view",
]
