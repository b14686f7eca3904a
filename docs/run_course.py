"""Execute all notebooks in order and build the course's site in build/: ``make course``.

Sphinx writes the pages (docs/conf.py). This script does what Sphinx does not: it runs the notebooks
one after another, prints the seconds that each took, and replaces an older site only by a complete
new one.
"""

import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx.cmd.build import build_main
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
LINKED = ("benchmarks", "recipes", "nowcastlib", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookFailed(Exception):
    """A notebook stopped: its name, the number of the cell, and the error."""


def main() -> int:
    """Build the site. Returns the exit status: 0, or 1 if a notebook or Sphinx failed."""
    build = ROOT / "build"
    with TemporaryDirectory(prefix=".build-", dir=ROOT) as folder:
        work = Path(folder)
        try:
            write_documents(work / "source")
            execute_all(work / "source" / "notebooks")
        except NotebookFailed as error:
            print(f"{error}\nbuild/ was left as it was", file=sys.stderr)
            return 1

        if write_site(work):
            print("Sphinx failed: build/ was left as it was", file=sys.stderr)
            return 1

        if build.exists():
            build.rename(work / "older")
        (work / "site").rename(build)
    print("open build/index.html")
    return 0


def write_documents(source: Path) -> None:
    """Lay out the repository's documents for Sphinx, with docs/index.md as the first page."""
    shutil.copytree(ROOT / "docs", source / "docs")
    for path in (ROOT / name for name in LINKED):
        if path.is_dir():
            (source / path.name).symlink_to(path)
        elif path.exists():
            shutil.copy(path, source)

    # The first page stands one folder higher than docs/index.md, and so do its links
    text = (ROOT / "docs" / "index.md").read_text()
    text = re.sub(r"\]\((?!http|#|\.\./)", "](docs/", text).replace("](../", "](")
    (source / "index.md").write_text(text)


def execute_all(target: Path) -> None:
    """Run the notebooks in order, then the solutions, and write them into ``target``."""
    folder = ROOT / "notebooks"
    paths = sorted(folder.glob("[0-9]*.ipynb")) + sorted(folder.glob("solutions/[0-9]*.ipynb"))
    for number, path in enumerate(paths, start=1):
        name = path.relative_to(folder)
        print(f"[{number}/{len(paths)}] {name} …", end=" ", flush=True)
        start = monotonic()
        notebook = prepare_page(execute(path))
        print(f"{monotonic() - start:.0f} s", flush=True)

        (target / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target / name)


def write_site(work: Path) -> int:
    """Let Sphinx write work/site from work/source. Returns Sphinx's exit status."""
    print("[site] …", end=" ", flush=True)
    start = monotonic()
    options = ["-q", "-b", "html", "-c", str(ROOT / "docs"), "-d", str(work / "doctrees")]
    status = build_main([*options, str(work / "source"), str(work / "site")])
    print(f"{monotonic() - start:.0f} s", flush=True)
    return status


def execute(path: Path) -> nbformat.NotebookNode:
    """Run one notebook in its folder.

    Raises
    ------
    NotebookFailed
        If a cell raises an error, takes over half an hour, or kills the kernel.
    """
    notebook = nbformat.read(path, 4)
    # Encrypted, or the kernel warns that others on this machine could listen
    config = Config({"KernelManager": {"transport_encryption": "auto"}})
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=1800, config=config, resources=resources)
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print("failed", flush=True)
        last = max(cell.get("execution_count") or 0 for cell in notebook.cells)
        kind = getattr(error, "ename", type(error).__name__)
        text = getattr(error, "evalue", error)
        raise NotebookFailed(f"{path.name}, cell [{last}]: {kind}: {text}") from error
    return notebook


def prepare_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Make an executed notebook fit for a page without a kernel.

    A widget is replaced by its HTML, or removed if it has none. A picture without an alternative
    text of its own (in the metadata of its cell) gets one from the heading above it.
    """
    notebook.metadata.pop("widgets", None)
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = ([heading, *re.findall(r"^#+ (.+)$", cell.source, re.M)])[-1]
        if cell.cell_type == "code":
            cell.outputs = [o for o in map(_without_widget, cell.outputs) if o]
            plain = re.sub(r"[`*$]", "", heading)
            by_heading = {"image": {"alt": f"Picture of the section “{plain}”"}}
            cell.metadata.setdefault("mystnb", by_heading)
    return notebook


def _without_widget(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The output without its widget, or None if it has nothing else to show in a page."""
    data = output.get("data", {})
    if WIDGET in data:
        del data[WIDGET]
        return output if "text/html" in data else None
    return output


if __name__ == "__main__":
    sys.exit(main())
