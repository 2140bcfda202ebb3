"""Where templates are found: explicit path → `prompts=` → `ZSREC_PROMPTS` → installed packs → built-in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from zsrec.errors import ConfigError, TemplateError, TemplateNotFoundError
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.gather import gather
from zsrec.prompts.problems import Problem, did_you_mean, raise_first
from zsrec.prompts.sources import SUFFIX, Source, read_source, source_of
from zsrec.prompts.template import Template
from zsrec.prompts.untrusted import untrusted_text

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
    """The templates that can be named, from several folders; the first folder that has a name wins.

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
        """All folders in the order of the look-up."""
        return (*self._own, *_packs(), Folder("built-in", built_in_folder()))

    def find(self, name: str, *, after: int | None = None) -> Source:
        """The source of a name.

        Args:
            name: A name such as "rank/default", never a path.
            after: Look only behind this place in `folders`; a template that extends its own name extends
                the one that it shadows.

        Raises:
            TemplateNotFoundError: No folder has it.
            TemplateError: It is no name, or the file cannot be read.
        """
        if not is_name(name):
            raise TemplateError(
                f"{name[:_LONGEST]!r} is no template's name",
                hint="a name is like 'rank/default': words parted by '/'",
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
        """Reads a template and all it needs; what is wrong with it is in the bundle's `problems`.

        Raises:
            TemplateNotFoundError: There is no such template.
            TemplateError: A file cannot be read.
        """
        if _is_path(name_or_path):
            path = Path(name_or_path)
            return gather(read_source(path, path.stem), self)
        return gather(self.find(str(name_or_path)), self)

    def open_text(self, text: str, name: str = "draft") -> Bundle:
        """Takes a template's text that is on no disk yet; what is wrong with it is in the bundle's `problems`.

        Args:
            text: The whole file.
            name: What messages call it. A template that extends its own name extends the library's.
        """
        return gather(source_of(text, name, name + SUFFIX), self)

    def load(self, name_or_path: str | Path) -> Template:
        """A template ready to render, tried with a hostile title first (`zsrec.prompts.untrusted`).

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
        """Every template by name, then in the order of the look-up; without mere parts of others."""
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
    """Whether a text can be a template's name: words parted by "/", which never leave the library's folders."""
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
        raise ConfigError(f"{origin}: there is no folder {str(path)!r}", hint="name a folder of .j2 files")
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
