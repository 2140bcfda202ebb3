"""The image's packages: every one pinned by its hashes, nothing of ours missing, no index named; and who looks."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import REPO

LOCKS = {
    "docker/requirements.lock": None,
    "docker/build.lock": "docker/build.in",
    ".ci/audit.lock": ".ci/audit.in",
}
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
DOCKERFILE = (REPO / "docker/Dockerfile").read_text(encoding="utf-8")


def pins(path: str) -> dict[str, list[str]]:
    """Versions by name; a package may have several, of which markers choose."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (REPO / path).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def wanted(source: str | None) -> list[Requirement]:
    if source is None:
        of = PROJECT["project"]
        makefile = (REPO / "Makefile").read_text(encoding="utf-8")
        extras = re.findall(r"--extra (\w+)", makefile)
        assert extras == ["serve", "parquet"]
        more = [one for extra in extras for one in of["optional-dependencies"][extra]]
        return [Requirement(one) for one in (*of["dependencies"], *more)]
    return [
        Requirement(one) for one in (REPO / source).read_text().splitlines() if one and not one.startswith("#")
    ]


@pytest.mark.parametrize(("lock", "source"), LOCKS.items())
def test_a_lock_holds_what_is_wanted_and_hashes_of_all(lock: str, source: str | None) -> None:
    text = (REPO / lock).read_text(encoding="utf-8")
    for name, versions in pins(lock).items():
        for version in versions:
            entry = re.search(rf"^{re.escape(name)}=={re.escape(version)}.*\n(?:    .*\n)*", text, re.M | re.I)
            assert entry is not None
            assert re.findall(r"--hash=sha256:[0-9a-f]{64}", entry[0]), name
    assert not re.search(r"https?:|--(?:extra-)?index|--find-links|file:", text)
    for one in wanted(source):
        versions = pins(lock).get(canonicalize_name(one.name), [])
        assert versions, f"{lock} lacks {one.name}: make lock"
        assert all(one.specifier.contains(Version(version)) for version in versions), f"{one}: make lock"


def test_the_image_is_made_of_locks_and_of_nothing_else() -> None:
    installs = [line.strip(" &\\") for line in DOCKERFILE.splitlines() if re.search(r"pip (install|wheel)", line)]
    assert len(installs) == 4
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line, line
        assert "--only-binary :all:" in line or "--no-deps" in line, line
    ignored = (REPO / "docker/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for path in copied.split():
            assert (REPO / path).exists(), path
            pattern = "!docker/*.lock" if path.endswith(".lock") else f"!{path}"
            assert pattern in ignored, path


def test_the_documentation_counts_the_packages_of_the_image() -> None:
    text = (REPO / "docker/requirements.lock").read_text(encoding="utf-8")
    (python,) = re.findall(r"^ARG PYTHON=python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE)
    linux = {"sys_platform": "linux", "python_version": python, "python_full_version": f"{python}.0"}
    installed = [Requirement(one) for one in re.findall(r"^([\w.-]+==[^\\\n]+)", text, re.MULTILINE)]
    names = [one.name for one in installed if one.marker is None or one.marker.evaluate(linux)]
    told = (REPO / "docs/dependencies.md").read_text(encoding="utf-8")
    assert f"\n{len(names)} packages are installed on Linux" in told


def test_an_image_may_carry_a_digest() -> None:
    (image,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", image)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON}"}


def test_the_allowed_licences_are_those_that_the_documentation_names() -> None:
    allowed = [name.strip() for name in PROJECT["tool"]["pip-licenses"]["allow-only"].split(";")]
    told = (REPO / "docs/dependencies.md").read_text(encoding="utf-8")
    assert not [name for name in allowed if f"`{name}`" not in told]
    assert not [name for name in allowed if re.search(r"A?GPL|proprietary|unknown", name, re.IGNORECASE)]


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REPO / ".ci")
    spec = importlib.util.spec_from_file_location("audit", REPO / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("stdout", "code", "says"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', 0, "audited: 1 packages, 0 vuln"),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', 0, "not audited: 1 of 1 packages"),
        ('{"dependencies": []}', 0, "not audited: 0 of 0"),
        ("", 0, "not audited: no route to host"),
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}', 1,
         "vulnerable: a 1: X-1, fixed in 2"),
    ],
)  # fmt: skip
def test_silence_is_no_clean_result(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], stdout: str, code: int, says: str
) -> None:
    assert audit.told(stdout, "Traceback\nno route to host", {}) == code
    assert says in capsys.readouterr().out


