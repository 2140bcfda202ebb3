"""Wording: what a line or a remark is by its words (a label, talk, a reason, a heading, a title)."""

from __future__ import annotations

import re

from zsrec.answers.text_spans import YEAR

SMALL = frozenset(
    "a an and as at au but by d' da das de del der des di du e el en et for from i in into is it its l' la le les"
    " lo los n' nor o' of off on onto or out over per the to und up upon v via von vs vs. with without y &".split()
)
"""Words that stay small inside a title."""

GENRES = frozenset(
    "action adventure animated animation anime art biographical biography biopic blockbuster caper christmas"
    " classic comedies comedy coming-of-age courtroom crime cult dark disaster documentary drama dramas dramedy"
    " dystopian epic espionage family fantasy feel-good film-noir fiction foreign gangster gothic heist"
    " historical history holiday horror indie legal martial arts medical melodrama military mockumentary monster"
    " music musical mystery neo-noir noir nonfiction non-fiction paranormal parody period political"
    " psychological road rom-com romance romantic satire satirical sci-fi science slasher slice-of-life spy"
    " sport sports steampunk superhero supernatural survival suspense suspenseful teen thriller thrillers"
    " time-travel tragedy true war western westerns whodunit young adult zombie".split()
)
"""Words of genre labels: "Crime Drama" behind a title is an annotation, not a subtitle."""

_GENERIC = re.compile(
    r"\b(?:movies?|films?|books?|shows?|series|recommendations?|recommended|suggestions?|picks?|titles?|options?|items?"
    r"|products?|favou?rites|classics|comedies|dramas|thrillers|documentaries)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^[*_\s]*(?:genres?|director|directed by|stars?|starring|cast|runtime|budget|box office|imdb(?: rating)?"
    r"|rating|score|synopsis|plot|summary|year|release(?:d| date| year)?|reason|why(?: it'?s recommended|"
    r" you'?ll \w+)?|description|note|language|country|author|writers?|length|duration|themes?|tone|style"
    r"|overview|similarit(?:y|ies)|tagline|rotten tomatoes|where to watch|available on|explanation|key \w+"
    r"|confidence(?: score)?|(?:\w+ )?(?:score|rating)|match|probability|relevance|rank|ranking|position|price"
    r"|platform|streaming(?: on)?|network|seasons?|episodes?|studios?|producers?|composer|rated|age|awards?"
    r"|publisher|pages|category|categories|moods?|vibe|setting|keywords?|tags?|subgenres?|(?:main )?actors?|main"
    r" cast|analysis|reasoning|thinking|rationale|justification|id|source|status|format|popularity|votes?"
    r"|metacritic|letterboxd|similar(?: to| movies| films)?|because you (?:liked|watched|enjoyed)|if you"
    r" (?:liked|like|enjoyed)|fun fact|best for|pros?|cons?|comments?|why (?:it|this) \w+(?: \w+){0,3}"
    r"|(?:推荐)?理由|导演|主演|作者|类型|年份|评分|简介|剧情|出版社|价格|说明)\b[*_\s]*[:：]",
    re.IGNORECASE,
)
_YEAR_LABEL = re.compile(
    r"[*_\s]*(?:(?:release )?year|release(?:d| date)|年份)[*_\s]*[:：][*_\s]*\D{0,20}((?:18|19|20)\d\d)\b",
    re.IGNORECASE,
)
_TALK = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|definitely|okay|ok|great|yes|no problem|yeah|hi|hello|hey"
    r"|thanks?|thank you|you'?re welcome|sorry|unfortunately|however|note|please|enjoy|i|i'm|i'd|i'll|i've|i"
    r" hope|i can|i am|i would|i have|i think|here|here'?s|here are|based|these|this list|the following|the user"
    r"|as an|as for|let me|let us|let's|if you|since you|given|considering|because|happy|hope|feel free|would"
    r" you|do you|can you|could you|what|which|how about|how|my|your|recommendations?|my recommendations"
    r"|recommended \w+|output|answer|titles?|other recommendations|movies?|films?|watch history|history)"
    r"(?=[\s,:!.]|$)",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"^\W*(?:directed|dir\.|starring|stars|featuring|feat\.|written|voiced) ?(?:by|and|with)?\b", re.IGNORECASE
)
_REASON_START = re.compile(
    r"^\W*(?:based|set in|released|follows?|tells|because|which|about|it'?s|it is|this|another|similar|known"
    r"|winner|won|with its|a (?:\w+ ){0,3}(?:film|movie|book|story|comedy|drama|thriller|series|classic|tale"
    r"|look))\b",
    re.IGNORECASE,
)
_REASON_START_HAN = re.compile(
    r"^\W*(?:讲述|描[写绘述]|这[是部本款门]|该[片书]|一[部本款门首位个]|因为|由于|改编|导演|作者|主演|适合)"
)
_TALK_HAN = re.compile(
    r"^\W*(?:好的[,，!！。]|抱歉|对不起|我无法|当然[,，!！。]|以下[是为]|希望[您你]|根据[您你]|祝[您你]|如果[您你])"
)
_TAG_MARK = re.compile(r"[;|]|,\s")
_FOUR_DIGITS = re.compile(r"\d{4}")
_MEDIA = frozenset("animated animation anime documentary short musical".split())
_RATING = re.compile(
    r"^\W*(?:\d{1,3}\.\d{1,4}\W*$|\d{1,3}(?:\.\d+)?\s?(?:/\s?\d{1,3}|%|stars?|minutes|mins?)|[★☆⭐]+|(?:imdb|score|rating)\b)",
    re.I,
)
_WORD = re.compile(r"[^\s,;:.!?\"“”()\[\]《》「」、。，]+")


