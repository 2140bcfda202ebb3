"""Templates that are loaded once, and once more when one of their files has changed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from zsrec.errors import TemplateError
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.library import Folders, Library
from zsrec.prompts.sources import Source, read_source
from zsrec.prompts.template import Template


class Kept:
    """The templates that a recommender has loaded. Safe to share between threads.

    Loading tries a template with a hostile title and takes some hundredths of a second; looking whether the files
    are still the same takes less than a thousandth.

    Args:
        prompts: Folders of the caller's own templates.

    Raises:
        ConfigError: A folder is not there.
    """

    def __init__(self, prompts: Folders = None) -> None:
        self._library = Library(prompts)
        self._loaded: dict[str | Path, Template] = {}

    def load(self, name_or_path: str | Path) -> Template:
        """See `Library.load`."""
        template = self._loaded.get(name_or_path)
        if template is None or not self._unchanged(template.bundle):
            template = self._loaded[name_or_path] = self._library.load(name_or_path)
        return template

    def _unchanged(self, bundle: Bundle) -> bool:
        """Whether the names still lead to the same files, and these hold the same texts."""
        chain = [unit.source for unit in bundle.chain]
        try:
            parents = all(
                self._same(source, after=below.place if source.name == below.name else None)
                for below, source in pairwise(chain)
            )
            return (
                parents and self._same(chain[0]) and all(self._same(one.source) for one in bundle.parts.values())
            )
        except TemplateError:
            return False

    def _same(self, source: Source, after: int | None = None) -> bool:
        now = (
            read_source(Path(source.path), source.name)
            if source.place < 0
            else self._library.find(source.name, after=after)
        )
        return (now.path, now.digest) == (source.path, source.digest)
