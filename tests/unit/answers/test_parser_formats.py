"""What models write, and the titles that stand in it."""

from __future__ import annotations

import pytest

from zsrec.answers.parser import PARSERS, parse
from zsrec.core.errors import ConfigError

HEAT, RONIN, THIEF = "Heat", "Ronin", "Thief"


def titles(answer: str, **how: object) -> list[str]:
    mentions = parse(answer, **how)  # type: ignore[arg-type]
    for mention in mentions:
        assert answer[mention.start : mention.end] == mention.text
    return [mention.text for mention in mentions]


@pytest.mark.parametrize(
    "answer",
    [
        "1. Heat\n2. Ronin\n3. Thief",
        "1) Heat\n2) Ronin\n3) Thief",
        "(1) Heat\n(2) Ronin\n(3) Thief",
        "[1] Heat\n[2] Ronin\n[3] Thief",
        "#1 Heat\n#2 Ronin\n#3 Thief",
        "#1. Heat\n#2. Ronin\n#3. Thief",
        "**1.** Heat\n**2.** Ronin\n**3.** Thief",
        "**1. Heat**\n**2. Ronin**\n**3. Thief**",
        "1. **Heat**\n2. **Ronin**\n3. **Thief**",
        "## 1. Heat\nA duel.\n## 2. Ronin\nA chase.\n## 3. Thief\nA job.",
        "1: Heat\n2: Ronin\n3: Thief",
        "1 - Heat\n2 - Ronin\n3 - Thief",
        "1.Heat\n2.Ronin\n3.Thief",
        "1.\nHeat\n2.\nRonin\n3.\nThief",
        "1\ufe0f\u20e3 Heat\n2\ufe0f\u20e3 Ronin\n3\ufe0f\u20e3 Thief",
        "\u2460 Heat\n\u2461 Ronin\n\u2462 Thief",
        "Movie 1: Heat\nMovie 2: Ronin\nMovie 3: Thief",
        "A) Heat\nB) Ronin\nC) Thief",
        "1. Heat 2. Ronin 3. Thief",
        "1) Heat, 2) Ronin, 3) Thief",
        "Here are three: 1) Heat; 2) Ronin; 3) Thief.",
        "1、Heat\n2、Ronin\n3、Thief",
        "１．Heat\n２．Ronin\n３．Thief",
        "- Heat\n- Ronin\n- Thief",
        "* Heat\n* Ronin\n* Thief",
        "• Heat\n• Ronin\n• Thief",
        "・Heat\n・Ronin\n・Thief",
        "🎬 Heat\n🎬 Ronin\n🎬 Thief",
        "> 1. Heat\n> 2. Ronin\n> 3. Thief",
        "Heat\nRonin\nThief",
        "**Heat**\n**Ronin**\n**Thief**",
        '"Heat"\n"Ronin"\n"Thief"',
        "Title: Heat\nYear: 1995\n\nTitle: Ronin\nYear: 1998\n\nTitle: Thief\nYear: 1981",
        "1. Title: Heat\n2. Title: Ronin\n3. Title: Thief",
        "Heat, Ronin, Thief",
        "Heat, Ronin, and Thief.",
        "Heat; Ronin; Thief",
        "Heat | Ronin | Thief",
        "Heat • Ronin • Thief",
        "《Heat》、《Ronin》、《Thief》",
        "「Heat」、「Ronin」、「Thief」",
        "<ol><li>Heat</li><li><b>Ronin</b></li><li>Thief</li></ol>",
        "1. [Heat](https://example.com/a)\n2. [Ronin](https://example.com/b)\n3. [Thief](https://example.com/c)",
        "| # | Movie | Genre |\n|---|---|---|\n| 1 | Heat | a |\n| 2 | Ronin | b |\n| 3 | Thief | c |",
        "Movie | Why\n--- | ---\nHeat | tense\nRonin | fast\nThief | neon",
        '["Heat", "Ronin", "Thief"]',
        '["1. Heat", "2. Ronin", "3. Thief"]',
        "['Heat', 'Ronin', 'Thief']",
        "[“Heat”, “Ronin”, “Thief”]",
        '```json\n["Heat",\n "Ronin",\n "Thief",\n]\n```',
        'Sure! {"recommendations": ["Heat", "Ronin", "Thief"]} Enjoy!',
        '{"1": "Heat", "2": "Ronin", "3": "Thief"}',
        '{"Heat": "a duel", "Ronin": "a chase", "Thief": "a job"}',
        '[{"title": "Heat"}, {"title": "Ronin"}, {"title": "Thief"}]',
        '{"movies": [{"name": "Heat", "rank": 1}, {"name": "Ronin"}, {"name": "Thief", "genres": ["Crime"]}]}',
        '{"movie": {"title": "Heat"}}\n{"movie": {"title": "Ronin"}}\n{"movie": {"title": "Thief"}}',
        '["Heat", "Ronin", "Thief", "The Good, the B',
        '[{"title": "Heat"}, {"title": "Ronin"}, {"title": "Thief", "reas',
        "I'd recommend Heat, Ronin, and Thief.",
        "I think you would enjoy *Heat*, *Ronin* and *Thief*.",
        'You should watch "Heat", "Ronin" and also "Thief".',
        "How about Heat, Ronin, or Thief?",
        "Sure thing. Heat, Ronin, Thief. Enjoy!",
        "Try Heat. Another great choice is Ronin. You can't go wrong with Thief either.",
        "我推荐《Heat》、《Ronin》和《Thief》。",
    ],
)
def test_three_films_in_every_format(answer: str) -> None:
    assert titles(answer) == [HEAT, RONIN, THIEF]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Heat", ["Heat"]),
        ("Frozen 2", ["Frozen 2"]),
        ("Answer: Ronin", ["Ronin"]),
        ("**Ronin (1998)**", ["Ronin (1998)"]),
        ('The next movie is most likely "Ronin (1998)".', ["Ronin (1998)"]),
        ("Heat (1995) and Ronin (1998) are my picks.", ["Heat (1995)", "Ronin (1998)"]),
        ("The Godfather is a classic. It is set in New York.", ["The Godfather"]),
        ("I recommend The Lord of the Rings trilogy.", ["The Lord of the Rings trilogy"]),
        ("What about Up? It's a lovely film. How about Coco?", ["Up", "Coco"]),
        (
            "Try Mr. & Mrs. Smith, Kill Bill: Vol. 2, and E.T. the Extra-Terrestrial.",
            ["Mr. & Mrs. Smith", "Kill Bill: Vol. 2", "E.T. the Extra-Terrestrial"],
        ),
        (
            "Other options include Harry Potter and the Sorcerer's Stone, The Chronicles of Narnia: The Lion, the"
            " Witch and the Wardrobe, and Pan's Labyrinth.",
            [
                "Harry Potter and the Sorcerer's Stone",
                "The Chronicles of Narnia: The Lion, the Witch and the Wardrobe",
                "Pan's Labyrinth",
            ],
        ),
        ("300: Rise of an Empire\n12 Angry Men\n2001: A Space Odyssey", None),
        ("7. 12 Monkeys\n8. 21 Jump Street", ["12 Monkeys", "21 Jump Street"]),
        ("How to Lose a Guy in 10 Days\nWhat Women Want\nHere Comes the Boom", None),
        ("おすすめ：千と千尋の神隠し、となりのトトロ", ["千と千尋の神隠し", "となりのトトロ"]),
        ("1、《霸王别姬》：经典之作\n2、《活着》", ["霸王别姬", "活着"]),
    ],
)
def test_other_answers(answer: str, expected: list[str] | None) -> None:
    assert titles(answer) == (answer.split("\n") if expected is None else expected)


