"""`zsrec prompts render` and `diff`: what the model would receive, and what changes between two templates."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from rich.text import Text

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import resolve_history
from zsrec.cli import options
from zsrec.cli.console import echo, out, print_line
from zsrec.cli.options import CATALOG, CatalogOptions, UserOptions, expand_groups, option, template_target, titles
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.core.types import Message
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.evaluation.token_budget import AT_ONCE, Person, cast_of, questions_of
from zsrec.llm.curl import as_curl
from zsrec.prompts import FrontMatter, ItemView, Library, Template, item_view, title_view
from zsrec.prompts.diagnostics import question_in_words
from zsrec.recommender.candidates import candidate_id
from zsrec.recommender.prompting import HistoryView
from zsrec.retrieval.popularity import popularity

_POOL = 20  # candidates where none are given
_COLOURS = {"system": "bold magenta", "user": "bold cyan"}
_CHANGES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class OptionalCatalog(CatalogOptions):
    """A catalog that may be absent."""

    catalog: Annotated[
        Path | None,
        option("Your items: CSV, TSV, JSONL or Parquet; without them titles are printed as typed.", panel=CATALOG),
    ] = None


@expand_groups
def render(
    name: options.TemplateArgument,
    catalog: OptionalCatalog,
    who: UserOptions,
    prompts: options.PromptsFolders = None,
    candidates: options.Candidates = "",
    k: options.HowMany = 10,
    sample: Annotated[bool, option("Use a MovieLens user and 20 well-known films.", "--sample")] = False,
    curl: Annotated[bool, option("Print a curl command that sends it (no key in it).", "--as-curl")] = False,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
) -> None:
    """Render a template and print the roles exactly as they would be sent.

    Of a template with steps every question is printed; "[the answer of …]" stands for an answer that is not there
    yet. With --catalog and without --candidates, popular items are shown, or the catalog's first.
    """
    template = Library(prompts).load(template_target(name))
    if sample and (catalog.catalog or who.history or who.liked or who.disliked or candidates):
        raise ConfigError(
            "--sample brings its own catalog, history and candidates", hint="leave these options out, or --sample"
        )
    if sample:
        person = _sample_person(template)
    elif catalog.catalog is not None:
        users, everybody = who.read(**catalog.text)
        if len(users) != 1:
            raise ConfigError(f"{len(users):,} users, but a prompt is for one", hint="name one with --user")
        (history,) = users.values()
        popular = popularity(everybody.values()) if everybody else None
        person = _catalog_person(template, catalog.open(), history, titles(candidates), popular)
    elif who.from_file:
        raise ConfigError("an interactions file needs the catalog of its items", hint="give it with --catalog")
    else:
        person = _typed_person(who, candidates, catalog.domain)
    given = {"k": k} | ({} if who.about is None else {"about": who.about})
    prompts_ = [Prompt(step, person.render(template, step, **given)) for step in questions_of(template)]
    if curl:
        for prompt in prompts_:
            echo("".join(f"# {line}\n" for line in _heading(prompt, template)), end="")
            echo(_curl(template, prompt, base_url, model))
        return
    for prompt in prompts_:
        for line in _heading(prompt, template):
            echo(f"=== {line}")
        _show(prompt.messages)


def diff(
    first: options.TemplateArgument, second: options.TemplateArgument, prompts: options.PromptsFolders = None
) -> None:
    """Show what changes from one template to another: front matter, and roles for a user of the sample."""
    library = Library(prompts)
    one, other = (library.load(template_target(name)) for name in (first, second))
    changes = list(_front_changes(one.bundle.front, other.bundle.front))
    _print(["front matter:", *(changes or ["  no change"]), ""])
    before, after = (_sample_lines(template) for template in (one, other))
    changed = list(difflib.unified_diff(before, after, str(one.ref), str(other.ref), lineterm="", n=2))
    _print(changed or ["the roles are the same for a user of the sample"])


def _sample_person(template: Template) -> Person:
    """A user of the MovieLens sample with as many events as the median user."""
    return cast_of(movielens.sample(), template, pool=_POOL).typical


def _typed_person(who: UserOptions, candidates: str, domain: str | None) -> Person:
    """A user and candidates that are titles of no catalog; without a domain the template's default is used."""
    (history,) = who.read()[0].values()
    ages = range(len(history.events), 0, -1)
    views = tuple(title_view(event.item, event, age) for event, age in zip(history.events, ages, strict=True))
    return Person(views, tuple(map(title_view, titles(candidates))), len(views), domain)


