"""Known vulnerabilities among the packages of the service's image. Whatever was not looked up is said aloud.

Usage: python .ci/audit.py PATH-OF-PIP-AUDIT LOCK

The exit code is 1 where a package has a known vulnerability, and 0 otherwise: a service that cannot be reached
must not stop a change, but nobody shall take its silence for a clean result.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(pip_audit: str, lock: str) -> int:
    """Runs pip-audit over a lock file."""
    command = [pip_audit, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json",
               "--progress-spinner", "off", "--timeout", "10"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return told(done.stdout, done.stderr)


def told(stdout: str, stderr: str) -> int:
    """Says what pip-audit found, and gives the exit code."""
    try:
        found = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = stderr.strip().splitlines() or ["pip-audit said nothing"]
        print(f"not audited: {lines[-1][:200]}")  # noqa: T201
        return 0
    skipped = [one for one in found if "skip_reason" in one]
    bad = [(one, vuln) for one in found for vuln in one.get("vulns", ())]
    for one, vuln in bad:
        fixed = ", ".join(vuln["fix_versions"]) or "no version"
        print(f"vulnerable: {one['name']} {one['version']}: {vuln['id']}, fixed in {fixed}")  # noqa: T201
    if skipped or not found:
        first = f"; the first: {skipped[0]['name']}: {skipped[0]['skip_reason'][:120]}" if skipped else ""
        print(f"not audited: {len(skipped)} of {len(found)} packages{first}")  # noqa: T201
    print(f"audited: {len(found) - len(skipped)} packages, {len(bad)} vulnerabilities known")  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
