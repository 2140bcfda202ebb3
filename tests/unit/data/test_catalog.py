from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from zsrec.core.errors import (
    BadRowError,
    ConfigError,
    DataError,
    DuplicateItemError,
    EncodingError,
    MissingColumnError,
    UnknownItemError,
)
from zsrec.core.types import Item
from zsrec.data.catalog import Catalog

ROWS = [{"movieId": 1, "title": "Heat (1995)", "genres": "Crime"}, {"movieId": 2, "title": "Ronin (1998)"}]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_keeps_other_columns_as_attributes(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", 'movieId,title,genres\n1,"Good, the Bad, The (1966)",Western\n2,Heat,\n')
    catalog = Catalog.from_csv(path, id="movieId", domain="movies")
    assert catalog["1"] == Item(id="1", title="Good, the Bad, The (1966)", attributes={"genres": "Western"})
    assert (list(catalog.ids), len(catalog), catalog.domain) == (["1", "2"], 2, "movies")
    assert catalog.attribute_names == ("genres",)


def test_jsonl_and_parquet_read_the_same_as_csv(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = write(tmp_path / "m.jsonl", "\n".join(map(json.dumps, ROWS)))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "m.parquet")
    from_lines = Catalog.from_jsonl(lines, id="movieId")
    from_parquet = Catalog.from_parquet(tmp_path / "m.parquet", id="movieId")
    assert list(from_lines) == list(from_parquet)
    assert from_lines["2"].attributes == {}
    assert from_lines["1"].attributes == {"genres": "Crime"}


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "\ufeffid,title\n1,Heat\n")
    assert Catalog.from_csv(path)["1"].title == "Heat"


@pytest.mark.parametrize(
    ("text", "error", "line", "match"),
    [
        ("id,title\n1,Heat\n1,Ronin\n", DuplicateItemError, 3, "'1' appears twice"),
        ("id,title\n1,Heat\n2,  \n", BadRowError, 3, "title is empty"),
        ("id,title\n,Heat\n", BadRowError, 2, "id is empty"),
        ("id,name\n1,Heat\n", MissingColumnError, 1, "no column 'title'"),
        ("id,name\n1,Heat\n", MissingColumnError, 1, "; name yours with title="),
        ("id;title\n1;Heat\n", MissingColumnError, 1, "if ';' separates the fields, say so with delimiter=';'"),
        ("", MissingColumnError, 1, "no column 'id'"),
        ("id,title\n1,Heat\n2,Ronin,extra\n", BadRowError, 3, "expected 2 fields, found 3"),
        ('id,title\n1,"Heat\nof\nnight"\n2\n', BadRowError, 5, "expected 2 fields, found 1"),
        ('id,title\n1,Heat\n2,"Ronin\n', BadRowError, 3, "broken CSV"),
    ],
)
def test_bad_csv_names_file_and_line(
    tmp_path: Path, text: str, error: type[DataError], line: int, match: str
) -> None:
    path = write(tmp_path / "m.csv", text)
    with pytest.raises(error, match=match) as caught:
        Catalog.from_csv(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        ('{"id": 1, "title": "Heat"}\n{"id": 2,', 2, "not JSON"),
        ('{"id": 1, "title": "Heat"}\n\n[1]', 3, "expected a JSON object, found list"),
        ('{"id": 1, "title": "Heat"}\n{"id": 2}', 2, "no column 'title'"),
        ('{"id": null, "title": "Heat"}', 1, "id is empty"),
    ],
)
def test_bad_jsonl_names_file_and_line(tmp_path: Path, text: str, line: int, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        Catalog.from_jsonl(write(tmp_path / "m.jsonl", text))
    assert caught.value.line == line


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "id,title\n1,Heat\n2,Amélie\n", "latin-1")
    with pytest.raises(EncodingError, match="byte 0xe9") as caught:
        Catalog.from_csv(path)
    assert caught.value.line == 3
    assert Catalog.from_csv(path, encoding="latin-1")["2"].title == "Amélie"


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown table format"):
        Catalog.from_file(write(tmp_path / "m.xlsx", "x"))
    with pytest.raises(DataError, match="no such file"):
        Catalog.from_file(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="not a Parquet file"):
        Catalog.from_parquet(write(tmp_path / "m.parquet", "x"))
    with pytest.raises(DataError, match="no items"):
        Catalog.from_csv(write(tmp_path / "m.csv", "id,title\n"))


def test_extended_leaves_the_old_one_as_it_is(films: Catalog) -> None:
    more = films.extended([{"id": "n1", "title": "New Film", "price": 3}, Item(id="n2", title="Newer Film")])
    assert len(more) == len(films) + 2
    assert "n1" not in films
    assert more["n1"].attributes == {"price": 3}
    assert more["1"].attributes == {"genres": "Crime|Thriller"}
    assert more["n2"].attributes == {}
    with pytest.raises(DuplicateItemError, match="first as 'Heat"):
        films.extended([{"id": "1", "title": "Again"}])
    with pytest.raises(BadRowError, match="title is empty"):
        films.extended([{"id": "n1"}])


def test_without(films: Catalog) -> None:
    fewer = films.without(["1", "absent"])
    assert "1" not in fewer
    assert fewer["2"] == films["2"]
    with pytest.raises(DataError, match="no items"):
        films.without(films.ids)


def test_unknown_id(films: Catalog) -> None:
    with pytest.raises(UnknownItemError, match="'Heat'"):
        films["Heat"]


def test_from_columns() -> None:
    catalog = Catalog(["1"], ["Heat"], attributes={"year": [1995]})
    assert catalog["1"].attributes == {"year": 1995}
    with pytest.raises(DataError, match="differ in length"):
        Catalog(["1"], [])


def test_a_catalog_with_attributes_is_read_in_linear_time() -> None:
    def seconds(count: int) -> float:
        ids, values = [str(n) for n in range(count)], ["Drama"] * count
        started = time.process_time()
        Catalog(ids, ids, attributes={"genres": values, "by": values})
        return time.process_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (2_000, 40_000))
    assert many < 100 * few  # a list as long as the catalog for each row took 200 times as long
