"""Settings of the connection to the model, from arguments first, then from `ZSREC_*` environment variables."""

from __future__ import annotations

import ipaddress
import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from zsrec.core.errors import ConfigError, HostNotAllowedError
from zsrec.core.privacy import Redact

DEFAULT_BASE_URL = "http://127.0.0.1:8000/v1"
DEFAULT_TEMPLATE = "generate/default"

_SECRET = {"api_key", "hash_key", "base_url", "extra_body", "extra_headers", "extra_query"}

Ambiguous = Literal["popular", "abstain"]
"""What becomes of a title that several items have: the most popular one if popularity is known, or none."""

Keep = Literal["all", "answers", "none"]
"""What a complete run keeps of its requests and replies: both, the answers without their prompts, or neither."""


class Settings(BaseSettings):
    """How to reach the model; each field may come from the environment as `ZSREC_<FIELD>`.

    Attributes:
        base_url: The OpenAI-compatible endpoint, with its `/v1`.
        model: The served model's name; None takes the only one that is served.
        api_key: The server's key; by default vLLM needs none.
        template: The name or path of the default template.
        allow_hosts: Other hosts that histories may be sent to (comma-separated in the environment). Loopback
            addresses are always allowed.
        timeout: Seconds for one attempt of a request, from connecting to the last byte of the answer.
        max_retries: How often a request that failed for a temporary reason is sent again.
        restart_wait: Seconds to wait, after all retries, for a server that answered before to come back, so that a
            batch survives its restart. 0 does not wait.
        concurrency: Requests in flight at once.
        cache_salt: Separates the server's prefix cache from that of other salts (vLLM), so that response times do
            not reveal what others asked; None shares it.
        strict: Strictly zero-shot: refuse everything that uses other users' interactions (popularity, item-kNN).
        ambiguous: Whether a title that several items have means the most popular one, if popularity is known
            (interactions, or a catalog's column of that name), or none.
        redact: How personal data are removed from the user's own words before they are sent.
        max_turns: The longest conversation, in turns.
        max_turn_characters: The longest turn of a conversation.
        keep: What a complete run's folder keeps of requests and replies.
        context_length: Tokens of prompt and answer together, where the server does not say so or is wrong.
        thinking: Whether a model thinks before it answers: "off" and "on" tell its chat template; "auto" leaves it
            to the model until that costs an answer or a label, then turns it off.
        reasoning_effort: For models that take one (gpt-oss, OpenAI's): "low", "medium", "high".
        extra_body: Further fields of every chat request, a JSON object.
        extra_headers: Further headers of every request, a JSON object; some gateways take keys in them.
        extra_query: Further parameters of every URL, a JSON object (Azure's "api-version").
        image_hosts: Hosts that a catalog's image addresses may point to (comma-separated in the environment): the
            model server fetches from them.
        hash_key: The key of the pseudonyms in run folders and in the service's log; None makes a new one each
            time.
    """

    model_config = SettingsConfigDict(env_prefix="ZSREC_", frozen=True, extra="ignore", env_ignore_empty=True)

    base_url: str = DEFAULT_BASE_URL
    model: str | None = None
    api_key: SecretStr = SecretStr("none")
    template: str = DEFAULT_TEMPLATE
    allow_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    timeout: float = Field(default=300.0, gt=0)
    max_retries: int = Field(default=4, ge=0, le=20)
    restart_wait: float = Field(default=0.0, ge=0, le=86_400)
    concurrency: int = Field(default=32, ge=1, le=4096)
    cache_salt: str | None = None
    strict: bool = False
    ambiguous: Ambiguous = "popular"
    redact: Redact = "default"
    keep: Keep = "all"
    context_length: int | None = Field(default=None, ge=1)
    thinking: Literal["auto", "off", "on"] = "auto"
    reasoning_effort: str | None = Field(default=None, pattern=r"[a-z]{1,20}")
    extra_body: Annotated[dict[str, Any], NoDecode] = Field(default_factory=dict)
    extra_headers: Annotated[dict[str, SecretStr], NoDecode] = Field(default_factory=dict)
    extra_query: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    max_turns: int = Field(default=200, ge=1, le=2000)
    max_turn_characters: int = Field(default=4000, ge=1, le=20_000)
    image_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    hash_key: SecretStr | None = None

    if not TYPE_CHECKING:  # type checkers see the fields as arguments

        def __init__(self, **given: Any) -> None:  # noqa: ANN401
            unknown = sorted(given.keys() - type(self).model_fields)
            if unknown:
                near = get_close_matches(unknown[0], type(self).model_fields, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(type(self).model_fields)}"
                raise ConfigError(f"unknown setting {unknown[0]!r}", hint=hint)
            try:
                super().__init__(**given)
            except ValidationError as error:
                first = error.errors()[0]
                field = str(first["loc"][0]) if first["loc"] else "settings"
                source = f"argument {field!r}" if field in given else f"ZSREC_{field.upper()}"
                found = "" if field in _SECRET else f", found {first.get('input')!r}"
                raise ConfigError(f"{source}: {first['msg']}{found}", hint="correct or unset it") from None
            check_host(self.base_url, self.allow_hosts)

    @classmethod
    def load(cls, **given: Any) -> Self:  # noqa: ANN401
        """Build settings from the arguments that are not None and the environment.

        Raises:
            ConfigError: A value is not valid; the message names the argument or variable.
            HostNotAllowedError: `base_url` names a host that is not allowed.
        """
        return cls(**{name: value for name, value in given.items() if value is not None})

    def replaced(self, **given: Any) -> Self:  # noqa: ANN401
        """Return these settings with the values of `given` that are not None.

        Raises:
            ConfigError: As for `load`.
        """
        known = {name: value for name, value in given.items() if value is not None}
        return self.load(**self.model_dump() | known) if known else self

    @field_validator("extra_body", "extra_headers", "extra_query", mode="before")
    @classmethod
    def _parse_object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("expected a JSON object") from None

    @field_validator("allow_hosts", "image_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(host.strip() for host in value.split(",") if host.strip())
        return value


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback; no name is looked up.

    Names below `.localhost` do not count: some resolvers ask the network for them.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown_url(url: str) -> str:
    """A URL without the user and password in it, as it may be printed."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)


def is_allowed_host(host: str, allow_hosts: tuple[str, ...]) -> bool:
    """Whether histories may be sent to a host: this machine, or one of `allow_hosts`."""
    return is_loopback(host) or host.lower() in {allowed.lower() for allowed in allow_hosts}


def check_host(base_url: str, allow_hosts: tuple[str, ...]) -> None:
    """Make sure that histories may be sent to `base_url`.

    Raises:
        ConfigError: `base_url` is not an http(s) URL.
        HostNotAllowedError: Its host is neither loopback nor in `allow_hosts`.
    """
    try:
        parts = urlsplit(base_url)
        host = parts.hostname if parts.port is None or parts.port else None  # an impossible port is a ValueError
    except ValueError:
        parts, host = None, None
    if parts is None or parts.scheme not in {"http", "https"} or not host:
        raise ConfigError(
            f"base_url {shown_url(base_url)!r} is not an http(s) URL", hint=f"for example {DEFAULT_BASE_URL}"
        )
    if not is_allowed_host(host, allow_hosts):
        raise HostNotAllowedError(
            f"{host!r} is not on the list of hosts that histories may be sent to",
            hint=f"if you trust it, set ZSREC_ALLOW_HOSTS={host} or Settings.load(allow_hosts=({host!r},))",
        )
