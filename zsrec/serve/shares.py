"""How much of the service one tenant may hold at once, so that none fills the queue for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from zsrec.serve.keys import Tenant
from zsrec.serve.problems import RefusedError


class Shares:
    """Counts each tenant's requests, waiting ones included.

    Args:
        most: How many a tenant may have at once; None for as many as there are places.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, tenant: Tenant) -> Iterator[None]:
        """One more request of a tenant, as long as the block runs; a caller without a key has no share.

        Raises:
            RefusedError: The tenant has as many as it may (429).
        """
        name = tenant.name
        if name is None or self._most is None:
            yield
            return
        if self._held[name] >= self._most:
            raise RefusedError(
                429,
                "TenantBusy",
                "too many requests of this key are under way",
                f"at most {self._most} at once",
                hint="wait for answers before asking again",
                retry_after=1,
            )
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
