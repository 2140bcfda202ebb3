"""What all tabs of a playground share, and none of them changes: recommender, templates, users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from zsrec.playground import drafts, people
from zsrec.prompts import Library
from zsrec.recommender import Recommender
from zsrec.types import History

FIRST = "generate/default"


@dataclass(frozen=True)
class Workshop:
    """What a playground works with.

    Attributes:
        recommender: Asks the model; its template plays no part.
        library: Where templates are found.
        histories: The data set's users by id; may be empty.
        opening: Lines of Python that define `catalog` and `histories`, for snippets.
        model: The recommender's arguments "base_url" and "model", as far as they were given, for snippets.
    """

    recommender: Recommender
    library: Library
    histories: Mapping[str, History]
    opening: tuple[str, ...] = ()
    model: Mapping[str, str] | None = None

    @cached_property
    def templates(self) -> list[str]:
        """The names of the templates that can be run; the one to start with comes first."""
        found = drafts.names(self.library)
        return sorted(found, key=lambda name: name != FIRST)

    @cached_property
    def users(self) -> dict[str, str]:
        """The first users by id, each in words."""
        return people.listed(self.histories, self.recommender.catalog)
