"""API keys and the tenants behind them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from zsrec.core.errors import ConfigError, DataError

_SHORTEST = 16


class Tenant(NamedTuple):
    """The owner of a key: a name (None where the service asks for no key), and whether they may reload."""

    name: str | None
    admin: bool


class Keys:
    """The keys of a file, kept as digests.

    A line is `name:key` or `name:key:admin`; empty lines and those that start with `#` are skipped. Several lines
    may have the same name, so that a key can be replaced without a gap.
    """

    def __init__(self, lines: list[str], path: str | Path) -> None:
        self._file: Path | None = None
        self._tenants: dict[bytes, Tenant] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, *rest = line.strip().split(":")
            if not name or len(rest) not in {1, 2} or (len(rest) == 2 and rest[1] != "admin"):
                raise DataError("expected name:key or name:key:admin", path=path, line=number)
            if len(rest[0]) < _SHORTEST:
                raise DataError(
                    f"the key is shorter than {_SHORTEST} characters",
                    path=path,
                    line=number,
                    hint="make one with: openssl rand -hex 24",
                )
            tenant = Tenant(name, admin=len(rest) == 2)
            if self._tenants.setdefault(_digest(rest[0]), tenant) != tenant:
                raise DataError(
                    "this key is already in the file with another name or role", path=path, line=number
                )
        if not self._tenants:
            raise DataError("no key found", path=path, hint="a line is name:key")

    @property
    def names(self) -> frozenset[str]:
        """The tenants' names."""
        return frozenset(tenant.name for tenant in self._tenants.values() if tenant.name is not None)

    @classmethod
    def open(cls, path: Path) -> Keys:
        """Read a file of keys; `DataError` where it cannot be read or a line is wrong."""
        keys = cls(read_secret(path).splitlines(), path)
        keys._file = path
        return keys

    def reload(self) -> None:
        """Read the file anew; `DataError` where something is wrong, and the keys stay as they are."""
        if self._file is not None:
            self._tenants = Keys.open(self._file)._tenants

    def tenant(self, key: str) -> Tenant | None:
        """The owner of a key. Digests are compared, so the time taken reveals nothing of a key."""
        return self._tenants.get(_digest(key))


def read_secret(path: Path) -> str:
    """The text of a secret file; `DataError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {type(error).__name__}", path=path, hint="check its owner") from None


def check_exposure(host: str, keys: Keys | None, *, loopback: bool) -> None:
    """Raise `ConfigError` where a service that others can reach would ask for no key."""
    if keys is None and not loopback:
        raise ConfigError(
            f"the service would listen on {host} without keys", hint="give --keys FILE, or --host 127.0.0.1"
        )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