LOCK = """\
left-pad==2.3.1 \\
    --hash=sha256:00
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:00
"""
RECORD = """\
id: PYSEC-2026-1
aliases: [CVE-2026-1, GHSA-aaaa]
modified: 2026-11-02T01:02:03.4Z
affected:
- package: {name: Left_Pad, ecosystem: PyPI}
"""


def events(*told: tuple[str, str]) -> str:
    return "  ranges: [{type: ECOSYSTEM, events: [" + ", ".join(f"{{{kind}: {of}}}" for kind, of in told) + "]}]"


@pytest.mark.parametrize(
    ("entry", "hit"),
    [
        (events(("introduced", "0"), ("fixed", "2.3.2")), True),
        (events(("introduced", "0"), ("fixed", "2.3.1")), False),
        (events(("introduced", "0"), ("fixed", "2.3.1.post1")), True),
        (events(("introduced", "0"), ("fixed", "2.3.1rc1")), False),
        (events(("introduced", "0"), ("fixed", "2.20")), True),  # 2.20 is text, and after 2.3.1
        (events(("introduced", "2.3.1")), True),  # no fix
        (events(("introduced", "2.4")), False),
        (events(("introduced", "0"), ("last_affected", "2.3.1")), True),
        (events(("introduced", "0"), ("last_affected", "2.3.0")), False),
        # Several stretches in one range, in no order; one that ends where another one begins.
        (events(("introduced", "2.3"), ("fixed", "2.3.2"), ("introduced", "0"), ("fixed", "1.6")), True),
        (events(("introduced", "2"), ("fixed", "2.3"), ("introduced", "0"), ("fixed", "1.6")), False),
        (events(("introduced", "1"), ("fixed", "2.3.1"), ("introduced", "2.3.1")), True),
        ("  versions: [1.0, 2.3.1]", True),
        ("  versions: ['2.3.1.0']", True),
        ("  versions: [2.3, 2004b]", False),
        ("  versions: [2.3.1]\n" + events(("introduced", "3")), True),
        ("  versions: [1.0]\n  ranges: [{type: GIT, events: [{introduced: '0'}]}]", False),
    ],
)  # fmt: skip
def test_a_folder_of_advisories_is_compared(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, entry: str, hit: bool
) -> None:
    (tmp_path / "left-pad").mkdir()
    (tmp_path / "left-pad" / "PYSEC-2026-1.yaml").write_text(RECORD + entry, encoding="utf-8")
    assert audit.offline(tmp_path, LOCK, {}) == int(hit)
    said = capsys.readouterr().out
    assert ("vulnerable: left-pad 2.3.1: PYSEC-2026-1, fixed in " in said) == hit
    assert (
        f"audited from {tmp_path}, 1 records, newest of 2026-11-02, 1 about packages of the lock: 2 pack" in said
    )
    assert "not compared" not in said


