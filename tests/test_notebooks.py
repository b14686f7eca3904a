"""``make course``: notebooks executed in order, and a site that needs no network and no kernel."""

import base64
import importlib.util
import io
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest
from browser_tools import FLAGS, chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"

ABOUT = r"""# {number} · A title

## Figures of "rain"

Inline $x^2$, a [link](00_first.ipynb), and equations:

$$
\begin{{aligned}}
C_t &= f_t \circ C_{{t-1}} \\
i_t + f_t &= \sigma(W_{{xi}} \ast X_t + W_{{hi}} \ast H_{{t-1}} + W_{{ci}} \circ C_{{t-1}} + b_i)
\end{{aligned}}
$$
"""
INDEX = """# Rain

![A blue square](square.png)

[course](course.md), [first notebook](../notebooks/00_first.ipynb)

```{toctree}
:hidden:

/docs/course
```
"""
COURSE = """# The course

```{toctree}
:glob:

/notebooks/*
```

```{toctree}
:caption: Solutions
:glob:

/notebooks/solutions/*
```
"""
DRAW = "from PIL import Image\nImage.new('RGB', (900, 200), 'blue')"
PLAYER = """import numpy as np
from nowcastlib.data import as_frames
from nowcastlib.display import FramePlayer
FramePlayer(as_frames(np.ones((3, 16, 16), "f4")))"""


@pytest.fixture
def script():
    """The module docs/run_course.py."""
    path = ROOT / "docs" / "run_course.py"
    spec = importlib.util.spec_from_file_location("run_course", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def course(script, tmp_path, monkeypatch):
    """The script in a small repository: the true Sphinx configuration and two pages."""
    monkeypatch.setattr(script, "ROOT", tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "notebooks" / "solutions").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    for name in ("_static", "_templates"):
        shutil.copytree(ROOT / "docs" / name, docs / name)
    (docs / "index.md").write_text(INDEX)
    (docs / "course.md").write_text(COURSE)
    (docs / "square.png").write_bytes(png("blue"))
    return script


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_notebook(root: Path, name: str, *sources: str):
    about = new_markdown_cell(ABOUT.format(number=Path(name).name[:2]))
    notebook = new_notebook(cells=[about, *map(new_code_cell, sources)])
    nbformat.write(notebook, root / "notebooks" / name)


def test_a_failed_notebook_is_named_with_its_cell_and_the_older_site_stays(
    course, tmp_path, capsys
):
    older = tmp_path / "build" / "index.html"
    older.parent.mkdir()
    older.write_text("the older site")
    write_notebook(tmp_path, "00_good.ipynb", "x = 1")
    write_notebook(tmp_path, "01_bad.ipynb", "x = 1", "raise ValueError('no rain')", "x = 2")
    write_notebook(tmp_path, "02_never.ipynb", "x = 1")

    assert course.main() == 1

    printed = capsys.readouterr()
    assert re.search(r"^\[1/3\] 00_good.ipynb … \d+ s$", printed.out, re.M)
    assert "02_never" not in printed.out
    assert "01_bad.ipynb, cell [2]: ValueError: no rain" in printed.err
    assert older.read_text() == "the older site"
    assert {path.name for path in tmp_path.iterdir()} == {"build", "docs", "notebooks"}


def test_a_kernel_that_dies_is_a_failure_too(course, tmp_path, capsys):
    write_notebook(tmp_path, "00_dies.ipynb", "import os", "os._exit(1)")
    assert course.main() == 1
    assert "00_dies.ipynb, cell [" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_a_site_that_sphinx_cannot_write_leaves_the_older_one(course, tmp_path, capsys):
    (tmp_path / "build").mkdir()
    (tmp_path / "docs" / "conf.py").write_text("extensions = ['no_such_extension']")
    assert course.main() != 0
    assert "Sphinx failed" in capsys.readouterr().err
    assert list((tmp_path / "build").iterdir()) == []


@pytest.fixture
def pages():
    """A page in Chromium, 360 px wide. No script may fail, only local files may be requested."""
    requested, errors = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 360, "height": 700})
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert {urlparse(url).scheme for url in requested} <= {"file", "data", "blob"}
    assert errors == []


def test_the_site_works_offline_in_a_browser(course, tmp_path, capsys, pages):
    write_notebook(tmp_path, "00_first.ipynb", DRAW)
    write_notebook(tmp_path, "01_second.ipynb", PLAYER)
    write_notebook(tmp_path, "solutions/00_first.ipynb", DRAW)
    assert course.main() == 0

    # In order, the solutions last
    names = re.findall(r"^\[\d/3\] (\S+) … \d+ s$", capsys.readouterr().out, re.M)
    assert names == ["00_first.ipynb", "01_second.ipynb", "solutions/00_first.ipynb"]

    # From the first page to the last by the links to the next page
    pages.goto((tmp_path / "build" / "index.html").as_uri())
    seen = []
    while True:
        seen.append(pages.url.partition("/build/")[2])
        assert pages.evaluate("document.documentElement.scrollWidth <= innerWidth"), seen[-1]
        check_pictures(pages)
        check_links(pages)
        if "notebooks/" in pages.url:
            check_equations(pages)
            check_contents(pages)
        if not pages.locator("a.right-next").count():
            break
        pages.locator("a.right-next").click()
        pages.wait_for_load_state()
    assert seen[:4] == [
        "index.html", "docs/course.html", "notebooks/00_first.html", "notebooks/01_second.html",
    ]  # fmt: skip
    assert seen[4:] == ["notebooks/solutions/00_first.html"]


