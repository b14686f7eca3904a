"""Draw the README's gallery: docs/gallery/{player,cell,reliability,live}.png.

    .venv/bin/python docs/make_gallery.py ARCHIVE

ARCHIVE is the folder of the pysteps example archive. The player and the cell show the MeteoSwiss
event of 15 May 2015, which the network ``convedlstm`` was not trained on. The live page and the
reliability diagram show synthetic storms; ``radar`` was pretrained on others of this kind. Needs
Chromium, and two minutes on one core.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import xarray as xr
from matplotlib import pyplot as plt
from PIL import Image
from playwright.sync_api import sync_playwright

import nowcastlib as nl
from nowcastlib.data import grid
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.display import cell_diagram, plots
from nowcastlib.verification import EvaluationOptions

GALLERY = Path(__file__).parent / "gallery"
EVENT = ("2015-05-15", "2015-05-16")
ISSUED = "2015-05-15T17:00"
LEADS = 12


def main() -> None:
    """Draw all pictures."""
    GALLERY.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        work = Path(folder)
        storm = nl.ingest(Demo(events=1, size=256, seed=1), work / "storm.zarr")
        radar = nl.ingest(nl.feed("archive", path=sys.argv[1]), work / "radar.zarr", *EVENT)
        frames = grid.centre(nl.open_frames(radar), 256).load()
        draw_player(frames, work / "player.html")
        draw_live_page(work / "live.html")
        draw_cell(frames)
        draw_reliability(nl.open_frames(storm).load())


def draw_player(frames: xr.DataArray, page: Path) -> None:
    """A player half an hour ahead: observed rain, and two forecasts beside each other."""
    forecasts = {
        name: nl.forecast(nl.forecaster(name), frames, ISSUED, LEADS)
        for name in ("convedlstm", "sprog")
    }
    player = nl.ForecastPlayer(frames, forecasts)
    page.write_text(f'<meta charset="utf-8">{player.page()}')
    photograph(page, "player", width=900, height=800, presses=5)


def draw_live_page(page: Path) -> None:
    """The page of ``nowcast live`` on synthetic rain."""
    command = [sys.executable, "-m", "nowcastlib", "live", "--source", "demo", "--no-open"]
    subprocess.run([*command, "--out", page], check=True)
    photograph(page, "live", width=900, height=900)


def photograph(page: Path, name: str, width: int, height: int, presses: int = 0) -> None:
    """Save what Chromium shows of a page, after some presses of the right arrow key."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": width, "height": height})
        issued = re.search(r'data-issued="([^"]+)', page.read_text())
        if issued:  # a live page says how old it is: look at it when it is fresh
            window.clock.set_fixed_time(issued[1])
        window.goto(page.as_uri())
        window.wait_for_selector(".nowcast-player")
        for _ in range(presses):
            window.locator(".nowcast-player").press("ArrowRight")
        window.evaluate("scrollTo(0, 0)")
        window.screenshot(path=GALLERY / f"{name}.png")
        browser.close()
    shrink(GALLERY / f"{name}.png")


def draw_reliability(frames: xr.DataArray) -> None:
    """Observed frequency against forecast probability, for two ensembles."""
    forecasters = {name: nl.forecaster(name) for name in ("radar-members", "steps")}
    options = EvaluationOptions(leads=LEADS, size=0, every=6)
    counts = nl.evaluate(frames, forecasters, options, progress=False)
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
    for ax, threshold in zip(axes, (0.5, 2.0), strict=True):
        plots.show_reliability(counts, threshold, ax)
    save(figure, "reliability")


def draw_cell(frames: xr.DataArray) -> None:
    """The gates and states of a trained ConvLSTM cell, as in notebook 04."""
    network = nl.forecaster("convedlstm")
    cell = network.model.cells[0]
    newest = grid.centre(frames.sel(time=slice(None, ISSUED)), 64)[-6:]
    rate = torch.from_numpy(newest.values)[None, :, None]  # (1, 6, 1, 64, 64)
    patches = torch.nn.functional.pixel_unshuffle(network.config.scale.to_model(rate), 2)
    with torch.inference_mode():
        trace = cell.trace(patches)
    busiest = int(trace["H"][0].std(dim=(0, 2, 3)).argmax())
    cell_diagram.draw_cell(cell, patches[0, :, 0].numpy(), trace, 5, busiest)
    save(plt.gcf(), "cell")


def save(figure, name: str) -> None:
    """Write a figure into the gallery."""
    figure.savefig(GALLERY / f"{name}.png", dpi=110)
    plt.close(figure)
    shrink(GALLERY / f"{name}.png")


def shrink(path: Path) -> None:
    """Store a picture with 255 colours: a third of the size, and no difference to the eye."""
    picture = Image.open(path).convert("RGB").quantize(255, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)


if __name__ == "__main__":
    main()
