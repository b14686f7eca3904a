"""``make course``: a page for each notebook, a stop at the first that fails."""

import importlib.util
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SCRIPT = Path(__file__).parents[1] / "notebooks" / "run_course.py"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The script, working on a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("run_course", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    return module


def write(folder: Path, name: str, *sources: str):
    equation = new_markdown_cell("$$\n\\begin{array}{rl}\nh &= c\n\\end{array}\n$$")
    nbformat.write(new_notebook(cells=[equation, *map(new_code_cell, sources)]), folder / name)


def test_course_leaves_pages_and_stops_at_the_failing_cell(course, tmp_path, capsys):
    write(tmp_path, "00_good.ipynb", "from IPython.display import HTML", "HTML('<b>rain</b>')")
    write(tmp_path, "01_bad.ipynb", "x = 1", "raise ValueError('no rain')", "x = 2")
    write(tmp_path, "02_never.ipynb", "x = 1")
    assert course.main() == 1
    said = capsys.readouterr()
    assert "[1/3] 00_good.ipynb" in said.out and "02_never" not in said.out
    assert "01_bad.ipynb, cell [2]: ValueError: no rain" in said.err
    assert {p.name for p in (tmp_path / "build").iterdir()} == {"00_good.html", "01_bad.html"}
    page = (tmp_path / "build" / "00_good.html").read_text()
    assert "<b>rain</b>" in page and "<mtable" in page and "$$" not in page.split("<body")[1]
    assert "MathJax.js" not in page and "require.min.js" not in page


def test_widgets_give_way_to_html_and_vanish_without_it(course):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "a widget"}
    cell = new_code_cell("show()")
    cell.outputs = [
        nbformat.v4.new_output("display_data", widget),
        nbformat.v4.new_output("display_data", widget | {"text/html": "<p>player</p>"}),
    ]
    page = course.page(new_notebook(cells=[cell]))
    assert "<p>player</p>" in page and "a widget" not in page and "model_id" not in page
