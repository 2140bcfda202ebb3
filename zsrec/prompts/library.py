"""Where templates are found: explicit path → `prompts=` → `ZSREC_PROMPTS` → installed packs → built-in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from zsrec.core.errors import ConfigError, TemplateError, TemplateNotFoundError
from zsrec.prompts import syntax
from zsrec.prompts.bundle import SUFFIX, Bundle, Source, Unit, read_source, source_of
from zsrec.prompts.diagnostics import Problem, did_you_mean, raise_first
from zsrec.prompts.front_matter import FrontMatter
from zsrec.prompts.injection_check import untrusted_text
from zsrec.prompts.static_checks import check_bundle
from zsrec.prompts.template import Template

_MAX_FILES = 64


class Finder(Protocol):
    """Whatever finds a template by name: the library."""

    def find(self, name: str, *, after: int | None = None) -> Source:
        """The first source of that name, or the first one behind the place `after`."""
        ...


def gather(main: Source, finder: Finder) -> Bundle:
    """Reads everything behind a template and checks it, without running anything."""
    problems: list[Problem] = []
    chain, resolved = _chain(main, finder, problems)
    whole = resolved and all(unit.tree and unit.source.front for unit in chain)
    parts: dict[str, Unit] = {}
    for unit in chain:
        _collect(unit, finder, parts, problems, (), skip_extends=True)
    front = FrontMatter()
    for unit in reversed(chain):
        front = (unit.source.front or FrontMatter()).extending(front)
    bundle = Bundle(tuple(chain), parts, front, ())
    problems.extend(check_bundle(bundle, whole))
    unique = sorted(set(problems), key=lambda p: (p.path != main.path, p))
    return Bundle(bundle.chain, parts, front, tuple(unique))


def _open(source: Source, problems: list[Problem]) -> Unit:
    problems.extend(source.problems)
    tree, broken = syntax.parse_body(source.body, source.path)
    problems.extend(broken)
    return Unit(source, tree)


def _find(
    finder: Finder, reference: syntax.Reference, path: str, problems: list[Problem], after: int | None = None
) -> Source | None:
    try:
        return finder.find(reference.name, after=after)
    except TemplateError as error:
        message = f"'{reference.kind}': {error.message}"
        problems.append(Problem(path, reference.line, message, rule="reference"))
        return None


def _chain(main: Source, finder: Finder, problems: list[Problem]) -> tuple[list[Unit], bool]:
    """The template and what it extends, and whether all of that was found."""
    chain = [_open(main, problems)]
    while (unit := chain[-1]).tree is not None:
        source = unit.source
        named, broken = syntax.references(unit.tree, source.path)
        problems.extend(broken)
        parent = next((reference for reference in named if reference.kind == "extends"), None)
        if parent is None:
            return chain, True
        after = source.place if parent.name == source.name else None
        found = _find(finder, parent, source.path, problems, after)
        if found is None:
            break
        if found.path in {unit.source.path for unit in chain}:
            circle = f"extending {parent.name!r} goes round in a circle"
            problems.append(Problem(source.path, parent.line, circle, rule="reference"))
            break
        chain.append(_open(found, problems))
    return chain, False


def _collect(
    unit: Unit,
    finder: Finder,
    parts: dict[str, Unit],
    problems: list[Problem],
    trail: tuple[str, ...],
    *,
    skip_extends: bool = False,
) -> None:
    """Adds what a template includes and imports to `parts`, at any depth."""
    if unit.tree is None:
        return
    path = unit.source.path
    named, broken = syntax.references(unit.tree, path)
    problems.extend(broken)
    for reference in named:
        if skip_extends and reference.kind == "extends":
            continue
        if reference.name in trail:
            circle = f"{reference.name!r} includes itself in a circle"
            problems.append(Problem(path, reference.line, circle, rule="reference"))
        elif reference.name not in parts and len(parts) < _MAX_FILES:
            source = _find(finder, reference, path, problems)
            if source is not None:
                parts[reference.name] = _open(source, problems)
        if reference.name in parts and reference.name not in trail:
            _collect(parts[reference.name], finder, parts, problems, (*trail, reference.name))


GROUP = "zsrec.prompts"
VARIABLE = "ZSREC_PROMPTS"
Folders = str | Path | Sequence[str | Path] | None

_LONGEST = 200  # a longer one is no file's name either
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


@dataclass(frozen=True)
class Folder:
    """A folder of templates and where the library has it from, for example "built-in" or "pack zh"."""

    origin: str
    path: Path


@dataclass(frozen=True)
class Entry:
    """A template that the library lists.

    Attributes:
        name: Its name, for example "rank/default".
        source: The file, with its front matter.
        origin: Where the library has its folder from.
        shadowed_by: The origin of the one that is used instead; None where this one is used.
    """

    name: str
    source: Source
    origin: str
    shadowed_by: str | None


class Library:
    """The templates found by name in several folders; the first folder that has a name wins.

    Args:
        prompts: Folders of the caller's own templates, looked at before all others.

    Raises:
        ConfigError: A folder in `prompts` or in `ZSREC_PROMPTS` is not there.
    """

    def __init__(self, prompts: Folders = None) -> None:
        own = [prompts] if isinstance(prompts, str | Path) else list(prompts or ())
        environment = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
        self._own = [
            *(_folder("prompts=", Path(path)) for path in own),
            *(_folder(VARIABLE, Path(path)) for path in environment),
        ]

    @cached_property
    def folders(self) -> tuple[Folder, ...]:
        """All folders in lookup order."""
        return (*self._own, *_packs(), Folder("built-in", built_in_folder()))

    def find(self, name: str, *, after: int | None = None) -> Source:
        """Finds the file of a template name.

        Args:
            name: A name such as "rank/default", never a path.
            after: Search only after this position in `folders`: a template that extends its own name extends
                the one that it shadows.

        Raises:
            TemplateNotFoundError: No folder has it.
            TemplateError: The name is not valid, or the file cannot be read.
        """
        if not is_name(name):
            raise TemplateError(
                f"{name[:_LONGEST]!r} is not a valid template name",
                hint="a name is like 'rank/default': words separated by '/'",
            )
        for place, folder in enumerate(self.folders):
            path = folder.path / (name + SUFFIX)
            if place > (-1 if after is None else after) and path.is_file():
                return read_source(path, name, place)
        raise TemplateNotFoundError(
            f"there is no template {name!r}{did_you_mean(name, self._names())}",
            hint="`zsrec prompts list` shows all; a path ends with '.j2'",
        )

    def open(self, name_or_path: str | Path) -> Bundle:
        """Reads a template and the files it needs; problems are in the bundle's `problems`.

        Raises:
            TemplateNotFoundError: There is no such template.
            TemplateError: A file cannot be read.
        """
        if _is_path(name_or_path):
            path = Path(name_or_path)
            return gather(read_source(path, path.stem), self)
        return gather(self.find(str(name_or_path)), self)

    def open_text(self, text: str, name: str = "draft") -> Bundle:
        """Reads a template's text that is not saved yet; problems are in the bundle's `problems`.

        Args:
            text: The whole file.
            name: What messages call it. A template that extends its own name extends the library's.
        """
        return gather(source_of(text, name, name + SUFFIX), self)

    def load(self, name_or_path: str | Path) -> Template:
        """Loads a template, after a trial rendering with a hostile title (`zsrec.prompts.injection_check`).

        Args:
            name_or_path: A name such as "rank/default", or a path: a `Path`, or a text that ends with ".j2".

        Raises:
            TemplateNotFoundError: There is no such template.
            TemplateError: It is wrong; with file and line.
        """
        bundle = self.open(name_or_path)
        raise_first(bundle.problems)
        template = Template(bundle)
        raise_first(one for one in untrusted_text(bundle, template) if one.rule == "untrusted-text")
        return template

    def entries(self) -> Iterator[Entry]:
        """Every template by name, then in lookup order; files that are only included are left out."""
        found: dict[str, list[tuple[int, Path]]] = {}
        for place, folder in enumerate(self.folders):
            for path in folder.path.rglob("*" + SUFFIX):
                name = path.relative_to(folder.path).as_posix().removesuffix(SUFFIX)
                if _NAME.fullmatch(name):
                    found.setdefault(name, []).append((place, path))
        for name, places in sorted(found.items()):
            winner = self.folders[places[0][0]].origin
            for position, (place, path) in enumerate(places):
                source = _read_or_broken(path, name, place)
                if not source.is_part:
                    yield Entry(name, source, self.folders[place].origin, winner if position else None)

    def _names(self) -> set[str]:
        return {
            path.relative_to(folder.path).as_posix().removesuffix(SUFFIX)
            for folder in self.folders
            for path in folder.path.rglob("*" + SUFFIX)
        }


def load_template(name_or_path: str | Path, prompts: Folders = None) -> Template:
    """Loads a template by name or path.

    Args:
        name_or_path: A name such as "rank/default", or a path: a `Path`, or a text that ends with ".j2".
        prompts: A folder, or folders, of the caller's own templates.

    Raises:
        TemplateNotFoundError: There is no such template.
        TemplateError: It is wrong; with file and line.
        ConfigError: A folder is not there.
    """
    return Library(prompts).load(name_or_path)


def is_name(name: str) -> bool:
    """Whether a text is a valid template name: words separated by "/", which never leave the library's folders."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None and ".." not in name.split("/")


