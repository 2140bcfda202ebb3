from __future__ import annotations

from zsrec.core.types import Grounded, Match, Mention
from zsrec.data.catalog import Catalog
from zsrec.ranking.fusion import fill, select


def named(item_id: str | None, reason: str | None = None) -> Grounded:
    match = (
        Match(item_id=item_id, score=0.9, method="exact")
        if item_id
        else Match(item_id=None, score=0.1, reason="not_in_catalog")
    )
    return Grounded(mention=Mention(text="x", start=0, end=1, reason=reason), match=match)


def test_the_answers_order_is_the_ranking(films: Catalog) -> None:
    chosen, dropped = select([named("3", "mind-bending"), named(None), named("1")], films, k=5, seen=())
    assert [(one.rank, one.item.id, one.score, one.reason) for one in chosen] == [
        (1, "3", 1.0, "mind-bending"),
        (2, "1", 0.5, None),
    ]
    assert dropped == ()


def test_everything_left_out_says_why(films: Catalog) -> None:
    mentions = [named("1"), named("1"), named("2"), named("3"), named("4"), named("5")]
    chosen, dropped = select(mentions, films, k=2, seen={"2"}, allowed={"1", "2", "4", "5"})
    assert [one.item.id for one in chosen] == ["1", "4"]
    assert [one.score for one in chosen] == [1.0, 1 / 4]
    assert [(one.grounded.match.item_id, one.why) for one in dropped] == [
        ("1", "duplicate"),
        ("2", "seen"),
        ("3", "not_a_candidate"),
        ("5", "beyond_k"),
    ]


def test_filled_places_are_marked_and_never_known_or_repeated(films: Catalog) -> None:
    chosen, _ = select([named("3")], films, k=4, seen={"1"})
    full = fill(chosen, films, k=4, seen={"1"}, pool=["1", "3", "absent", "2", "4", "5"], source="popularity")
    assert [(one.rank, one.item.id, one.source, one.score) for one in full] == [
        (1, "3", "llm", 1.0),
        (2, "2", "popularity", 0.0),
        (3, "4", "popularity", 0.0),
        (4, "5", "popularity", 0.0),
    ]
    assert full[1].provenance is None
