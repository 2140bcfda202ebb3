"""The kinds of findings about a template, by the id that machine-readable output carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
        "control-token": "The template's own text holds a chat format's control token.",
        "untrusted-text": "The template undoes what makes titles and users' words harmless.",
        "render": "The template fails on a made-up user.",
        "scope-order": "What few requests share stands before what many share.",
        "answer-format": "The prompt does not ask for the answer that the front matter declares.",
        "label-tokens": "Labels are more than one token for the served model.",
        "context": "A prompt does not fit the served model's context.",
    }
)
"""Id → what it means."""