@pytest.mark.parametrize(
    "answer",
    [
        "Heat (crime) and Ronin (thriller)",
        "Heat (crime) and Ronin (thriller) are great.",
        "I'd recommend Heat (crime) and Ronin (thriller) to you.",
        "I'd recommend Heat (a crime film) or Ronin (also crime) because they are dark.",
        "You might like Heat (drama) & Ronin.",
        "Heat (crime), Ronin (thriller)",
    ],
)
def test_brackets_and_an_and_part_two_titles(answer: str) -> None:
    assert titles(answer) == [HEAT, RONIN]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Heat (1995) and Ronin", ["Heat (1995)", "Ronin"]),
        ("I recommend Heat (1995) and Ronin (1998).", ["Heat (1995)", "Ronin (1998)"]),
        ("I recommend Heat (1995) and I think you will like it.", ["Heat (1995)"]),
        ("Try Heat (crime), Ronin (crime) and Thief (crime).", [HEAT, RONIN, THIEF]),
        ("Heat (crime), Ronin (crime) and Thief (crime) are all good.", [HEAT, RONIN, THIEF]),
        ("I recommend Romeo and Juliet (drama) and Heat (crime).", ["Romeo and Juliet", "Heat"]),
        ("Michael Mann (director) and Al Pacino (actor) made it together.", []),
    ],
)
def test_brackets_and_an_and_in_other_places(answer: str, expected: list[str]) -> None:
    assert titles(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n\t\n",
        "...",
        "Sure, what genre are you in the mood for?",
        "I'm sorry, but as an AI language model I cannot watch movies.",
        "What kind of movies do you like?",
        "Great special effects, epic battles, emotional moments, and a satisfying conclusion to the saga.",
        "Sure! Here are some movies you might enjoy:",
        "[]",
        "{}",
        '{"error": "no movies"}',
    ],
)
def test_nothing_is_recommended(answer: str) -> None:
    assert titles(answer) == []


