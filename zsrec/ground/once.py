"""A grounder that is built on first use, once for everybody who shares it."""

from __future__ import annotations

from functools import cached_property

from zsrec.catalog import Catalog
from zsrec.ground.grounder import Grounder


class GrounderOnce:
    """Where recommenders that were made from each other have their grounder in common.

    Args:
        catalog: The items.
        known: A grounder of this catalog that is there already.
    """

    def __init__(self, catalog: Catalog, known: Grounder | None = None) -> None:
        self._catalog = catalog
        if known is not None:
            self.grounder = known

    @cached_property
    def grounder(self) -> Grounder:
        """The grounder; its index takes a second for 10,000 items."""
        return Grounder(self._catalog)

    def moved(self, catalog: Catalog) -> GrounderOnce:
        """That of another catalog; a calibration, an embedder and a fitting index are kept if they are there."""
        known: Grounder | None = vars(self).get("grounder")
        return GrounderOnce(catalog, None if known is None else known.moved(catalog))
