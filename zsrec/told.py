"""What a prompt tells of the user: the events of the history, and their own words at their place among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zsrec.fit import Fitted
from zsrec.ground.history import Known
from zsrec.prompts.sanitize import TEXT_LIMIT, TITLE_LIMIT, inline
from zsrec.prompts.views import ItemView, item_view, said_view, title_view
from zsrec.types import Critique, Event, Evidence, Feedback, Message, TemplateRef


class Told:
    """The history as a prompt may show it.

    What the user said is kept however short the history is cut: it is short, and nothing says more.

    Args:
        known: The events with their items. One given by an id that the catalog lacks has no title and is left out.
        critiques: The user's own words.
        last: Only so many of the newest events; None for all.
        redact: What takes personal data out of the user's own words: critiques, and titles that the catalog lacks.

    Attributes:
        events: How many events a prompt may show.
    """

    def __init__(
        self,
        known: Sequence[Known],
        critiques: Sequence[Critique] = (),
        *,
        last: int | None = None,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        places = [place for place, one in enumerate(known) if one.item is not None or one.event.by != "id"]
        places = places if last is None else places[-last:]
        self._known = [known[place] for place in places]
        self.events = len(places)
        self._views = [_view(one, self.events - place, redact) for place, one in enumerate(self._known)]
        # Each with the number of shown events before it; what was said before the first of them comes first.
        said = [harmless(one.text, TEXT_LIMIT, redact) for one in critiques]
        befores = [sum(place < one.after for place in places) for one in critiques]
        self._said = [(before, said_view(text)) for before, text in zip(befores, said, strict=True)]
        self._texts = tuple(inline(text, TEXT_LIMIT) for text in said)

    def views(self, newest: int) -> list[ItemView]:
        """The newest so many events, oldest first, with everything that was said at its place."""
        cut = self.events - newest
        views: list[ItemView] = []
        said = list(self._said)
        for place in range(cut, self.events + 1):
            while said and said[0][0] <= place:
                views.append(said.pop(0)[1])
            views += self._views[place : place + 1]
        return views

    def kept(self, newest: int) -> list[Known]:
        """The newest so many of the events that a prompt may show, oldest first."""
        return self._known[self.events - newest :]

    def evidence(self, fitted: Fitted, about: str | None) -> tuple[Evidence, ...]:
        """What of the user stands in a prompt.

        Args:
            fitted: The prompt.
            about: The user in words.
        """
        kept = [one.event for one in self.kept(fitted.kept)]
        found: list[Evidence] = ["history"] if self.events else []
        found += ["about"] if about else []
        found += ["feedback"] if any(_judged(event) for event in kept) else []
        found += ["critique"] if any(text in _whole(fitted.messages) for text in self._texts) else []
        return tuple(found)

    def missing(self, messages: Sequence[Message], template: TemplateRef) -> list[str]:
        """Says so where a template leaves out what the user said."""
        lost = sum(text not in _whole(messages) for text in self._texts)
        return [f"the template {template} leaves out {lost} of {len(self._texts)} critiques"] if lost else []


def _judged(event: Event) -> bool:
    return event.feedback is not Feedback.SEEN


def _whole(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


def harmless(text: str, limit: int, redact: Callable[[str], str] | None) -> str:
    """The user's own words as they may be sent; made one plain line first, so that nothing hides from `redact`."""
    return text if redact is None else redact(inline(text, limit))


def _view(one: Known, age: int, redact: Callable[[str], str] | None) -> ItemView:
    if one.item is None:
        return title_view(harmless(one.event.item, TITLE_LIMIT, redact), one.event, age)
    return item_view(one.item, one.event, age)
