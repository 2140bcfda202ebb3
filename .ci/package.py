"""The wheel and the sdist, built here and installed in fresh environments, where each extra does what it is for.

`python .ci/package.py` tries the light ones; with `--heavy` those of which one takes minutes (torch, spaCy, Ray),
for `make extras`. Names of extras choose some of them.
"""

# ruff: noqa: S603, T201  (our own commands; what it prints is its report)

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = re.findall(r'__version__ = "(.+)"', (REPO / "zsrec/__init__.py").read_text(encoding="utf-8"))[0]
NEEDED = (
    "zsrec/py.typed",
    "zsrec/_prompts/generate/default.j2",
    "zsrec/_prompts/converse/zh.j2",
    "zsrec/data/movielens_sample/movies.csv",
    "zsrec/data/movielens_sample/LICENSE.txt",
    "zsrec/answers/calibration.json",
)
"""Files without which the wheel would install and not work."""

HEAVY = "torch transformers pandas polars pyarrow matplotlib fastapi nicegui ray spacy vllm ipykernel"
"""What the base install must not bring."""

MOST_MB = 250  # the base environment, without pip
BOOKSHOP = REPO / "docs" / "examples" / "bookshop"


class Environment:
    """A fresh environment with the wheel and some extras."""

    def __init__(self, folder: Path, wheel: Path, extra: str) -> None:
        self.folder, self.python, self.zsrec = folder, folder / "bin/python", folder / "bin/zsrec"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        what = f"{wheel}[{extra}]" if extra else str(wheel)
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-compile", what]
        subprocess.run(pip, check=True)

    def run(self, *command: str | Path, **more: str) -> str:
        """What a command prints; its failure ends the script. It runs in the environment's folder."""
        environment = {**os.environ, "PYTHONPATH": "", "NO_COLOR": "1", "COLUMNS": "200", **more}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def python_runs(self, script: str) -> str:
        """What a Python script prints."""
        return self.run(self.python, "-W", "error", "-c", script)

    @contextmanager
    def serving(self, *command: str | Path, says: str) -> Iterator[str]:
        """A server's address, from the line in which it says it (a regular expression with one group)."""
        environment = {**os.environ, "PYTHONPATH": "", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        with subprocess.Popen(
            command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None  # noqa: S101  (for mypy)
            try:
                for line in process.stderr:
                    if found := re.search(says, line):
                        yield found[1]
                        return
                sys.exit(f"{' '.join(map(str, command))} ended without a word of {says!r}")
            finally:
                process.terminate()


def check(holds: object, what: str) -> None:
    """Ends the script where something does not hold."""
    if not holds:
        sys.exit(f"error: {what}")


def fetched(url: str) -> bytes:
    """What a server of ours answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        return answer.read()  # type: ignore[no-any-return]


def base(one: Environment) -> None:
    """The version, what is inside, an answer without a model, and nothing heavy."""
    check(one.run(one.zsrec, "--version").strip() == f"zsrec {VERSION}", "another version is installed")
    missing = f"import importlib.util as u; print([n for n in '{HEAVY}'.split() if u.find_spec(n)])"
    check(one.python_runs(missing).strip() == "[]", f"the base install brings {one.python_runs(missing)}")
    size = sum(file.stat().st_size for file in one.folder.rglob("*") if file.is_file()) >> 20
    check(size <= MOST_MB, f"the base install has {size} MB")
    print(f"  {size} MB")
    check("rank/label" in one.run(one.zsrec, "prompts", "list"), "no templates")
    check("--- user" in one.run(one.zsrec, "prompts", "render", "rank/default", "--sample"), "no sample")
    words = ("recommend", "--history", "Heat", "--retriever", "lexical", "--no-model", "--json")
    check('"rank": 1' in one.run(one.zsrec, *words), "no recommendation by words")
    for command, extra in (("serve", "serve"), ("playground", "playground"), ("mcp", "mcp")):
        done = subprocess.run([one.zsrec, command], capture_output=True, text=True, check=False)
        check(done.returncode == 1 and f"zsrec[{extra}]" in done.stderr, f"zsrec {command}: {done.stderr}")


def serve(one: Environment) -> None:
    """The service starts and answers."""
    with one.serving(one.zsrec, "serve", "--port", "0", says=r"running on (http://[\w.:]+)") as url:
        check(b"status" in fetched(f"{url}/healthz"), "/healthz has no status")


def parquet(one: Environment) -> None:
    """A catalog from Parquet."""
    one.python_runs(
        "import pyarrow as pa, pyarrow.parquet as pq; from zsrec import Catalog\n"
        "pq.write_table(pa.table({'id': [1], 'title': ['Heat']}), 'c.parquet')\n"
        "assert Catalog.from_parquet('c.parquet')['1'].title == 'Heat'"
    )


def frames(one: Environment) -> None:
    """A DataFrame through the one library that the extra does not bring: a stand-in would not be one."""
    one.python_runs("import narwhals; from zsrec.data import frames")


def playground(one: Environment) -> None:
    """The page is served."""
    with one.serving(one.zsrec, "playground", "--port", "0", says=r"is at (http://\S+/)") as url:
        check(b"zsrec" in fetched(url), "the page is another one")


def bench(one: Environment) -> None:
    """A run with its charts."""
    tables = ("--interactions", BOOKSHOP / "sales.csv", "--catalog", BOOKSHOP / "books.csv", "--domain", "books")
    one.run(one.zsrec, "bench", "run", *tables, "--methods", "pop,itemknn", "--out", one.folder / "RUN")
    check("<svg" in (one.folder / "RUN/report.html").read_text(encoding="utf-8"), "a report without charts")


def mcp(one: Environment) -> None:
    """The command knows its server."""
    one.python_runs("import mcp")
    check("--catalog" in one.run(one.zsrec, "mcp", "--help"), "zsrec mcp reads no catalog")


def zh(one: Environment) -> None:
    """Traditional and simplified letters."""
    one.python_runs(
        "from zsrec.data.titles import simplified_letters\nassert simplified_letters()\n"
        "from zsrec import Catalog, Grounder\n"
        "found = Grounder(Catalog(['1'], ['霸王别姬'], domain='movies')).ground('霸王別姬')\n"
        "assert found.item_id == '1', found"
    )


def batch(one: Environment) -> None:
    """Ray and pyarrow, as a job imports them."""
    one.python_runs("import ray.data, pyarrow.parquet; import zsrec.serving.batch_ray")


def presidio(one: Environment) -> None:
    """Redaction by Presidio's own engine, without a language model."""
    one.python_runs(
        "import presidio_analyzer, presidio_anonymizer; from zsrec.core.privacy import PresidioRedaction"
    )


def trained(one: Environment) -> None:
    """EASE beside our rows."""
    tables = ("--interactions", BOOKSHOP / "sales.csv", "--catalog", BOOKSHOP / "books.csv", "--domain", "books")
    shown = one.run(one.zsrec, "bench", "run", *tables, "--methods", "pop,ease")
    check("ease: left out" not in shown and "ease" in shown, shown)


def embed(one: Environment) -> None:
    """The libraries; a model of sentence-transformers is not on a package index."""
    one.python_runs("import sentence_transformers, usearch; from zsrec.core.embedding import default_embedder")


def vllm(one: Environment) -> None:
    """The package, as `zsrec model up` finds it in this environment."""
    one.python_runs("import vllm")


LIGHT: dict[str, Callable[[Environment], None]] = {
    "": base, "serve": serve, "parquet": parquet, "frames": frames, "playground": playground, "bench": bench,
    "mcp": mcp, "zh": zh,
}  # fmt: skip
HEAVIER: dict[str, Callable[[Environment], None]] = {
    "batch": batch, "presidio": presidio, "trained": trained, "embed": embed, "vllm": vllm,
}  # fmt: skip
NOT_TRIED = {"dev", "docs", "web"}  # what `make test` and `make docs` run in


def build(folder: Path) -> Path:
    """Builds both files, and a wheel from the sdist, which must hold the same; the wheel's path."""
    python = [sys.executable, "-m"]
    subprocess.run([*python, "hatchling", "build", "-d", folder], cwd=REPO, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name in NEEDED:
        check(name in names, f"the wheel lacks {name}")
    check(not any(name.startswith(("tests/", "docs/", "benchmarks/")) for name in names), "the wheel has more")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    again = folder / "again"
    subprocess.run([*python, "hatchling", "build", "-t", "wheel", "-d", again], cwd=source, check=True,
                   capture_output=True)  # fmt: skip
    with zipfile.ZipFile(next(again.glob("*.whl"))) as archive:
        check(
            set(archive.namelist()) == names, f"the sdist builds another wheel: {names ^ set(archive.namelist())}"
        )
    print(f"{wheel.name}: {wheel.stat().st_size >> 10} kB, {len(names)} files; {sdist.name} builds the same")
    return wheel


def main(arguments: Sequence[str]) -> None:
    """Builds, installs and tries."""
    known = {*LIGHT, *HEAVIER} | NOT_TRIED
    unknown = set(PROJECT["optional-dependencies"]) - known
    check(not unknown, f"no check of the extras {sorted(unknown)}: add one to .ci/package.py")
    heavy = "--heavy" in arguments
    wanted = [one for one in arguments if not one.startswith("-")]
    with tempfile.TemporaryDirectory(prefix="zsrec-package-") as scratch:
        wheel = build(Path(scratch))
        for extra, tried in (HEAVIER if heavy else LIGHT).items():
            if wanted and extra not in wanted:
                continue
            if extra and extra not in PROJECT["optional-dependencies"]:
                print(f"zsrec[{extra}]: there is no such extra yet")
                continue
            start = time.monotonic()
            environment = Environment(Path(scratch) / f"venv-{extra or 'base'}", wheel, extra)
            installed = time.monotonic() - start
            tried(environment)
            print(f"zsrec[{extra}]: installed in {installed:.0f} s, works ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main(sys.argv[1:])
