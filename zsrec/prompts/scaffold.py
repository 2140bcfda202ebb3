"""The first text of a new template: it passes the checker, works as it is, and says what may be changed."""

from __future__ import annotations

from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.front_matter import Task

_SAMPLING = (
    "sampling: {{temperature: 0, max_tokens: {tokens}, seed: 7}}  # every field is sent: docs/templates.md\n"
)
_DOMAIN = "  domain:     {scope: catalog, type: str, default: items}  # what the catalog holds, in the plural\n"
_HISTORY = "  history:    {scope: user, type: items, last: 20}         # the newest 20 events\n"
_ABOUT = '  about:      {scope: user, type: str, default: ""}        # what the user says, in their own words\n'
_POOL = "  candidates: {scope: pool, type: items}\n"
_PICKED = "  candidates: {scope: user, type: items}\n"
_K = "  k:          {scope: user, type: int, default: 10}        # how many are asked for\n"

_SHOW_HISTORY = """\
{% if history %}
The user's history, oldest first:
{% for item in history %}
{# An item has display, title, feedback, rating, age and the catalog's columns: item.genres|default("") #}
- {{ "the user says: " if item.feedback == "said" }}{{ item.display }}\
{{ " (" ~ item.feedback ~ ")" if item.feedback not in ("seen", "said") }}
{% endfor %}

{% endif %}
"""
_SHOW_ABOUT = """\
{% if about %}
The user says: {{ about }}

{% endif %}
"""
_SHOW_CANDIDATES = """\
Candidates:
{% for item in candidates %}
- {{ item.display }}
{% endfor %}

"""
_ORDER = "{# The candidates come first: users of one pool then share them in the server's cache. #}\n"

_TEXTS: dict[Task, tuple[str, str, str, int]] = {
    "generate": (
        _DOMAIN + _HISTORY + _ABOUT + _K,
        "You recommend {{ domain }}. Answer only with a numbered list of titles.",
        _SHOW_HISTORY
        + _SHOW_ABOUT
        + "Which {{ k }} {{ domain }} that are new to this user will they like best? Write a numbered list.\n",
        320,
    ),
    "rank": (
        _DOMAIN + _POOL + _HISTORY + _ABOUT + _K,
        "You choose {{ domain }} from a list of candidates. Answer only with a numbered list of titles.",
        _SHOW_CANDIDATES
        + _SHOW_HISTORY
        + _SHOW_ABOUT
        + "From the candidates, list the {{ [k, candidates|length]|min }} that this user will like best.\n",
        512,
    ),
    "compare": (
        _DOMAIN + _HISTORY + _ABOUT + _PICKED,
        "You compare two {{ domain }} for a user. Answer only with the title of one.",
        _SHOW_HISTORY + _SHOW_ABOUT + _SHOW_CANDIDATES + "Which of the candidates will this user like better?\n",
        64,
    ),
    "explain": (
        _DOMAIN + _HISTORY + _ABOUT + _PICKED,
        "You explain recommendations of {{ domain }} in one sentence.",
        _SHOW_HISTORY
        + _SHOW_ABOUT
        + 'Recommended: {{ candidates|map(attribute="display")|join("; ") }}\n\n'
        + 'Why? Answer in one sentence that begins with "Because you".\n',
        80,
    ),
    "profile": (
        _DOMAIN + _HISTORY + _ABOUT,
        "You describe a user's taste in {{ domain }}.",
        _SHOW_HISTORY + _SHOW_ABOUT + "Describe in two sentences what this user likes and dislikes.\n",
        160,
    ),
}


def scaffold(task: Task) -> str:
    """A template of its own for a task."""
    variables, system, user, tokens = _TEXTS[task]
    answer = "answer: numbered  # how the answer is read: titles (any form), numbered, json\n"
    order = _ORDER if task == "rank" else ""
    return (
        f"---\ntask: {task}\nversion: 1        # count up with every change of wording: it stands in every trace\n"
        f"{answer if task in ('generate', 'rank') else ''}description: What this prompt does, in one line.\n"
        f"{_SAMPLING.format(tokens=tokens)}"
        "variables:        # scope: who shares the value (catalog, pool or user); show the widely shared first\n"
        f"{variables}---\n"
        "{# Each block below becomes one message; text outside a block is never sent. #}\n"
        f"{order}{{% block system %}}\n{system}\n{{% endblock %}}\n\n{{% block user %}}\n{user}{{% endblock %}}\n"
    )


def scaffold_over(parent: Bundle) -> str:
    """A template that takes over another one and names what it may say anew."""
    front, name = parent.front, parent.main.name
    names = dict.fromkeys(
        block for unit in parent.chain if unit.tree is not None for block in syntax.blocks(unit.tree)
    )
    blocks = ", ".join(names)
    variables = ", ".join(front.variables) or "none"
    return (
        f"---\ntask: {front.task}\n"
        "version: 1        # count up with every change of wording: it stands in every trace\n"
        f"description: Like {name}, but …\n"
        f"# Taken over unless said here: answer ({front.answer}), ranker ({front.ranker}), sampling, variables.\n"
        f'---\n{{% extends "{name}" %}}\n'
        f"{{# Blocks that may be written anew: {blocks}. Variables: {variables}.\n"
        "   For example, with the parent's own text kept:\n\n"
        "   {% block system %}{{ super() }} Prefer lesser known ones.{% endblock %} #}\n"
    )
