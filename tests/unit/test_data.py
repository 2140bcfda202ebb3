from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from zsrec import data
from zsrec.data import movielens as source
from zsrec.errors import ConfigError, DataError


def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha256: str | None = None) -> Path:
    """A stand-in archive at a local address."""
    path = tmp_path / "ml-latest-small.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("ml-latest-small/movies.csv", "movieId,title,genres\n1,Heat (1995),Crime\n")
        file.writestr("ml-latest-small/ratings.csv", "userId,movieId,rating,timestamp\n1,1,4.0,10\n")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(source.ARCHIVES, "latest-small", source.Archive(path.as_uri(), sha256 or right))
    return path


def test_the_sample_is_what_its_readme_says(movielens: data.Dataset) -> None:
    assert (len(movielens.catalog), len(movielens.histories)) == (1297, 50)
    assert sum(map(len, movielens.histories.values())) == 3223
    ids = {event.item for history in movielens.histories.values() for event in history.events}
    assert all(item_id in movielens.catalog for item_id in ids)
    folder = Path(data.__file__).parent / "movielens_sample"
    assert "redistribute" in (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Harper" in (folder / "README.md").read_text(encoding="utf-8")


def test_fetch_checks_unpacks_and_does_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = serve(tmp_path, monkeypatch)
    seen: list[int] = []
    folder = data.fetch("latest-small", tmp_path / "data", on_bytes=lambda done, _: seen.append(done))
    assert data.load(folder).histories["1"].events[0].feedback == "liked"
    assert seen[-1] == archive.stat().st_size
    archive.unlink()
    assert data.fetch("latest-small", tmp_path / "data") == folder
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ml-latest-small"]


def test_a_wrong_checksum_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(tmp_path, monkeypatch, sha256="0" * 64)
    with pytest.raises(DataError, match="SHA-256"):
        data.fetch("latest-small", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_no_network_and_no_such_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(tmp_path, monkeypatch).unlink()
    with pytest.raises(DataError, match="cannot fetch"):
        data.fetch("latest-small", tmp_path / "data")
    with pytest.raises(ConfigError, match="unknown MovieLens set"):
        data.fetch("7b", tmp_path)


def test_popularity_counts_users_not_events() -> None:
    from zsrec.candidates import popularity
    from zsrec.types import Event, History

    def rated(*ids: str) -> History:
        return History(events=tuple(Event(item=item_id, by="id") for item_id in ids))

    histories = [rated("a", "a", "a", "b"), rated("b", "c"), rated("c", "b")]
    assert popularity(histories) == ("b", "c", "a")
    assert popularity([History(events=(Event(item="Heat", by="title"),))]) == ()