@pytest.mark.parametrize(
    ("preamble", "behind"),
    [
        ("Sure! Here are three movies:\n\n", ""),
        ("Based on your love of Alien, here are 3 films like Aliens:\n\n", "\n\nIf you liked Alien, enjoy!"),
        ("You watched:\n1. Alien\n2. Aliens\n\nRecommendations:\n", ""),
        ("Sigourney Weaver plays in Alien. ", "\n\nNote: These are based on Aliens (1986)."),
        ("**Recommendations:**\n", "\n\nI hope you enjoy these movies, all of them better than Alien!"),
    ],
)
def test_talk_around_a_list_is_not_recommended(preamble: str, behind: str) -> None:
    assert titles(f"{preamble}\n1. Heat\n2. Ronin\n3. Thief{behind}") == [HEAT, RONIN, THIEF]


@pytest.mark.parametrize(
    "answer",
    [
        "Based on your love of Heat, I recommend Ronin and nothing else.",
        "Since you enjoyed Heat and Thief, you'll probably love Ronin.",
        "If you liked Heat, you might like Ronin.",
        "Because you watched Heat (1995), try Ronin.",
        "I recommend Ronin, which is similar to Heat.",
        "Ronin is a heist film with great actors like Robert De Niro and Jean Reno.",
        "You should watch Ronin because it stars Robert De Niro, known for Heat.",
        "根据您对《Heat》的喜爱，我推荐《Ronin》。",
        "「Heat」がお好きなら、「Ronin」がおすすめです。",
        '{"history": ["Heat", "Thief"], "next": "Ronin"}',
        "| Watched | Recommended |\n|---|---|\n| Heat | Ronin |",
    ],
)
def test_what_the_user_knows_is_not_recommended(answer: str) -> None:
    assert titles(answer) == [RONIN]


def test_titles_of_the_history_are_left_out_of_sentences() -> None:
    answer = "Heat is a great film. Ronin is a great film."
    assert titles(answer) == [HEAT, RONIN]
    assert titles(answer, echo=["Heat (1995)"]) == [RONIN]


