"""A history's events → the catalog's items."""

from __future__ import annotations

from typing import NamedTuple

from zsrec.catalog import Catalog
from zsrec.ground.grounder import Grounder
from zsrec.types import Abstention, Event, History, Item


class Known(NamedTuple):
    """One event with the item that it is about.

    Attributes:
        event: As the caller gave it.
        item: The catalog's item; None where the catalog lacks it.
        why: Why there is no item; None where there is one.
    """

    event: Event
    item: Item | None
    why: Abstention | None = None


def resolve_history(history: History, catalog: Catalog, grounder: Grounder) -> tuple[Known, ...]:
    """Finds the item of every event: by id, else by title through the grounder.

    Args:
        history: The user's events, oldest first.
        catalog: The items.
        grounder: Of the same catalog.

    Returns:
        One entry an event, in the same order.
    """
    return tuple(_resolve(event, catalog, grounder) for event in history.events)


def _resolve(event: Event, catalog: Catalog, grounder: Grounder) -> Known:
    if event.by != "title" and event.item in catalog:
        return Known(event, catalog[event.item])
    if event.by == "id":
        return Known(event, None, "not_in_catalog")
    match = grounder.ground(event.item)
    if match.item_id is None:
        return Known(event, None, match.reason)
    return Known(event, catalog[match.item_id])
