"""The player at 256×256 px: the time of a frame change with three panels, of the first picture of a player of 12 leads
and three forecasts (built in Python, saved, opened and drawn by the browser), and the size of its page. By hand:

    python benchmarks/player_speed.py [--store FRAMES.zarr --at TIME] [--json]

Without a store the rain is synthetic. Needs Chromium; nothing else should run meanwhile. The last line, with --json,
is one JSON object.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd
from playwright.sync_api import sync_playwright

from nowcastlib.data import as_frames, grid, store, storms
from nowcastlib.display.player import VIEWS, ForecastPlayer
from nowcastlib.forecasting import forecast, forecaster

NAMES = "persistence", "extrapolation", "sprog"
# sets the slider as a user would and waits until the picture is on the screen
CHANGE = """async (n) => {
    const slider = document.querySelector(".nowcast-controls input"), times = [], shown = [];
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store")
    parser.add_argument("--at", type=pd.Timestamp)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.store:
        frames = grid.centre(store.open_frames(options.store), 256).load()
    else:
        frames = as_frames(storms.rain(storms.Storm(size=256), 18))
    at = options.at or frames.indexes["time"][5]
    made = {name: forecast(forecaster(name), frames, at, 12) for name in NAMES}
    result, chromium = {}, shutil.which("chromium") or shutil.which("google-chrome")

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page, path = (
            browser.new_page(viewport={"width": 1100, "height": 900}),
            Path(folder) / "player.html",
        )
        page.goto("about:blank")
        for name, shown in (
            ("three_panels", dict(list(made.items())[:2])),
            ("three_forecasts", made),
        ):
            start = time.perf_counter()
            path.write_text(
                f"<!doctype html><meta charset=utf-8>{ForecastPlayer(frames, shown).page()}"
            )
            built = time.perf_counter() - start
            page.goto(path.as_uri())
            page.wait_for_function("document.querySelector('.nowcast-label').textContent")
            result[f"first_picture_{name}_ms"] = round(1000 * (time.perf_counter() - start))
            result[f"page_{name}_MB"] = round(path.stat().st_size / 1e6, 2)
            print(f"{name}: first picture after {result[f'first_picture_{name}_ms']} ms, {1000 * built:.0f} of them in "
                  f"Python; page of {result[f'page_{name}_MB']} MB")  # fmt: skip
            for view in VIEWS:
                page.get_by_label("view", exact=True).select_option(view)
                page.evaluate(CHANGE, 20)
                median, most, seen = page.evaluate(CHANGE, 150)
                result[f"frame_change_{name}_{view}_ms".replace(" ", "_")] = round(median, 1)
                print(f"  {view}: a frame change takes {median:.1f} ms (95 of 100 at most {most:.1f}), on the screen "
                      f"after {seen:.1f}")  # fmt: skip
        browser.close()
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
