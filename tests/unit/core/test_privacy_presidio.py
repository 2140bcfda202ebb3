"""Redaction by Presidio; without the extra only that it says so."""

from __future__ import annotations

import builtins
import importlib.util
import socket
from typing import Any

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.privacy import PresidioRedaction, redactor
from zsrec.core.settings import Settings
from zsrec.data.catalog import Catalog
from zsrec.recommender.recommender import Recommender

there = pytest.mark.skipif(
    importlib.util.find_spec("presidio_analyzer") is None, reason="the extra 'presidio' is not installed"
)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("presidio"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="presidio"):
        redactor("presidio")
    with pytest.raises(ConfigError, match="threshold"):
        PresidioRedaction(threshold=2)


@there
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.org, 4111 1111 1111 1111", "[email], [card]"),
        ("my account DE89 3704 0044 0532 0130 00", "my account [iban_code]"),
        ("from 10.0.17.4", "from [ip_address]"),
        ("call 212-555-0123", "call [phone]"),
        ("Ann Smith likes Heat", "[name] likes Heat"),
        ("2001: A Space Odyssey, Se7en (1995), 10/12/1999", "2001: A Space Odyssey, Se7en (1995), 10/12/1999"),
        ("www.thefilm.com, Paris, Texas, May 1968", "www.thefilm.com, Paris, Texas, May 1968"),
        ("", ""),
    ],
)
def test_what_goes_and_what_stays(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("it opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    redact = PresidioRedaction(["Ann Smith"])
    assert redact(text) == expected
    assert redact(redact(text)) == expected


@there
def test_an_analyzer_with_a_model_finds_names() -> None:
    from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, RecognizerRegistry

    from zsrec.core.privacy import patterns

    registry = RecognizerRegistry(supported_languages=["en"])
    person = PatternRecognizer("PERSON", patterns=[Pattern("a stand-in for a model", r"Ann \w+", 0.85)])
    registry.add_recognizer(person)
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=patterns().nlp_engine, supported_languages=["en"])
    assert PresidioRedaction(analyzer=analyzer)("Ann Smith and 4111 1111 1111 1111") == "[person] and [card]"
    with pytest.raises(ConfigError, match="knows none of US_SSN"):
        PresidioRedaction(analyzer=analyzer, entities=["US_SSN"])


@there
def test_a_setting_takes_it_everywhere(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin (1998)")
    with Recommender(films, llm=llm, settings=Settings.load(redact="presidio")) as rec:
        rec.recommend(["Heat (1995)", "Film of 10.0.17.4"], 3, about="DE89 3704 0044 0532 0130 00")
    sent = "\n".join(message.content for message in llm.requests[0].messages)
    assert "[ip_address]" in sent
    assert "[iban_code]" in sent
    assert "10.0.17" not in sent
    assert "DE89" not in sent
