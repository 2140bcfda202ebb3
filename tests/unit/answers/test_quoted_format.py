"""Runs of marked titles inside a line, in several languages, with and without years and makers."""

from __future__ import annotations

from itertools import product

import pytest

from zsrec.answers.parser import parse

LATIN, HAN = ("Dune", "Hyperion", "The Martian"), ("活着", "三体", "围城")
MAKERS, YEARS = ("Frank Herbert", "Dan Simmons", "Andy Weir"), (1965, 1989, 2011)
LANGUAGES = {
    "en": (
        ("Try ", "Try: ", "I'd recommend ", "Here are three books: ", "Sure! Try ", "Recommended: ", ""),
        ('""', "“”", "**", "__", "''", "‘’"),
        (", ", ", or ", "; "),
        (", and ", " or "),
        " by ",
    ),
    "de": (
        ("Ich empfehle dir ", "Probier ", "Empfehlungen: ", "Dir könnten gefallen: ", ""),
        ("„“", "„”", "»«", "‚‘", '""'),
        (", ", "; "),
        (" und ", " oder "),
        " von ",
    ),
    "fr": (
        ("Je vous conseille ", "Essayez ", "Voici trois livres : ", ""),
        ("«»", "« »", "“”", "‹›"),
        (", ", "; "),
        (" et ", " ou "),
        " de ",
    ),
    "es": (("Te recomiendo ", "Mis recomendaciones: ", ""), ("«»", "“”"), (", ",), (" y ", " o "), " de "),
    "zh": (
        (
            "推荐以下三部电影：", "为您推荐三部电影:", "根据您的喜好，推荐以下三部电影：", "您可能会喜欢：", "",
        ),
        ("《》", "「」", "『』", "“”", "〈〉", "【】", '""'),
        ("", "、", "，", "；", " ", ", "),
        ("", "和", "以及"),
        "",
    ),
    "ja": (("次の3作品をおすすめします：", "おすすめ：", ""), ("「」", "『』"), ("", "、"), ("と",), ""),
}  # fmt: skip
ENDS = {"zh": ("", "。", "！", "。希望您喜欢！"), "ja": ("", "。")}


def marked(marks: str, title: str) -> str:
    return f"« {title} »" if marks == "« »" else f"{marks[0]}{title}{marks[1]}"


@pytest.mark.parametrize(
    ("language", "beside"),
    [
        (name, what)
        for name in LANGUAGES
        for what in ("nothing", "makers", "years")
        if what == "nothing" or LANGUAGES[name][4]
    ],
)
def test_every_title_of_a_run_is_found(language: str, beside: str) -> None:
    leads, marks, separators, joints, by = LANGUAGES[language]
    titles = LATIN if by else HAN
    behind = {
        "nothing": ("", "", ""),
        "makers": tuple(by + maker for maker in MAKERS),
        "years": tuple(f" ({year})" for year in YEARS),
    }[beside]
    for lead, mark, separator, joint, end in product(
        leads, marks, separators, joints, ENDS.get(language, ("", ".", "! Enjoy."))
    ):
        one, two, three = (marked(mark, title) + more for title, more in zip(titles, behind, strict=True))
        answer = f"{lead}{one}{separator}{two}{joint}{three}{end}"
        found = parse(answer)
        texts = [mention.text for mention in found]
        year = f" ({YEARS[0]})" if beside == "years" else ""
        assert len(texts) == 3, answer
        assert all(text.startswith(title) for text, title in zip(texts, titles, strict=True)), answer
        assert texts[0].endswith(year or titles[0]), answer
        assert all(answer[mention.start : mention.end] == mention.text for mention in found)


def test_the_maker_is_in_a_longer_reading() -> None:
    answer = 'Try "Dune" by Frank Herbert, or "Hyperion" by J. R. R. Simmons. Enjoy!'
    readings = [[answer[slice(*span)] for span in mention.readings] for mention in parse(answer)]
    assert 'Dune" by Frank Herbert' in readings[0]
    assert 'Hyperion" by J. R. R. Simmons' in readings[1]


def test_remarks_in_brackets_stand_between_titles() -> None:
    answer = "我推荐《活着》（讲述一个人的一生）、《三体》（科幻）和《围城》（幽默）。"
    assert [mention.text for mention in parse(answer)] == list(HAN)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ('Since you liked "Heat" and "Ronin", I recommend "Thief" and "Drive".', ["Thief", "Drive"]),
        ('You liked "Heat" and "Ronin". Try "Thief" or "Drive".', ["Thief", "Drive"]),
        ('Based on "Heat" and "Ronin", try "Thief".', ["Thief"]),
        ("根据《活着》和《三体》，推荐《围城》。", ["围城"]),
    ],
)
def test_what_the_user_knows_is_no_run(answer: str, wanted: list[str]) -> None:
    assert [mention.text for mention in parse(answer)] == wanted


@pytest.mark.parametrize("title", ["Schindler's List", "Ocean's Eleven"])
def test_apostrophes_do_not_close_single_quotes(title: str) -> None:
    assert [mention.text for mention in parse(f"Try '{title}' (1993), 'Heat' (1995).")] == [
        f"{title}' (1993)",
        "Heat' (1995)",
    ]


def test_a_label_in_bold_is_no_title() -> None:
    assert [mention.text for mention in parse("**My picks:** **Heat**, **Ronin** and **Thief**")] == [
        "Heat",
        "Ronin",
        "Thief",
    ]
