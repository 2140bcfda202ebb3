"""The two ways of reading must not be told apart by what they read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import BadRowError, DataError, EncodingError, MissingColumnError
from zsrec.data import blocks
from zsrec.data.interactions import Ids
from zsrec.data.readers import Columns, ReadResult, read_interactions
from zsrec.data.tables import Layout, read_rows

pytest.importorskip("pyarrow", reason="pip install 'zsrec[bench]'")

PLAIN = Columns(user="user", item="item", time="time", rating=None)
CATALOG = Ids(["1", "2", "3"])
FIELDS = ["1", "2", "gone", " 3 ", "", " ", '"1"', '"a,b"', '"', "é", "NA", "null", "nan", "1e3", "+5", "0x1",
          "1_0", "2020-01-01", "inf", "\r"]  # fmt: skip


def outcome(path: Path, *, slow: bool, layout: Layout | None = None, size: int = 60) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "is_fast", lambda encoding: not slow)
        patch.setattr(blocks.read_blocks, "__kwdefaults__", blocks.read_blocks.__kwdefaults__ | {"size": size})
        try:
            found = read_interactions(
                path, columns=PLAIN, catalog=CATALOG, max_unknown=1.0, max_malformed=1.0, layout=layout
            )
        except DataError as error:
            return type(error), str(error)
    return shown(found)


def shown(found: ReadResult) -> object:
    known = found.interactions
    user, item, time = known.columns
    return (
        list(known.users.ids), sorted(zip(user.tolist(), item.tolist(), time.tolist(), strict=True)), found.rows,
        found.unknown, found.first_unknown, found.repeated, found.malformed, found.first_malformed,
    )  # fmt: skip


rows = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.integers(0, 9).map(str)).map(list),
        st.lists(st.sampled_from(FIELDS), max_size=4),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(rows, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_fast_and_slow_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, found: list[list[str]], end: str, last: bool, marked: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "parity.csv"
    text = end.join(["user,item,time", *(",".join(row) for row in found)]) + (end if last else "")
    path.write_bytes((b"\xef\xbb\xbf" if marked else b"") + text.encode())
    assert outcome(path, slow=False) == outcome(path, slow=True)


@settings(deadline=None)
@given(rows, st.booleans())
def test_fast_and_slow_read_the_same_without_quotes(
    tmp_path_factory: pytest.TempPathFactory, found: list[list[str]], last: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "parity.dat"
    path.write_bytes(("\n".join("::".join(row) for row in found) + ("\n" if last else "")).encode())
    layout = Layout("::", ("user", "item", "time"), quotes=False)
    assert outcome(path, slow=False, layout=layout) == outcome(path, slow=True, layout=layout)


def test_a_clean_table_is_read_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clean.csv"
    path.write_text('"user","item","time"\n' + "".join(f"u{n % 7},{n % 5},{n}\n" for n in range(1000)))
    monkeypatch.setattr(blocks, "read_lines", lambda *_, **__: pytest.fail("read row by row"))
    found = read_interactions(path, columns=PLAIN)
    assert (found.rows, len(found.interactions)) == (1000, 35)


def test_lines_are_counted_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    lines = [f"u{n},1,{n}" for n in range(300)]
    lines[199], lines[299] = "u,1", "u,gone,5"
    path.write_text("user,item,time\n" + "\n".join(lines))
    for slow in (False, True):
        found = outcome(path, slow=slow, size=200)
        assert found[3:] == (1, (301, "gone"), 0, 1, (201, "expected 3 fields, found 2"))  # type: ignore[index]


@pytest.mark.parametrize("slow", [False, True])
def test_faults_of_the_whole_file_stop_with_their_line(tmp_path: Path, slow: bool) -> None:
    path = tmp_path / "table.csv"
    path.write_text("user,thing,time\na,1,2\n")
    assert outcome(path, slow=slow)[0] is MissingColumnError  # type: ignore[index]
    path.write_bytes("user,item,time\na,1,2\nb,é,3\n".encode("latin-1"))
    kind, text = outcome(path, slow=slow)  # type: ignore[misc]
    assert kind is EncodingError
    assert "table.csv:3:" in text
    path.write_text("")
    assert outcome(path, slow=slow)[0] is MissingColumnError  # type: ignore[index]


def test_another_encoding_is_read_fast_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("user,item,time\né,1,2\n".encode("latin-1"))
    monkeypatch.setattr(blocks, "read_lines", lambda *_, **__: pytest.fail("read row by row"))
    assert list(read_interactions(path, columns=PLAIN, encoding="latin-1").interactions.users.ids) == ["é"]


def test_more_than_65536_codes_are_grouped_in_order() -> None:
    from zsrec.data.interactions import Csr

    rows = np.random.default_rng(0).integers(200_000, size=5000, dtype=np.int32)
    table, order = Csr.build(rows, np.arange(5000, dtype=np.int32))
    np.testing.assert_array_equal(order, np.argsort(rows, kind="stable"))
    np.testing.assert_array_equal(table.rows, np.unique(rows))


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_field_that_is_too_long_is_said_with_the_limit(tmp_path: Path, quote: str) -> None:
    long = f"{quote}{'x' * 140_000}{quote}"
    (tmp_path / "t.csv").write_text(f"id,title,text\n1,A,short\n2,B,{long}\n", encoding="utf-8")
    with pytest.raises(
        BadRowError, match=r"t.csv:3: a field of more than 131,072 characters(.|\n)*JSONL"
    ) as found:
        list(read_rows(tmp_path / "t.csv"))
    assert "broken" not in str(found.value)
    (tmp_path / "t.jsonl").write_text(json.dumps({"id": "2", "text": long}), encoding="utf-8")
    assert [row["text"] for _, row in read_rows(tmp_path / "t.jsonl")] == [long]
