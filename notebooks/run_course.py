"""Run all notebooks in order and leave their pages, and an index of them, in build/: ``make course``."""

import re
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass
from html import escape, unescape
from io import BytesIO
from pathlib import Path
from time import monotonic

import nbformat
from latex2mathml.converter import convert as mathml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from PIL import Image
from traitlets.config import Config

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
HEADER = HERE.parent / "docs" / "forecast.gif"
COVER = (640, 400)  # px at most; shown at half of it
COURSE = "Precipitation nowcasting with ConvLSTM"
ABOUT = (
    "From a weather radar’s frames to a rain forecast with honest scores, in notebooks that run on a laptop, offline, "
    "in minutes. These are their pages, executed; players and pictures work without a kernel and without a network."
)
NAV = """<style>
.course { display: flex; gap: 1em; justify-content: space-between; padding: 0.6em 1em; font: 15px/1.4 sans-serif }
.course a { color: #0a58a8 }
</style>
"""
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem }
header img { max-width: 100%; height: auto; background: #fff }
ol { list-style: none; padding: 0; display: grid; gap: 1rem }
ol { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)) }
li { border: 1px solid #8886; border-radius: 8px; overflow: hidden }
li img { display: block; width: 100%; height: 11rem; object-fit: contain; background: #fff }
li div { padding: 0.8rem 1rem }
li.failed { border: 2px solid #d33 }
h2 { font-size: 1.1rem; margin: 0 }
p { margin: 0.4rem 0 }
.ran { font-size: 0.9rem; opacity: 0.8 }
"""


@dataclass
class Chapter:
    """A notebook, and what became of it."""

    path: Path
    title: str  # with its number
    goal: str  # the first of its goals
    state: str = "not run"
    failed: bool = False
    link: str = ""  # to its page, if there is one
    cover: str = ""  # an <img>, if there is a picture


def chapter(path: Path) -> Chapter:
    """What a notebook says of itself: its first heading, and the first of its goals, in plain words."""
    text = "\n".join(
        cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"
    )
    title = re.search(r"^# (.+)$", text, re.M)
    goal = re.search(r"^## Goals\s+[-*] (.+?)(?=^[-*#]|\Z)", text, re.M | re.S)
    words = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", " ".join(goal[1].split())) if goal else ""
    return Chapter(path, title[1] if title else path.stem, words)


def page(notebook, links: str = "") -> str:
    """An executed notebook as HTML. No kernel is behind it: where a widget is HTML as well, that is shown."""
    notebook.metadata.pop("widgets", None)
    widget = "application/vnd.jupyter.widget-view+json"
    for cell in notebook.cells:
        outputs = [
            o
            for o in cell.get("outputs", [])
            if widget not in o.get("data", {}) or "text/html" in o.data
        ]
        for output in outputs:
            output.get("data", {}).pop(widget, None)
        if cell.cell_type == "code":
            cell.outputs = outputs
    offline = {"mathjax_url": "", "require_js_url": "", "jquery_url": ""}
    text = HTMLExporter(embed_images=True, **offline).from_notebook_node(notebook)[0]
    text = re.sub(r"(<body[^>]*>)", lambda m: m[1] + links, _described(text), count=1)
    text = re.sub(
        r'href="(\d[^"/]*)\.ipynb', r'href="\1.html', text
    )  # notebooks lead to each other, and so do pages
    # browsers draw MathML by themselves; MathJax would come from the network
    return re.sub(
        r"\$\$\s*(\\begin.+?)\$\$",
        lambda m: mathml(unescape(m[1]), display="block"),
        text,
        flags=re.S,
    )


def _described(text: str) -> str:
    """A page in which each picture that has no words yet bears the name of its section, for those who cannot see it."""
    section = ""

    def say(match: re.Match) -> str:
        nonlocal section
        section = re.sub("<.*?>|¶", "", match[1]).replace('"', "&quot;") if match[1] else section
        return match[0] if match[1] else f'alt="Picture of the section “{section}”"'

    return re.sub(
        r'<h\d[^>]*>(.*?)</h\d>|alt="No description has been provided for this image"', say, text
    )


def cover(notebook) -> str:
    """The largest picture that a notebook shows, made small, as an <img> that names the section; "" if it has none."""
    best, section, largest = "", "", 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section = ([section, *re.findall(r"^#+ (.+)$", cell.source, re.M)])[-1]
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            gifs = re.findall(r"data:image/gif;base64,([\w+/=]+)", data.get("text/html", ""))
            for content in filter(None, [data.get("image/png"), *gifs]):
                image = Image.open(BytesIO(b64decode(content)))
                if image.width * image.height > largest:
                    largest = image.width * image.height
                    image.seek(getattr(image, "n_frames", 1) // 2)
                    best = _img(image, f"Picture of the section “{section}”")
    return best


def _img(image: Image.Image, alt: str) -> str:
    buffer, small = BytesIO(), image.convert("RGBA")
    small.thumbnail(COVER)
    small.save(buffer, "WEBP", quality=85)
    return f'<img alt="{escape(alt)}" src="data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}">'


def run(path: Path):
    """Execute one notebook: as far as it got, and what went wrong, naming the cell, or None."""
    notebook = nbformat.read(path, 4)
    encrypted = Config(
        {"KernelManager": {"transport_encryption": "auto"}}
    )  # the kernel warns if others could listen
    client = NotebookClient(
        notebook, timeout=1800, config=encrypted, resources={"metadata": {"path": str(HERE)}}
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        number = max(
            cell.get("execution_count") or 0 for cell in notebook.cells
        )  # the last that ran
        what = [getattr(error, "ename", type(error).__name__), getattr(error, "evalue", error)]
        return notebook, f"{path.name}, cell [{number}]: {what[0]}: {what[1]}"
    return notebook, None


def links(before: Chapter | None, after: Chapter | None) -> str:
    """What leads from a page to the index and to its neighbours."""
    back = (
        f'<a rel="prev" href="{before.path.stem}.html">← {escape(before.title)}</a>'
        if before
        else "<span></span>"
    )
    on = (
        f'<a rel="next" href="{after.path.stem}.html">{escape(after.title)} →</a>'
        if after
        else "<span></span>"
    )
    return f'{NAV}<nav class="course" aria-label="course">{back}<a href="index.html">index</a>{on}</nav>'


def index(chapters: list[Chapter]) -> str:
    """The page that leads to all others: a card a notebook."""
    cards = []
    for c in chapters:
        title = f'<a href="{c.link}">{escape(c.title)}</a>' if c.link else escape(c.title)
        about = f'<h2>{title}</h2><p>{escape(c.goal)}</p><p class="ran">{escape(c.state)}</p>'
        cards.append(f"<li{' class=failed' if c.failed else ''}>{c.cover}<div>{about}</div></li>")
    gif = b64encode(HEADER.read_bytes()).decode()
    words = "Rain observed by radar, forecast by a network, and persistence, side by side"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{COURSE}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{COURSE}</h1><p>{ABOUT}</p>"
        f'<img alt="{words}" src="data:image/gif;base64,{gif}"></header>'
        f"<main><ol>{''.join(cards)}</ol></main></body></html>\n"
    )


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    chapters, wrong = [chapter(path) for path in sorted(HERE.glob("[0-9]*.ipynb"))], None
    around = [None, *chapters, None]
    for k, c in enumerate(chapters):
        print(f"[{k + 1}/{len(chapters)}] {c.path.name} …", end=" ", flush=True)
        began = monotonic()
        notebook, wrong = run(c.path)
        seconds = monotonic() - began
        notebook.metadata["title"] = c.title
        c.cover, c.link, c.failed = cover(notebook), f"{c.path.stem}.html", bool(wrong)
        c.state = (
            f"failed after {seconds / 60:.1f} minutes: {wrong}"
            if wrong
            else f"ran in {seconds / 60:.1f} minutes"
        )
        (BUILD / c.link).write_text(
            page(notebook, links(around[k], None if wrong else around[k + 2]))
        )
        if wrong:
            print("failed", flush=True)
            print(
                f"{wrong}\nThe page as far as it got: {BUILD / c.path.stem}.html", file=sys.stderr
            )
            break
        print(f"{seconds:.0f} s → build/{c.link}", flush=True)
    (BUILD / "index.html").write_text(index(chapters))
    print("open build/index.html")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
