"""Why an item is a candidate, without a model: the history item that contributed most, with the counts."""

from __future__ import annotations

from collections.abc import Sequence

from zsrec.core.types import Frozen
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.titles import parse_title
from zsrec.retrieval.base import Evidence, EvidenceKind, Profile, Retriever, evidence_of


class Because(Frozen):
    """Why an item was recommended.

    Attributes:
        text: One sentence for the user.
        kind: See `Evidence.kind`.
        item: The id of the history item that contributed most; None where there is none.
        users: How many users, see `Evidence.kind`.
        of: Of how many.
    """

    text: str
    kind: EvidenceKind
    item: str | None = None
    users: int = 0
    of: int = 0


def because(retriever: Retriever, of: Profile, ids: Sequence[str], catalog: Catalog) -> dict[str, Because]:
    """Return why items are candidates, by id; items without evidence, and retrievers that cannot say, have none.

    Args:
        retriever: The retriever that found them.
        of: The profile that it was given.
        ids: The items.
        catalog: Gives titles and the domain's verb.
    """
    known = {code: one for one in ids if (code := retriever.items.code(one)) is not None}
    found = zip(known.values(), evidence_of(retriever, of, list(known)) if known else (), strict=True)
    return {one: _because(evidence, retriever.items, catalog) for one, evidence in found if evidence is not None}


_VERBS = {
    "movies": ("saw", "see", "seen"), "films": ("saw", "see", "seen"), "series": ("saw", "see", "seen"),
    "books": ("read", "read", "read"), "articles": ("read", "read", "read"), "games": ("played", "play", "played"),
    "songs": ("heard", "hear", "heard"), "albums": ("heard", "hear", "heard"),
    "artists": ("heard", "hear", "heard"),
    "products": ("bought", "buy", "bought"),
}  # fmt: skip


def _because(evidence: Evidence, items: Ids, catalog: Catalog) -> Because:
    source = None if evidence.source is None else items[evidence.source]
    title = "" if source is None else _title(source, catalog)
    past, infinitive, participle = _VERBS.get(catalog.domain, ("chose", "choose", "chosen"))
    users, total = f"{evidence.users:,}", f"{'last ' if evidence.latest else ''}{evidence.of:,}"
    texts: dict[EvidenceKind, str] = {
        "after": f"{users} of the {total} who {past} {title} went on to {infinitive} it",
        "before": f"{users} of the {total} who {past} {title} had {participle} it before",
        "shared": f"{users} of the {total} who {past} {title} {past} it too",
        "text": f"its description is close to that of {title}",
        "words": f"it matches {', '.join(evidence.words[:5])}",
        "popular": f"{users} of {total} users {past} it",
    }
    kind = evidence.kind
    return Because(text=texts[kind], kind=kind, item=source, users=evidence.users, of=evidence.of)


def _title(item_id: str, catalog: Catalog) -> str:
    """The title without its alternative names, which make a sentence too long."""
    if item_id not in catalog:
        return item_id
    parsed = parse_title(catalog[item_id].title)
    return " ".join((parsed.main if parsed.year is None else f"{parsed.main} ({parsed.year})").split())
