"""``make course``: a page for each notebook and an index of them; a stop at the first that fails."""

import base64
import importlib.util
import io
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest
from browser_tools import FLAGS, chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from playwright.sync_api import sync_playwright

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


ABOUT = """# {title}

## Goals

- See `rain` in a [link](01_bad.ipynb),
  & *more*.
- Another.

## Figures of "rain"

$$
\\begin{{array}}{{rl}}
h &= c
\\end{{array}}
$$
"""


def write(folder: Path, name: str, *sources: str):
    about = new_markdown_cell(ABOUT.format(title=f"{name[:2]} · A <b>title</b>"))
    nbformat.write(new_notebook(cells=[about, *map(new_code_cell, sources)]), folder / name)


def encoded(size: tuple[int, int], colour: str, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def middle(img: str) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Size and colour of the middle of the picture that an <img> holds."""
    picture = Image.open(io.BytesIO(base64.b64decode(re.search('base64,([^"]+)', img)[1]))).convert(
        "RGB"
    )
    return picture.size, picture.getpixel((picture.width // 2, picture.height // 2))


def test_course_leaves_pages_and_stops_at_the_failing_cell(course, tmp_path, capsys):
    write(tmp_path, "00_good.ipynb", "from IPython.display import HTML", "HTML('<b>rain</b>')")
    write(tmp_path, "01_bad.ipynb", "x = 1", "raise ValueError('no rain')", "x = 2")
    write(tmp_path, "02_never.ipynb", "x = 1")
    assert course.main() == 1
    said = capsys.readouterr()
    assert "[1/3] 00_good.ipynb" in said.out and "02_never" not in said.out
    assert "01_bad.ipynb, cell [2]: ValueError: no rain" in said.err
    assert {p.name for p in (tmp_path / "build").iterdir()} == {
        "00_good.html",
        "01_bad.html",
        "index.html",
    }
    assert said.out.endswith("\nopen build/index.html\n")
    page = (tmp_path / "build" / "00_good.html").read_text()
    assert "<b>rain</b>" in page and "<mtable" in page and "$$" not in page.split("<body")[1]
    assert "MathJax.js" not in page and "require.min.js" not in page
    assert (
        "<title>00 · A &lt;b&gt;title&lt;/b&gt;</title>" in page
        and 'href="01_bad.html">link</a>' in page
    )
    assert (
        'rel="next" href="01_bad.html"' in page
        and 'rel="prev"' not in page
        and 'href="index.html"' in page
    )
    bad = (tmp_path / "build" / "01_bad.html").read_text()
    assert 'rel="prev" href="00_good.html"' in bad and 'rel="next"' not in bad, (
        "there is no page after it"
    )
    good, failed, never = re.findall("<li.*?</li>", (tmp_path / "build" / "index.html").read_text())
    assert all(
        f">0{k} · A &lt;b&gt;title&lt;" in card for k, card in enumerate((good, failed, never))
    )
    assert (
        "ran in 0." in good
        and "See rain in a link, &amp; more.</p>" in good
        and "Another" not in good
    )
    assert (
        "failed" not in good
        and "class=failed" in failed
        and "cell [2]: ValueError: no rain" in failed
    )
    assert "not run" in never and "<a" not in never


def test_a_kernel_that_dies_is_a_failure_like_others(course, tmp_path, capsys):
    write(tmp_path, "00_dies.ipynb", "import os", "os._exit(1)")
    assert course.main() == 1 and "00_dies.ipynb, cell [" in capsys.readouterr().err
    assert "class=failed" in (tmp_path / "build" / "index.html").read_text()


def test_cover_is_the_largest_picture_made_small_and_named_after_its_section(course):
    cells = [
        new_markdown_cell("# 00 · Rain\n\n## First"),
        new_code_cell(),
        new_markdown_cell("## Second <i>"),
    ]
    cells += [new_code_cell(), new_markdown_cell("## Third"), new_code_cell()]
    cells[1].outputs = [new_output("display_data", {"image/png": encoded((90, 90), "red")})]
    cells[3].outputs = [new_output("stream", text="no picture"),
                        new_output("display_data", {"image/png": encoded((3000, 1500), "lime")})]  # fmt: skip
    cells[5].outputs = [new_output("display_data", {"image/png": encoded((640, 400), "red")})]
    cover = course.cover(new_notebook(cells=cells))
    assert 'alt="Picture of the section “Second &lt;i&gt;”"' in cover
    size, (red, green, blue) = middle(cover)
    assert size == (640, 320) and green > 200 and max(red, blue) < 50
    gif = f'<img src="data:image/gif;base64,{encoded((300, 200), "blue", "GIF")}">'
    cells[3].outputs = [new_output("display_data", {"text/html": gif})]
    cells[5].outputs = []
    size, (red, green, blue) = middle(course.cover(new_notebook(cells=cells)))
    assert size == (300, 200) and blue > 200 and max(red, green) < 50
    assert course.cover(new_notebook(cells=cells[:1])) == ""


def test_site_works_offline_in_a_browser(course, tmp_path):
    draw = "from PIL import Image\nImage.new('RGB', (300, 200), 'blue')"
    for name in ("00_one.ipynb", "01_bad.ipynb", "02_three.ipynb"):
        write(tmp_path, name, draw)
    assert course.main() == 0
    asked, said = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 360, "height": 700})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "build" / "index.html").as_uri())
        assert page.locator("li h2 a").count() == 3 and page.locator("li img").count() == 3
        seen = ["index.html"]
        while seen[-1] != "02_three.html":  # from the index to the first page, and on to the last
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), seen[-1]
            assert page.evaluate(
                "[...document.images].every((i) => i.alt && i.complete && i.naturalWidth)"
            ), seen[-1]
            assert (
                page.locator("img").last.get_attribute("alt")
                == 'Picture of the section “Figures of "rain"”'
            )
            for href in page.evaluate(
                "[...document.querySelectorAll('a')].map((a) => a.href.split('#')[0])"
            ):
                assert Path(unquote(urlparse(href).path)).is_file(), href
            page.locator("li a, a[rel=next]").first.click()
            page.wait_for_load_state()
            seen.append(page.url.rsplit("/")[-1])
        browser.close()
    assert seen == ["index.html", "00_one.html", "01_bad.html", "02_three.html"]
    assert {urlparse(url).scheme for url in asked} <= {"file", "data"} and not said


def test_widgets_give_way_to_html_and_vanish_without_it(course):
    widget = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "m"},
        "text/plain": "a widget",
    }
    cell = new_code_cell("show()")
    cell.outputs = [
        nbformat.v4.new_output("display_data", widget),
        nbformat.v4.new_output("display_data", widget | {"text/html": "<p>player</p>"}),
    ]
    page = course.page(new_notebook(cells=[cell]))
    assert "<p>player</p>" in page and "a widget" not in page and "model_id" not in page
