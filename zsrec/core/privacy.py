"""Redaction of personal data (by rules, or by Presidio), and pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol

from zsrec.core.code_points import replaced
from zsrec.core.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine


_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}[.\u3002\uff61]){1,8}[^\W\d_]{2,24}(?!\w)")
_NUMBER = re.compile(r"(?<![\w+])(?:\+|00)?[(]?\d(?:[ ().\-/]{0,3}\d){6,24}(?!\w)")
_YEARS = re.compile(r"(?:19|20)\d\d(?:[ ().\-/]{1,3}(?:19|20)\d\d)*")
_CARD_DIGITS, _PHONE_DIGITS = range(13, 20), range(9, 16)
_SHORTEST_ABROAD = 7


class Redactor(Protocol):
    """A function that takes personal data out of a text."""

    def __call__(self, text: str) -> str:
        """Return the text with placeholders instead of personal data."""
        ...


class Redaction:
    """The default redactor: e-mail addresses, phone numbers, payment cards, and given names."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        known = sorted({" ".join(name.split()) for name in names}, key=lambda name: (-len(name), name))
        if "" in known:
            raise ConfigError("a name to redact is empty", hint="leave it out")
        words = "|".join(r"\s+".join(map(re.escape, name.split())) for name in known)
        self._names = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if known else None

    def __call__(self, text: str) -> str:
        """Return the text with [email], [card], [phone] and [name] instead of what was found.

        Full-width and other forms of "@", ".", digits and letters are read as what they stand for.
        """
        text = replaced(_EMAIL, lambda _: "[email]", text)
        text = replaced(_NUMBER, _number, text)
        return text if self._names is None else replaced(self._names, lambda _: "[name]", text)


def _number(text: str) -> str:
    digits = [int(char) for char in text if char.isdigit()]
    if _YEARS.fullmatch(text):
        return text
    if len(digits) in _CARD_DIGITS and _luhn(digits):
        return "[card]"
    abroad = text.startswith(("+", "00")) and len(digits) >= _SHORTEST_ABROAD
    return "[phone]" if abroad or len(digits) in _PHONE_DIGITS else text


def _luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


SHORTEST_KEY = 16


class Pseudonyms:
    """Keyed hashes instead of ids: stable per person, and only the key's owner can check a guess."""

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                f"the key of the pseudonyms has {len(key)} bytes, fewer than {SHORTEST_KEY}",
                hint="make one with: openssl rand -hex 24",
            )
        self._key = key

    def of(self, kind: str, name: str) -> str:
        """Return 16 hexadecimal digits for a name; those of one kind say nothing about those of another."""
        message = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:16]


Redact = Literal["default", "presidio", "off"]
"""How to redact: `Redaction`, `PresidioRedaction`, or not at all."""


def redactor(kind: Redact, names: Iterable[str] = ()) -> Redactor | None:
    """Return the redactor of a kind, None for "off"; `names` are redacted as well."""
    if kind == "off":
        return None
    if kind == "default":
        return Redaction(names)
    return PresidioRedaction(names)


ENTITIES = (
    "CREDIT_CARD", "CRYPTO", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "MEDICAL_LICENSE", "PERSON", "PHONE_NUMBER",
    "UK_NHS", "US_ITIN", "US_SSN",
)  # fmt: skip
"""The default entities. Titles are full of dates, places and domains, so these stay. E-mail addresses are left to
`Redaction`: Presidio's recognizer downloads a list of domains on its first use."""

_NOT_LOCAL = ("EmailRecognizer", "UrlRecognizer", "SpacyRecognizer")  # need the network or a language model


class PresidioRedaction:
    """Redaction by `Redaction`, then by Presidio."""

    def __init__(
        self,
        names: Iterable[str] = (),
        *,
        analyzer: AnalyzerEngine | None = None,
        entities: Iterable[str] = ENTITIES,
        language: str = "en",
        threshold: float = 0.4,
    ) -> None:
        if not 0.0 <= threshold <= 1.0:
            raise ConfigError(f"threshold is {threshold}", hint="use a score from 0 to 1")
        try:
            from presidio_anonymizer import AnonymizerEngine
            from presidio_anonymizer.entities import OperatorConfig
        except ModuleNotFoundError:
            raise MissingExtraError("redaction by Presidio", "presidio") from None
        self._first = Redaction(names)
        self._analyzer = patterns() if analyzer is None else analyzer
        known = set(self._analyzer.get_supported_entities(language))
        self._entities = [name for name in entities if name in known]
        if not self._entities:
            raise ConfigError(
                f"the analyzer knows none of {', '.join(entities)}", hint=f"it knows {', '.join(sorted(known))}"
            )
        self._language, self._threshold = language, threshold
        self._anonymizer = AnonymizerEngine()
        self._operators = {
            name: OperatorConfig("replace", {"new_value": f"[{name.lower()}]"}) for name in self._entities
        }

    def __call__(self, text: str) -> str:
        """Return the text with [email], [card], [phone], [name] and Presidio's [person], [iban_code], … in it."""
        text = self._first(text)
        found = self._analyzer.analyze(
            text, language=self._language, entities=self._entities, score_threshold=self._threshold
        )
        return self._anonymizer.anonymize(text, found, operators=self._operators).text or ""


@cache
def patterns() -> AnalyzerEngine:
    """Return Presidio's pattern recognizers for English, without those that use the network; created once."""
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NoOpNlpEngine
    except ModuleNotFoundError:
        raise MissingExtraError("redaction by Presidio", "presidio") from None
    engine = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}])
    engine.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    for name in _NOT_LOCAL:
        registry.remove_recognizer(name)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
