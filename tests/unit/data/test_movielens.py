from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import REPO
from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.data import download
from zsrec.data import movielens as sets
from zsrec.data.download import form_of
from zsrec.data.movielens import Dataset

CSV = {
    "movies.csv": 'movieId,title,genres\n1,Heat (1995),Crime\n2,"Matrix, The (1999)",Action|Sci-Fi\n',
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,10\n1,2,1.0,20\n2,1,3.0,30\n",
}
DAT = {
    "movies.dat": '1::Misérables, Les (1995)::Drama|Musical\n2::Heat: "Take 2" (1995)::Crime\n',
    "ratings.dat": "1::1::5::978300760\n1::2::3::978302109\n2::1::4::978301968\n",
}
FLAGS = "|".join("1" if place in (1, 5) else "0" for place in range(19))
U100K = {
    "u.item": f"1|Café Society (1995)|01-Jan-1995||http://us.imdb.com/M|{FLAGS}\n"
    f"2|unknown||||1|{'|'.join('0' * 18)}\n",
    "u.data": "196\t1\t3\t881250949\n186\t2\t3\t891717742\n",
}


class Server:
    """GroupLens' folder on this machine: byte ranges, and connections that break on demand."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.break_after: list[int] = []  # of the next archive replies: bytes sent before the line breaks
        self.knows_ranges = True
        self.fails = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server.files.get(self.path.lstrip("/"))
                if body is None:
                    self.send_error(404)
                    return
                if self.path.endswith(".zip"):
                    server.ranges.append(self.headers.get("Range"))
                    if server.fails:
                        server.fails -= 1
                        self.send_error(503)
                        return
                start = 0
                if server.knows_ranges and (
                    asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
                ):
                    start = int(asked[1])
                    if start >= len(body):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(body)}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(206)
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                part = body[start:]
                if self.path.endswith(".zip") and server.break_after:
                    part = part[: server.break_after.pop(0)]
                    self.close_connection = True
                self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def publish(self, name: str, files: dict[str, str], folder: str, *, encoding: str = "utf-8") -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, text in files.items():
                archive.writestr(f"{folder}/{member}", text.encode(encoding))
            archive.writestr("../../escaped.csv", "no")
        self.files[name] = buffer.getvalue()
        self.files[f"{name}.md5"] = f"MD5 ({name}) = {md5(buffer.getvalue())}\n".encode()
        return buffer.getvalue()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def written(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


def test_the_sample_is_what_its_readme_says(movielens: Dataset) -> None:
    assert (len(movielens.catalog), len(movielens.histories)) == (1297, 200)
    assert sum(map(len, movielens.histories.values())) == 12104
    ids = {event.item for history in movielens.histories.values() for event in history.events}
    assert all(item_id in movielens.catalog for item_id in ids)
    folder = REPO / "zsrec" / "data" / "movielens_sample"
    assert "redistribute" in (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Harper" in (folder / "README.md").read_text(encoding="utf-8")


# -- reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("files", "encoding", "title", "genres", "rows"),
    [
        (CSV, "utf-8", "Heat (1995)", "Crime", 3),
        (DAT, "latin-1", "Misérables, Les (1995)", "Drama|Musical", 3),
        (DAT, "utf-8", "Misérables, Les (1995)", "Drama|Musical", 3),
        (U100K, "latin-1", "Café Society (1995)", "Action|Comedy", 2),
    ],
)
def test_every_form_is_read(
    tmp_path: Path, files: dict[str, str], encoding: str, title: str, genres: str, rows: int, packed: bool
) -> None:
    source = written(tmp_path / "set", files, encoding)
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in source.iterdir():
                archive.write(path, f"ml-x/{path.name}")
        source = tmp_path / "set.zip"
    loaded = sets.load_ratings(source)
    assert loaded.catalog["1"].title == title
    assert loaded.catalog["1"].attributes["genres"] == genres
    assert (loaded.result.rows, len(loaded.result.interactions)) == (rows, rows)
    assert list(loaded.result.interactions.items.ids) == list(loaded.catalog.ids)
    histories = sets.load(source).histories
    assert sum(map(len, histories.values())) == rows


def test_the_catalog_of_100k_has_genres_and_no_flags(tmp_path: Path) -> None:
    catalog = sets.load(written(tmp_path, U100K, "latin-1")).catalog
    assert dict(catalog["2"].attributes) == {"genres": "unknown"}
    assert catalog["1"].attributes["released"] == "01-Jan-1995"


def test_a_zip_cannot_write_elsewhere_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in" / "set.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../ratings.csv", CSV["ratings.csv"])
        archive.writestr("/movies.csv", CSV["movies.csv"])
        archive.writestr("../../evil.sh", "no")
    assert sets.load_ratings(path).result.rows == 3
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="cannot unpack"):
        sets.load_ratings(path)


def test_no_set_in_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MovieLens set"):
        form_of(tmp_path)


def test_a_malformed_rating_is_counted_and_too_many_stop(tmp_path: Path) -> None:
    rows = "".join(f"{user}::1::4::{user}\n" for user in range(150))
    source = written(tmp_path, DAT | {"ratings.dat": rows + "7::1::oops\n" + "8::1::4::9\n"})
    reading = sets.load_ratings(source).result
    assert (reading.rows, reading.malformed, len(reading.interactions)) == (152, 1, 150)
    assert reading.first_malformed == (151, "expected 4 fields, found 3")
    assert any("line 151" in note for note in reading.notes)
    with pytest.raises(BadRowError, match=r"ratings\.dat:151: expected 4 fields, found 3; 1 of 152 rows") as error:
        sets.load_ratings(source, max_malformed=0.001)
    assert "0.1%" in (error.value.hint or "")


def test_the_real_set_with_a_planted_row(test_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ml-latest-small"
    shutil.copytree(test_data / "ml-latest-small", folder, copy_function=shutil.copyfile)
    with (folder / "ratings.csv").open("a", encoding="utf-8") as ratings:
        ratings.write("611,999999,4.0,1537109082\n")
    loaded = sets.load_ratings(folder)
    assert (len(loaded.catalog), loaded.result.rows, len(loaded.result.interactions)) == (9742, 100_837, 100_836)
    assert (loaded.result.unknown, loaded.result.first_unknown) == (1, (100_838, "999999"))
    assert loaded.result.malformed == 0


# -- fetching -----------------------------------------------------------------------------------------


def test_fetch_checks_unpacks_and_does_it_once(tmp_path: Path, server: Server) -> None:
    body = server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    seen: list[tuple[int, int | None]] = []
    folder = download.fetch(
        "latest-small", tmp_path / "data", base_url=server.url, on_bytes=lambda *one: seen.append(one)
    )
    assert sets.load(folder).histories["1"].events[0].feedback == "liked"
    assert seen[-1] == (len(body), len(body))
    server.files.clear()
    assert download.fetch("ml-latest-small", tmp_path / "data", base_url=server.url) == folder
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ml-latest-small"]
    assert sorted(path.name for path in folder.iterdir()) == ["movies.csv", "ratings.csv"]


def test_the_folder_inside_an_archive_may_have_any_name(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = server.publish("ml-10m.zip", DAT, "ml-10M100K")
    monkeypatch.setitem(download.SETS, "10m", download.SETS["10m"]._replace(md5=md5(body)))
    folder = download.fetch("10m", tmp_path, base_url=server.url + "/")
    assert folder == tmp_path / "ml-10m"
    assert sets.load_ratings(folder).catalog["1"].title.startswith("Mis")


def test_a_broken_line_is_taken_up_within_a_call_and_by_the_next(tmp_path: Path, server: Server) -> None:
    body = server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    server.break_after = [50]
    folder = download.fetch("latest-small", tmp_path, base_url=server.url)
    assert server.ranges == [None, "bytes=50-"]
    assert sets.load_ratings(folder).result.rows == 3

    server.ranges.clear()
    server.break_after = [40, 10, 10, 10]
    with pytest.raises(DataError, match="connection ended"):
        download.fetch("latest-small", tmp_path / "other", base_url=server.url)
    part = tmp_path / "other" / "ml-latest-small.zip.part"
    assert part.read_bytes() == body[:70]
    download.fetch("latest-small", tmp_path / "other", base_url=server.url)
    assert server.ranges[-1] == "bytes=70-"
    assert not part.exists()


@pytest.mark.parametrize("held", ["whole", "too long"])
def test_a_part_that_lacks_nothing(tmp_path: Path, server: Server, held: str) -> None:
    body = server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    (tmp_path / "ml-latest-small.zip.part").write_bytes(body if held == "whole" else body + b"tail")
    assert sets.load_ratings(download.fetch("latest-small", tmp_path, base_url=server.url)).result.rows == 3


def test_a_server_without_ranges_sends_everything_again(tmp_path: Path, server: Server) -> None:
    body = server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    server.knows_ranges = False
    (tmp_path / "ml-latest-small.zip.part").write_bytes(body[:33])
    assert sets.load_ratings(download.fetch("latest-small", tmp_path, base_url=server.url)).result.rows == 3


def test_a_busy_server_is_asked_again(tmp_path: Path, server: Server) -> None:
    server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    server.fails = 2
    download.fetch("latest-small", tmp_path, base_url=server.url)
    assert len(server.ranges) == 3


def test_a_wrong_checksum_keeps_nothing(tmp_path: Path, server: Server) -> None:
    server.publish("ml-latest-small.zip", CSV, "ml-latest-small")
    server.files["ml-latest-small.zip.md5"] = b"0" * 32 + b"  ml-latest-small.zip\n"
    with pytest.raises(DataError, match="MD5"):
        download.fetch("latest-small", tmp_path / "data", base_url=server.url)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_set_that_never_changes_must_not(tmp_path: Path, server: Server) -> None:
    server.publish("ml-1m.zip", DAT, "ml-1m")
    with pytest.raises(DataError, match="has always been c4d9eecfca2ab87c1945afe126590906"):
        download.fetch("1m", tmp_path, base_url=server.url)
    assert server.ranges == []


def test_no_network_no_archive_and_no_such_set(tmp_path: Path, server: Server) -> None:
    with pytest.raises(DataError, match="cannot fetch") as error:
        download.fetch("latest-small", tmp_path, base_url=server.url)
    assert "404" in error.value.message
    server.files["ml-latest-small.zip.md5"] = b"<html>sign in</html>"
    with pytest.raises(DataError, match="holds no MD5"):
        download.fetch("latest-small", tmp_path, base_url=server.url)
    server.files["ml-latest-small.zip.md5"] = b"0" * 32
    with pytest.raises(DataError, match="cannot fetch"):
        download.fetch("latest-small", tmp_path, base_url=server.url)
    with pytest.raises(DataError, match="cannot fetch"):
        download.fetch("latest-small", tmp_path, base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="unknown MovieLens set"):
        download.fetch("7b", tmp_path)


def test_the_cache_folder_follows_zsrec_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "data"


def test_popularity_counts_users_not_events() -> None:
    from zsrec.data.history import Event, History
    from zsrec.retrieval import popularity

    def rated(*ids: str) -> History:
        return History(events=tuple(Event(item=item_id, by="id") for item_id in ids))

    histories = [rated("a", "a", "a", "b"), rated("b", "c"), rated("c", "b")]
    assert popularity(histories) == ("b", "c", "a")
    assert popularity([History(events=(Event(item="Heat", by="title"),))]) == ()
