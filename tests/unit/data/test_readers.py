from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from zsrec.core.errors import BadRowError, ConfigError, MissingColumnError
from zsrec.data.history import Event, Feedback, History
from zsrec.data.readers import Columns, read_histories

CSV = "userId,movieId,rating,timestamp\nu,9,5.0,30\nu,8,1.0,10\nv,8,3.0,20\nu,7,3.0,10\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_events_are_in_the_order_of_time_and_ties_keep_the_files_order(tmp_path: Path) -> None:
    histories = read_histories(write(tmp_path, CSV), liked_from=4, disliked_to=2)
    assert [event.item for event in histories["u"].events] == ["8", "7", "9"]
    assert [event.feedback for event in histories["u"].events] == ["disliked", "seen", "liked"]
    assert histories["u"].events[2].time == datetime.fromtimestamp(30, UTC)
    assert {event.by for event in histories["u"].events} == {"id"}
    assert histories["v"].user == "v"


def test_only_some_users(tmp_path: Path) -> None:
    assert list(read_histories(write(tmp_path, CSV), users={"v"})) == ["v"]


def test_own_columns_and_iso_times(tmp_path: Path) -> None:
    path = write(tmp_path, "who,what,when\na,1,2026-01-02T03:04:05Z\na,2,2026-01-01\na,3,\n")
    columns = Columns(user="who", item="what", time="when", rating=None)
    assert [event.item for event in read_histories(path, columns=columns)["a"].events] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("row", "match"),
    [("u,,3,1", "is empty"), ("u,1,good,1", "'rating' is 'good'"), ("u,1,3,noon", "'timestamp' is 'noon'")],
)
def test_bad_rows_name_the_line(tmp_path: Path, row: str, match: str) -> None:
    with pytest.raises(BadRowError, match=match) as caught:
        read_histories(write(tmp_path, f"{CSV}{row}\n"))
    assert caught.value.line == 6


def test_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(
        MissingColumnError, match=r"no column 'stars'(.|\n)*; name yours with columns=Columns\(…\)"
    ):
        read_histories(write(tmp_path, CSV), columns=Columns(rating="stars"))


def test_a_history_is_built_in_words() -> None:
    history = History.of("Heat").like("Ronin").dislike("Cats").skip("Up", "It")
    assert [(event.item, event.feedback.value) for event in history.events] == [
        ("Heat", "seen"),
        ("Ronin", "liked"),
        ("Cats", "disliked"),
        ("Up", "skipped"),
        ("It", "skipped"),
    ]
    assert len(history.with_events([Event(item="x", feedback=Feedback.LIKED)])) == 6


def test_one_text_is_no_list_of_items() -> None:
    with pytest.raises(ConfigError, match="needs a list"):
        History().with_events("Heat")
