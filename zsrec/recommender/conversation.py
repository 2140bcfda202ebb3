"""Conversations: their turns and limits, and the items that they name.

A turn is text that anybody may have written. Titles in it are found by the catalog: text in quotes, runs of
capitalised words, and word sequences that are an item's whole name. What a sentence says of an item ("loved",
"hated", "never saw") is read from a short list of words where that is clear; otherwise the item was seen.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import ValidationError

from zsrec.answers.grounder import Grounder
from zsrec.answers.title_forms import Kind
from zsrec.core.errors import ConfigError, ConversationTooLongError
from zsrec.core.types import ConversationUse, Match, Mention, TurnMention
from zsrec.data.history import Event, Feedback, History, Turn
from zsrec.data.titles import content, key, words

MOST_TURNS = 200
"""Turns that a conversation may have."""

MOST_CHARACTERS = 4000
"""Characters that a turn may have."""

READ_CHARACTERS = 12_000
"""Characters of a conversation, its newest, that are looked through for titles; it bounds the time of a call."""

HEARD_CHARACTERS = 500
"""Characters of a conversation, its newest, that retrievers read (docs/strategy.md)."""

AnyTurn = Turn | tuple[str, str] | Mapping[str, str]
"""A turn as callers write it: ("user", "…"), {"role": "user", "text": "…"}, or a `Turn`."""

_LIST_OF_TITLES = 0.7  # an assistant's text of which more is titles is a list of them
_REMEMBERED = 2_000  # texts of turns whose titles are known
_LONGEST = 9  # words of a title that is found by its words alone
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*|&")
_QUOTED = re.compile(
    r"[\"“«《「]([^\"”»》」\n]{2,120})[\"”»》」]|(?<!\w)['‘]([A-Z][^'’\n]{2,80})['’](?!\w)|\*{1,2}([^*\n]{2,120})\*{1,2}"
)
_YEAR = re.compile(r"\s*[(\[]((?:18|19|20)\d\d)[)\]]")
_SENTENCE_END = re.compile(r"[.!?。！？;；\n]+(?=\s|$)|[。！？；]|\s(?:but|however|though)\s")
_COMMON = frozenset(
    """
    a about above action actually after again all also always am an and another any anything are around as ask
    at away back bad be because been before being best better big bored both but by bye call came can cant car
    check classic come comedy could crazy day days did didnt different do does doing dont down drama each else
    end enjoy enough even ever every everything family fan far fast favorite few film films find fine first
    for free fresh friday friend friends from full fun funny game get gets give go goes going gone good got
    great had happy has have hello help her here hey hi high him his hmm home hope horror how i if ill im in
    interesting into is it its ive just keep kind knew know last laugh least left let life like liked little
    live long look looking looks lot lots love loved made make makes man many may maybe me mean might mind
    mine more most movie movies much must my name never new next nice night no not nothing now of off oh ok
    okay old on once one only open or other our out over own past people perfect play please plot popular
    pretty probably quite rather read ready real really recent recommend right romance romantic same save saw
    say scary scene school sci-fi search see seem seen series she should show side since small so some
    something song soon sorry sound sounds speak star start still stop story such super sure take talk tell
    than thank thanks that the them then there these they thing things think this those though thought three
    time title to today together tomorrow tonight too top trailer true try two type under up us usually very
    wait want wanted was watch watched watching way we weekend welcome well were what whatever when where
    which while white who whole why will wish with wonderful work world would wow wrong yeah year years yes
    yet you young your zero
    """.split()
)
_UNSEEN = re.compile(
    r"\b(?:haven['’]?t|have not|never|hasn['’]?t|didn['’]?t|not yet|wanna|(?:want|need|have|plan|going|dying) to)"
    r"\s(?:\w+\s){0,3}?(?:see|seen|saw|watch|watched|heard)\b|没看过|沒看過|还没看|想看"
)
_DISLIKED = re.compile(
    r"\b(?:hate[ds]?|dislike[ds]?|awful|terrible|boring|bored|worst|disappoint\w*|overrated|annoying|stupid|sucked"
    r"|(?:no|nothing|not)\s+like)\b"
    r"|(?:\b(?:not|never|neither|dont|didnt)|n['’]t)\s(?:\w+\s){0,2}?(?:like|love|enjoy|care|fan|good|great|into|my)\w*"
    r"|不喜欢|讨厌|难看|不喜歡|討厭"
)
_LIKED = re.compile(
    r"\b(?:love[ds]?|lik(?:e|ed|es)|enjoy(?:ed|s)?|favou?rites?|faves?|fan of|amazing|awesome|great|excellent"
    r"|fantastic|wonderful|brilliant|good|funny|hilarious|best|similar to|adore[ds]?)\b"
    r"|喜欢|喜歡|最爱|最愛|好看|类似"
)

TurnFeedback = Literal["seen", "liked", "disliked", "unseen"]


def as_turns(conversation: Iterable[AnyTurn]) -> tuple[Turn, ...]:
    """A conversation's turns, oldest first.

    Raises:
        ConfigError: A turn is not a pair of role and text, or its role is neither "user" nor "assistant".
    """
    if isinstance(conversation, str):
        raise ConfigError("a conversation is a list of turns, not a text", hint='pass [("user", "…")]')
    return tuple(_turn(number, turn) for number, turn in enumerate(conversation, start=1))


def _turn(number: int, turn: AnyTurn) -> Turn:
    if isinstance(turn, Turn):
        return turn
    pair = {"role": turn[0], "text": turn[1]} if isinstance(turn, tuple | list) and len(turn) == 2 else turn
    try:
        return Turn.model_validate(pair, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the turn"
        raise ConfigError(
            f"conversation, turn {number}: {where}: {first['msg']}",
            hint='a turn is ("user", "…") or ("assistant", "…")',
        ) from None


def check_turns(
    turns: tuple[Turn, ...], most_turns: int = MOST_TURNS, most_characters: int = MOST_CHARACTERS
) -> None:
    """Checks a conversation's length.

    Raises:
        ConversationTooLongError: There are too many turns, or one is too long.
    """
    if len(turns) > most_turns:
        raise ConversationTooLongError(
            f"the conversation has {len(turns):,} turns, at most {most_turns:,} are allowed",
            hint="pass the newest turns only",
        )
    for number, turn in enumerate(turns, start=1):
        if len(turn.text) > most_characters:
            raise ConversationTooLongError(
                f"conversation, turn {number} has {len(turn.text):,} characters, at most {most_characters:,} are "
                "allowed",
                hint="shorten the text",
            )


def user_words(turns: Iterable[Turn]) -> str:
    """All that the user said, oldest first, as one text."""
    return "\n".join(turn.text.strip() for turn in turns if turn.role == "user" and turn.text.strip())


def heard(turns: Sequence[Turn], mentions: Iterable[TurnMention] = ()) -> str:
    """What retrievers read of a conversation: its newest texts of at most `HEARD_CHARACTERS`, oldest first.

    A list of titles that the assistant gave is left out: it says what was offered, not what is wanted. Of the
    newest text alone its end is read.
    """
    named = Counter[int]()
    for one in mentions:
        named[one.turn] += one.mention.end - one.mention.start
    kept: list[str] = []
    for number, (role, text) in reversed(list(enumerate((turn.role, turn.text) for turn in turns))):
        if role == "assistant" and named[number] > _LIST_OF_TITLES * len(text):
            continue
        if kept and sum(map(len, kept)) + len(text) > HEARD_CHARACTERS:
            break
        kept.append(text[-HEARD_CHARACTERS:])
    return "\n".join(text.strip() for text in reversed(kept) if text.strip())


def named_items(turns: Sequence[Turn], grounder: Grounder | TurnTitles) -> tuple[TurnMention, ...]:
    """The items that a conversation names, in its order; each with what the sentence around it says.

    An assistant's mention never says what the user thinks: its feedback is "unseen". Titles are looked for in the
    newest turns, of `READ_CHARACTERS` together.
    """
    found: list[TurnMention] = []
    titles = grounder if isinstance(grounder, TurnTitles) else TurnTitles(grounder)
    for number, turn in list(enumerate(turns))[unread_turns(turns) :]:
        for span in titles.spans(turn.text):
            mention = Mention(text=turn.text[span.start : span.end], start=span.start, end=span.end)
            feedback = feedback_around(turn.text, span.start, span.end) if turn.role == "user" else "unseen"
            found.append(
                TurnMention(turn=number, role=turn.role, mention=mention, match=span.match, feedback=feedback)
            )
    return tuple(found)


def unread_turns(turns: Sequence[Turn]) -> int:
    """How many of the oldest turns are not looked through for titles: too much text follows them."""
    characters = 0
    for place in range(len(turns) - 1, -1, -1):
        characters += len(turns[place].text)
        if characters > READ_CHARACTERS:
            return place + 1
    return 0


def with_named(history: History, mentions: Iterable[TurnMention]) -> History:
    """The history with the items that the user named after it; other mentions only count as shown.

    An item that is named several times is one event, with the newest feedback that says more than "seen".
    """
    named: dict[str, Feedback] = {}
    shown: list[str] = []
    for one in mentions:
        if one.match.item_id is None:
            continue
        if one.feedback == "unseen":
            shown.append(one.match.item_id)
        elif one.feedback != "seen" or one.match.item_id not in named:
            named[one.match.item_id] = Feedback(one.feedback)
    known = {event.item for event in history.events if event.by != "title"}
    events = [
        Event(item=item_id, by="id", feedback=feedback)
        for item_id, feedback in named.items()
        if item_id not in known or feedback is not Feedback.SEEN
    ]
    return history.with_events(events).show(one for one in shown if one not in named)


def conversation_use(
    turns: tuple[Turn, ...], mentions: tuple[TurnMention, ...], rendered: int, renderable: int
) -> ConversationUse | None:
    """What became of a conversation, for the trace; `renderable` turns would be in a prompt that fits all."""
    if not turns:
        return None
    return ConversationUse(
        given=len(turns),
        unread=unread_turns(turns),
        rendered=rendered,
        truncated=renderable - rendered,
        mentions=mentions,
    )


def feedback_around(text: str, start: int, end: int) -> TurnFeedback:
    """What the sentence around `text[start:end]` says of the title there."""
    ends = [match.span() for match in _SENTENCE_END.finditer(text) if not start <= match.start() < end]
    first = max((stop for _, stop in ends if stop <= start), default=0)
    last = min((begin for begin, _ in ends if begin >= end), default=len(text))
    sentence = f"{text[first:start]} _ {text[end:last]}".lower()
    if _UNSEEN.search(sentence):
        return "unseen"
    if _DISLIKED.search(sentence):
        return "disliked"
    return "liked" if _LIKED.search(sentence) else "seen"


class _Span(NamedTuple):
    start: int
    end: int
    match: Match


class TurnTitles:
    """Finds the titles in turns, and remembers those of the newest texts by a hash: conversations come again.

    The texts themselves are not kept.
    """

    def __init__(self, grounder: Grounder) -> None:
        self._grounder = grounder
        self._spans: OrderedDict[bytes, tuple[_Span, ...]] = OrderedDict()

    def spans(self, text: str) -> tuple[_Span, ...]:
        """The titles in a text, in its order."""
        hashed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._spans.get(hashed)
        if found is None:
            found = tuple(_TitleFinder(text, _Titles(self._grounder)).spans())
            self._spans[hashed] = found
            if len(self._spans) > _REMEMBERED:
                self._spans.popitem(last=False)
        return found


class _Titles:
    """Looks titles up, each once per text."""

    def __init__(self, grounder: Grounder) -> None:
        self._grounder = grounder
        self._names: dict[tuple[str, ...], bool] = {}
        self._matches: dict[str, Match] = {}

    def is_name(self, spelled: tuple[str, ...]) -> bool:
        """Whether the words are an item's whole name."""
        known = self._names.get(spelled)
        if known is None:
            found = self._grounder.index.find(key(spelled))
            known = self._names[spelled] = any(one.kind <= Kind.ALTERNATIVE for one in found)
        return known

    def ground(self, text: str) -> Match:
        """The match of a text."""
        match = self._matches.get(text)
        if match is None:
            match = self._matches[text] = self._grounder.ground(text)
        return match


