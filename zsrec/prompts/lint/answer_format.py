"""Does the prompt ask for the answer that the front matter declares?

The parsers read whatever a model writes, so a prompt that asks for another form still works; it works worse, since
what was declared is looked for first. Hence warnings. Words are looked for in what made-up users' prompts say, in
English and Chinese; a template in another language shows the form by an example ("1.", a JSON array, "label").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from zsrec.prompts.bundle import Bundle
from zsrec.prompts.made_up import LABELLED_POOL, joined
from zsrec.prompts.problems import Problem
from zsrec.prompts.template import Template
from zsrec.types import Message

_ASKS = {
    "json": re.compile(r"json|\[\s*[\"“{]", re.IGNORECASE),
    "numbered": re.compile(r"number|(?m:^\s*1[.):、])|编号|編號|序号|序號|带数字", re.IGNORECASE),
}
_ASKS_LABEL = re.compile(
    r"label|letter|identifier|option|标签|標籤|字母|编号|編號|代号|代號|选项|選項|标号|序号", re.IGNORECASE
)
_ASKS_PAIR = re.compile(r"(?<=\S) [-–—→←] |->|<-|pair|对应|成对", re.IGNORECASE)
_LABEL = re.compile(r"(?<![A-Za-z])[A-T](?![A-Za-z])")


def answer_format(bundle: Bundle, template: Template, prompts: Sequence[tuple[Message, ...]]) -> Iterator[Problem]:
    """What the front matter expects of the answer and the prompt never asks for.

    Args:
        bundle: The template's files.
        template: The template.
        prompts: What it renders to for `zsrec.prompts.made_up.USERS`.
    """
    path, lines = bundle.main.path, bundle.main.lines
    said = "\n".join(map(joined, prompts))
    if bundle.front.needs_labels:
        line = lines.get(("ranker",), 1)
        shown = set(_LABEL.findall(said))
        missing = [item.label for item in LABELLED_POOL if item.label not in shown]
        if missing:
            message = f"the ranker {template.ranker!r} needs labels, and the prompt never shows {missing[0]!r}"
            yield Problem(path, line, message, rule="labels")
        elif not _ASKS_LABEL.search(said):
            message = f"the ranker {template.ranker!r} reads a label, and the prompt never asks for one"
            yield Problem(path, line, message, "warning", rule="answer-format")
        return
    asks = _ASKS.get(template.answer)
    if template.task in ("generate", "rank") and asks is not None and not asks.search(said):
        message = f"'answer: {template.answer}' is declared, and the prompt never asks for it"
        yield Problem(path, lines.get(("answer",), 1), message, "warning", rule="answer-format")
    if template.side is not None and not _ASKS_PAIR.search(said):
        message = f"'side: {template.side}' reads pairs, and the prompt never asks for pairs"
        yield Problem(path, lines.get(("side",), 1), message, "warning", rule="answer-format")