def built_in_folder() -> Path:
    """The templates that come with zsrec: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    shipped = package / "_prompts"
    return shipped if shipped.is_dir() else package.parent / "prompts"


def _read_or_broken(path: Path, name: str, place: int) -> Source:
    """The source, or one that says why it cannot be read, so that one bad file does not hide the others."""
    try:
        return read_source(path, name, place)
    except TemplateError as error:
        return Source(
            name, str(path), "---", "", None, {}, (Problem(str(path), error.line or 1, error.message),), place
        )


def _is_path(name_or_path: str | Path) -> bool:
    return isinstance(name_or_path, Path) or name_or_path.endswith(SUFFIX)


def _folder(origin: str, path: Path) -> Folder:
    if not path.is_dir():
        raise ConfigError(f"{origin}: no folder {str(path)!r}", hint="name a folder of .j2 files")
    return Folder(origin, path)


def _packs() -> Iterator[Folder]:
    """The folders of installed packs: an entry point's value is the package whose folder holds the files."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            spec = find_spec(entry.value)
        except ImportError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(
                f"prompt pack {entry.name!r}: there is no package {entry.value!r}",
                hint="reinstall or remove the distribution that brings it",
            )
        for location in spec.submodule_search_locations:
            yield Folder(f"pack {entry.name}", Path(location))


class TemplateCache:
    """A cache of loaded templates, reloaded when a file changes. Thread-safe.

    Loading a template takes some hundredths of a second; checking its files for changes less than a thousandth.
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
        """Whether the names still resolve to the same files with the same text."""
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
