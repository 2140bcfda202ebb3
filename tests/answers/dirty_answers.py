"""Answers as models write them: lists of real titles in many formats, with the habits of models around them.

`answers()` crosses formats with lists of titles and habits; each answer comes with the items that it recommends.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Film(NamedTuple):
    """A film of ml-latest-small."""

    id: str
    title: str
    year: int

    @property
    def dated(self) -> str:
        return f"{self.title} ({self.year})"


class Case(NamedTuple):
    """An answer and the ids that it recommends, in order."""

    form: str
    name: str
    text: str
    items: tuple[str, ...]


LISTS: dict[str, tuple[Film, ...]] = {
    "plain": (Film("8798", "Collateral", 2004), Film("139644", "Sicario", 2015), Film("51540", "Zodiac", 2007)),
    "long": (
        Film("318", "The Shawshank Redemption", 1994),
        Film("7361", "Eternal Sunshine of the Spotless Mind", 2004),
        Film("1136", "Monty Python and the Holy Grail", 1975),
        Film("58559", "The Dark Knight", 2008),
    ),
    "commas": (
        Film("1201", "The Good, the Bad and the Ugly", 1966),
        Film("8644", "I, Robot", 2004),
        Film("50", "The Usual Suspects", 1995),
        Film("88163", "Crazy, Stupid, Love", 2011),
    ),
    "marks": (
        Film("3623", "Mission: Impossible II", 2000),
        Film("1573", "Face/Off", 1997),
        Film("5618", "Spirited Away", 2001),
        Film("86911", "The Hangover Part II", 2011),
    ),
    "numbers": (
        Film("6953", "21 Grams", 2003),
        Film("924", "2001: A Space Odyssey", 1968),
        Film("51662", "300", 2007),
        Film("2572", "10 Things I Hate About You", 1999),
    ),
    "small": (
        Film("68954", "Up", 2009),
        Film("106920", "Her", 2013),
        Film("97921", "Silver Linings Playbook", 2012),
        Film("2959", "Fight Club", 1999),
    ),
}
REASONS = (
    "a tense night in the city",
    "great acting and a dark mood",
    "because you like slow thrillers",
    "fun to watch",
)

Format = Callable[[Sequence[Film]], str]


def lines(form: str, sep: str = "\n") -> Format:
    """One item per line; `form` has {n}, {title}, {year}, {dated} and {reason}."""

    def write(films: Sequence[Film]) -> str:
        return sep.join(
            form.format(n=n, title=film.title, year=film.year, dated=film.dated, reason=REASONS[(n - 1) % 4])
            for n, film in enumerate(films, start=1)
        )

    return write


def objects(films: Sequence[Film], *, title: str = "title", **more: bool) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for n, film in enumerate(films, start=1):
        row: dict[str, object] = {"rank": n} if more.get("rank") else {}
        row[title] = film.title
        row |= {"year": film.year} if more.get("year") else {}
        row |= {"reason": REASONS[(n - 1) % 4]} if more.get("reason") else {}
        found.append(row)
    return found


LINED: dict[str, Format] = {
    "numbered": lines("{n}. {dated}"),
    "numbered without years": lines("{n}. {title}"),
    "numbered in bold": lines("{n}. **{dated}**"),
    "numbered with reasons": lines("{n}. {dated} - {reason}"),
    "numbered in bold with reasons": lines("{n}. **{title}** ({year}): {reason}"),
    "numbered in quotes": lines('{n}) "{title}"'),
    "numbered with hashes": lines("#{n} {dated}"),
    "numbered in brackets": lines("[{n}] {dated}"),
    "numbered, blank lines": lines("{n}. {title}", "\n\n"),
    "numbered headings": lines("### {n}. {dated}\n{reason}.", "\n\n"),
    "numbered with notes below": lines("{n}. **{dated}**\n   - Genre: Drama\n   - Why: {reason}"),
    "bullets": lines("- {dated}"),
    "bullets in bold": lines("* **{title}** ({year})"),
    "bullets with reasons": lines("- {dated}: {reason}"),
    "bullets with tags": lines("- {title} (drama;slow;dark;city)"),
    "round bullets": lines("• {title}"),
    "labels": lines("Title: {title}\nYear: {year}\nScore: 9", "\n\n"),
    "labels in bold": lines("**Title:** {title}\n**Reason:** {reason}", "\n\n"),
    "labelled bullets": lines("- **Title:** {title}\n- **Year:** {year}\n- **Score:** 8", "\n\n"),
    "yaml": lines("- title: {title}\n  year: {year}"),
    "bare": lines("{dated}"),
    "bare with scores": lines("{dated}\nRating: 9/10\nConfidence: high", "\n\n"),
    "year first": lines("{n}. ({year}) {title}"),
    "emoji": lines("🎬 {dated}"),
}
INLINE: dict[str, Format] = {
    "commas with years": lines("{dated}", ", "),
    "quotes and commas": lines('"{title}"', ", "),
    "semicolons": lines("{title}", "; "),
    "bars": lines("{title}", " | "),
    "tight bars": lines("{title}", "|"),
    "greater than": lines("{dated}", " > "),
    "arrows": lines("{title}", " → "),
    "thin arrows": lines("{dated}", " -> "),
    "numbers in a line": lines("{n}. {title}", " "),
}
STRUCTURED: dict[str, Format] = {
    "json strings": lambda films: json.dumps([film.title for film in films]),
    "json strings with years": lambda films: json.dumps([film.dated for film in films], indent=2),
    "json objects": lambda films: json.dumps(objects(films, year=True, reason=True)),
    "pretty json": lambda films: json.dumps(objects(films, reason=True), indent=2),
    "pretty json in a box": lambda films: json.dumps({"recommendations": objects(films, year=True)}, indent=4),
    "json by number": lambda films: json.dumps(
        {str(n): film.title for n, film in enumerate(films, start=1)}, indent=2
    ),
    "json, ranks backwards": lambda films: json.dumps(objects(films, rank=True)[::-1], indent=2),
    "json, other names": lambda films: json.dumps({"picks": objects(films, title="movie_name", reason=True)}),
    "json with the history": lambda films: json.dumps(
        {"watched": ["Alien (1979)", "Heat (1995)"], "recommended": [film.dated for film in films]}
    ),
    "json with what to avoid": lambda films: json.dumps(
        {"recommendations": objects(films), "avoid": [{"title": "Alien (1979)"}]}, indent=2
    ),
    "json with sources": lambda films: json.dumps(
        [{"because_you_liked": "Alien (1979)", "title": film.dated} for film in films]
    ),
    "a list in a string": lambda films: json.dumps({"answer": lines("{n}. {dated}")(films)}),
    "raw line breaks": lambda films: json.dumps(objects(films, reason=True)).replace(" and ", "\nand "),
    "no commas": lambda films: (
        json.dumps(objects(films, year=True)).replace(", {", " {").replace(', "year', ' "year')
    ),
    "single quotes": lambda films: str([film.title for film in films]),
    "bare keys": lambda films: re.sub(r'"(title|year)"', r"\1", json.dumps(objects(films, year=True))),
    "trailing commas": lambda films: (
        json.dumps(objects(films), indent=1).replace("}", ",}").replace("\n]", ",\n]")
    ),
    "cut": lambda films: json.dumps(objects(films, reason=True))[:-1] + ', {"title": "The Departe',
    "json lines": lambda films: "\n".join(map(json.dumps, objects(films, rank=True))),
    "escaped": lambda films: json.dumps(json.dumps(objects(films))),
    "table": lambda films: "| # | Movie | Year |\n|---|---|---|\n" + lines("| {n} | {title} | {year} |")(films),
    "html": lambda films: "<ol>\n" + lines("<li>{dated}</li>")(films) + "\n</ol>",
    "tags": lambda films: "<answer>" + lines("{n}. {dated}")(films) + "</answer>",
}

HABITS: dict[str, str] = {
    "alone": "{}",
    "small talk": "Sure! Based on your love of Alien (1979), here are some films you might enjoy:\n\n{}\n\nEnjoy!",
    "think": "<think>\nThey liked Alien (1979).\n1. Alien (1979)\n2. Heat (1995)\n</think>\n\n{}",
    "template opened the thought": "Maybe Alien (1979)? No.\n</think>\n\n{}",
    "magistral": "[THINK]\n1. Alien (1979)\n[/THINK]\n{}",
    "command": "<|START_THINKING|>Heat (1995)?<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "harmony": "analysisThe user likes Alien (1979).assistantfinal{}",
    "fence": "```\n{}\n```",
    "reasoning first": "**Reasoning:** You like dark films such as Alien (1979).\n\n**Answer:**\n{}",
    "steps": "Step 1: The user watched Alien (1979).\nStep 2: Find films like it.\n\nFinal answer:\n{}",
    "analysis": "## Analysis\n- You like crime\n- You watched Heat (1995)\n\n## Output\n{}",
    "history first": "Already watched:\n- Alien (1979)\n- Heat (1995)\n\nRecommendations:\n{}",
    "what to avoid": "{}\n\nMovies to skip:\n- Alien (1979)\n- Heat (1995)",
    "another turn": "{}\n\nUser: Thanks! What else?\nAssistant: 1. Alien (1979)",
}
STRUCTURED_HABITS = ("alone", "small talk", "think", "fence", "reasoning first", "harmony")


def answers() -> Iterator[Case]:
    """All combinations that a model may write, each once."""
    for name, films in LISTS.items():
        items = tuple(film.id for film in films)
        for form, write in LINED.items():
            habits = HABITS if name == "plain" else ("alone", "small talk", "reasoning first")
            for habit in habits:
                yield Case(form, f"{form}, {name}, {habit}", HABITS[habit].format(write(films)), items)
        for form, write in INLINE.items():
            yield Case(form, f"{form}, {name}, alone", write(films), items)
        for form, write in STRUCTURED.items():
            for habit in STRUCTURED_HABITS if name == "plain" else ("alone", "small talk"):
                yield Case(form, f"{form}, {name}, {habit}", HABITS[habit].replace("{}", write(films)), items)


def broken_json(seed: int = 7) -> Iterator[Case]:
    """JSON with one thing lost or added at a random place; no title is harmed."""
    rng = random.Random(seed)

    def at(text: str, char: str) -> int:
        return rng.choice([place for place, one in enumerate(text) if one == char])

    def lost(char: str) -> Callable[[str], str]:
        def write(text: str) -> str:
            place = at(text, char)
            return text[:place] + text[place + 1 :]

        return write

    def raw_break(text: str) -> str:
        place = at(text, " ")
        return f"{text[:place]}\n{text[place + 1 :]}"

    def doubled_comma(text: str) -> str:
        place = at(text, ",")
        return f"{text[:place]},{text[place:]}"

    breaks = {f"lost {char}": lost(char) for char in ',":{}[]'}
    breaks |= {"raw break": raw_break, "doubled comma": doubled_comma}
    for name, films in LISTS.items():
        for text in (
            json.dumps([film.title for film in films]),
            json.dumps(objects(films, reason=True, year=True)),
            json.dumps(objects(films, reason=True), indent=2),
            json.dumps({"recommendations": objects(films, rank=True)}, indent=1),
        ):
            for what, write in breaks.items():
                if what.startswith("lost") and what[-1] not in text:
                    continue
                for _ in range(3):
                    yield Case(what, name, write(text), tuple(film.id for film in films))
