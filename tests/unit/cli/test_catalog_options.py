"""The options of a catalog and of text tables: the same ones for every command, and each has its effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from tests.faults.server import ScriptedServer, answers
from zsrec.cli import app
from zsrec.cli.console import complain
from zsrec.core.errors import ConfigError, EncodingError, MissingColumnError, ZsrecError
from zsrec.data.catalog import Catalog
from zsrec.recommender.loader import Sources

GROUP = ("--id", "--title", "--creator", "--aliases", "--domain", "--delimiter", "--encoding")
BOOKS = """\
isbn;name;author;also
1;The Snowman;Raymond Briggs;
2;The Snowman;Jo Nesbø;Snømannen
3;Harbour;John Ajvide Lindqvist;Människohamn
4;Doctor Glas;Hjalmar Söderberg;Doktor Glas
"""
SALES = "user;item;timestamp\n" + "".join(f"{u};{i};{t}\n" for t, (u, i) in enumerate(["a1", "a4", "b1", "b3"]))
COLUMNS = ("--columns", "user,item,timestamp")
TEMPLATE = """\
---
task: generate
version: 1
answer: titles
sampling: {temperature: 0, max_tokens: 99}
variables:
  history: {scope: user, type: items, fields: [author]}
---
{% block user %}Read:{% for book in history %} {{ book.display }} by {{ book.author }};{% endfor %} next?
{% endblock %}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(answers("1. The Snowman by Jo Nesbø\n2. Människohamn")) as one:
        monkeypatch.setenv("ZSREC_BASE_URL", one.base_url)
        monkeypatch.setenv("ZSREC_MAX_RETRIES", "0")
        yield one


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalog, sales and a template; the tables are in Latin-1 with semicolons."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    monkeypatch.setattr(
        "logging.config.dictConfig", lambda _: None
    )  # `mcp` sets up its log, and ends with the input
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    (tmp_path / "books.csv").write_text(BOOKS, encoding="latin-1")
    (tmp_path / "sales.csv").write_text(SALES, encoding="latin-1")
    (tmp_path / "mine.j2").write_text(TEMPLATE, encoding="utf-8")
    (tmp_path / "mentions.jsonl").write_text('{"id": 1, "mention": "The Snowman by Jo Nesbø"}\n', encoding="utf-8")
    (tmp_path / "turns.jsonl").write_text(
        '{"id": "t", "dialog": "d", "conversation": [], "mentioned": [], "targets": ["2"]}\n', encoding="utf-8"
    )
    return tmp_path


def invoke(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=given)


def commands(group: Any = None, *above: str) -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    for name, one in (group or get_command(app)).commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, *above, name)
        else:
            yield " ".join((*above, name)), one


READS_CATALOG = {
    name for name, one in commands() if any("--catalog" in parameter.opts for parameter in one.params)
}
RUNS: dict[str, tuple[str, ...]] = {
    "recommend": ("--history", "Harbour"),
    "chat": (),
    "batch": ("--input", "users.parquet", *COLUMNS, "--out", "out"),
    "serve": (),
    "mcp": (),
    "playground": (),
    "ground": ("--input", "mentions.jsonl", "--out", "-"),
    "ground-fit": ("--input", "labels.jsonl", "--out", "weights.json"),
    "doctor": (),
    "prompts render": ("mine.j2", "--history", "Harbour"),
    "prompts compare": ("mine.j2", "generate/default", "--interactions", "sales.csv", "--out", "RUN"),
    "bench split": ("--interactions", "sales.csv", "--out", "SPLIT"),
    "bench run": ("--interactions", "sales.csv", "--methods", "pop"),
    "bench conversations": ("--turns", "turns.jsonl", "--methods", "lexical"),
}


def test_every_command_that_reads_a_catalog_is_tried() -> None:
    assert set(RUNS) == READS_CATALOG


@pytest.mark.parametrize("name", sorted(READS_CATALOG))
def test_they_all_have_the_same_options(name: str) -> None:
    found = {option for parameter in dict(commands())[name].params for option in parameter.opts}
    assert set(GROUP) <= found


@pytest.mark.parametrize("option", ["--id", "--title", "--delimiter", "--encoding"])
def test_they_all_have_the_same_defaults(option: str) -> None:
    parameters = [one for name in READS_CATALOG for one in dict(commands())[name].params if option in one.opts]
    assert len({(one.default, one.help) for one in parameters}) == 1


@pytest.mark.parametrize("column", ["id", "item", "movieId"])
@pytest.mark.parametrize("name", ["recommend", "ground", "bench split"])
def test_the_usual_id_columns_need_no_option(
    name: str, column: str, shop: Path, server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "c.csv").write_text(f"{column},title\n1,Harbour\n3,Doctor Glas\n4,Kim\n", encoding="utf-8")
    (shop / "sales.csv").write_text(SALES.replace(";", ","), encoding="utf-8")
    result = invoke(*name.split(), *RUNS[name], "--catalog", "c.csv")
    assert result.exit_code == 0, (result.output, result.exception)