class _TitleFinder:
    """Finds the titles in one text, the surest kind first; what was found is not looked at again."""

    def __init__(self, text: str, titles: _Titles) -> None:
        self._text = text
        self._titles = titles
        self._words = [match.span() for match in _WORD.finditer(text)]
        self._spelled = [words(text[start:end]) for start, end in self._words]
        self._taken = [False] * len(self._words)

    def spans(self) -> list[_Span]:
        """The titles in the order of the text."""
        found = [*self._quoted(), *self._names(), *self._runs()]
        return sorted(found, key=lambda span: span.start)

    def _quoted(self) -> Iterator[_Span]:
        for match in _QUOTED.finditer(self._text):
            start, end = match.span(match.lastindex or 0)
            yield from self._ground(start, end, sure=True)

    def _names(self) -> Iterator[_Span]:
        """Word sequences that are an item's whole name, the longest first."""
        for length in range(min(_LONGEST, len(self._words)), 0, -1):
            for first in range(len(self._words) - length + 1):
                last = first + length
                if any(self._taken[first:last]):
                    continue
                spelled = sum(self._spelled[first:last], ())
                if spelled and self._titles.is_name(spelled) and self._is_meant(first, last, spelled):
                    yield from self._ground(self._words[first][0], self._words[last - 1][1], sure=True)

    def _is_meant(self, first: int, last: int, spelled: tuple[str, ...]) -> bool:
        """Whether the words are a title here and no ordinary words of the sentence."""
        start, end = self._words[first][0], self._words[last - 1][1]
        if _YEAR.match(self._text, end):
            return True
        telling = [word for word in spelled if word not in _COMMON]
        places = range(first, last)
        capital = any(map(self._capital, places)) and all(map(self._capital, filter(self._long, places)))
        if last - first > 1 and capital and not self._opens_sentence(first):
            return True
        if last - first > 1:
            return len(telling) > 1 or (capital and bool(telling)) or (len(content(spelled)) > 2 and bool(telling))
        single = self._text[start:end]
        if not telling or not single[:1].isupper() or self._in_longer_name(first):
            return False
        return not self._opens_sentence(first) or len(single) > 3

    def _in_longer_name(self, place: int) -> bool:
        """Whether a capitalised word stands directly beside this one ("Jack Black", "Black Hawk Down")."""
        for one in (place - 1, place + 1):
            if 0 <= one < len(self._words) and self._capital(one) and not self._taken[one]:
                between = self._text[self._words[min(one, place)][1] : self._words[max(one, place)][0]]
                ordinary = self._spelled[one][:1] and self._spelled[one][0] in _COMMON
                if between == " " and not ordinary:
                    return True
        return False

    def _runs(self) -> Iterator[_Span]:
        """Runs of capitalised words, which may be a title in another spelling."""
        first = 0
        while first < len(self._words):
            last = first
            while last < len(self._words) and not self._taken[last] and self._joined(first, last):
                last += 1
            while last > first and not self._capital(last - 1):
                last -= 1
            spelled = sum(self._spelled[first:last], ())
            if last - first > 1 and self._capital(first) and any(word not in _COMMON for word in spelled):
                yield from self._ground(self._words[first][0], self._words[last - 1][1], sure=False)
            first = max(last, first + 1)

    def _joined(self, first: int, place: int) -> bool:
        gap = self._text[self._words[place - 1][1] : self._words[place][0]] if place > first else ""
        small = self._text[slice(*self._words[place])].lower() in ("of", "the", "and", "in", "a", "to", "&")
        return (self._capital(place) or (place > first and small)) and gap.strip() in ("", ":", "-", "'")

    def _ground(self, start: int, end: int, *, sure: bool) -> Iterator[_Span]:
        year = _YEAR.match(self._text, end)
        end = year.end() if year else end
        match = self._titles.ground(self._text[start:end])
        if match.item_id is None and not (sure and match.reason == "ambiguous"):
            return
        for place, (from_, to) in enumerate(self._words):
            if from_ < end and to > start:
                self._taken[place] = True
        yield _Span(start, end, match)

    def _capital(self, place: int) -> bool:
        first = self._text[self._words[place][0]]
        return first.isupper() or first.isdigit()

    def _long(self, place: int) -> bool:
        return self._words[place][1] - self._words[place][0] > 3

    def _opens_sentence(self, place: int) -> bool:
        before = self._text[: self._words[place][0]].rstrip(" \"'“‘(")
        return not before or before[-1] in ".!?:;\n。！？"
