"""The view of an item that templates get: small, immutable, sanitised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zsrec.core.types import Item
from zsrec.core.untrusted_text import TEXT_LIMIT, TITLE_LIMIT, TURN_LIMIT, inline
from zsrec.data.history import Event, Feedback
from zsrec.data.titles import display_title
from zsrec.prompts.sanitize import sanitize

ROLES = ("user", "assistant")
"""Who may speak in a conversation."""

SAID = "said"
"""The feedback of an entry of the history that holds the user's own words."""


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as templates see it. Every text in it is made harmless when the view is made.

    In a template `item.genres` is the field of that name or else the catalog's attribute;
    `item.attributes["title"]` reaches an attribute whose name is a field's.

    Attributes:
        title: The title as the catalog spells it, for example "Matrix, The (1999)".
        display: The title as people write it, for example "The Matrix (1999)".
        id: The catalog's id; empty for a title that the catalog lacks.
        feedback: "seen", "liked", "disliked" or "skipped"; "said" where `display` is no title but the user's words
            on what stands before it.
        rating: The user's rating on the data set's own scale; None where there is none.
        age: The position in the history counted from its end, 1 the newest; None outside a history.
        label: What a candidate is called in the prompt, for example "A"; empty where the ranker uses none.
        attributes: The catalog's other columns.
    """

    title: str
    display: str = ""
    id: str = ""
    feedback: str = Feedback.SEEN.value
    rating: float | None = None
    age: int | None = None
    label: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limit = TEXT_LIMIT if self.feedback == SAID else TITLE_LIMIT
        display = self.display or display_title(self.title)
        clean = {
            "title": inline(self.title, limit),
            "display": inline(display, limit),
            "id": inline(self.id),
            "feedback": inline(self.feedback),
            "label": inline(self.label),
            "attributes": sanitize(self.attributes),
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  (a column may hold anything)
        """The field `name`, else the catalog's attribute.

        Jinja comes here for `item.genres`, and first of all for `map(attribute="title")`, which must not mean
        another thing than `item.title`.
        """
        return getattr(self, name) if name in FIELDS else self.attributes[name]

    def __str__(self) -> str:
        return self.display


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn of a conversation as templates see it: its role is one of two, its text one harmless line.

    Raises:
        ValueError: The role is another one.
    """

    role: str
    text: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"the role of a turn is one of {', '.join(ROLES)}, found {self.role!r}")
        object.__setattr__(self, "text", inline(self.text, TURN_LIMIT))

    def __str__(self) -> str:
        return self.text


FIELDS = tuple(ItemView.__dataclass_fields__)
"""The names that every item has in a template."""


def item_view(item: Item, event: Event | None = None, age: int | None = None) -> ItemView:
    """The view of a catalog's item.

    Args:
        item: The item; for a title that the catalog lacks, see `title_view`.
        event: The user's contact with it, for an item of a history.
        age: Its place in the history counted from the end, 1 the newest.
    """
    return ItemView(
        title=item.title,
        id=item.id,
        feedback=event.feedback.value if event else Feedback.SEEN.value,
        rating=event.rating if event else None,
        age=age,
        attributes=item.attributes,
    )


def title_view(title: str, event: Event | None = None, age: int | None = None) -> ItemView:
    """The view of a title that the catalog lacks: it has a title and the user's feedback, no attributes."""
    return item_view(Item(id="", title=title), event, age)


def said_view(text: str) -> ItemView:
    """The view of the user's own words among the events of a history."""
    return ItemView(title=text, display=text, feedback=SAID)