def test_the_header_is_read_before_the_rows(shop: Path) -> None:
    (shop / "c.csv").write_text('id;title\n"1";"Kim; ""or"" a spy"\n', encoding="utf-8")
    found = invoke("ground", *RUNS["ground"], "--catalog", "c.csv").exception
    assert "if ';' separates the fields" in str(found)  # and no word of quotes in line 2
    (shop / "c.jsonl").write_text("", encoding="utf-8")
    assert "no items" in str(invoke("ground", *RUNS["ground"], "--catalog", "c.jsonl").exception)


def test_two_usual_id_columns_are_not_guessed_among(shop: Path) -> None:
    (shop / "c.csv").write_text("id,item,title\n1,7,Harbour\n", encoding="utf-8")
    assert "'id' and 'item'" in str(invoke("ground", *RUNS["ground"], "--catalog", "c.csv").exception)
    assert invoke("ground", *RUNS["ground"], "--catalog", "c.csv", "--id", "item").exit_code == 0


SHOP = ("--catalog", "books.csv", "--id", "isbn", "--title", "name", "--delimiter", ";", "--encoding", "latin-1")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("ground", *RUNS["ground"], *SHOP, "--id", "sku"), "; name yours with --id"),
        (("recommend", *RUNS["recommend"], *SHOP, "--title", "t"), "; name yours with --title"),
        (("recommend", *RUNS["recommend"], *SHOP, "--creator", "by"), "; name yours with --creator"),
        (("bench", "run", *RUNS["bench run"], *SHOP, "--columns", "user,it,"), "; name yours with --columns"),
        (
            ("bench", "run", *RUNS["bench run"], *SHOP, "--targets", "sales.csv", "--target-columns", "user,it"),
            "; name yours with --target-columns",
        ),
        (("bench", "split", *RUNS["bench split"], *SHOP[:2], "--encoding", "latin-1"), "so with --delimiter ';'"),
    ],
)
def test_a_missing_column_names_the_option(
    command: tuple[str, ...], option: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = invoke(*command)
    assert isinstance(result.exception, MissingColumnError)
    complain(result.exception)
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(RUNS))
def test_each_option_reaches_the_catalog(
    name: str, shop: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Catalog] = []
    original = Sources.read_catalog

    def watched(sources: Sources) -> Catalog:
        read.append(original(sources))
        return read[-1]

    monkeypatch.setattr(Sources, "read_catalog", watched)
    labels = [("Doctor Glass", "4"), ("Harbor", "3"), ("The Snowmen", None)]
    rows = [json.dumps({"mention": mention, "item_id": item}) for mention, item in labels]
    (shop / "labels.jsonl").write_text("\n".join(rows), encoding="utf-8")
    if name == "batch":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"user": ["a"], "item": ["3"], "timestamp": [1]}), "users.parquet")
    port = ("--port", "0") if name == "playground" else ()
    result = invoke(
        *name.split(), *RUNS[name], *port, "--catalog", "books.csv", "--id", "isbn", "--title", "name",
        "--creator", "author", "--aliases", "also", "--domain", "books", "--delimiter", ";",
        "--encoding", "latin-1",
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    (catalog,) = {id(one): one for one in read}.values()
    assert catalog.titles[3] == "Doctor Glas"
    assert list(catalog.creators)[1] == "Jo Nesbø"
    assert list(catalog.other_names)[2] == "Människohamn"
    assert catalog.domain == "books"


def recommended(*more: str) -> list[str | None]:
    result = invoke(
        "recommend", "--catalog", "books.csv", "--id", "isbn", "--title", "name", "--delimiter", ";", "--encoding",
        "latin-1", "--history", "Doctor Glas", "--domain", "books", "--json", *more,
    )  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    return [one["item"]["id"] for one in json.loads(result.stdout)["items"]]


def test_the_creator_tells_two_titles_apart_and_an_alias_is_a_name(shop: Path, server: ScriptedServer) -> None:
    assert recommended("--creator", "author", "--aliases", "also") == ["2", "3"]
    assert "2" not in recommended("--aliases", "also")
    assert "3" not in recommended("--creator", "author")


def test_a_template_shows_the_creator(shop: Path, server: ScriptedServer) -> None:
    recommended("--creator", "author", "--template", "mine.j2")
    assert "Doctor Glas by Hjalmar Söderberg;" in server.requests[-1]["messages"][-1]["content"]


def test_a_batch_takes_creators(shop: Path, server: ScriptedServer) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"user": ["a"], "item": ["4"], "timestamp": [1]}), "users.parquet")
    arguments = ["batch", "--input", "users.parquet", *COLUMNS, "--out", "out", "--catalog", "books.csv", "--id"]
    arguments += ["isbn", "--title", "name", "--delimiter", ";", "--encoding", "latin-1", "--aliases", "also"]
    assert invoke(*arguments, "--creator", "author").exit_code == 0
    assert pq.read_table("out").column("item").to_pylist() == ["2", "3"]
    other = invoke(*arguments)  # the job's folder knows that these are other answers
    assert isinstance(other.exception, ConfigError)
    assert "creator is 'author' there" in str(other.exception)


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        ("books.csv", ["recommend", "--catalog", "books.csv", "--id", "isbn", "--history", "x"]),
        ("sales.csv", ["recommend", "--catalog", "ok.csv", "--id", "isbn", "--history", "sales.csv", *COLUMNS]),
        ("sales.csv", ["serve", "--catalog", "ok.csv", "--id", "isbn", "--interactions", "sales.csv", *COLUMNS]),
        ("sales.csv", ["bench", "run", "--catalog", "ok.csv", "--id", "isbn", "--interactions", "sales.csv"]),
        ("targets.csv", ["bench", "run", "--catalog", "ok.csv", "--id", "isbn", "--interactions", "ok.jsonl",
                         "--targets", "targets.csv", "--methods", "pop"]),
    ],
)  # fmt: skip
def test_a_wrong_encoding_names_file_and_line(
    shop: Path, server: ScriptedServer, table: str, arguments: list[str]
) -> None:
    sales = '{"user": "a", "item": "1", "timestamp": 1}\n{"user": "a", "item": "2", "timestamp": 2}\n'
    (shop / "ok.jsonl").write_text(sales)
    (shop / "ok.csv").write_text("isbn,name,title\n1,a,a\n2,b,b\n", encoding="utf-8")
    for name in ("sales.csv", "targets.csv"):
        (shop / name).write_text("user,item,timestamp\na,1,1\nBjörn,2,2\n", encoding="latin-1")
    line = {"books.csv": 3, "sales.csv": 3, "targets.csv": 3}[table]
    found = invoke(*arguments).exception
    assert isinstance(found, EncodingError), found
    assert (found.path, found.line) == (table, line)
    assert "--encoding latin-1" in str(found.hint)
    repaired = invoke(*arguments, "--encoding", "latin-1").exception
    assert not isinstance(repaired, EncodingError)


