"""Catalog of the items that may be recommended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zsrec.core.errors import BadRowError, ConfigError, DataError, DuplicateItemError, UnknownItemError
from zsrec.core.types import Item
from zsrec.data.frames import FRAME, frame_columns
from zsrec.data.tables import read_rows
from zsrec.data.values import as_id


class Catalog:
    """An immutable, ordered collection of items, looked up by id.

    It is stored by column: a million items are a few lists, and an `Item` is made when it is asked for.

    Args:
        ids: One unique id per item: text, or a whole number, which becomes text.
        titles: One title per item, not empty.
        attributes: More columns by name, each as long as `ids`.
        domain: What the items are, in the plural, as prompts call them ("movies", "books").
        creator: The attribute that holds who made the item (authors, artists, developers), for grounding.
        aliases: The attribute that holds other names of the item, separated by "|", for grounding.
        folder: The only folder that the items' images are read from; None reads none.

    Raises:
        DataError: There is no item, or the columns differ in length.
        ConfigError: `creator` or `aliases` is no attribute.
        BadRowError: An id or a title is empty or not valid.
        DuplicateItemError: An id appears twice.
    """

    def __init__(
        self,
        ids: Sequence[str],
        titles: Sequence[str],
        *,
        attributes: Mapping[str, Sequence[Any]] | None = None,
        domain: str = "items",
        creator: str | None = None,
        aliases: str | None = None,
        folder: str | Path | None = None,
    ) -> None:
        columns = _Columns()
        attributes = attributes or {}
        if any(len(column) != len(ids) for column in (titles, *attributes.values())):
            raise DataError("the catalog's columns differ in length")
        for place, (item_id, title) in enumerate(zip(ids, titles, strict=True), start=1):
            columns.add(item_id, title, {name: values[place - 1] for name, values in attributes.items()}, place)
        self._take(columns, domain, creator, aliases, folder)

    def _take(
        self, columns: _Columns, domain: str, creator: str | None, aliases: str | None, folder: str | Path | None
    ) -> None:
        if not columns.ids:
            raise DataError("the catalog has no items", path=columns.path, hint="give it at least one row")
        self._ids, self._titles, self._attributes = columns.ids, columns.titles, columns.attributes
        self._place = columns.place
        self.domain, self.creator, self.aliases = domain, creator, aliases
        self.folder = None if folder is None else Path(folder)
        for name in (creator, aliases):
            if name is not None and name not in self._attributes:
                found = ", ".join(self._attributes) or "none"
                raise ConfigError(f"the catalog has no attribute {name!r}", hint=f"its attributes: {found}")

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        id: str = "id",  # noqa: A002  (the name that users write)
        title: str = "title",
        domain: str = "items",
        creator: str | None = None,
        aliases: str | None = None,
        encoding: str = "utf-8",
        delimiter: str | None = None,
    ) -> Catalog:
        """Load a .csv, .tsv, .jsonl or .parquet file; the suffix decides.

        Args:
            path: The file.
            id: The column of the items' ids.
            title: The column of the titles. Every other column becomes an attribute.
            domain: What the items are, in the plural.
            creator: The column that holds who made the item, for grounding.
            aliases: The column that holds other names, separated by "|", for grounding.
            encoding: Of text formats.
            delimiter: Of CSV.

        Raises:
            DataError: With file and line: MissingColumnError, DuplicateItemError, BadRowError (an empty id or
                title, a broken row), EncodingError; or the file is missing or has no rows.
        """
        columns = _Columns(Path(path))
        for line, row in read_rows(
            path,
            columns=_named(id=id, title=title, creator=creator, aliases=aliases),
            encoding=encoding,
            delimiter=delimiter,
        ):
            values = dict(row)
            columns.add(values.pop(id), values.pop(title), values, line)
        return cls._from_columns(columns, domain, creator, aliases, Path(path).parent)

    from_csv = from_jsonl = from_parquet = from_file

    @classmethod
    def from_frame(
        cls,
        frame: Any,  # noqa: ANN401  (pandas, polars or pyarrow)
        *,
        id: str = "id",  # noqa: A002
        title: str = "title",
        domain: str = "items",
        creator: str | None = None,
        aliases: str | None = None,
        folder: str | Path | None = None,
    ) -> Catalog:
        """Build a catalog from a DataFrame of pandas, polars or pyarrow; the arguments are those of `from_file`.

        Raises:
            DataError: As for `from_file`; the line is the row's number, from 1.
            MissingExtraError: narwhals is not installed.
        """
        attributes = frame_columns(frame, _named(id=id, title=title, creator=creator, aliases=aliases))
        columns = _Columns(Path(FRAME))
        rows = zip(attributes.pop(id), attributes.pop(title), *attributes.values(), strict=True)
        for row, (item_id, name, *others) in enumerate(rows, start=1):
            columns.add(item_id, name, dict(zip(attributes, others, strict=True)), row)
        return cls._from_columns(columns, domain, creator, aliases, folder)

    @classmethod
    def from_items(
        cls,
        items: Iterable[Item | Mapping[str, Any]],
        *,
        domain: str = "items",
        creator: str | None = None,
        aliases: str | None = None,
        folder: str | Path | None = None,
    ) -> Catalog:
        """Build a catalog from `Item` objects or mappings with "id", "title" and further attributes.

        Raises:
            DataError: As for `from_file`; the line is the item's number, from 1.
        """
        columns = _Columns()
        for place, item in enumerate(items, start=1):
            columns.add_item(item, place)
        return cls._from_columns(columns, domain, creator, aliases, folder)

    @classmethod
    def _from_columns(
        cls,
        columns: _Columns,
        domain: str,
        creator: str | None = None,
        aliases: str | None = None,
        folder: str | Path | None = None,
    ) -> Catalog:
        catalog = cls.__new__(cls)
        catalog._take(columns, domain, creator, aliases, folder)
        return catalog

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in the catalog's order."""
        return self._ids

    @property
    def titles(self) -> Sequence[str]:
        """The titles, in the same order as `ids`."""
        return self._titles

    @property
    def creators(self) -> Sequence[str]:
        """The creator of each item, several separated as the catalog writes them; empty without the attribute."""
        return self._texts(self.creator)

    @property
    def other_names(self) -> Sequence[str]:
        """The other names of each item, separated by "|"; empty without the attribute."""
        return self._texts(self.aliases)

    def _texts(self, attribute: str | None) -> Sequence[str]:
        if attribute is None:
            return ()
        return [
            "|".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
            for value in self._attributes[attribute]
        ]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The names of the other columns."""
        return tuple(self._attributes)

    def column(self, name: str) -> Sequence[Any]:
        """Return the values of an attribute, one per item, None where an item lacks it.

        Raises:
            KeyError: The catalog has no such column.
        """
        return self._attributes[name]

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, item_id: object) -> bool:
        try:
            return (item_id if isinstance(item_id, str) else as_id(item_id)) in self._place
        except ValueError:
            return False

    def __iter__(self) -> Iterator[Item]:
        return map(self._item, range(len(self._ids)))

    def __getitem__(self, item_id: str | int) -> Item:
        try:
            return self._item(self._place[item_id if isinstance(item_id, str) else as_id(item_id)])
        except (KeyError, ValueError):
            raise UnknownItemError(
                f"no item with the id {item_id!r} among {len(self)}", hint="look items up by id, not by title"
            ) from None

    def title(self, item_id: str) -> str:
        """The title of an item of the catalog."""
        return self._titles[self._place[item_id]]

    def _item(self, place: int) -> Item:
        return Item(
            id=self._ids[place],
            title=self._titles[place],
            attributes={
                name: values[place] for name, values in self._attributes.items() if values[place] is not None
            },
        )

    def __repr__(self) -> str:
        return f"Catalog({len(self):,} {self.domain})"

    def extended(self, items: Iterable[Item | Mapping[str, Any]]) -> Catalog:
        """Return a catalog with more items at its end.

        Raises:
            DataError: As for `from_items`, for example an id that the catalog has already.
        """
        columns = self._columns()
        for place, item in enumerate(items, start=1):
            columns.add_item(item, place)
        return self._from_columns(columns, self.domain, self.creator, self.aliases, self.folder)

    def without(self, ids: Iterable[str]) -> Catalog:
        """Return a catalog without the items of these ids; unknown ids are ignored.

        Raises:
            DataError: No item is left.
        """
        gone = set(ids)
        columns = _Columns()
        for item in self:
            if item.id not in gone:
                columns.add_item(item, len(columns.ids) + 1)
        return self._from_columns(columns, self.domain, self.creator, self.aliases, self.folder)

    def _columns(self) -> _Columns:
        columns = _Columns()
        columns.ids, columns.titles = list(self._ids), list(self._titles)
        columns.attributes = {name: list(values) for name, values in self._attributes.items()}
        columns.place = dict(self._place)
        return columns


def _named(**columns: str | None) -> dict[str, str]:
    """The columns that were named, each with the argument that names it."""
    return {name: argument for argument, name in columns.items() if name is not None}


class _Columns:
    """The columns of a catalog while it is read, checked row by row."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.attributes: dict[str, list[Any]] = {}
        self.place: dict[str, int] = {}

    def add_item(self, item: Item | Mapping[str, Any], line: int) -> None:
        if isinstance(item, Item):
            self.add(item.id, item.title, item.attributes, line)
            return
        if not isinstance(item, Mapping):
            raise ConfigError(
                f"item {line}: expected an Item or a mapping, found {type(item).__name__}",
                hint='for example {"id": "n1", "title": "New Film"}',
            )
        values = dict(item)
        self.add(values.pop("id", None), values.pop("title", None), values, line)

    def add(self, item_id: object, title: object, attributes: Mapping[str, Any], line: int) -> None:
        id_text = self._text(item_id, "id", line)
        title_text = self._text(title, "title", line)
        if id_text in self.place:
            raise DuplicateItemError(
                f"the id {id_text!r} appears twice (first as {self.titles[self.place[id_text]]!r})",
                path=self.path,
                line=line,
                hint="ids must be unique: remove one of the two rows or use another id column",
            )
        place = len(self.ids)
        self.place[id_text] = place
        self.ids.append(id_text)
        self.titles.append(title_text)
        for name, value in attributes.items():
            if name not in self.attributes:
                self.attributes[name] = [None] * place
            self.attributes[name].append(value)
        if len(attributes) < len(self.attributes):  # a row that lacks a column of others
            for column in self.attributes.values():
                if len(column) == place:
                    column.append(None)

    def _text(self, value: object, field: str, line: int) -> str:
        try:
            return as_id(value)
        except ValueError as error:
            hint = "every item needs an id and a title"
            raise BadRowError(f"the {field} {error}", path=self.path, line=line, hint=hint) from None
