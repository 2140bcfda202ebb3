"""Answers in Chinese: book-title marks, full-width numbers and stops, labels, reasons without capitals."""

from __future__ import annotations

import pytest

from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.grounding import read_answer
from zsrec.answers.parser import parse
from zsrec.data.catalog import Catalog
from zsrec.recommender import citations, first_sentence

THREE = ["活着", "三体", "围城"]
LISTS = {
    "marks": "1、《活着》\n2、《三体》\n3、《围城》",
    "stops": "1、活着\n2、三体\n3、围城",
    "wide digits": "１．活着\n２．三体\n３．围城",
    "wide brackets": "（1）《活着》\n（2）《三体》\n（3）《围城》",
    "square brackets": "【1】活着\n【2】三体\n【3】围城",
    "han": "一、《活着》\n二、《三体》\n三、《围城》",
    "han with a counter": "第一部：《活着》\n第二部：《三体》\n第三部：《围城》",
    "rings": "①活着\n②三体\n③围城",
    "packed": "1、《活着》2、《三体》3、《围城》",
    "packed with stops": "我推荐：1.《活着》；2.《三体》；3.《围城》。",
    "other quotes": "1、〈活着〉\n2、「三体」\n3、『围城』",
    "bullets": "・活着\n・三体\n・围城",
    "bare lines with talk": "好的，以下是推荐的书籍：\n活着\n三体\n围城\n希望您喜欢！",
    "a comma list": "推荐：活着、三体、围城",
    "a sentence": "根据您的喜好，我推荐《活着》、《三体》和《围城》。",
    "authors before": "1. 余华《活着》\n2. 刘慈欣《三体》\n3. 钱钟书的《围城》",
    "kinds before": "1. 小说《活着》\n2. 小说《三体》\n3. 小说《围城》",
    "labels": "书名：《活着》\n理由：感人\n书名：《三体》\n理由：精彩\n书名：《围城》\n理由：幽默",
    "reasons": "1. 《活着》：讲述了一个人的一生。\n2. 《三体》——科幻巨作\n3. 《围城》，钱钟书的小说。",
    "bare reasons": "1. 活着：福贵坎坷的一生。\n2. 三体：刘慈欣的科幻小说，很精彩。\n3. 围城：讲述知识分子的婚姻",
    "json": '["活着", "三体", "围城"]',
    "json with wide marks": "[“活着”，“三体”，“围城”]",
}


@pytest.mark.parametrize("form", LISTS)
def test_the_titles_are_found(form: str) -> None:
    answer = LISTS[form]
    mentions = parse(answer)
    assert [mention.text for mention in mentions] == THREE
    assert all(answer[mention.start : mention.end] == mention.text for mention in mentions)


def test_reasons_are_kept() -> None:
    assert [mention.reason for mention in parse(LISTS["bare reasons"])] == [
        "福贵坎坷的一生",
        "刘慈欣的科幻小说,很精彩",
        "讲述知识分子的婚姻",
    ]


@pytest.mark.parametrize(
    "title", ["一一", "十二怒汉", "第一滴血", "希望", "以下", "四百击", "好的", "一个都不能少", "七武士"]
)
def test_titles_that_look_like_marks_or_talk_stay_whole(title: str) -> None:
    assert [mention.text for mention in parse(f"1. {title}\n2. 活着")] == [title, "活着"]
    assert [mention.text for mention in parse(f"{title}\n活着")] == [title, "活着"]


def test_two_titles_joined_by_and_are_not_one_with_a_name_before_it() -> None:
    (mention,) = parse("1. 活着和《三体》")
    assert mention.text != "三体"


def test_years_in_wide_brackets_choose_between_versions() -> None:
    catalog = Catalog.from_items(
        [
            {"id": "1", "title": "霸王别姬 (1993)"},
            {"id": "2", "title": "霸王别姬 (2018)"},
            {"id": "3", "title": "英雄 (2002)"},
        ]
    )
    grounder = Grounder(catalog)
    for answer in (
        "1、《霸王别姬》（1993）\n2、《英雄》（2002年）",
        "1. 霸王别姬（1993年）：经典。\n2. 英雄（2002）",
    ):
        found = read_answer(answer, grounder, context=Context()).grounded
        assert [one.match.item_id for one in found] == ["1", "3"], answer


def test_a_chinese_sentence_cites_in_book_title_marks() -> None:
    catalog = Catalog.from_items([{"id": title, "title": title} for title in THREE])
    sentence = first_sentence("因为您喜欢《活着》，所以推荐它。此外还有别的。")
    assert sentence == "因为您喜欢《活着》，所以推荐它。"
    (cited,) = citations(sentence, catalog["三体"], (catalog["活着"],), Grounder(catalog))
    assert (cited.grounded.match.item_id, cited.status) == ("活着", "history")
