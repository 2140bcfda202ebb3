"""What only a server can find wrong with a template."""

from __future__ import annotations

from collections.abc import Iterator

from zsrec.budget.parts import Budget
from zsrec.budget.people import LABELS
from zsrec.errors import CapabilityError
from zsrec.llm.chat import LLM, ServerInfo
from zsrec.prompts import Problem, Template


async def label_tokens(template: Template, llm: LLM, wanted: int) -> list[Problem]:
    """Labels that this server's model has no single token for, and what that means.

    Args:
        template: The template; one whose ranker reads no labels has no such finding.
        llm: The model.
        wanted: How many candidates there are in one prompt.

    Raises:
        LLMError: The server failed.
    """
    if not template.ranking.reads_labels(template.ranker):
        return []
    place = (template.ref.path, template.bundle.main.lines.get(("ranker",), 1))
    if template.ranker != "label":
        wanted = min(wanted, 2 if template.ranker == "pairwise" else template.ranking.window)
    try:
        found = [label.text for label in (await llm.labels(wanted)).labels]
    except CapabilityError as error:
        return [Problem(*place, error.message, rule="label-tokens")]
    several = [text for text in LABELS[:wanted] if text not in found]
    if not several:
        return []
    instead = ", ".join(text for text in found if text not in LABELS[:wanted])
    message = f"{', '.join(several)} are not one token each for this model; {instead} stand for them"
    return [Problem(*place, message, "warning", rule="label-tokens")]


def context_fits(
    template: Template, budget: Budget, server: ServerInfo, step: str | None = None
) -> Iterator[Problem]:
    """Whether the worst user's prompt and its answer fit the model's context.

    Args:
        template: The template.
        budget: The worst user's.
        server: What is served.
        step: One of the template's earlier steps, whose budget it is; None for its own question.
    """
    if server.context_length is None:
        return
    answer = 1 if template.ranking.reads_labels(template.ranker) else template.sampling.max_tokens
    answer = answer if step is None else template.step_sampling(step).max_tokens
    where = "" if step is None else f"step {step!r}: "
    room = server.context_length - answer
    fixed = budget.total - budget.part("history")
    if fixed > room:
        message = f"{where}the prompt takes {fixed:,} tokens without any history, and {room:,} are free for it"
        yield Problem(template.ref.path, 1, message, rule="context")
    elif budget.total > room:
        message = (
            f"{where}a history of {budget.shown:,} events makes {budget.total:,} tokens, and {room:,} are free: "
            "its oldest events will be left out"
        )
        yield Problem(template.ref.path, 1, message, "warning", rule="context")