def test_descriptions_under_an_item_are_not_items() -> None:
    answer = (
        "1. Heat\n   - Director: Michael Mann\n   - A crime film\n2. Ronin\n   * Starring Robert De Niro\n3. Thief"
    )
    assert titles(answer) == [HEAT, RONIN, THIEF]
    assert titles("**Heat**\n- Director: Michael Mann\n- Genre: Crime\n\n**Ronin**\n- Genre: Action") == [
        HEAT,
        RONIN,
    ]


def test_items_under_a_heading_are_items() -> None:
    assert titles("1. **Crime Movies**\n   - Heat\n   - Ronin\n2. **Drama Movies**\n   - Thief") == [
        HEAT,
        RONIN,
        THIEF,
    ]
    assert titles("* **Crime**\n    * Heat\n    * Ronin\n* **Drama**\n    * Thief") == [HEAT, RONIN, THIEF]
    assert titles("1. Crime: Heat, Ronin\n2. Drama: Thief, Up") == [HEAT, RONIN, THIEF, "Up"]
    assert titles("**Crime**\n1. Heat\n2. Ronin\n\n**Drama**\n1. Thief") == [HEAT, RONIN, THIEF]


def test_a_loop_counts_once() -> None:
    looping = "1. Heat\n2. Ronin\n" * 40 + "1. Heat\n2. Ro"
    assert titles(looping) == [HEAT, RONIN, "Ro"]
    assert titles("Heat\n" * 200) == [HEAT]
    assert titles('["Heat", ' + '"Heat", "Ronin", ' * 50) == [HEAT, RONIN]


def test_a_second_list_behind_invented_thanks_is_no_answer() -> None:
    assert titles("1. Heat\n2. Ronin\n\nThank you! Can you recommend a comedy?\n\n1. Airplane!\n2. Up") == [
        HEAT,
        RONIN,
    ]


PAIRS = [
    "1. Alien - Heat\n2. Aliens - Ronin",
    '1. "Alien" - "Heat"\n2. "Aliens" - "Ronin"',
    "Alien -> Heat\nAliens -> Ronin",
    "- Alien → Heat\n- Aliens → Ronin",
    "Alien | Heat\nAliens | Ronin",
    "1. **Alien** – **Heat**\n2. **Aliens** – **Ronin**",
    "[1. Alien - Heat]\n[2. Aliens - Ronin]",
    '[["Alien", "Heat"], ["Aliens", "Ronin"]]',
    "| Watched | Candidate |\n|---|---|\n| Alien | Heat |\n| Aliens | Ronin |",
]


@pytest.mark.parametrize("answer", PAIRS)
def test_pairs_in_both_orders(answer: str) -> None:
    assert titles(answer, side="right") == [HEAT, RONIN]
    assert titles(answer, side="left") == ["Alien", "Aliens"]


def test_a_line_without_a_pair_is_one_title() -> None:
    assert titles("1. Alien - Heat\n2. Ronin", side="right") == [HEAT, RONIN]


@pytest.mark.parametrize("style", sorted(PARSERS))
def test_every_style_reads_every_format(style: str) -> None:
    for answer in ('["Heat", "Ronin"]', "1. Heat\n2. Ronin", "Heat, Ronin", "I recommend Heat. Try Ronin."):
        assert titles(answer, style=style) == [HEAT, RONIN]


def test_the_style_decides_where_an_answer_holds_two_formats() -> None:
    answer = '1. Heat\n2. Ronin\n\n["Thief"]'
    assert titles(answer, style="numbered") == [HEAT, RONIN]
    assert titles(answer, style="json") == [THIEF]


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="numberd") as caught:
        parse("1. Heat", style="numberd")
    assert "json, numbered, titles" in str(caught.value)
    with pytest.raises(ConfigError, match="middle"):
        parse("1. Heat", side="middle")  # type: ignore[arg-type]