def _catalog_person(
    template: Template,
    catalog: Catalog,
    history: History,
    candidates: Sequence[str],
    popular: Sequence[str] | None,
) -> Person:
    """A user whose items are the catalog's, with all their columns, as `zsrec recommend` would show them."""
    grounder = Grounder(catalog)
    known = resolve_history(history, catalog, grounder)
    for one in known:
        if one.why is not None:
            print_line(f"not in the catalog: {one.event.item} ({one.why})", "yellow", error=True)
    variable = template.variables.get("history")
    view = HistoryView(known, history.critiques, last=variable.last if variable is not None else None)
    seen = {one.item.id for one in known if one.item is not None}
    chosen: list[str] = []
    if candidates:
        ids = dict.fromkeys(candidate_id(one, catalog, grounder) for one in candidates)
        chosen = [item_id for item_id in ids if item_id not in seen]
    elif "candidates" in template.variables:
        unknown = (one for one in popular or catalog.ids if one in catalog and one not in seen)
        chosen = list(islice(unknown, AT_ONCE.get(template.task, _POOL)))
        source = f"the {len(chosen)} most popular" if popular else f"the first {len(chosen)} of the catalog"
        message = f"candidates: {source} that the user does not know; --candidates gives your own"
        print_line(message, "dim", error=True)
    views: tuple[ItemView, ...] = tuple(item_view(catalog[item_id]) for item_id in chosen)
    return Person(tuple(view.views(view.events)), views, view.events, catalog.domain)


class Prompt(NamedTuple):
    """One question: its step (None for the template's own question) and its roles."""

    step: str | None
    messages: tuple[Message, ...]


def _heading(prompt: Prompt, template: Template) -> list[str]:
    """Which of several questions it is, in one line; empty for a template with one question."""
    questions = questions_of(template)
    words = question_in_words(questions.index(prompt.step), len(questions), prompt.step)
    return [words] if words else []


def _sample_lines(template: Template) -> list[str]:
    """The lines of every question for a user of the sample."""
    person, lines = _sample_person(template), []
    for step in questions_of(template):
        prompt = Prompt(step, person.render(template, step))
        lines += [f"=== {line}" for line in _heading(prompt, template)] + _lines(prompt.messages)
    return lines


def _curl(template: Template, prompt: Prompt, base_url: str | None, model: str | None) -> str:
    settings = Settings.load(base_url=base_url, model=model)
    if settings.model is None:
        raise ConfigError("a request names its model", hint="give --model or set ZSREC_MODEL")
    return as_curl(
        prompt.messages,
        template.sampling if prompt.step is None else template.step_sampling(prompt.step),
        base_url=settings.base_url,
        model=settings.model,
        labels=prompt.step is None and template.ranking.reads_labels(template.ranker),
    )


def _show(messages: tuple[Message, ...]) -> None:
    """Print the roles; on a terminal in colour and without control codes."""
    for message in messages:
        if out.is_terminal and "NO_COLOR" not in os.environ:
            out.print(Text(f"--- {message.role}", style=_COLOURS[message.role]))
            for line in message.content.split("\n"):
                print_line(line)
        else:
            echo(f"--- {message.role}")
            echo(message.content)


def _print(lines: list[str]) -> None:
    for line in lines:
        if out.is_terminal:
            style = _CHANGES.get(line.strip()[:1], "")
            print_line(line, style)
        else:
            echo(line)


def _lines(messages: tuple[Message, ...]) -> list[str]:
    return [line for message in messages for line in (f"--- {message.role}", *message.content.split("\n"))]


def _front_changes(one: FrontMatter, other: FrontMatter) -> Iterator[str]:
    before, after = (dict(_flat(front.model_dump(mode="json"))) for front in (one, other))
    for key in dict.fromkeys([*before, *after]):
        if key not in after:
            yield f"- {key}: {before[key]}"
        elif key not in before:
            yield f"+ {key}: {after[key]}"
        elif before[key] != after[key]:
            yield f"- {key}: {before[key]}"
            yield f"+ {key}: {after[key]}"


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)