def check_pictures(page):
    script = "[...document.images].every((i) => i.alt && i.complete && i.naturalWidth)"
    assert page.evaluate(script), page.url
    if page.url.endswith("00_first.html"):
        (alt,) = page.evaluate("[...document.images].map((i) => i.alt)")
        assert alt == 'Picture of the section “Figures of "rain"”'
        # Wider than the screen, so that its words can be read; it scrolls within itself
        assert page.locator(".cell_output img").bounding_box()["width"] > 600
        assert page.locator(".cell_output").evaluate("box => box.scrollWidth > box.clientWidth")


def check_links(page):
    links = page.evaluate("[...document.querySelectorAll('a')].map((a) => a.href.split('#')[0])")
    for href in links:
        assert not href or Path(unquote(urlparse(href).path)).is_file(), f"{page.url} → {href}"


def check_contents(page):
    """The table of contents: a column on a wide screen, behind a button on a phone."""
    contents = page.get_by_role("link", name="Figures of")
    narrow = page.viewport_size
    page.set_viewport_size({"width": 1200, "height": 700})
    assert contents.first.is_visible()
    page.set_viewport_size(narrow)
    assert not contents.first.is_visible()
    page.locator("button.secondary-toggle").click()
    contents.first.click()
    assert page.url.endswith("#figures-of-rain")
    contents.first.wait_for(state="hidden", timeout=5000)


def check_equations(page):
    """Both rows are drawn, their equal signs in one column, and nothing is cut off on the left."""
    assert page.locator("p math").count() == 1
    rows = page.locator("div.math mtr")
    assert rows.count() == 2
    left = [rows.nth(k).locator("mtd").first.bounding_box() for k in range(2)]
    right = [rows.nth(k).locator("mtd").nth(1).bounding_box() for k in range(2)]
    assert left[0]["x"] >= 0
    assert right[0]["x"] == right[1]["x"]


def test_a_player_plays_without_a_kernel(course, tmp_path, pages):
    write_notebook(tmp_path, "00_first.ipynb", PLAYER)
    assert course.main() == 0
    pages.goto((tmp_path / "build" / "notebooks" / "00_first.html").as_uri())
    label = pages.locator(".nowcast-label")
    first = label.inner_text()
    pages.locator(".nowcast-step").last.click()
    assert label.inner_text() != first
    assert pages.locator(".nowcast-picture canvas").first.bounding_box()["width"] > 100


def test_the_documentation_is_complete_and_refers_to_nothing_outside(script, tmp_path, capsys):
    """The true pages with the notebooks as they are: every link and every API page is there."""
    source = tmp_path / "source"
    script.write_documents(source)
    shutil.copytree(ROOT / "notebooks", source / "notebooks")
    assert script.write_site(tmp_path) == 0

    warnings = capsys.readouterr().err
    broken = r"xref_missing|nonexisting document|failed to import|be drawn|ERROR"
    assert not re.search(broken, warnings), warnings
    site = tmp_path / "site"
    for room in ("data", "networks", "training", "forecasting", "verification", "display"):
        assert (site / "docs" / "api" / f"nowcastlib.{room}.html").is_file()
    for path in site.rglob("*.html"):
        fetched = r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*"
        assert not re.findall(fetched, path.read_text()), path
    for path in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text()), path


def test_widgets_give_way_to_html_and_vanish_without_it(script):
    widget = {WIDGET: {"model_id": "m"}, "text/plain": "a widget"}
    cell = new_code_cell("show()")
    cell.outputs = [
        new_output("display_data", widget),
        new_output("display_data", widget | {"text/html": "<p>player</p>"}),
    ]
    (prepared,) = script.prepare_page(new_notebook(cells=[cell])).cells
    (output,) = prepared.outputs
    assert output.data["text/html"] == "<p>player</p>"
    assert WIDGET not in output.data


def test_a_picture_is_described_by_the_heading_above_it(script):
    cells = [new_markdown_cell("# 00 · Rain\n\n## First"), new_code_cell()]
    cells += [
        new_markdown_cell("No heading"),
        new_code_cell(),
        new_markdown_cell("## Second `rain`"),
    ]
    picture = {"image/png": base64.b64encode(png("red")).decode()}
    cells += [new_code_cell(outputs=[new_output("display_data", picture)])]
    prepared = script.prepare_page(new_notebook(cells=cells)).cells
    descriptions = [
        cell.metadata["mystnb"]["image"]["alt"] for cell in prepared if cell.cell_type == "code"
    ]
    assert "First" in descriptions[0]
    assert "First" in descriptions[1]
    assert descriptions[2] == "Picture of the section “Second rain”"


def test_a_picture_keeps_the_alternative_text_of_its_cell(script):
    own = {"mystnb": {"image": {"alt": "A red square"}}}
    cells = [new_markdown_cell("# 00 · Rain"), new_code_cell(metadata=own)]
    assert script.prepare_page(new_notebook(cells=cells)).cells[1].metadata == own
