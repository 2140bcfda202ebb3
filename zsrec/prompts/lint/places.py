"""The column of a finding. Jinja and YAML tell lines; what a message quotes tells where in the line."""

from __future__ import annotations

import re

from zsrec.prompts.problems import Problem

_QUOTED = re.compile(r"(?<!\w)'([^']+)'|\"([^\"]+)\"")


def column(problem: Problem, text: str) -> int:
    """The column, from 1, of the first thing that the message quotes and the line holds; else of the line's text.

    Args:
        problem: The finding.
        text: The whole file.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    line = lines[problem.line - 1] if 0 < problem.line <= len(lines) else ""
    for found in _QUOTED.finditer(problem.message):
        word = found[1] or found[2]
        place = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line)
        if place is not None:
            return place.start() + 1
    return len(line) - len(line.lstrip()) + 1
