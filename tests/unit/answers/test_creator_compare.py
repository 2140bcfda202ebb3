"""Names of creators."""

from __future__ import annotations

import pytest

from zsrec.answers.creator_compare import creator_agreement


@pytest.mark.parametrize(
    ("text", "creators"),
    [
        ("Jo Nesbo", ["Jo Nesbø", "Don Bartlett"]),
        ("R. J. Palacio", ["R.J. Palacio"]),
        ("['Albert Camus']", ["Albert Camus"]),
        ("Tina Turner", ["Ike & Tina Turner"]),
        ("Lloyd ft. Lil Wayne", ["Lloyd"]),
        ("Tim LaHaye and Jerry B. Jenkins", ["Tim LaHaye"]),
        ("The Beatles", ["Beatles"]),
        ("温子仁", ["温子仁"]),
    ],
)
def test_the_same(text: str, creators: list[str]) -> None:
    assert creator_agreement(text, creators) == 1.0


@pytest.mark.parametrize(
    ("text", "creators"),
    [("Mitch", ["Mitch Albom"]), ("Ernest Heming", ["Ernest Hemingway"]), ("Tolkien", ["J.R.R. Tolkien"]),
     ("Madeleine Langle", ["Madeleine L'Engle"])],
)  # fmt: skip
def test_a_part_or_a_slip_counts_less(text: str, creators: list[str]) -> None:
    assert 0.5 <= creator_agreement(text, creators) < 1.0


@pytest.mark.parametrize(
    ("text", "creators"),
    [("Dan Brown", ["Jennifer L. Armentrout"]), ("Freddie Jackson", ["Michael Jackson"]), ("", ["Seal"]),
     ("Prince Caspian Clive Staples Lewis", ["C.S. Lewis"])],
)  # fmt: skip
def test_another(text: str, creators: list[str]) -> None:
    assert creator_agreement(text, creators) == 0.0
