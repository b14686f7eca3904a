"""The tour in a real browser: JupyterLab runs it, the arrow keys move the slider, the picture follows."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from playwright.sync_api import sync_playwright

from nowcastlib import plots, store, synthetic
from nowcastlib.forecast import forecast, forecaster
from nowcastlib.player import CellPlayer, ForecastPlayer, FramePlayer

ROOT = Path(__file__).parents[1]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "the browser tests need Chromium: apt-get install chromium (or Google Chrome on the PATH)"
    return found


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on loopback, with folders of its own, showing a copy of the tour."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "00_tour.ipynb", home)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folders = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    folders |= {name: str(home / name.lower()) for name in ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    log = (home / "lab.log").open("w")
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1", f"--notebook-dir={home}"]
    options.append("--expose-app-in-browser")
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyter",
            "lab",
            *options,
            "--IdentityProvider.token=test",
            "--expose-app-in-browser",
        ],
        env=os.environ | folders | {"JUPYTER_TOKEN": "test"},
        stdout=log,
        stderr=log,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                json.load(urllib.request.urlopen(f"{base}/api/status?token=test", timeout=5))
                break
            except OSError:
                assert server.poll() is None, (home / "lab.log").read_text()
                time.sleep(0.2)
        yield base
    finally:
        server.terminate()
        server.wait(30)


def panels(page) -> list[str]:
    """What the player's two canvases show, as PNG data."""
    return page.evaluate("[...document.querySelectorAll('.nowcast-player canvas')].map(c => c.toDataURL())")


def test_tour_in_jupyterlab_follows_the_keyboard(browser, lab):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{lab}/lab/tree/00_tour.ipynb?reset&token=test")
    page.wait_for_function(
        "window.jupyterapp && window.jupyterapp.shell.currentWidget?.sessionContext", timeout=120_000
    )
    page.evaluate(
        """async () => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            await context.ready;
            await context.session.kernel.info;
            await window.jupyterapp.commands.execute('notebook:run-all-cells');
        }"""
    )
    page.wait_for_selector(".nowcast-player canvas", timeout=120_000)
    page.wait_for_function("document.querySelector('.nowcast-label')?.textContent.includes('forecast +5 min')")
    before, label = panels(page), page.locator(".nowcast-label").inner_text()
    page.locator(".widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.nowcast-label').textContent.includes('forecast +10 min')")
    after = panels(page)
    assert before[0] != after[0] and before[1] != after[1], f"{label}: the pictures did not change"

    page.locator(".widget-dropdown select").first.select_option("persistence")
    page.wait_for_function("document.querySelectorAll('.nowcast-player figcaption')[1].textContent == 'persistence'")
    chosen = panels(page)
    assert chosen[0] == after[0] and chosen[1] != after[1], "another forecast changes the right panel only"
    assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count()
    page.close()


def test_saved_page_plays_without_kernel_and_network(browser, tmp_path):
    frames = store.as_frames(synthetic.rain(synthetic.Storm(size=64, seed=3), 12)).assign_attrs(
        source="Radar of Nowhere"
    )
    issued = frames.indexes["time"][5]
    made = {name: forecast(forecaster(name), frames, issued, 6) for name in ("extrapolation", "persistence")}
    path = tmp_path / "player.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{ForecastPlayer(frames, made).page()}")
    page, asked, complaints = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('.nowcast-label').textContent.includes('forecast +5 min')")
    assert page.locator(".nowcast-credit").inner_text() == "Radar of Nowhere"
    seen = set()
    page.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    for k in range(9):  # three observed, six forecast
        assert page.locator("input[type=range]").input_value() == str(k)
        seen.add((page.locator(".nowcast-label").inner_text(), panels(page)[0]))
        page.keyboard.press("ArrowRight")
    assert len(seen) == 9
    assert asked == [path.as_uri()] and not complaints
    page.close()


def test_every_frame_of_a_long_day_is_the_one_that_its_label_says(browser, tmp_path):
    """288 frames of 64 px are higher than a picture may be: they stand in several columns."""
    rates = np.repeat([0.0, 0.2, 0.7, 1.5, 3.0, 7.0, 15.0, 30.0, 70.0, 200.0, np.nan], 27)[:288]
    frames = store.as_frames(np.broadcast_to(rates[:, None, None], (288, 64, 64)).astype("f4"))
    path = tmp_path / "day.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{FramePlayer(frames).page()}")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('.nowcast-label').textContent == '2024-06-01 00:00 UTC'")
    assert not page.locator("select").count() and page.locator("canvas").count() == 1
    shown = page.evaluate(
        """() => {
            const slider = document.querySelector("input[type=range]"), canvas = document.querySelector("canvas");
            return [...Array(288).keys()].map((k) => {
                slider.value = k;
                slider.dispatchEvent(new Event("input"));
                const pixel = canvas.getContext("2d").getImageData(5, canvas.height - 5, 1, 1).data;
                return [document.querySelector(".nowcast-label").textContent, ...pixel.slice(0, 3)];
            });
        }"""
    )
    colours = [plots.DRY, *plots.COLOURS, plots.UNKNOWN]
    for k, (label, *rgb) in enumerate(shown):
        assert label == f"{frames.indexes['time'][k]:%Y-%m-%d %H:%M} UTC"
        assert "#" + bytes(rgb).hex() == colours[k // 27], label
    page.close()


def test_every_step_and_channel_of_a_cell_is_the_one_that_is_asked_for(browser, tmp_path):
    level = np.linspace(0, 1, 6).reshape(1, 3, 2, 1, 1)  # three steps, two channels
    maps = np.broadcast_to(level, (1, 3, 2, 16, 16))
    path = tmp_path / "cell.html"
    player = CellPlayer(np.zeros((3, 16, 16)), {"i": maps, "H": 2 * maps - 1})
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{player.page()}")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.nowcast-player canvas').length == 3")
    for step in range(3):
        page.locator("input[type=range]").fill(str(step))
        for channel in range(2):
            page.locator("select").select_option(str(channel))
            assert page.locator(".nowcast-label").inner_text() == f"after frame {step + 1} of 3"
            titles = page.locator("figcaption").all_inner_texts()
            pixels = page.evaluate(
                "[...document.querySelectorAll('canvas')]"
                ".map((c) => [...c.getContext('2d').getImageData(5, 5, 1, 1).data])"
            )
            shade = round(255 * float(level[0, step, channel, 0, 0]))
            for cmap, pixel in zip(("gray", "Greens", "RdBu_r"), pixels, strict=True):
                expected = 255 * np.array(colormaps[cmap](0 if cmap == "gray" else shade)[:3])
                np.testing.assert_allclose(pixel[:3], expected, atol=1.01)
            assert titles == ["X", "i", "H"]
    page.close()
