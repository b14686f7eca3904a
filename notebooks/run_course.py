"""Run all notebooks in order and leave the executed pages in build/: ``make course``."""

import sys
from pathlib import Path
from time import monotonic

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"


def page(notebook) -> str:
    """An executed notebook as HTML. No kernel is behind it: an output's HTML or text stands in for its widget."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return HTMLExporter(embed_images=True).from_notebook_node(notebook)[0]


def run(path: Path) -> str | None:
    """Execute one notebook and write its page; what went wrong, naming the cell, or None."""
    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}})
    wrong = None
    try:
        client.execute()
    except CellExecutionError as error:
        number = max(cell.get("execution_count") or 0 for cell in notebook.cells)  # the last that ran
        wrong = f"{path.name}, cell [{number}]: {error.ename}: {error.evalue}"
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"{path.stem}.html").write_text(page(notebook))
    return wrong


def main() -> int:
    paths = sorted(HERE.glob("[0-9]*.ipynb"))
    for k, path in enumerate(paths, 1):
        print(f"[{k}/{len(paths)}] {path.name} …", end=" ", flush=True)
        began = monotonic()
        if wrong := run(path):
            print(f"failed\n{wrong}\nThe page as far as it got: {BUILD / path.stem}.html", file=sys.stderr)
            return 1
        print(f"{monotonic() - began:.0f} s → build/{path.stem}.html", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
