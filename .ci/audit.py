"""Known vulnerabilities among the packages of the service's image. Whatever was not looked up is said aloud.

Usage: python .ci/audit.py PATH-OF-PIP-AUDIT LOCK

Where ZSREC_ADVISORIES names a folder of advisories (PyPA's database or any in OSV's form), the lock is compared
with them too, which needs no network. An advisory that somebody found harmless here stands with the reason in
pyproject.toml, tool.zsrec-audit.ignore.

The exit code is 1 where a package has a known vulnerability, 2 where the named folder has no advisories, and 0
otherwise: a service that cannot be reached must not stop a change, but nobody shall take its silence for a clean
result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import advisories

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main(pip_audit: str, lock: str) -> int:
    """Runs pip-audit over a lock file, and compares it with a folder of advisories where one is named."""
    ignored = reasons(PROJECT.read_text(encoding="utf-8"))
    command = [pip_audit, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json",
               "--progress-spinner", "off", "--timeout", "10"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    code = told(done.stdout, done.stderr, ignored)
    folder = os.environ.get("ZSREC_ADVISORIES", "")
    return max(code, offline(Path(folder), Path(lock).read_text(encoding="utf-8"), ignored)) if folder else code


def reasons(project: str) -> dict[str, str]:
    """The ignored advisories and why, of pyproject.toml's text.

    Raises:
        ValueError: one has no reason.
    """
    ignored = tomllib.loads(project)["tool"].get("zsrec-audit", {}).get("ignore", {})
    for name, why in ignored.items():
        if not isinstance(why, str) or not why.strip():
            raise ValueError(f"tool.zsrec-audit.ignore: say why {name} is harmless here")
    return dict(ignored)


def told(stdout: str, stderr: str, ignored: Mapping[str, str]) -> int:
    """Says what pip-audit found, and gives the exit code."""
    try:
        found = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = stderr.strip().splitlines() or ["pip-audit said nothing"]
        print(f"not audited: {lines[-1][:200]}")  # noqa: T201
        return 0
    skipped = [one for one in found if "skip_reason" in one]
    vulns = [(one, vuln) for one in found for vuln in one.get("vulns", ())]
    bad = sum(
        counts(one["name"], one["version"], [vuln["id"], *vuln.get("aliases", ())], vuln["fix_versions"], ignored)
        for one, vuln in vulns
    )
    if skipped or not found:
        first = f"; the first: {skipped[0]['name']}: {skipped[0]['skip_reason'][:120]}" if skipped else ""
        print(f"not audited: {len(skipped)} of {len(found)} packages{first}")  # noqa: T201
    print(f"audited: {len(found) - len(skipped)} packages, {bad} vulnerabilities known")  # noqa: T201
    return 1 if bad else 0


def offline(folder: Path, lock: str, ignored: Mapping[str, str]) -> int:
    """Says what a folder of advisories knows of a lock's text, and gives the exit code."""
    found = advisories.compare(folder, lock)
    if found.unread:
        print(f"not compared: {len(found.unread)}; the first: {found.unread[0][:200]}")  # noqa: T201
    if not found.records:
        print(f"not audited: no advisories in {folder}; ZSREC_ADVISORIES names a folder of YAML or JSON")  # noqa: T201
        return 2
    bad = sum(counts(*one, ignored) for one in found.hits)
    said = (
        f"{found.records} records, newest of {found.newest or 'no date'}, {found.about} about packages of the lock"
    )
    print(f"audited from {folder}, {said}: {len(advisories.pins(lock))} packages, {bad} vulnerabilities known")  # noqa: T201
    return 1 if bad else 0


def counts(name: str, version: str, ids: list[str], fixes: list[str], ignored: Mapping[str, str]) -> bool:
    """Says one vulnerability, and whether it counts: one that is ignored, under any of its names, does not."""
    for one in ids:
        if one in ignored:
            print(f"ignored: {name} {version}: {one}: {ignored[one]}")  # noqa: T201
            return False
    print(f"vulnerable: {name} {version}: {ids[0]}, fixed in {', '.join(fixes) or 'no version'}")  # noqa: T201
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
