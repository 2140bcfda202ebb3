"""Sections: the speakers' turns, reasoning before the answer, and lists of what is not recommended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from zsrec.answers.text_spans import Skip, Span, has_word, lines
from zsrec.answers.wording import is_heading

_LONGEST_TURN = 20_000  # ten times the longest answers that name items
_MOST_TURNS = 30
_USER = "human|user|you|me|customer|client|question|instruction|input|prompt|seeker"
_USER += "|用户|使用者|人类|问题|ユーザー|質問"
_MODEL = "assistant|ai|bot|chatbot|system|model|recommender|chatgpt|gpt|助手|系统|助理|アシスタント"
_FINAL = (
    r"(?:(?:so,? )?(?:the|my|here is (?:the|my)) )?final (?:answer|response|output|results?|recommendations?|list"
)
_FINAL += r"|picks?|ranking|order|selections?|suggestions?|choices?)|here is my (?:answer|response)"
_FINAL += r"|最终(?:答案|推荐|结果|列表)"
_ANSWER = rf"(?:the |my )?(?:answer|response|output|results?)|{_FINAL}|回答|答案|推荐结果|输出"
_ANSWER = _ANSWER.replace(" ", r"\ ")  # it becomes a part of a verbose pattern
_ROLE = f"(?:{_USER}|{_MODEL}|{_ANSWER})"
_MARK = re.compile(
    rf"""
    \[\|(?:{_ROLE})?\|?\]?                      # [|Human|], and broken ones: [|AI|, [|
    | \[(?:human|user|assistant|ai)\]
    | <\|?(?:im_start|start_header_id|start_of_turn|start)\|?>[ \t]{{0,4}}(?:{_ROLE})?(?:<\|end_header_id\|>)?
    | <\|[a-z][a-z_]{{0,24}}\|>                   # <|im_end|>, <|endoftext|>, <|user|>
    | <end_of_turn> | </?s> | \[/?INST\] | <</?SYS>>
    | </?(?P<tag>(?:final|(?:final_?)?(?:answer|response|output|solution|results?|recommendation)))>
    | (?P<box>\\boxed[ ]?\{{(?:\\text\{{)?)
    # User:, ### Human:, **Assistant:**, ## Final answer, **Answer**
    | ^[ \t]{{0,8}}(?:\#{{1,6}}[ \t]{{0,4}}|(?:\*\*|__)[ \t]{{0,4}}|>[ \t]{{0,4}})?
      (?:{_USER}|{_MODEL}|(?P<label>{_ANSWER}))(?:[ \t]\d{{1,2}}(?=[ \t]{{0,4}}[:：*]))?[ \t]{{0,4}}(?:\*\*|__)?
      [ \t]{{0,4}}[:：](?:\*\*|__)?
    | ^[ \t]{{0,8}}(?:\#{{1,6}}[ \t]{{1,4}}(?:\*\*)?|\*\*)(?P<title>{_ANSWER})\*{{0,2}}[ \t]{{0,4}}$
    | ^[ \t]{{0,8}}\#{{2,4}}[ \t]{{0,4}}(?:{_ROLE}|end)?[ \t]{{0,4}}$
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_IS_USER = re.compile(rf"(?<![a-z])(?:{_USER})(?![a-z])|\[INST\]", re.IGNORECASE)
_IS_FINAL = re.compile(
    rf"{_FINAL}|boxed|final|solution|(?:START|begin)_?(?:of_)?(?:RESPONSE|answer)", re.IGNORECASE
)
_OPENS_ANSWER = re.compile(r"<\|(?:START_RESPONSE|begin_of_(?:solution|answer|response))\|>", re.IGNORECASE)
_CONTENT = re.compile(r"[^\W_]|[\[{]")

Role = Literal["model", "user", "answer"]


class Turn(NamedTuple):
    """One speaker's stretch of the text; "answer" is what the model itself calls its answer."""

    start: int
    end: int
    role: Role
    final: bool = False


def turns(text: str) -> list[Turn]:
    """The turns that have words, the likeliest to hold the answer first.

    What the model calls its answer comes first, unless a user speaks before it; then its other turns in order; a
    user's own only where there is nothing else. Reasoning before an answer is left out.
    """
    found = _split(text)
    user = next((place for place, turn in enumerate(found) if turn.role == "user"), len(found))
    if not any(turn.role == "answer" for turn in found[: user or None]):
        found = [part for turn in found for part in _picks(text, turn)]
        user = next((place for place, turn in enumerate(found) if turn.role == "user"), len(found))
    answers = [turn for turn in found[: user or None] if turn.role == "answer"]
    if answers:
        found = [turn for turn in found if turn.start >= answers[0].start or not _is_reasoning(text, turn)]
    answers.sort(key=lambda turn: not turn.final)  # stable
    return [*answers, *sorted((one for one in found if one not in answers), key=lambda one: one.role == "user")]


def has_answer_mark(text: str) -> bool:
    """Whether the model says where its answer begins."""
    return any(_role(mark) == "answer" for mark in _MARK.finditer(text))


def _split(text: str) -> list[Turn]:
    found: list[Turn] = []
    start, final = 0, False
    role: Role = "model"
    for mark in _MARK.finditer(text):
        if (turn := _turn(text, start, mark.start(), role, final)) is not None:
            found.append(turn)
            if len(found) == _MOST_TURNS:
                return found
        start, role, final = mark.end(), _role(mark), _IS_FINAL.search(mark[0]) is not None
    turn = _turn(text, start, len(text), role, final)
    return found if turn is None else [*found, turn]


def _role(mark: re.Match[str]) -> Role:
    opens = mark["tag"] and not mark[0].startswith("</")
    if opens or mark["box"] or mark["label"] or mark["title"] or _OPENS_ANSWER.match(mark[0]):
        return "answer"
    return "user" if _IS_USER.search(mark[0]) else "model"


def _turn(text: str, start: int, end: int, role: Role, final: bool) -> Turn | None:
    content = _CONTENT.search(text, start, end)
    if content is None or not has_word(text, start, end):
        return None
    start = max(start, text.rfind("\n", start, content.start()) + 1)
    return Turn(start, min(end, start + _LONGEST_TURN), role, final)


_HEAD = r"^[ \t]{0,8}(?:\#{1,6}[ \t]{1,4}|(?:[-*•][ \t]{1,4})?\*\*[ \t]{0,4}|__)?"
_REASONING = re.compile(
    _HEAD
    + r"(?:(?:my |the |your |user(?:'s)? )?(?:reasoning|analysis|thinking|thoughts?|thought process|rationale"
    r"|understanding|observations?|considerations?|(?:taste |user )?profile|preferences?|tastes?|step[ \t]?\d{1,2}"
    r"|let(?:'s| me) think|genres?|themes?|key (?:themes|patterns|factors)|patterns?))\b[^\n:：]{0,60}"
    r"(?:[:：]|\*\*[ \t]*$|__[ \t]*$|$)"
    r"|^[ \t]{0,8}(?:let(?:'s| me) think|step by step|分析|思考|推理)",
    re.IGNORECASE | re.MULTILINE,
)
_PICKS = re.compile(
    _HEAD
    + r"(?:so,? |therefore,? )?(?:(?:here are |these are )?(?:my |the |your |top |our )?(?:\d{1,2} )?(?:top )?"
    r"(?:recommendations?|recommended (?:\w{1,12})|suggestions?|picks?|(?:movie|film|book) (?:recommendations?"
    r"|picks?)|conclusion|ranking|ranked list|list)|推荐(?:列表|清单)?)(?![a-z])[^\n:：.]{0,40}(?:[:：]|\*\*["
    r" \t]*$|__[ \t]*$|$)",
    re.IGNORECASE | re.MULTILINE,
)


def _is_reasoning(text: str, turn: Turn) -> bool:
    return _REASONING.search(text, turn.start, turn.end) is not None


def _picks(text: str, turn: Turn) -> Iterator[Turn]:
    """The turn, cut at the heading of its list where reasoning comes before that."""
    reasoning = _REASONING.match(text, turn.start, turn.end) if turn.role == "model" else None
    heading = _PICKS.search(text, reasoning.end(), turn.end) if reasoning else None
    answer = heading and _turn(text, heading.end(), turn.end, "answer", False)
    if heading is None or answer is None:
        yield turn
        return
    yield Turn(turn.start, heading.start(), "model")
    yield answer


_KNOWN_WORDS = frozenset(
    "watched watching seen history viewing liked loved enjoyed favorites favourites rated".split()
)
_OTHER_WORDS = frozenset(
    "your the user's users user my previously recently already movies movie films film titles books shows"
    " items you've you have been has i i've and of list watch reading read input viewing past".split()
)
_AVOID = re.compile(
    r"\b(?:avoid|skip|not (?:be )?recommend\w*|(?:do not|don't|would not|wouldn't) (?:recommend|watch|like"
    r"|enjoy)|may not (?:like|enjoy)|might not (?:like|enjoy)|not for you|stay away|steer clear|excluded?"
    r"|rejected|ruled out|discarded|filtered out|less suitable|worst|poor (?:fit|match)|dis-?recommend\w*|不推荐"
    r"|避免)\b",
    re.IGNORECASE,
)
_LABEL_LINE = re.compile(
    r"[ \t]{0,8}(?:\#{1,6}[ \t]{1,4})?[^\w\s*\[{(\"'#-]{0,4}[ \t]{0,2}(?:\*\*|__)?"
    r"(?P<name>[^\W\d_][^\n:：*_]{1,60})(?:\*\*|__)?[ \t]{0,4}(?:(?P<colon>[:：])(?:\*\*|__)?(?P<rest>[^\n]*)|$)"
)
_IS_ITEM = re.compile(r"[ \t]{0,12}(?:[-*•+>][ \t]|[#(\[]?\d{1,3}[.):\]])")


def unwanted(text: str, span: Span) -> Iterator[Skip]:
    """The sections of a turn that list what is to be avoided, or what the user knows already, under a heading.

    A heading ends with a colon, or is bold or a Markdown heading; its section ends at the next heading. What the
    user knows is left out only where another section remains.
    """
    sections: list[tuple[int, int, str | None]] = []
    start, why = span[0], None
    for begin, end in lines(text, *span):
        line = text[begin:end]
        if not line.strip() or _IS_ITEM.match(line) or (kind := _kind(line)) is None:
            continue
        heading, rest = kind
        if rest:
            if heading == "avoid":
                yield Skip(begin, end, "avoid")
            continue
        sections.append((start, begin, why))
        start, why = begin, heading or None
    sections.append((start, span[1], why))
    for begin, end, why in sections:
        if why == "avoid" or (why == "known" and _has_others(text, sections)):
            yield Skip(begin, end, why)


def _has_others(text: str, sections: Iterable[tuple[int, int, str | None]]) -> bool:
    return any(why is None and has_word(text, begin, end) for begin, end, why in sections)


def _kind(line: str) -> tuple[str, bool] | None:
    """What a heading opens ("" for anything else), and whether a text follows on its line; None for no heading."""
    match = _LABEL_LINE.match(line)
    if match is None:
        return None
    rest = (match["rest"] or "").strip(" *_\t")
    name = match["name"].strip().lower().replace("’", "'")
    if not match["colon"] and not (line.lstrip().startswith(("#", "**", "__"))):
        return None
    if _AVOID.search(name):
        return "avoid", bool(rest)
    words = name.split()
    if _KNOWN_WORDS.intersection(words) and all(word in _KNOWN_WORDS or word in _OTHER_WORDS for word in words):
        return "known", bool(rest)
    return ("", bool(rest)) if match["colon"] or is_heading(name) else None