def test_every_pin_of_a_name_is_compared_and_json_is_read(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    span = [{"introduced": "2.5"}, {"fixed": "2.5.6"}]
    record = {
        "id": "GHSA-bbbb", "modified": "2026-10-01T00:00:00Z",
        "affected": [
            {"package": {"name": "numpy", "ecosystem": "npm"}, "versions": ["2.4.6"]},
            {"package": {"name": "NumPy", "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": span}]},
        ],
    }  # fmt: skip
    (tmp_path / "one.json").write_text(json.dumps(record), encoding="utf-8")
    gone = {**record, "id": "GHSA-cccc", "withdrawn": "2026-10-02T00:00:00Z", "modified": "2026-10-02T00:00:00Z"}
    (tmp_path / "two.json").write_text(json.dumps(gone), encoding="utf-8")
    assert audit.offline(tmp_path, LOCK, {}) == 1
    said = capsys.readouterr().out
    assert said.count("vulnerable") == 1
    assert "vulnerable: numpy 2.5.5: GHSA-bbbb, fixed in 2.5.6" in said
    assert "2 records, newest of 2026-10-02, 1 about" in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id: [", "a.yaml: while parsing"),
        ("name: a workflow", "a.yaml: no id, so no advisory"),
        (RECORD + "  ranges: [{type: GIT, events: [{introduced: '0'}]}]", "left-pad 2.3.1: neither a range nor"),
        (
            RECORD + events(("introduced", "0"), ("fixed", "two")),
            "PYSEC-2026-1 on left-pad 2.3.1: Invalid version",
        ),
        (
            "id: OLD-1\npackage: {name: left-pad, ecosystem: PyPI}\naffects: {ranges: []}",
            "OLD-1 on left-pad 2.3.1",
        ),
        ("id: X\naffected: [text]", "a.yaml: 'str' object has no attribute"),
    ],
)
def test_what_a_folder_does_not_decide_is_said(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "b.json").write_text('{"id": "X-2", "modified": "2026-01-01", "affected": []}', encoding="utf-8")
    assert audit.offline(tmp_path, LOCK, {}) == 0
    said = capsys.readouterr().out
    assert "not compared: 1; the first: " in said
    assert why in said


def test_a_hit_beside_an_entry_that_decides_nothing_is_a_hit(audit: ModuleType, tmp_path: Path) -> None:
    more = "  versions: [2.3.1]\n- package: {name: left-pad, ecosystem: PyPI}"
    (tmp_path / "a.yaml").write_text(RECORD + more, encoding="utf-8")
    assert audit.offline(tmp_path, LOCK, {}) == 1


def test_a_folder_without_advisories_is_no_clean_result(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert audit.offline(tmp_path, LOCK, {}) == 2
    assert audit.offline(tmp_path / "absent", LOCK, {}) == 2
    assert capsys.readouterr().out.count("not audited: no advisories in ") == 2


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
def test_an_ignored_advisory_is_told_with_its_reason(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    ignored = audit.reasons(f'[tool.zsrec-audit.ignore]\n"{name}" = "we never pad"')
    (tmp_path / "a.yaml").write_text(RECORD + "  versions: [2.3.1]", encoding="utf-8")
    assert audit.offline(tmp_path, LOCK, ignored) == 0
    vuln = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": []}
    found = {"dependencies": [{"name": "left-pad", "version": "2.3.1", "vulns": [vuln]}]}
    assert audit.told(json.dumps(found), "", ignored) == 0
    said = capsys.readouterr().out
    assert said.count(f"ignored: left-pad 2.3.1: {name}: we never pad") == 2
    assert said.count("0 vulnerabilities known") == 2


def test_an_advisory_is_not_ignored_without_a_reason(audit: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"ignore: say why CVE-1 is harmless"):
        audit.reasons('[tool.zsrec-audit.ignore]\nCVE-1 = " "')
    audit.reasons((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_folder_is_read_beside_pip_audit(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "pip-audit"
    silent.write_text("#!/bin/sh\necho no route to host >&2\nexit 1\n", encoding="utf-8")
    silent.chmod(0o755)
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK, encoding="utf-8")
    folder = tmp_path / "vulns"
    folder.mkdir()
    (folder / "a.yaml").write_text(RECORD + "  versions: [2.3.1]", encoding="utf-8")
    monkeypatch.delenv("ZSREC_ADVISORIES", raising=False)
    assert audit.main(str(silent), str(lock)) == 0
    assert capsys.readouterr().out == "not audited: no route to host\n"
    monkeypatch.setenv("ZSREC_ADVISORIES", str(folder))
    assert audit.main(str(silent), str(lock)) == 1
    assert "not audited: no route to host\nvulnerable: left-pad 2.3.1" in capsys.readouterr().out


def test_ci_audits() -> None:
    assert "make audit" in (REPO / ".ci/run").read_text(encoding="utf-8")
    assert Path(REPO / ".ci/audit.lock").exists()
