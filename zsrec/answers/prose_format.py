"""Sentences: titles inside running text.

A title in prose is taken only where something points at it: a cue ("I'd recommend", "such as", "options
include:"), quotes or emphasis around it, a year behind it, or its place as the subject of a description ("Heat is
a …"). What follows "since you liked" or "similar to" is what the user knows, and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zsrec.answers.inline_format import JOINT, WORD, is_item, split_list, title_run
from zsrec.answers.text_spans import MARKED, YEAR, Piece, Span, has_word, trim
from zsrec.answers.wording import SMALL, is_remark, is_talk

_KNOWN = (
    r"(?:since|because|as|if|given that|considering(?: that)?) (?:you|the user|they)(?:'?ve| have| also| really|"
    r" may| might| already|'re| are| were){0,3}(?: (?:like|love|enjoy|watch|see|mention|rate|appreciate)(?:d|s"
    r"|ed)?| seen| a fan of| into| looking for)?|based (?:up)?on|given your|considering your|inspired by|as a"
    r" fan of|fans? of|lovers? of|who (?:like|love|enjoy)(?:d|s|ed)?|similar(?:ly)? to|reminiscent of|in the"
    r" (?:vein|style|spirit) of|compar(?:ed|able) to|along the lines of|just like|you(?:'?ve| have)? (?:also "
    r"|already |recently |previously |really )?(?:liked|loved|enjoyed|watched|seen|mentioned|rated)|(?:i"
    r"|we)(?:'?ve| have)? (?:also |already )?(?:seen|watched)|your (?:love|interest|enjoyment|appreciation"
    r"|liking|fondness) (?:of|for|in)|(?:sequel|prequel|follow-up|companion) to|based off|known for|starred in"
    r"|appeared in|roles? in|(?:actors?|actress(?:es)?|directors?|stars?|cast|performances?|writers?|authors?"
    r"|characters?|themes?|elements?|genres?)(?: \w{1,20}){0,2} (?:like|such as|includ\w{1,4}|by|from)|starring"
    r"|directed by|written by|produced by|featuring|played by|because|set in|(?:director|creators?|makers?"
    r"|writer) of|instead of|rather than|other than|apart from|besides|unlike|than"
)
_KNOWN_CJK = "根据|基于|由于|因为|如果你喜欢|如果您喜欢|你喜欢|您喜欢|看过|类似于?|気に入|好きな方"
_CUE = (
    r"recommend(?:ed|ing|ation(?:s)?)?(?: you| that you)?(?: (?:watch(?:ing)?|check(?:ing)? out|try(?:ing)?|the"
    r" (?:movies?|films?)|would be|is|are))?|suggest(?:ed|ing|ions?)?(?: (?:watching|trying|the (?:movies?"
    r"|films?)|would be|is|are))?|(?:to )?try|watch|check(?:ing)? out|consider(?:ing)?|how about|what about"
    r"|(?:might|may|will|would|(?:you|they|i)['’]ll|could|can|should|also)(?: also| really| probably| definitely"
    r"| likely| surely| absolutely| find| even){0,2} (?:enjoy|like|love|appreciate|watch|see|want to (?:watch"
    r"|see)|be interested in)|such as|like|includ(?:e|es|ing)|(?:options?|choices?|picks?|ones?|titles?|movies?"
    r"|films?|books?|pick|next|one)(?: \w+){0,3} (?:is|are|would be|might be|could be)|go with|go for|look into"
    r"|start with|don'?t miss|can'?t go wrong with|give|there(?:'s| is| are)|or maybe|perhaps|maybe|for example"
    r"|e\.g\.|namely"
)
_CUE_CJK = "推荐|推薦|建议|试试|不妨|可以看|包括|比如|例如"
_SWITCH = re.compile(
    rf"(?P<known>(?<![^\W_])(?:{_KNOWN})(?![a-z])|{_KNOWN_CJK})|(?P<cue>(?<![^\W_])(?:{_CUE})(?![a-z])|{_CUE_CJK})"
    r"|(?P<colon>(?<=[^\W\d_])[:：](?=\s|[\"“《「『]))|(?P<clause>,(?= (?-i:I|I'd|you|then|we|here|my|try"
    r"|how about|check|consider)\b))",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"(?:(?<![A-Z])(?<!\b[A-Z][a-z])(?<!\bvs)(?<!\bVol)(?<!\bMrs)\.|[!?])[.!?]{0,9}[\"”']?(?=\s)|[。！？]|\n"
)
_LIKED_BEHIND = re.compile(r"[》」』\"”]?\s?(?:が(?:お)?好き|をご?覧|を見|を観|的(?:爱好|喜爱|喜欢))")
_SUBJECT = re.compile(
    r"(?=(?:,[^,.!?\n]{1,80},)? (?:is|was|are|tells|follows|stars|features|offers|has) (?:an?|the|one|also"
    r"|set|about|it)?\b)"
)
_ANNOTATED = re.compile(r"(?:\s?[(\[（]([^()\[\]（）\n]{1,100})[)\]）])?(?:,\s|$)")
_PRONOUNS = frozenset(
    "it this that these those he she they we you i there here what which who where when why how all one both"
    " each some"
    " many the".split()
) | {"the film", "the movie", "the plot", "the story", "the book", "this film", "this movie"}


def prose_pieces(text: str, span: Span) -> list[Piece]:
    """The titles that sentences point at, in order."""
    return [piece for sentence in _sentences(text, *span) for piece in _sentence(text, *sentence)]


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    for stop in _STOP.finditer(text, start, end):
        if stop.end() > start and text[start : stop.end()].strip():
            yield start, stop.end()
        start = stop.end()
    if text[start:end].strip():
        yield start, end


def _sentence(text: str, start: int, end: int) -> list[Piece]:
    """The titles of one sentence: each cue opens a stretch that may name items, each "known" one that may not."""
    found: list[Piece] = []
    opened: str | None = None
    begin = start
    for switch in _SWITCH.finditer(text, start, end):
        if not _is_switch(text, start, switch):
            continue
        kind = switch.lastgroup
        if kind != "colon" or not _heads_marks(text, begin, switch):
            found += _stretch(text, begin, switch.start(), opened, first=begin == start)
        if kind == "colon" and not _ends_talk(text, start, switch.start()):
            found = [piece for piece in found if piece.end <= begin]
            begin = begin if opened != "known" else switch.end()
            if opened != "known":
                continue
        opened = None if kind == "clause" else kind
        begin = switch.end()
    return found + _stretch(text, begin, end, opened, first=begin == start)


def follows_known(text: str, start: int, end: int) -> bool:
    """Whether what follows a stretch is what the user knows: "since you liked …", and no cue behind it."""
    kinds = [found.lastgroup for found in _SWITCH.finditer(text, start, end) if _is_switch(text, start, found)]
    return kinds[-1:] == ["known"]


def _heads_marks(text: str, start: int, colon: re.Match[str]) -> bool:
    """Whether a stretch without marks or capitals only heads marked titles: "推荐以下三部电影：《…》"."""
    words = text[start : colon.start()]
    behind = MARKED.match(text, colon.end() + (text[colon.end() : colon.end() + 1] == " "))
    return (
        behind is not None and MARKED.search(words) is None and not any(c.isupper() or c.islower() for c in words)
    )


def _is_switch(text: str, start: int, switch: re.Match[str]) -> bool:
    # "Always Be My Maybe" has no cue in it: a capital is a cue's only where the sentence begins.
    return not switch[0][:1].isupper() or not has_word(text, start, switch.start()) or switch[0] in {"I", "I've"}


def _ends_talk(text: str, start: int, colon: int) -> bool:
    # "other movies you might enjoy:" opens a list; "Mission: Impossible" does not.
    word = text[start:colon].rsplit(None, 1)[-1:] or [""]
    if word[0].lower() in SMALL:  # "Dr. Strangelove or: …"
        return False
    return not word[0][:1].isupper() or (len(text[start:colon].split()) == 1 and is_talk(text[start:colon]))


def _stretch(text: str, start: int, end: int, opened: str | None, *, first: bool) -> list[Piece]:
    if opened == "known" or not has_word(text, start, end):
        return []
    inside = (match.span(match.lastgroup or 0) for match in MARKED.finditer(text, start, end))
    quoted = [span for span in inside if not _LIKED_BEHIND.match(text, span[1]) and has_word(text, *span)]
    if quoted:
        return [_with_year(text, *span, end) for span in quoted]
    if opened in {"cue", "colon"}:
        return split_list(text, start, end, running=True)
    listed = split_list(text, *trim(text, start, end)) if first else []
    if len(listed) > 2 and all(is_item(text[piece.start : piece.end]) for piece in listed):
        return listed
    if first and (annotated := _annotated(text, *trim(text, start, end))):
        return annotated
    pieces = [_before_year(text, start, year) for year in YEAR.finditer(text, start, end)]
    if not pieces and first:
        pieces = _subject(text, start, end)
    return [piece for piece in pieces if piece.end > piece.start]


def _annotated(text: str, start: int, end: int) -> list[Piece]:
    """The titles of a sentence that begins like "Dracula (horror) and Frankenstein (horror) are …"; else empty."""
    joint = JOINT.search(text, start, end)
    title = joint and _ANNOTATED.match(text[title_run(text, start, joint.start()) : joint.start()])
    if not title or (title[1] and not is_remark(title[1])):
        return []
    return split_list(text, start, end, running=True)


def _with_year(text: str, start: int, stop: int, end: int) -> Piece:
    after = stop
    while after < end and (text[after] in "\"”“》」』*_»«'’‘ "):
        after += 1
    year = YEAR.match(text, after, end)
    return Piece(start, year.end() if year else stop)


def _before_year(text: str, start: int, year: re.Match[str]) -> Piece:
    """The title that ends at a year: the capitalised words before it."""
    words = list(WORD.finditer(text, max(start, year.start() - 100), year.start()))
    begin = last = year.start()
    for word in reversed(words):
        if text[word.end() : last].strip(" :*_-–'’"):
            break
        last = word.start()
        if word[0].lower() not in SMALL and word[0][:1].islower():
            break
        if word[0][:1].isupper() or word[0][:1].isdigit():
            begin = word.start()
    return Piece(begin, year.end() if begin < year.start() else begin)


def _subject(text: str, start: int, end: int) -> list[Piece]:
    begin, _ = trim(text, start, end)
    title = title_run(text, begin, end)
    if title <= begin or not _SUBJECT.match(text, title, end) or text[begin:title].lower() in _PRONOUNS:
        return []
    return [Piece(begin, title)]
