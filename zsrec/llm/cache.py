"""vLLM's prefix cache in figures, read from its Prometheus page.

A server counts for all its callers together: what one's own requests did is the difference between two readings,
and only where nobody else asked in between (compare `queries` with the tokens of one's own prompts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SAMPLE = re.compile(r"^vllm:prefix_cache_(queries|hits)_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_BLOCK = re.compile(r'^vllm:cache_config_info\{[^}]*?(?<![a-z_])block_size="(\d+)"', re.MULTILINE)


class CacheCounters(NamedTuple):
    """A reading.

    Attributes:
        queries: Prompt tokens that were looked up since the server began.
        hits: Those of them that were found.
        block: Tokens in a block, the least that is shared; None where the server does not say.
    """

    queries: int
    hits: int
    block: int | None

    def since(self, before: CacheCounters) -> CacheCounters:
        """What came after an earlier reading."""
        return CacheCounters(self.queries - before.queries, self.hits - before.hits, self.block)


def read_counters(page: str) -> CacheCounters | None:
    """The counters in a Prometheus page, summed over engines; None where it has none."""
    queries, hits = (list(_values(page, name)) for name in ("queries", "hits"))
    if not queries or not hits:
        return None
    block = _BLOCK.search(page)
    return CacheCounters(int(sum(queries)), int(sum(hits)), int(block[1]) if block else None)


def _values(page: str, name: str) -> Iterator[float]:
    return (float(found[2]) for found in _SAMPLE.finditer(page) if found[1] == name)