def test_utf_16_is_recognised(shop: Path, server: ScriptedServer) -> None:
    (shop / "books.csv").write_text(BOOKS, encoding="utf-16")
    arguments = ["prompts", "render", "mine.j2", "--history", "Harbour", "--catalog", "books.csv", "--id", "isbn"]
    arguments += ["--title", "name", "--delimiter", ";"]
    found = invoke(*arguments).exception
    assert isinstance(found, EncodingError)
    assert "--encoding utf-16" in str(found.hint)
    assert "Harbour" in invoke(*arguments, "--encoding", "utf-16").output


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--encoding", "klingon"), "unknown encoding 'klingon'"),
        (("--encoding", "utf-16"), "books.csv: not utf-16"),
        (("--delimiter", ""), "the delimiter is ''"),
        (("--delimiter", '"'), "the delimiter is '\"'"),
        (("--delimiter", "\n"), "the delimiter is '\\n'"),
        (("--creator", "maker", "--delimiter", ";", "--encoding", "latin-1"), "no column 'maker'"),
        (("--aliases", "akas", "--delimiter", ";", "--encoding", "latin-1"), "no column 'akas'"),
    ],
)
def test_what_is_refused(shop: Path, more: tuple[str, ...], says: str) -> None:
    found = invoke("recommend", "--catalog", "books.csv", "--id", "isbn", "--title", "name", *more).exception
    assert isinstance(found, ZsrecError), found
    assert says in str(found)


@pytest.mark.parametrize("option", ["--creator", "--aliases"])
def test_the_sample_has_no_such_columns(option: str) -> None:
    found = invoke("recommend", option, "author").exception
    assert isinstance(found, ConfigError)
    assert found.hint == "give it with --catalog"


def test_a_tab_is_written_as_in_a_shell(shop: Path) -> None:
    (shop / "books.csv").write_text(BOOKS.replace(";", "\t"), encoding="utf-8")
    arguments = ["--catalog", "books.csv", "--id", "isbn", "--title", "name", "--delimiter", r"\t"]
    found = invoke("prompts", "render", "mine.j2", "--history", "Harbour", *arguments)
    assert "Harbour by John Ajvide Lindqvist;" in found.output
