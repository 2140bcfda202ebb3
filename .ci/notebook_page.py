"""The notebook: run against a model server, and turned into a page of the documentation.

`python .ci/notebook_page.py --run` runs docs/notebooks/first_steps.ipynb (ZSREC_BASE_URL names the server) and
keeps its outputs; without `--run` the page is written from the outputs that are there.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "notebooks" / "first_steps.ipynb"
PAGE = DOCS / "notebook.md"
_HERE = re.compile(r"/\S*/(?=zsrec/|site-packages/|mine\.j2)")  # paths of the machine where it ran


def executed(notebook: Any, *, timeout: int = 600) -> Any:  # noqa: ANN401  (nbformat has no types)
    """The notebook with the outputs of a run in an empty folder."""
    from nbclient import NotebookClient

    programs = str(Path(sys.executable).parent)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="zsrec-notebook-") as folder:
        client = NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": folder}})
        found = client.execute(env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"})
    for cell in found.cells:
        cell.metadata.pop("execution", None)
    return found


def page(notebook: Any) -> str:  # noqa: ANN401
    """The notebook as Markdown: its texts, its code, and what came out."""
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [shown for output in cell.outputs if (shown := _shown(output))]
    link = "The same as a file: [first_steps.ipynb](notebooks/first_steps.ipynb)."
    return "\n\n".join([parts[0], link, *parts[1:]]) + "\n"


def _shown(output: Any) -> str:  # noqa: ANN401
    if output.output_type == "stream":
        text = output.text
    elif "text/html" in output.data:
        html = re.sub(r"<style.*?</style>", "", output.data["text/html"], flags=re.DOTALL)
        return re.sub(r"\n\s*\n", "\n", html).strip()  # an empty line would end the HTML
    else:
        text = output.data.get("text/plain", "")
    return f"```text\n{_HERE.sub('…/', text).rstrip()}\n```"


def main() -> None:
    """Runs the notebook if asked, and writes the page."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    if "--run" in sys.argv[1:]:
        notebook = executed(notebook)
        nbformat.write(notebook, NOTEBOOK)
    PAGE.write_text(page(notebook), encoding="utf-8")


if __name__ == "__main__":
    main()
