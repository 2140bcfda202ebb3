"""The service's own histories, and the journal behind them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from zsrec.core.errors import DamagedError, DataError
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback
from zsrec.data.interactions import Contact, Interactions
from zsrec.retrieval import Cooccurrence, ItemKNN, Lexical, Popularity, top
from zsrec.retrieval.lists import Backed
from zsrec.serving.histories import UserHistories

KNOWN = Interactions.from_contacts([Contact("u", "a", 0), Contact("u", "b", 1), Contact("v", "a", 2)])


def event(item: str, feedback: Feedback = Feedback.SEEN) -> Event:
    return Event(item=item, by="id", feedback=feedback)


def items(histories: UserHistories, user: str) -> list[str]:
    found = histories.of(user)
    return [] if found is None else [one.item for one in found.events]


def test_the_interactions_give_the_history() -> None:
    histories = UserHistories()
    assert histories.of("u") is None
    histories.serve(KNOWN, None)
    assert items(histories, "u") == ["a", "b"]
    assert histories.of("nobody") is None
    found = histories.of("u")
    assert found is not None
    assert found.user == "u"


def test_feedback_counts_at_once_for_the_user_and_for_others(tmp_path: Path) -> None:
    retriever = Backed(Cooccurrence(KNOWN), Popularity(KNOWN))
    histories = UserHistories(tmp_path / "journal.jsonl")
    histories.serve(KNOWN, retriever)
    assert top(retriever.first, ["b"], 5).ids == ("a",)
    histories.add("v", [event("b"), event("new", Feedback.LIKED), event("bad", Feedback.DISLIKED)])
    assert items(histories, "v") == ["a", "b", "new", "bad"]
    assert set(top(retriever.first, ["b"], 5).ids) == {"a", "new"}  # what is disliked is no contact
    histories.add("v", [event("a", Feedback.LIKED)])
    assert items(histories, "v") == ["b", "new", "bad", "a"]  # the newest event of an item counts
    histories.serve(KNOWN, ItemKNN(KNOWN))  # a retriever that does not learn


def test_feedback_is_kept_beside_a_retriever_of_texts() -> None:
    films = Catalog(["a", "b"], ["Heat", "Ronin"], domain="movies")
    histories = UserHistories()
    for retriever in (Lexical(films), Backed(Lexical(films), Popularity(KNOWN))):
        histories.serve(KNOWN, retriever)
        histories.add("v", [event("b")])
        assert items(histories, "v")[:2] == ["a", "b"]


def test_a_restart_reads_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    first = UserHistories(journal)
    assert not journal.exists()
    first.add("new user", [event("a"), event("b", Feedback.DISLIKED)])
    first.add("u", [event("b")])
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"user": "u", "ev')  # killed in the middle of a line
    again = UserHistories(journal)
    assert len(again) == 3
    retriever = Cooccurrence(KNOWN)
    again.serve(KNOWN, retriever)
    found = again.of("new user")
    assert found is not None
    assert found.events == (event("a"), event("b", Feedback.DISLIKED))
    assert retriever.sequences.users_per_item.tolist() == [3, 1]  # u had b already
    again.add("u", [event("a")])
    assert len(UserHistories(journal)) == 4
    assert json.loads(journal.read_text("utf-8").splitlines()[-1])["event"]["item"] == "a"


def test_a_broken_journal_names_its_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    UserHistories(journal).add("u", [event("a")])
    journal.write_text(journal.read_text("utf-8") + "[]\n", encoding="utf-8")
    with pytest.raises(DamagedError, match=r"journal\.jsonl:2"):
        UserHistories(journal)
    journal.write_bytes(b"\xff\n")
    with pytest.raises(DataError):
        UserHistories(journal)
    lost = UserHistories(tmp_path / "no" / "such")
    with pytest.raises(DataError, match="cannot be written"):
        lost.add("u", [event("a")])
    assert len(lost) == 0
