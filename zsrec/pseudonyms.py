"""Pseudonyms: keyed hashes in the place of people's ids, in the service's log and in run folders."""

from __future__ import annotations

import hashlib
import hmac

from zsrec.errors import ConfigError

SHORTEST_KEY = 16


class Pseudonyms:
    """Keyed hashes in place of ids: the same person has the same one, and only the key's owner can check a guess.

    Args:
        key: At least 16 bytes; kept where what was written at different times is to be joined, thrown away where
            it must not be.

    Raises:
        ConfigError: The key is shorter; it is never quoted.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                f"the key of the pseudonyms has {len(key)} bytes, fewer than {SHORTEST_KEY}",
                hint="make one with: openssl rand -hex 24",
            )
        self._key = key

    def of(self, kind: str, name: str) -> str:
        """16 hexadecimal digits for a name; those of one kind say nothing about those of another."""
        message = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:16]
