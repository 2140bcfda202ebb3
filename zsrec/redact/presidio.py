"""Redaction by Microsoft Presidio (the extra `presidio`): more kinds of personal data, and names with a model.

Presidio's pattern recognizers need no language model and run here with its engine that has none. Names of people,
which no pattern finds, need an analyzer with a model: `PresidioRedaction(analyzer=AnalyzerEngine(…))`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from zsrec.errors import ConfigError, MissingExtraError
from zsrec.redact.plain import Redaction

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

ENTITIES = (
    "CREDIT_CARD", "CRYPTO", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "MEDICAL_LICENSE", "PERSON", "PHONE_NUMBER",
    "UK_NHS", "US_ITIN", "US_SSN",
)  # fmt: skip
"""What is taken out unless told otherwise. Titles are full of dates, places and domains, so these stay. E-mail
addresses are `Redaction`'s: Presidio's recognizer fetches a list of domains from the network on its first use."""

_NEEDS_MORE = ("EmailRecognizer", "UrlRecognizer", "SpacyRecognizer")  # the network, and a language model


class PresidioRedaction:
    """What `Redaction` takes out, and then what Presidio finds.

    Args:
        names: See `Redaction`.
        analyzer: Presidio's analyzer; None takes its pattern recognizers without any language model, which find
            no names.
        entities: What is taken out, by Presidio's names; those that the analyzer does not know are passed over.
        language: One of the analyzer's.
        threshold: The least score that counts, in [0, 1]; at 0.4 phone numbers count without words around them.

    Raises:
        MissingExtraError: Presidio is not installed.
        ConfigError: The analyzer knows none of the entities, a name is empty, or the threshold is out of range.
    """

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
            raise ConfigError(f"threshold is {threshold}", hint="a score from 0 to 1")
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
        """The text with [email], [card], [phone], [name] and Presidio's [person], [iban_code], … in it."""
        text = self._first(text)
        found = self._analyzer.analyze(
            text, language=self._language, entities=self._entities, score_threshold=self._threshold
        )
        return self._anonymizer.anonymize(text, found, operators=self._operators).text or ""


@cache
def patterns() -> AnalyzerEngine:
    """Presidio's pattern recognizers for English, without those that use the network; made once.

    Raises:
        MissingExtraError: Presidio is not installed.
    """
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NoOpNlpEngine
    except ModuleNotFoundError:
        raise MissingExtraError("redaction by Presidio", "presidio") from None
    engine = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}])
    engine.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    for name in _NEEDS_MORE:
        registry.remove_recognizer(name)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
