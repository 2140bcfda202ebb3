"""`zsrec prompts render` and `diff`: what the model would receive, and what changes between two templates."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.text import Text

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import resolve_history
from zsrec.cli.console import err, out, plain
from zsrec.cli.options import Folders, sample_person, template_target
from zsrec.cli.recommend import (
    COLUMNS,
    IN_CATALOG,
    OF_USER,
    ColumnsOption,
    DislikedOption,
    HistoryOption,
    IdOption,
    LikedOption,
    TitleOption,
    open_catalog,
    titles,
    users_of,
)
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.core.types import Message
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History
from zsrec.data.tables import SUFFIXES
from zsrec.evaluation.token_budget import AT_ONCE, Person, questions_of
from zsrec.llm.curl import as_curl
from zsrec.prompts import FrontMatter, ItemView, Library, Template, item_view, title_view
from zsrec.prompts.diagnostics import question_in_words
from zsrec.recommender.candidates import candidate_id
from zsrec.recommender.prompting import HistoryView
from zsrec.retrieval.popularity import popularity


def typed(history: str, liked: str, disliked: str, candidates: str, domain: str | None) -> Person:
    """A user and candidates that are titles and nothing else: no catalog knows them.

    Args:
        history: Titles, oldest first, with ";" between; so are the next three.
        liked: What the user liked, after the history.
        disliked: What the user disliked, last.
        candidates: What to choose from.
        domain: What the items are; None takes the template's default.
    """
    judged = ((history, Feedback.SEEN), (liked, Feedback.LIKED), (disliked, Feedback.DISLIKED))
    events = [Event(item=title, feedback=feedback) for text, feedback in judged for title in titles(text)]
    ages = range(len(events), 0, -1)
    views = tuple(title_view(event.item, event, age) for event, age in zip(events, ages, strict=True))
    return Person(views, tuple(map(title_view, titles(candidates))), len(views), domain)


def one_user(history: str, user: str | None, columns: str) -> tuple[History, Sequence[str] | None]:
    """The user that `--history`, `--user` and `--columns` name, and what is popular in the file, if it is one.

    Raises:
        ConfigError: They name several users, or none.
    """
    users, everybody = users_of(history, user, columns)
    if len(users) != 1:
        raise ConfigError(f"{len(users):,} users, and a prompt is one user's", hint="name one with --user")
    (one,) = users.values()
    return one, popularity(everybody.values()) if everybody else None


def of_catalog(
    template: Template,
    catalog: Catalog,
    history: History,
    candidates: Sequence[str],
    *,
    popular: Sequence[str] | None = None,
    pool: int = 20,
) -> Person:
    """A user whose items are the catalog's, with all their columns, as `zsrec recommend` would show them.

    Args:
        template: Whose `history: {last: …}` says how many events are shown.
        catalog: The items.
        history: The user's events, by id or title.
        candidates: Ids or titles; empty takes the popular items that the user does not know, or else the
            catalog's first, which is said on standard error.
        popular: Ids, the most popular first.
        pool: How many candidates are taken where none are given.

    Raises:
        UnknownItemError: A candidate is not in the catalog.
    """
    grounder = Grounder(catalog)
    known = resolve_history(history, catalog, grounder)
    for one in known:
        if one.why is not None:
            err.print(plain(f"not in the catalog: {one.event.item} ({one.why})"), style="yellow", soft_wrap=True)
    variable = template.variables.get("history")
    view = HistoryView(known, history.critiques, last=variable.last if variable is not None else None)
    seen = {one.item.id for one in known if one.item is not None}
    chosen: list[str] = []
    if candidates:
        ids = dict.fromkeys(candidate_id(one, catalog, grounder) for one in candidates)
        chosen = [item_id for item_id in ids if item_id not in seen]
    elif "candidates" in template.variables:
        unknown = (one for one in popular or catalog.ids if one in catalog and one not in seen)
        chosen = list(islice(unknown, AT_ONCE.get(template.task, pool)))
        source = f"the {len(chosen)} most popular" if popular else f"the first {len(chosen)} of the catalog"
        said = f"candidates: {source} that the user does not know; --candidates gives your own"
        err.print(plain(said), style="dim", soft_wrap=True)
    views: tuple[ItemView, ...] = tuple(item_view(catalog[item_id]) for item_id in chosen)
    return Person(tuple(view.views(view.events)), views, view.events, catalog.domain)


_COLOURS = {"system": "bold magenta", "user": "bold cyan"}
_CHANGES = {"+": "green", "-": "red", "@": "cyan"}

Sample = Annotated[
    bool, typer.Option("--sample", help="Render for a user of the MovieLens sample and its 20 best-known films.")
]


def render(
    name: str,
    catalog: Annotated[
        Path | None,
        typer.Option(
            help="Your own items: CSV, TSV, JSONL or Parquet; without it titles are printed as typed.",
            rich_help_panel=IN_CATALOG,
        ),
    ] = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: Annotated[
        str | None,
        typer.Option(
            help="What the items are, in the plural; with --catalog 'movies'.", rich_help_panel=IN_CATALOG
        ),
    ] = None,
    history: HistoryOption = "",
    user: Annotated[
        str | None, typer.Option(help="The user of the interactions file.", rich_help_panel=OF_USER)
    ] = None,
    liked: LikedOption = "",
    disliked: DislikedOption = "",
    about: Annotated[
        str | None, typer.Option(help="What the user says they want.", rich_help_panel=OF_USER)
    ] = None,
    columns: ColumnsOption = COLUMNS,
    candidates: Annotated[
        str,
        typer.Option(
            help="Titles or ids to choose from, with ';' between. Else, with --catalog, popular ones or the first."
        ),
    ] = "",
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many items to ask for.")] = 10,
    sample: Sample = False,
    curl: Annotated[
        bool, typer.Option("--as-curl", help="A curl command that sends it; the key stays in ZSREC_API_KEY.")
    ] = False,
    base_url: Annotated[str | None, typer.Option(help="For --as-curl (ZSREC_BASE_URL).")] = None,
    model: Annotated[str | None, typer.Option(help="For --as-curl: the served model (ZSREC_MODEL).")] = None,
    prompts: Folders = None,
) -> None:
    """Render a template and print the roles exactly as they would be sent.

    Of a template with steps every question is printed; "[the answer of …]" stands for what is not answered yet.
    """
    template = Library(prompts).load(template_target(name))
    if sample and (catalog or history or liked or disliked or candidates):
        raise ConfigError(
            "--sample brings a catalog, a history and candidates",
            hint="leave out those that you gave, or --sample",
        )
    if sample:
        person = sample_person(template)
    elif catalog is not None:
        known, popular = one_user(history, user, columns)
        known = known.liked(*titles(liked)).disliked(*titles(disliked))
        items = open_catalog(catalog, id_column, title, domain or "movies")
        person = of_catalog(template, items, known, titles(candidates), popular=popular)
    elif Path(history).suffix.lower() in SUFFIXES:
        raise ConfigError("an interactions file names items of a catalog", hint="give it with --catalog")
    else:
        person = typed(history, liked, disliked, candidates, domain)
    given = {"k": k} | ({} if about is None else {"about": about})
    prompts_ = [Prompt(step, person.render(template, step, **given)) for step in questions_of(template)]
    if curl:
        for prompt in prompts_:
            typer.echo("".join(f"# {line}\n" for line in _heading(prompt, template)), nl=False)
            typer.echo(_curl(template, prompt, base_url, model))
        return
    for prompt in prompts_:
        for line in _heading(prompt, template):
            typer.echo(f"=== {line}")
        _show(prompt.messages)


def diff(first: str, second: str, prompts: Folders = None) -> None:
    """Show what changes from one template to another: front matter, and roles for a user of the sample."""
    library = Library(prompts)
    one, other = (library.load(template_target(name)) for name in (first, second))
    changes = list(_front_changes(one.bundle.front, other.bundle.front))
    _print(["front matter:", *(changes or ["  no change"]), ""])
    before, after = (_for_sample(template) for template in (one, other))
    changed = list(difflib.unified_diff(before, after, str(one.ref), str(other.ref), lineterm="", n=2))
    _print(changed or ["the roles are the same for a user of the sample"])


class Prompt(NamedTuple):
    """One question: the step that asks it, None for the template's own, and its roles."""

    step: str | None
    messages: tuple[Message, ...]


def _heading(prompt: Prompt, template: Template) -> list[str]:
    """Which of several questions it is, in one line; none for a template that asks one only."""
    questions = questions_of(template)
    words = question_in_words(questions.index(prompt.step), len(questions), prompt.step)
    return [words] if words else []


def _for_sample(template: Template) -> list[str]:
    """The lines of every question for a user of the sample."""
    person, lines = sample_person(template), []
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
    """The roles; in colour on a terminal, where control codes are blotted out too."""
    for message in messages:
        if out.is_terminal and "NO_COLOR" not in os.environ:
            out.print(Text(f"--- {message.role}", style=_COLOURS[message.role]))
            for line in message.content.split("\n"):
                out.print(plain(line), soft_wrap=True)
        else:
            typer.echo(f"--- {message.role}")
            typer.echo(message.content)


def _print(lines: list[str]) -> None:
    for line in lines:
        if out.is_terminal:
            style = _CHANGES.get(line.strip()[:1], "")
            out.print(Text.assemble((plain(line).plain, style)), soft_wrap=True)
        else:
            typer.echo(line)


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
