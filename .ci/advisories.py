"""A lock file against a folder of advisories in OSV's form, for where no advisory service can be reached.

pip-audit has no such option: its --osv-url wants a server that does the comparing itself. A folder is a checkout
of PyPA's advisory database (YAML), an unpacked export of OSV's or GitHub's (JSON), or a part of one. What could
not be compared is said, never dropped: a folder shows what it knows, and its age with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Record = Mapping[str, Any]
# Leaves everything text: 3.10 is a version here, not the number 3.1. In C where there is one: databases are large.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass
class Findings:
    """What a folder says of a lock: hits are (name, version, ids, the versions that fix it)."""

    records: int = 0
    newest: str = ""  # the newest "modified", YYYY-MM-DD
    about: int = 0  # records that name a package of the lock
    hits: list[tuple[str, str, list[str], list[str]]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # files that are no records, and records that decide nothing


def pins(lock: str) -> dict[str, list[str]]:
    """Every version of a lock's text by name, whatever system or Python its marker is for."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def compare(folder: Path, lock: str) -> Findings:
    """Looks every pin of a lock up in every record below a folder."""
    found, wanted = Findings(), pins(lock)
    for path in sorted(one for one in folder.rglob("*") if one.suffix in {".json", ".yaml", ".yml"}):
        try:
            record = _read(path)
            named = [(name, one) for name, one in _affected(record) if name in wanted]
        except (ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
            found.unread.append(f"{path.relative_to(folder)}: {error}".splitlines()[0])
            continue
        found.records += 1
        found.newest = max(found.newest, str(record.get("modified", ""))[:10])
        if record.get("withdrawn"):
            continue
        found.about += bool(named)
        for name in dict.fromkeys(name for name, _ in named):
            _note(found, record, name, wanted[name], [one for other, one in named if other == name])
    return found


def _note(found: Findings, record: Record, name: str, versions: list[str], affected: list[Record]) -> None:
    for version in versions:
        hits = 0
        for one in affected:
            try:
                hits += hit(one, version)
            except (ValueError, AttributeError, TypeError) as error:
                found.unread.append(f"{record['id']} on {name} {version}: {error}")
        if hits:
            ids = [record["id"], *record.get("aliases", ())]
            found.hits.append((name, version, ids, _fixes(affected)))


def hit(affected: Record, version: str) -> bool:
    """Whether an entry of "affected" names a version, by its list or by its ranges, in PEP 440's order.

    Raises:
        ValueError: the entry has neither a list nor a range of releases, or a version in it is none.
    """
    ranges = [
        one["events"] for one in affected.get("ranges") or () if one.get("type") != "GIT" and one.get("events")
    ]
    listed = affected.get("versions") or ()
    if not ranges and not listed:
        raise ValueError("neither a range nor a list of releases")
    at = Version(version)
    return any(_same(one, at) for one in listed) or any(_inside(events, at) for events in ranges)


def _read(path: Path) -> Record:
    text = path.read_text(encoding="utf-8")
    loaded = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=LOADER)  # noqa: S506
    if not isinstance(loaded, dict) or not isinstance(loaded.get("id"), str):
        raise ValueError("no id, so no advisory")  # noqa: TRY004
    return loaded


def _affected(record: Record) -> Iterator[tuple[str, Record]]:
    """Entries for PyPI by name; the form of before OSV 1.0 becomes an entry that decides nothing."""
    old = [{"package": record["package"]}] if "package" in record else []
    for one in record.get("affected") or old:
        package = one.get("package") or {}
        if package.get("ecosystem") == "PyPI":
            yield canonicalize_name(package.get("name", "")), one


def _same(listed: str, at: Version) -> bool:
    try:
        return Version(listed) == at
    except InvalidVersion:  # releases of before PEP 440; a pin of ours is none of them
        return False


ORDER = ("fixed", "limit", "introduced", "last_affected")  # at one and the same version


def _inside(events: list[Mapping[str, str]], at: Version) -> bool:
    told = [(kind, text) for event in events for kind, text in event.items() if kind in ORDER]
    told.sort(key=lambda one: (one[1] != "0", Version(one[1]), ORDER.index(one[0])))  # "0" is before every version
    inside = False
    for kind, text in told:
        bound = Version(text)
        if kind == "introduced" and (text == "0" or at >= bound):
            inside = True
        elif (kind in {"fixed", "limit"} and at >= bound) or (kind == "last_affected" and at > bound):
            inside = False
    return inside


def _fixes(affected: list[Record]) -> list[str]:
    events = [event for one in affected for of in one.get("ranges") or () for event in of.get("events", ())
              if of.get("type") != "GIT"]  # fmt: skip
    return [event["fixed"] for event in events if "fixed" in event]
