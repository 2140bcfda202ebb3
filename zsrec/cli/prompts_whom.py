"""Whom `zsrec prompts render` renders for: titles as typed, or a user before a catalog of the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from zsrec.budget.people import AT_ONCE, Person
from zsrec.candidates import popularity
from zsrec.catalog import Catalog
from zsrec.cli.console import err, plain
from zsrec.cli.recommend import titles, users_of
from zsrec.errors import ConfigError
from zsrec.ground import Grounder
from zsrec.ground.history import resolve_history
from zsrec.pool import candidate_id
from zsrec.prompts import ItemView, Template, item_view, title_view
from zsrec.told import Told
from zsrec.types import Event, Feedback, History


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
    told = Told(known, history.critiques, last=variable.last if variable is not None else None)
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
    return Person(tuple(told.views(told.events)), views, told.events, catalog.domain)