def is_label(text: str) -> bool:
    """Whether a line gives a property ("Director: …") and no title."""
    return _LABEL.match(text[:60]) is not None


def year_label(text: str) -> str | None:
    """The year that a line such as "Year: 2004" gives."""
    label = _YEAR_LABEL.match(text[:80])
    return label[1] if label else None


def is_talk(text: str) -> bool:
    """Whether a line speaks to the reader ("Here are …", "Enjoy!") instead of naming an item.

    A line that begins like talk may still be a title ("What Women Want"): then its words are capitalised.
    """
    if text.rstrip("*_ ").endswith((":", "：")) or _TALK_HAN.match(text[:20]):
        return True
    return _TALK.match(text[:80]) is not None and capitalised(text) < 0.99


def capitalised(text: str) -> float:
    """The share of words written as in a title, in [0, 1]; small words count only in front."""
    found = [word for word in _WORD.findall(text[:300]) if any(c.isalnum() for c in word)]
    counted = [word for place, word in enumerate(found) if place == 0 or word.lower() not in SMALL]
    if not counted:
        return 0.0
    return sum(not _starts_lower(word) for word in counted) / len(counted)


def _starts_lower(word: str) -> bool:
    letter = next((c for c in word if c.isalnum()), "x")
    return letter.islower() and not any(c.isupper() for c in word)  # "iPhone" and "WALL-E" are fine


def is_title(text: str) -> bool:
    """Whether a whole stretch can be a title by its form."""
    if len(text) > 200 or is_label(text):
        return False
    text = YEAR.sub("", text).strip()
    if text.isascii() and text.endswith(".") and len(text.split()) > 6:
        return False
    if not text or text[-1] in "。！？" or len(_WORD.findall(text)) > 14:
        return False
    return capitalised(text) >= 0.75


def is_reason(text: str) -> bool:
    """Whether what stands behind a title and a separator is about the item, and not the rest of its title."""
    text = text[:240].strip(" *_\t-–—:")
    if not text:
        return False
    if is_credit(text) or _RATING.match(text) or is_label(text) or _REASON_START_HAN.match(text[:20]):
        return True
    if _REASON_START.match(text) and capitalised(text) < 1:  # not "A Star Wars Story"
        return True
    found = _WORD.findall(text)
    names = [part for word in found for part in word.lower().split("/") if any(c.isalnum() for c in part)]
    if not found or _only_genres(names):
        return bool(found)
    rest = [word for word in found if word.lower() not in SMALL]
    lower = sum(_starts_lower(word) for word in rest)
    if _starts_lower(found[0]) and found[0].lower() not in {"the", "and", "of", "vs", "vs."} and lower:
        return True
    if lower >= 3 or (len(found) >= 4 and lower * 2 >= len(rest)):
        return True
    return (text.endswith(".") and len(found) >= 5 and lower >= 1) or any(c in text for c in "。，")


def is_credit(text: str) -> bool:
    """Whether a stretch names makers or actors ("starring Al Pacino", "directed by …")."""
    return _CREDIT.match(text[:40]) is not None


def is_remark(text: str) -> bool:
    """Whether brackets behind a title hold an annotation.

    Not so for what tells one version from another ("TV series", "animated"): that belongs to the title.
    """
    names = [word.lower() for word in _WORD.findall(text)]
    tags = (len(_TAG_MARK.findall(text)) > 0 and not any(c.isupper() for c in text)) or text.count(";") > 1
    listed = tags and len(names) > 1 and not _FOUR_DIGITS.search(text)
    return listed or is_credit(text) or is_label(text) or (_only_genres(names) and not _MEDIA.intersection(names))


def _only_genres(names: list[str]) -> bool:
    words = [name for name in names if name not in SMALL]
    return bool(words) and all(
        word in GENRES or all(part in GENRES for part in word.split("-") if part) for word in words
    )


def is_heading(text: str) -> bool:
    """Whether a line names a group of items ("Action movies:", "**Drama**")."""
    text = text.strip(" *_#:：\t")
    if not text or YEAR.search(text):
        return False
    return _only_genres(_WORD.findall(text.lower())) or _GENERIC.search(text) is not None
