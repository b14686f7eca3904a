"""Speed of the player, and size of its page. Run by hand:

    python benchmarks/player_speed.py [--store FRAMES.zarr --at TIME --size 256] [--json]

Measures, with two and with three forecasts of 12 leads, the time from building the player in
Python to its first picture in the browser, and the time of a frame change in each view. Without a
store the rain is synthetic. ``--size 0`` takes whole frames, such as a national composite. Needs
Chromium; nothing else should run meanwhile. With --json the last line is one JSON object.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd
import xarray as xr
from playwright.sync_api import Page, sync_playwright

from nowcastlib.data import as_frames, grid, open_frames, storms
from nowcastlib.display import ForecastPlayer
from nowcastlib.display.player.forecast_player import VIEWS
from nowcastlib.forecasting import forecast, forecaster

NAMES = "persistence", "extrapolation", "sprog"
# Sets the slider as a user would and waits until the picture is on the screen.
CHANGE = """async (n) => {
    const slider = document.querySelector(".nowcast-slider");
    const [times, shown] = [[], []];
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    for (let k = 0; k < n; k++) {
        slider.value = k % (+slider.max + 1);
        const start = performance.now();
        slider.dispatchEvent(new Event("input"));
        times.push(performance.now() - start);
        await painted();
        shown.push(performance.now() - start);
    }
    const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    return [median(times), times[Math.floor(0.95 * n)], median(shown)];
}"""


def main() -> None:
    options = parse_options()
    frames = read_frames(options.store, options.size)
    at = options.at or frames.indexes["time"][5]
    made = {name: forecast(forecaster(name), frames, at, 12) for name in NAMES}
    two = {name: made[name] for name in NAMES[:2]}

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto("about:blank")
        result = {}
        for name, forecasts in (("three_panels", two), ("three_forecasts", made)):
            path = Path(folder) / f"{name}.html"
            result |= measure_first_picture(page, path, name, frames, forecasts)
            result |= measure_frame_changes(page, name)
        browser.close()
    if options.json:
        print(json.dumps(result))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="CF-Zarr store of frames")
    parser.add_argument("--at", type=pd.Timestamp, help="time of issue (UTC)")
    parser.add_argument("--size", type=int, default=256, help="px of the middle; 0: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser.parse_args()


def read_frames(store: str | None, size: int) -> xr.DataArray:
    """Frames of ``size`` px, or whole ones for 0."""
    if store:
        frames = open_frames(store)
        return (grid.centre(frames, size) if size else frames).load()
    return as_frames(storms.rain(storms.Storm(size=size or 256), 18))


def measure_first_picture(
    page: Page, path: Path, name: str, frames: xr.DataArray, forecasts: dict[str, xr.DataArray]
) -> dict[str, float]:
    """Milliseconds from building the player to its first picture, and the page's size in MB."""
    start = time.perf_counter()
    player = ForecastPlayer(frames, forecasts)
    path.write_text(f"<!doctype html><meta charset=utf-8>{player.page()}")
    built = 1000 * (time.perf_counter() - start)

    page.goto(path.as_uri())
    page.wait_for_selector(".nowcast-player canvas")
    total = round(1000 * (time.perf_counter() - start))
    size = round(path.stat().st_size / 1e6, 2)
    print(
        f"{name}: first picture after {total} ms, {built:.0f} of them in Python; page of {size} MB"
    )
    return {f"first_picture_{name}_ms": total, f"page_{name}_MB": size}


def measure_frame_changes(page: Page, name: str) -> dict[str, float]:
    """Median milliseconds of a frame change in each view."""
    result = {}
    for view in VIEWS:
        page.get_by_label("view", exact=True).select_option(view)
        page.evaluate(CHANGE, 20)  # warm up
        median, slow, shown = page.evaluate(CHANGE, 150)
        result[f"frame_change_{name}_{view}_ms".replace(" ", "_")] = round(median, 1)
        print(
            f"  {view}: a frame change takes {median:.1f} ms (95 of 100 at most {slow:.1f}), "
            f"on the screen after {shown:.1f}"
        )
    return result


if __name__ == "__main__":
    main()
