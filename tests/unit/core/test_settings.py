from __future__ import annotations

from collections.abc import Callable

import pytest

from zsrec.core.errors import ConfigError, HostNotAllowedError
from zsrec.core.settings import Settings, is_loopback


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_MODEL", "from-env")
    monkeypatch.setenv("ZSREC_TEMPLATE", "rank/terse")
    settings = Settings.load(model="given", base_url=None)
    assert (settings.model, settings.template) == ("given", "rank/terse")
    assert settings.replaced(model=None) is settings
    assert settings.replaced(model="other").template == "rank/terse"


@pytest.mark.parametrize(
    ("variable", "value", "match"),
    [("ZSREC_TIMEOUT", "soon", "ZSREC_TIMEOUT"), ("ZSREC_CONCURRENCY", "0", "ZSREC_CONCURRENCY")],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, match: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=match):
        Settings.load()


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(ConfigError, match="argument 'timeout'"):
        Settings.load(timeout=-1)


@pytest.mark.parametrize("url", ["gpu:8000", "ftp://localhost/v1", "http://", "http://[::1/v1", ""])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="not an http"):
        Settings.load(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "http://127.0.0.1.example.org/v1",
        "http://localhost.example.org/v1",
        "http://user@example.org/v1",
        "http://127.0.0.1@example.org/v1",
        "http://0.0.0.0:8000/v1",
        "http://10.0.0.1/v1",
    ],
)
def test_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(HostNotAllowedError):
        Settings.load(base_url=url)


def test_an_allowed_host_does_not_allow_its_neighbours() -> None:
    allowed = {"allow_hosts": ("GPU-box",)}
    assert Settings.load(base_url="https://gpu-box/v1", **allowed)
    with pytest.raises(HostNotAllowedError):
        Settings.load(base_url="https://gpu-box.example.org/v1", **allowed)


def test_the_key_is_not_shown() -> None:
    assert "hunter2" not in repr(Settings.load(api_key="hunter2"))


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(
        map(is_loopback, ("example.org", "0.0.0.0", "192.168.0.1", "localhost.example.org", "a.localhost", "box"))
    )


@pytest.mark.parametrize("make", [Settings, Settings.load])
def test_both_ways_to_make_settings_check_alike(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(timeout=5).timeout == 5
    for wrong, match in [
        ({"timeout": -1}, "argument 'timeout'"),
        ({"base_url": "gpu:8000"}, "not an http"),
        ({"keep": "some"}, "argument 'keep'"),
        ({"base_ulr": "http://localhost/v1"}, "unknown setting 'base_ulr'\n  hint: did you mean 'base_url'"),
        ({"zzz": 1}, "unknown setting 'zzz'\n  hint: known: base_url"),
    ]:
        with pytest.raises(ConfigError, match=match):
            make(**wrong)
    with pytest.raises(HostNotAllowedError):
        make(base_url="http://example.org/v1")
    monkeypatch.setenv("ZSREC_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="ZSREC_TIMEOUT"):
        make()
