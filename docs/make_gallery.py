"""Take the README's and the site's gallery from the executed pages: docs/gallery/*.png.

    make course
    .venv/bin/python docs/make_gallery.py [SITE]

SITE is the folder of the site that ``make course`` built, by default build/. Player, cell and
reliability diagrams are those of the pages. The live page is made anew, on synthetic rain, in
about a minute on one core. Needs Chromium.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
GALLERY = Path(__file__).parent / "gallery"
WIDTH = 1200  # px of the window
LARGEST = 300_000  # bytes of a picture


@dataclass(frozen=True)
class Picture:
    """A picture on a page of the site."""

    page: str
    heading: str  # of the section that holds it
    selector: str  # the first such element of the section is taken


PLAYER, FIGURE = ".nowcast-player", ".cell_output img"
PICTURES = {
    "player": Picture("00_tour", "Move through the forecast", PLAYER),
    "cell": Picture("04_convlstm_cell", "A trained cell at work", FIGURE),
    "reliability": Picture("06_results", "How certain is a forecast?", FIGURE),
}


def main() -> None:
    """Renew all pictures."""
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, picture in PICTURES.items():
            photograph(browser, site, name, picture)
        photograph_live_page(browser, Path(folder) / "live.html")
        browser.close()


def photograph(browser: Browser, site: Path, name: str, picture: Picture) -> None:
    """Save one element of a page."""
    path = site.resolve() / "notebooks" / f"{picture.page}.html"
    if not path.exists():
        raise SystemExit(f"{path} is missing: make course builds it")
    window = open_page(browser, path)
    section = window.locator(f'section:has(> :is(h2, h3):has-text("{picture.heading}"))').last
    element = section.locator(picture.selector).first
    if not element.count():
        raise SystemExit(f"{path} has no {picture.selector} below “{picture.heading}”")
    # A header that stays in place would cover the top of a tall element
    window.add_style_tag(content=".bd-header { position: static !important; }")
    element.scroll_into_view_if_needed()
    element.screenshot(path=GALLERY / f"{name}.png")
    window.close()
    shrink(GALLERY / f"{name}.png")


def photograph_live_page(browser: Browser, path: Path) -> None:
    """Save the page of ``nowcast live`` down to its player, as it looks when it is fresh."""
    command = [sys.executable, "-m", "nowcastlib", "live", "--source", "demo", "--no-open"]
    subprocess.run([*command, "--out", path], check=True)
    issued = re.search(r'data-issued="([^"]+)', path.read_text())
    window = open_page(browser, path, issued[1])
    player = window.locator(PLAYER).first.bounding_box()
    shown = {"x": 0, "y": 0, "width": WIDTH, "height": player["y"] + player["height"] + 8}
    window.screenshot(path=GALLERY / "live.png", clip=shown)
    window.close()
    shrink(GALLERY / "live.png")


def open_page(browser: Browser, path: Path, now: str | None = None) -> Page:
    """A page in a light window; ``now`` is the time that its clock shows."""
    window = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
    if now:
        window.clock.set_fixed_time(now)
    window.goto(path.as_uri())
    window.wait_for_load_state("networkidle")
    return window


def shrink(path: Path) -> None:
    """Store a picture with 255 colours: a third of the size, and no difference to the eye."""
    picture = Image.open(path).convert("RGB").quantize(255, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes; at most {LARGEST} are wanted")


if __name__ == "__main__":
    main()
