"""Run all notebooks in order and leave the executed pages in build/: ``make course``."""

import re
import sys
from html import unescape
from pathlib import Path
from time import monotonic

import nbformat
from latex2mathml.converter import convert as mathml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"


def page(notebook) -> str:
    """An executed notebook as HTML. No kernel is behind it: where a widget is HTML as well, that is shown."""
    notebook.metadata.pop("widgets", None)
    widget = "application/vnd.jupyter.widget-view+json"
    for cell in notebook.cells:
        outputs = [o for o in cell.get("outputs", []) if widget not in o.get("data", {}) or "text/html" in o.data]
        for output in outputs:
            output.get("data", {}).pop(widget, None)
        if cell.cell_type == "code":
            cell.outputs = outputs
    offline = {"mathjax_url": "", "require_js_url": "", "jquery_url": ""}
    text = HTMLExporter(embed_images=True, **offline).from_notebook_node(notebook)[0]
    # browsers draw MathML by themselves; MathJax would come from the network
    return re.sub(r"\$\$\s*(\\begin.+?)\$\$", lambda m: mathml(unescape(m[1]), display="block"), text, flags=re.S)


def run(path: Path) -> str | None:
    """Execute one notebook and write its page; what went wrong, naming the cell, or None."""
    notebook = nbformat.read(path, 4)
    encrypted = Config({"KernelManager": {"transport_encryption": "auto"}})  # the kernel warns if others could listen
    client = NotebookClient(notebook, timeout=1800, config=encrypted, resources={"metadata": {"path": str(HERE)}})
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
