"""The image's packages: every one pinned by its hashes, nothing of ours missing, no index named; and who looks."""

from __future__ import annotations

import importlib.util
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
def audit() -> ModuleType:
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
    assert audit.told(stdout, "Traceback\nno route to host") == code
    assert says in capsys.readouterr().out


def test_ci_audits() -> None:
    assert "make audit" in (REPO / ".ci/run").read_text(encoding="utf-8")
    assert Path(REPO / ".ci/audit.lock").exists()
