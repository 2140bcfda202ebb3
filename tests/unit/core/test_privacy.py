"""Personal data in the user's own words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError
from zsrec.core.privacy import Redaction
from zsrec.data.catalog import Catalog
from zsrec.recommender.recommender import Recommender

redact = Redaction(names=["Ann Smith", "Ann", "O'Neil", "山田太郎"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ann.b+x@mail.example.co.uk!", "write to [email]!"),
        ("(jörg@bücher.example)", "([email])"),
        ("card 4111 1111 1111 1111, please", "card [card], please"),
        ("5500-0000-0000-0004", "[card]"),
        ("378282246310005", "[card]"),
        ("call +49 (30) 123456-78 or 0171/2345678", "call [phone] or [phone]"),
        ("(555) 123-4567 ext", "[phone] ext"),
        ("0041 44 668 18 00", "[phone]"),
        ("+1 555 0100", "[phone]"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "[card]"),
        ("ann  smith and ANN and O'Neil", "[name] and [name] and [name]"),
        ("山田太郎 です", "[name] です"),
        # what stays
        ("Annie Hall, Cannes, Hannah and Her Sisters", "Annie Hall, Cannes, Hannah and Her Sisters"),
        ("films of 1990-1999, 2001 2003 2005, 12/05/1998", "films of 1990-1999, 2001 2003 2005, 12/05/1998"),
        ("2001: A Space Odyssey, 300, 1984, 10,000 BC", "2001: A Space Odyssey, 300, 1984, 10,000 BC"),
        ("@home, a@b, x@y.", "@home, a@b, x@y."),
        ("order 12345678", "order 12345678"),
        ("", ""),
    ],
)
def test_what_goes_and_what_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize("text", ["4111 1111 1111 1112", "1234567890123456"])
def test_a_number_that_fails_luhn_is_no_card(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_long_texts_take_linear_time() -> None:
    started = time.process_time()
    for evil in ("a" * 200_000, "a." * 100_000, "a@" * 100_000, "1 " * 100_000, "1()()" * 40_000, "+" * 200_000,
                 "a@" + "b." * 100_000, "ann " * 50_000):  # fmt: skip
        redact(evil)
    assert time.process_time() - started < 5.0


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty"):
        Redaction(names=[" "])


def test_nothing_of_it_reaches_the_model(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin (1998)")
    history = ["Heat (1995)", "My call with 4111 1111\u200b 1111 1111", "Thief (1981)"]
    with Recommender(films, llm=llm) as rec:
        plain = rec.with_redaction(Redaction(names=["Thief"]))
        found = plain.recommend(history, 3, about="mail me at\n ann@example\u200b.org, Thief")
        rec.recommend(history, 3, about="ann@example.org, Thief")
        rec.with_redaction(None).recommend(history, 3, about="ann@example.org")
    sent, by_default, unchanged = ("\n".join(one.content for one in request.messages) for request in llm.requests)
    assert "4111" not in sent
    assert "example" not in sent
    assert "My call with [card]" in sent
    assert "mail me at [email], [name]" in sent
    assert "Thief (1981)" in sent  # a title of the catalog is nobody's secret
    assert [one.item.id for one in found if one.source == "llm"] == ["2"]
    assert "[email], Thief" in by_default
    assert "My call with [card]" in by_default
    assert "ann@example.org" in unchanged
