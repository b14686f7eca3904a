"""Players in a real browser: in JupyterLab and in a saved page; by keyboard, mouse and touch."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser_tools import FLAGS, chromium
from matplotlib import colormaps
from playwright.sync_api import sync_playwright

from nowcastlib.data import as_frames, storms
from nowcastlib.display import rain_scale
from nowcastlib.display.player import CellPlayer, EnsemblePlayer, ForecastPlayer, FramePlayer
from nowcastlib.display.player.forecast_player import ERROR_COLOURS, ERRORS, EVENT_COLOURS
from nowcastlib.display.player.levels import rain_levels
from nowcastlib.display.player.rain_panels import LEVEL_VALUES
from nowcastlib.forecasting import forecast, forecaster
from nowcastlib.verification import score
from nowcastlib.verification.counts import count

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


def lab_options() -> list[str]:
    """The options with which ``make lab`` starts JupyterLab."""
    makefile = (ROOT / "Makefile").read_text()
    return re.findall(r"--LabApp\.\S+", makefile.replace("$(CURDIR)", str(ROOT)))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address and folder of a JupyterLab with settings of its own, beside a copy of the tour."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "00_tour.ipynb", home)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]

    settings = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    settings += ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")
    environment = os.environ | {name: str(home / name.lower()) for name in settings}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ip=127.0.0.1", f"--notebook-dir={home}"]
    command += ["--expose-app-in-browser", "--IdentityProvider.token=test", *lab_options()]
    log = (home / "lab.log").open("w")
    server = subprocess.Popen(
        command, env=environment | {"JUPYTER_TOKEN": "test"}, stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                json.load(urllib.request.urlopen(f"{address}/api/status?token=test", timeout=5))
                break
            except OSError:
                assert server.poll() is None, (home / "lab.log").read_text()
                time.sleep(0.2)
        yield address, home
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def run_notebook(browser, lab, name):
    """A page of JupyterLab in which all cells of a notebook have run and a player is shown.

    Fails if a cell or the page fails, or if the page asks for anything outside JupyterLab.
    """
    address, _ = lab
    page, asked, errors = browser.new_page(viewport={"width": 1400, "height": 1000}), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/lab/tree/{name}?reset&token=test")
    page.wait_for_function(
        "window.jupyterapp && window.jupyterapp.shell.currentWidget?.sessionContext",
        timeout=120_000,
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
    questions = page.locator(".Toastify__toast, .jp-Dialog")
    assert questions.all_inner_texts() == []
    yield page
    failed = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
    assert not page.locator(failed).count()
    assert not errors
    assert asked
    assert not [u for u in asked if not u.startswith((address, "data:", "blob:"))]
    page.close()


LABEL = "document.querySelector('.nowcast-label')?.textContent"


def panels(page) -> list[str]:
    """The pictures of the player's panels, as PNG data."""
    return page.evaluate(
        "[...document.querySelectorAll('.nowcast-player canvas')].map(c => c.toDataURL())"
    )


def label(page) -> str:
    return page.locator(".nowcast-label").inner_text()


def chosen(page, what: str) -> str:
    """The option that a select shows."""
    return page.get_by_label(what, exact=True).evaluate("s => s.options[s.selectedIndex].text")


@contextmanager
def opened(browser, folder, *players, body="", **options):
    """A saved page of players. Fails if it complains, or asks for anything but itself."""
    path = folder / "player.html"
    head = "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    content = body + "".join(player.page() for player in players)
    path.write_text(f"<!doctype html>{head}<body>{content}")
    page, asked, complaints = browser.new_page(**options), [], []
    page.set_default_timeout(5000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function(
        f"document.querySelectorAll('.nowcast-player canvas').length >= {len(players)}"
    )
    yield page
    assert asked == [path.as_uri()]
    # the tests read pixels back, the players do not
    assert not [text for text in complaints if "willReadFrequently" not in text]
    page.close()


def choose(page, what: str, option: str) -> None:
    page.get_by_label(what, exact=True).select_option(option)


def test_tour_in_jupyterlab_shows_another_picture_for_every_frame(browser, lab):
    with run_notebook(browser, lab, "00_tour.ipynb") as page:
        page.wait_for_function(f"{LABEL}.includes('forecast +30 min')")
        choose(page, "layout", "all side by side")
        slider = page.get_by_label("frame", exact=True)
        slider.focus()
        page.keyboard.press("Home")
        page.wait_for_function(f"{LABEL}.includes('-10 min')")

        last, shown = int(slider.get_attribute("max")), []
        for k in range(last + 1):
            lead = 5 * (k - 2)
            page.wait_for_function(f"{LABEL}.includes('{f'{lead:+d} min' if lead else 'now'}')")
            shown.append([label(page).split("valid ")[1], *panels(page)])
            page.keyboard.press("ArrowRight")

    times = pd.to_datetime([time.removesuffix(" UTC") for time, *_ in shown])
    assert last >= 6
    assert (np.diff(times) == pd.Timedelta(minutes=5)).all()
    observed = [pictures[1] for pictures in shown]
    assert len(set(observed)) == len(shown)
    for panel in range(1, len(shown[0])):
        assert [row[panel] for row in shown[:3]] == observed[:3], "all panels share the past"
    assert all(len(set(row[1:])) > 1 for row in shown[3:])


def test_tour_in_jupyterlab_follows_selects_and_keys(browser, lab):
    with run_notebook(browser, lab, "00_tour.ipynb") as page:
        page.wait_for_function(f"{LABEL}.includes('forecast +30 min')")
        options = page.get_by_label("forecast", exact=True).locator("option")
        names = options.all_text_contents()

        choose(page, "layout", "one beside it")
        for name in names:
            choose(page, "forecast", name)
            shown = page.locator("figure:visible figcaption").all_text_contents()
            assert shown == ["observed", name]
        rain = panels(page)
        choose(page, "view", "hits and misses")
        assert panels(page)[0] == rain[0]
        assert panels(page)[-1] != rain[-1]

        # the player's keys do not reach JupyterLab's commands
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        page.get_by_label("frame", exact=True).focus()
        for key in ("Home", "v", "1", "l", "b", "ArrowRight"):  # b would insert a cell
            page.keyboard.press(key)
        page.wait_for_function(f"{LABEL}.includes('-5 min')")
        assert page.get_by_label("frame", exact=True).input_value() == "1"
        assert page.locator("figure:visible").count() == 1
        assert chosen(page, "layout") == "swipe"
        assert chosen(page, "view") == "rain rate"
        assert chosen(page, "forecast") == names[0]
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells

        page.keyboard.press("Space")
        page.wait_for_function(f"{LABEL}.includes('forecast +')")
        page.keyboard.press("Space")
        page.wait_for_timeout(600)
        stopped = label(page)
        page.wait_for_timeout(600)
        assert label(page) == stopped


LINKED = """
import ipywidgets
import numpy as np
from nowcastlib.data import as_frames
from nowcastlib.display import FramePlayer
player = FramePlayer(as_frames(np.ones((6, 8, 8))))
slider = ipywidgets.IntSlider(max=5)
ipywidgets.jslink((slider, "value"), (player, "frame"))
player.observe(lambda change: open("frame.txt", "w").write(str(change.new)), "frame")
ipywidgets.VBox([slider, player])
"""


def test_an_ipywidgets_slider_and_python_follow_the_player(browser, lab):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LINKED)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab[1] / "linked.ipynb")
    with run_notebook(browser, lab, "linked.ipynb") as page:
        handle = page.locator(".widget-slider .noUi-handle")
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"{LABEL} == '2024-06-01 00:05 UTC'")

        page.get_by_label("frame", exact=True).focus()
        page.keyboard.press("End")
        page.wait_for_function(f"{LABEL} == '2024-06-01 00:25 UTC'")
        page.wait_for_selector(".noUi-handle[aria-valuenow='5.0']")
        seen = lab[1] / "frame.txt"
        for _ in range(50):
            if seen.exists() and seen.read_text() == "5":
                break
            page.wait_for_timeout(100)
        assert seen.read_text() == "5"


@pytest.fixture(scope="module")
def storm():
    """Frames and two forecasts, one of them an ensemble of three members.

    Of the eleven frames (24 × 20 px) the upper left corner is never observed.
    """
    storm = storms.Storm(size=24, seed=3, wet_fraction=0.6, intensity=4)
    rate = storms.rain(storm, 12)[:, :, :20]
    rate[:, :4, :5] = np.nan
    rate[1:4, 10, 3:11] = [0.1, 0.5, 1, 2, 5, 10, 20, 50]  # equal to thresholds: not above them
    frames = as_frames(rate).assign_attrs(source="Radar of Nowhere")[:11]

    stays = forecast(forecaster("persistence"), frames, frames.time.values[5], 6)
    stays[2, 20:] = np.nan  # not known
    members = [
        stays.copy(data=np.roll(stays.values * factor, shift, axis=2))
        for factor, shift in ((0.7, 1), (1.5, 2), (3, 4))
    ]
    ensemble = xr.concat(members, "member").assign_coords(issued=stays.issued)
    return frames, {"stays": stays, "members": ensemble}


# Goes through all layouts, forecasts, views, thresholds and frames as a user would.
EVERYTHING = """() => {
    const change = (element, value) => {
        if (+element.value === value) return;
        element.value = value;
        element.dispatchEvent(new Event(element.type === "range" ? "input" : "change"));
    };
    const slider = document.querySelector(".nowcast-slider");
    const selects = [...document.querySelectorAll(".nowcast-selects select")];
    const [choices, layouts, views, thresholds] = selects;
    const all = (select) => [...select.options].keys();

    const read = (figure) => {
        const canvas = figure.querySelector("canvas");
        const { width, height } = canvas;
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const scores = [...figure.querySelectorAll(".nowcast-scores b")];
        return {
            title: figure.querySelector("figcaption").textContent,
            pixels: btoa(String.fromCharCode(...data)),
            scores: scores.map((b) => b.textContent),
            outline: figure.querySelector(".nowcast-outline").getAttribute("d"),
        };
    };

    const rows = [];
    for (const layout of all(layouts))
        for (const choice of all(choices))
            for (const view of all(views))
                for (const threshold of all(thresholds))
                    for (let frame = 0; frame <= +slider.max; frame++) {
                        change(layouts, layout);
                        change(choices, choice);
                        change(views, view);
                        change(thresholds, threshold);
                        change(slider, frame);
                        const figures = [...document.querySelectorAll("figure:not([hidden])")];
                        const label = document.querySelector(".nowcast-label").textContent;
                        const panels = figures.map(read);
                        rows.push([layout, choice, view, threshold, frame, label, panels]);
                    }
    return rows;
}"""


def rgb(colours) -> np.ndarray:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours])


def rain_colours(rate: np.ndarray) -> np.ndarray:
    """Pixels (y, x, rgb) of rain rates, by Matplotlib."""
    colours = rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid(rate)))
    return (255 * colours[..., :3]).round()


def expected_pixels(observed, forecast, view, threshold) -> np.ndarray:
    """Pixels (y, x, rgb) of a forecast that is compared with the observation, by numpy."""
    if view < 2:
        return rain_colours(forecast)
    seen = np.isfinite(observed)
    forecast, observed = np.nan_to_num(forecast), np.nan_to_num(observed)
    if view == 2:
        rates = np.array(LEVEL_VALUES)
        error = rates[rain_levels(forecast)] - rates[rain_levels(observed)]
        classes = np.digitize(error, ERRORS, right=True)
        return rgb([*ERROR_COLOURS, rain_scale.UNKNOWN])[np.where(seen, classes, -1)]
    warned, event = forecast > threshold, observed > threshold
    classes = np.select([event & warned, event, warned], [0, 1, 2], 3)
    return rgb(EVENT_COLOURS.values())[np.where(seen, classes, 4)]


def test_every_frame_forecast_layout_view_and_threshold_agrees_with_numpy(browser, storm, tmp_path):
    frames, made = storm
    player = ForecastPlayer(frames, made)
    with opened(browser, tmp_path, player, viewport={"width": 1000, "height": 800}) as page:
        rows = page.evaluate(EVERYTHING)
    assert len(rows) == 3 * 2 * 4 * 8 * 9

    past = 3
    truth = frames.values[3:].astype("f8")
    truth = np.concatenate([truth, np.full_like(truth[:1], np.nan)])  # the last lead: not observed
    forecasts = [truth]
    for field in made.values():
        rate = field.values.astype("f8")
        mean = np.ma.masked_invalid(rate).mean(0).filled(np.nan) if rate.ndim == 4 else rate
        forecasts.append(np.concatenate([truth[:past], mean]))
    cases = [(field.values, truth[past:]) for field in made.values()]
    counts = [count([case], rain_scale.LEVELS[:-1], scales=[2]) for case in cases]

    names = ["observed", *made]
    for layout, choice, view, k, frame, shown_label, shown in rows:
        threshold, where = rain_scale.LEVELS[k], str((layout, choice, view, k, frame))
        assert shown_label == player.scene["labels"][frame]
        numbers = {0: [0, 1, 2], 1: [0, choice + 1], 2: [choice + 1]}[layout]
        titles = [("observed | " if layout == 2 else "") + names[n] for n in numbers]
        assert [panel["title"] for panel in shown] == titles

        for n, panel in zip(numbers, shown, strict=True):
            is_forecast = n > 0 and frame >= past
            expected = expected_pixels(
                truth[frame], forecasts[n][frame], view if is_forecast else 0, threshold
            )
            if layout == 2:
                expected[:, :10] = rain_colours(truth[frame])[:, :10]
            pixels = np.frombuffer(b64decode(panel["pixels"]), "u1").reshape(24, 20, 4)
            np.testing.assert_array_equal(pixels[..., :3], expected, err_msg=where)
            assert bool(panel["outline"]) == (view == 1 and bool((truth[frame] > threshold).any()))

            if not is_forecast or np.isnan(truth[frame]).all():
                assert panel["scores"] == [], where
                continue
            table = counts[n - 1].isel(case=0, lead=frame - past, threshold=k)
            wanted = [score(table, name).item() for name in ("csi", "pod", "far")]
            for text, value in zip(panel["scores"], wanted, strict=False):
                assert text == "–" if np.isnan(value) else abs(float(text) - value) < 0.00501, where
            events = [str(int(table[name])) for name in ("hits", "misses", "false_alarms")]
            assert panel["scores"][3:] == events, where


def test_the_outline_runs_between_the_pixels(browser, tmp_path):
    rate = np.zeros((4, 6, 7), "f4")
    rate[:, 2:4, 1:4] = 3
    rate[:, 5, 6] = np.nan
    frames = as_frames(rate)
    player = ForecastPlayer(frames, {"a": forecast(forecaster("persistence"), frames[:3], None, 1)})
    with opened(browser, tmp_path, player) as page:
        choose(page, "view", "outline of observed")
        path = page.locator(".nowcast-outline").first.get_attribute("d")
        edges = sorted(path.replace("M", " M").split(" M")[1:])
        assert edges == ["1 2H4", "1 2V4", "1 4H4", "4 2V4"]
        choose(page, "rain above", "5 mm/h")
        assert page.locator(".nowcast-outline").first.get_attribute("d") == ""


@pytest.mark.parametrize("focus", [".nowcast-player", ".nowcast-slider"])
def test_saved_page_follows_the_keyboard(browser, storm, tmp_path, focus):
    with opened(browser, tmp_path, ForecastPlayer(*storm)) as page:
        page.locator(focus).focus()
        slider = page.get_by_label("frame", exact=True)
        for key, lead in (
            ("Home", "-10 min"),
            ("ArrowRight", "-5 min"),
            ("End", "+30 min"),
            ("ArrowRight", "-10 min"),  # from the last frame to the first
            ("ArrowLeft", "+30 min"),
        ):
            page.keyboard.press(key)
            assert lead in label(page)
            assert slider.get_attribute("aria-valuetext") == label(page)
        assert slider.input_value() == "8"

        for key, what, option in (
            ("2", "forecast", "members"),
            ("9", "forecast", "members"),  # there is no ninth
            ("v", "view", "outline of observed"),
            ("t", "rain above", "2 mm/h"),
            ("l", "layout", "one beside it"),
            ("s", "speed", "2×"),
        ):
            page.keyboard.press(key)
            assert chosen(page, what) == option

        page.keyboard.press("Home")
        page.keyboard.press("Space")
        assert page.get_by_role("button", name="pause").count() == 1
        page.wait_for_function(f"{LABEL}.includes('forecast')")
        page.keyboard.press("Space")
        assert page.get_by_role("button", name="play").count() == 1

        words = page.locator(".nowcast-words")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
        assert "pixel 9, 13" in words.inner_text()  # from the middle
        page.keyboard.press("Escape")
        assert "mean of all known pixels" in words.inner_text()


def test_selects_keep_their_keys_and_buttons_the_keys_that_press_them(browser, storm, tmp_path):
    with opened(browser, tmp_path, ForecastPlayer(*storm)) as page:
        first = label(page)
        page.get_by_label("speed", exact=True).focus()
        page.keyboard.press("4")  # goes to the option 4×
        assert chosen(page, "speed") == "4×"
        page.keyboard.press("Home")
        assert chosen(page, "speed") == "½×"
        assert label(page) == first

        page.get_by_label("next frame").focus()
        page.keyboard.press("Space")
        assert "+10 min" in label(page)
        assert page.get_by_role("button", name="play").count() == 1, "it does not play"
        page.keyboard.press("v")
        assert chosen(page, "view") == "outline of observed"


def test_play_starts_again_after_the_last_frame_and_stops(browser, storm, tmp_path):
    with opened(browser, tmp_path, ForecastPlayer(*storm)) as page:
        choose(page, "speed", "4×")
        page.get_by_role("button", name="play").click()
        for lead in ("+10", "+30", "-10"):
            page.wait_for_function(f"{LABEL}.includes('{lead} min')")
        page.get_by_role("button", name="pause").click()
        stopped = label(page)
        page.wait_for_timeout(300)
        assert label(page) == stopped
        page.get_by_label("next frame").click()
        assert label(page) != stopped
        page.get_by_label("previous frame").click()
        assert label(page) == stopped


def test_two_players_on_a_page_do_not_disturb_each_other(browser, storm, tmp_path):
    players = ForecastPlayer(*storm), FramePlayer(storm[0])
    with opened(browser, tmp_path, *players) as page:
        labels = page.locator(".nowcast-label")
        second = labels.nth(1).inner_text()
        page.get_by_label("frame", exact=True).first.fill("0")
        assert "-10 min" in labels.first.inner_text()
        assert labels.nth(1).inner_text() == second
        page.locator(".nowcast-player").nth(1).focus()
        page.keyboard.press("End")
        assert labels.nth(1).inner_text() == "2024-06-01 00:50 UTC"
        assert "-10 min" in labels.first.inner_text()


def test_a_pixel_is_described_under_the_mouse_and_kept_by_a_click(browser, storm, tmp_path):
    frames, made = storm
    player = ForecastPlayer(frames, made)
    with opened(browser, tmp_path, player, viewport={"width": 1000, "height": 800}) as page:
        page.get_by_label("frame", exact=True).fill("4")  # +10 minutes
        box = page.locator(".nowcast-picture").nth(1).bounding_box()

        def at(x, y):
            right, down = box["width"] * (x + 0.5) / 20, box["height"] * (y + 0.5) / 24
            return box["x"] + right, box["y"] + down

        def words() -> str:
            return page.locator(".nowcast-words").inner_text()

        def rate(name: str) -> str:
            return words().split(f"{name}: ")[1].split("\n")[0]

        y, x = np.unravel_index(np.nanargmax(frames.values[7]), (24, 20))
        page.mouse.move(*at(x, y))
        assert f"pixel {x}, {y}" in words()
        rates = {
            "observed": frames.values[7, y, x],
            "stays": made["stays"].values[1, y, x],
            "members": made["members"].values[:, 1, y, x].mean(),
        }
        for name, expected in rates.items():
            if expected > 0.1:
                assert float(rate(name).removesuffix(" mm/h")) == pytest.approx(expected, rel=0.1)
            else:
                assert rate(name) == "dry"
        crosses = page.locator(".nowcast-cross").evaluate_all(
            "all => new Set(all.map((c) => c.getAttribute('d'))).size"
        )
        assert crosses == 1, "the same pixel is marked in all panels"
        assert page.locator(".nowcast-chart polygon").count() == 1, "the range of the members"
        assert page.locator(".nowcast-curve").first.get_attribute("d")

        page.mouse.click(*at(2, 1))  # never observed
        assert "pixel 2, 1" in words()
        assert rate("observed") == "not known"
        assert page.locator(".nowcast-curve").first.get_attribute("d") == ""
        page.mouse.move(1, 1)
        assert "pixel 2, 1" in words()

        page.mouse.click(*at(2, 1))
        page.mouse.move(1, 1)
        assert "mean of all known pixels" in words()
        mean = float(rate("observed").removesuffix(" mm/h"))
        assert mean == pytest.approx(np.nanmean(frames.values[7]), rel=0.02)


def test_the_swipe_follows_the_mouse_and_the_keyboard(browser, storm, tmp_path):
    frames, made = storm
    with opened(browser, tmp_path, ForecastPlayer(frames, made)) as page:
        choose(page, "layout", "swipe")
        choose(page, "forecast", "stays")
        page.get_by_label("frame", exact=True).fill("7")
        shown_frame = label(page)
        box = page.locator("figure:visible .nowcast-picture").bounding_box()
        observed, forecast = rain_colours(frames.values[10]), rain_colours(made["stays"].values[4])

        def observed_columns() -> list[int]:
            """All numbers of columns that agree with the picture."""
            pixels = page.locator("figure:visible canvas").evaluate(
                "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
            )
            pixels = np.reshape(pixels, (24, 20, 4))[..., :3]
            return [
                k
                for k in range(21)
                if (pixels[:, :k] == observed[:, :k]).all()
                and (pixels[:, k:] == forecast[:, k:]).all()
            ]

        assert observed_columns() == [10]
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=3)
        assert observed_columns() == [16]
        page.mouse.up()
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 9)
        assert observed_columns() == [16]

        page.locator(".nowcast-swipe").focus()
        page.keyboard.press("Home")
        assert observed_columns()[0] == 0
        page.keyboard.press("End")
        assert observed_columns()[-1] == 20
        assert label(page) == shown_frame, "these keys move the swipe, not the frame"
        page.keyboard.press("v")
        assert chosen(page, "view") == "outline of observed"


def test_a_phone_shows_everything_without_scrolling_sideways(browser, storm, tmp_path):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    frames, made = storm
    player = ForecastPlayer(frames, made | {"x" * 60: made["stays"]})
    with opened(browser, tmp_path, player, **phone) as page:
        for layout in ("all side by side", "one beside it", "swipe"):
            choose(page, "layout", layout)
            for view in ("rain rate", "error", "hits and misses"):
                choose(page, "view", view)
                assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator("figure:visible .nowcast-picture").tap(position={"x": 30, "y": 200})
        assert "pixel " in page.locator(".nowcast-words").inner_text()


# Texts that are wider than their boxes or stick out of the player, and options that are wider
# than their selects.
CUT_OFF = """() => {
    const player = document.querySelector(".nowcast-player").getBoundingClientRect();
    const texts = ".nowcast-player :is(small, b, span, button, .nowcast-label, .nowcast-legend)";
    const cut = [...document.querySelectorAll(texts)].filter((element) => {
        const { left, right, width } = element.getBoundingClientRect();
        const clipped = element.clientWidth && element.scrollWidth > element.clientWidth + 1;
        const figure = element.closest("figure")?.getBoundingClientRect() ?? player;
        return width && (clipped || left < player.left || right > figure.right + 1);
    });
    const pen = document.createElement("canvas").getContext("2d");
    const narrow = [...document.querySelectorAll("select")].filter((select) => {
        pen.font = getComputedStyle(select).font;
        const widest = Math.max(...[...select.options].map((o) => pen.measureText(o.text).width));
        return widest > select.clientWidth - 20; // the arrow
    });
    return [...cut, ...narrow].map((element) => element.textContent);
}"""


@pytest.mark.parametrize("width", [340, 390, 1200])
def test_no_label_is_cut_off(browser, tmp_path, width):
    frames = as_frames(np.full((12, 128, 128), 3.0, "f4"))  # counts of five digits
    made = {
        name: forecast(forecaster("persistence"), frames[:6], None, 6)
        for name in ("extrapolation", "sprog")
    }
    player = ForecastPlayer(frames, made | {"radar-members": made["sprog"]})
    with opened(browser, tmp_path, player, viewport={"width": width, "height": 900}) as page:
        root = page.locator(".nowcast-player")
        for _layout in range(3):
            for _view in range(4):
                for key in ("Home", "End"):  # an observed frame, and a forecast
                    root.press(key)
                    assert page.evaluate(CUT_OFF) == []
                root.press("v")
            root.press("l")


def test_names_are_text_and_empty_fields_are_pictures(browser, tmp_path):
    """Dry, not observed at all, a single lead, no past, and names that look like markup."""
    rate = np.zeros((4, 6, 6), "f4")
    rate[3] = np.nan
    frames = as_frames(rate)
    name = "</script><b>bold</b>"
    made = forecast(forecaster("persistence"), frames[:3], None, 1)
    player = ForecastPlayer(frames, {name: made, "&lt;": made}, past=0)
    with opened(browser, tmp_path, player) as page:
        assert page.locator("figcaption").all_inner_texts() == ["observed", name, "&lt;"]
        bold = page.locator("b", has_text="bold").filter(has_text="</script>")
        assert not bold.locator("b").count()

        for view in ("outline of observed", "error", "hits and misses"):
            choose(page, "view", view)
        assert not page.locator(".nowcast-scores b").count(), "no scores without observation"
        note = page.locator(".nowcast-scores").last.inner_text()
        assert note == "rain > 1 mm/h: no observation to compare with"
        pixel = "c => [...c.getContext('2d').getImageData(3, 3, 1, 1).data].slice(0, 3)"
        shown = [page.locator("canvas").nth(k).evaluate(pixel) for k in (0, 1)]
        assert shown == [list(bytes.fromhex(rain_scale.UNKNOWN[1:]))] * 2


def test_a_single_dry_frame_is_shown(browser, tmp_path):
    with opened(browser, tmp_path, FramePlayer(as_frames(np.zeros((1, 6, 6))))) as page:
        page.get_by_label("next frame").click()
        assert label(page) == "2024-06-01 00:00 UTC"
        assert "rain rate: 0.00 mm/h" in page.locator(".nowcast-words").inner_text()


def test_the_map_lies_where_the_pixels_are(browser, tmp_path):
    """49° N, the border of Canada, in the middle of row 10 of 21, with 0.1° a pixel."""
    lat, lon = 50 - 0.1 * np.arange(21), -112 + 0.1 * np.arange(60)
    axes = {"y": ("y", lat, {"units": "degrees_north"}), "x": ("x", lon, {"units": "degrees_east"})}
    frames = as_frames(np.zeros((1, 21, 60))).assign_coords(axes)
    with opened(browser, tmp_path, FramePlayer(frames)) as page:
        box = page.locator(".nowcast-picture").bounding_box()
        line = page.locator(".nowcast-borders").bounding_box()
        height = (line["y"] + line["height"] / 2 - box["y"]) / box["height"]
        assert height == pytest.approx(0.5, abs=0.01)

        page.mouse.move(box["x"] + box["width"] * 20.5 / 60, box["y"] + box["height"] * 0.5)
        assert "49.00° N, 110.00° W" in page.locator(".nowcast-words").inner_text()

        bar = page.locator(".nowcast-scale")
        share = bar.bounding_box()["width"] / (box["width"] - 2)
        km = float(bar.inner_text().removesuffix(" km")) / share
        assert km == pytest.approx(60 * 0.1 * 111.2 * np.cos(np.radians(49)), rel=0.02)


def test_every_frame_of_a_long_day_is_the_one_that_its_label_names(browser, tmp_path):
    """288 frames of 64 px."""
    rates = [0.0, 0.2, 0.7, 1.5, 3.0, 7.0, 15.0, 30.0, 70.0, 200.0, np.nan]
    rates = np.repeat(rates, 27)[:288].astype("f4")
    frames = as_frames(np.broadcast_to(rates[:, None, None], (288, 64, 64)))
    with opened(browser, tmp_path, FramePlayer(frames)) as page:
        assert page.locator("select").count() == 1, "only the speed"
        assert page.locator("canvas").count() == 1
        shown = page.evaluate(
            """() => {
                const slider = document.querySelector(".nowcast-slider");
                const canvas = document.querySelector("canvas");
                return [...Array(288).keys()].map((k) => {
                    slider.value = k;
                    slider.dispatchEvent(new Event("input"));
                    const label = document.querySelector(".nowcast-label").textContent;
                    const place = [5, canvas.height - 5, 1, 1];
                    const pixel = canvas.getContext("2d").getImageData(...place).data;
                    return [label, ...pixel.slice(0, 3)];
                });
            }"""
        )
    colours = [rain_scale.DRY, *rain_scale.COLOURS, rain_scale.UNKNOWN]
    for k, (text, *pixel) in enumerate(shown):
        assert text == f"{frames.indexes['time'][k]:%Y-%m-%d %H:%M} UTC"
        assert "#" + bytes(pixel).hex() == colours[k // 27], text


def test_every_step_and_channel_of_a_cell_is_the_chosen_one(browser, tmp_path):
    value = np.linspace(0, 1, 6).reshape(1, 3, 2, 1, 1)  # three steps, two channels
    maps = np.broadcast_to(value, (1, 3, 2, 16, 16))
    player = CellPlayer(np.zeros((3, 16, 16)), {"i": maps, "H": 2 * maps - 1})
    with opened(browser, tmp_path, player) as page:
        assert page.locator("figcaption").all_inner_texts() == ["X", "i", "H"]
        for step, channel in np.ndindex(3, 2):
            page.get_by_label("frame", exact=True).fill(str(step))
            choose(page, "channel", f"channel {channel}")
            assert label(page) == f"after frame {step + 1} of 3"
            pixels = page.evaluate(
                "[...document.querySelectorAll('canvas')]"
                ".map((c) => [...c.getContext('2d').getImageData(5, 5, 1, 1).data])"
            )
            shade = round(255 * float(value[0, step, channel, 0, 0]))
            for cmap, pixel in zip(("gray", "Greens", "RdBu_r"), pixels, strict=True):
                expected = 255 * np.array(colormaps[cmap](0 if cmap == "gray" else shade)[:3])
                np.testing.assert_allclose(pixel[:3], expected, atol=1.01)


@pytest.fixture(scope="module")
def wide():
    """A player of 96 × 128 px in two panels, in which every pixel has another rate."""
    rate = np.arange(96 * 128, dtype="f4").reshape(1, 96, 128) % 97 + 0.2
    frames = as_frames(np.repeat(rate, 6, axis=0))
    return ForecastPlayer(frames, {"a": forecast(forecaster("persistence"), frames[:4], None, 2)})


def windows(page) -> list[list[float]]:
    """Left, top, width and height of the part of the frame that each panel shows, in px.

    Those of the pictures are measured on the screen, those of the maps are their view boxes; the
    two must agree.
    """
    measured = page.evaluate(
        """() => [...document.querySelectorAll("figure:not([hidden]) canvas")].map((canvas) => {
            const picture = canvas.parentElement;
            const [whole, seen] = [canvas, picture].map((e) => e.getBoundingClientRect());
            const px = canvas.width / whole.width;
            const left = (seen.left + 1 - whole.left) * px; // without the frame of the picture
            const top = (seen.top + 1 - whole.top) * px;
            return [left, top, (seen.width - 2) * px, (seen.height - 2) * px];
        })"""
    )
    maps = page.locator("figure:visible .nowcast-picture svg").evaluate_all(
        "all => all.map((map) => map.getAttribute('viewBox').split(' ').map(Number))"
    )
    np.testing.assert_allclose(measured, maps, atol=0.6)
    return maps


WHOLE = [[0, 0, 128, 96]] * 2


def test_zoom_by_keys_moves_all_panels_together(browser, wide, tmp_path):
    with opened(browser, tmp_path, wide) as page:
        page.get_by_label("frame", exact=True).focus()
        assert windows(page) == WHOLE
        page.keyboard.press("+")
        first, second = windows(page)
        assert first == second == pytest.approx([64 - 128 / 3, 48 - 32, 256 / 3, 64])
        page.keyboard.press("Shift+ArrowRight")
        assert windows(page)[0][0] == pytest.approx(128 / 3), "at the right edge"
        page.keyboard.press("-")
        assert windows(page) == WHOLE

        for _ in range(9):
            page.keyboard.press("+")
        assert windows(page)[0][2:] == pytest.approx([128 / 3, 32]), "the largest zoom"
        page.keyboard.press("Escape")
        for _ in range(9):
            page.keyboard.press("Shift+ArrowUp")
        assert windows(page)[0][1] == 0, "at the upper edge"
        page.keyboard.press("0")
        assert windows(page) == WHOLE

        page.get_by_label("zoom in").click()
        assert windows(page) != WHOLE
        page.get_by_label("whole picture").click()
        assert windows(page) == WHOLE


def test_a_marked_pixel_stays_in_sight(browser, wide, tmp_path):
    with opened(browser, tmp_path, wide) as page:
        page.locator(".nowcast-player").focus()
        page.keyboard.press("Shift+ArrowUp")
        for key in ["+"] * 3 + ["Shift+ArrowRight"] * 40:
            page.keyboard.press(key)
        assert "pixel 104, 47" in page.locator(".nowcast-words").inner_text()
        left, _, width, _ = windows(page)[1]
        assert left + width == pytest.approx(105)


def test_wheel_drag_and_double_click(browser, wide, tmp_path):
    body = "<div style='height: 2000px'></div>"
    size = {"width": 900, "height": 800}
    with opened(browser, tmp_path, wide, body="<p>above</p>", viewport=size) as page:
        page.evaluate(f"document.body.insertAdjacentHTML('beforeend', \"{body}\")")
        box = page.locator(".nowcast-picture").nth(1).bounding_box()
        x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2

        page.mouse.move(x, y)
        page.mouse.wheel(0, 90)
        page.wait_for_function("scrollY === 90")
        assert windows(page) == WHOLE, "the page scrolls as long as the player has no focus"
        page.evaluate("scrollTo(0, 0)")
        page.locator(".nowcast-player").evaluate("e => e.focus({preventScroll: true})")
        page.mouse.wheel(0, -300)
        page.wait_for_function("document.querySelector('.nowcast-zoomed')")
        assert windows(page)[0] == pytest.approx([16, 24, 64, 48], abs=0.5)
        assert page.evaluate("scrollY") == 0

        page.mouse.down()
        page.mouse.move(x - box["width"] / 8, y + box["height"] / 4, steps=4)
        page.mouse.up()
        assert windows(page)[1] == pytest.approx([24, 12, 64, 48], abs=0.5)
        words = page.locator(".nowcast-words")
        page.mouse.move(1, 1)
        assert "mean of all" in words.inner_text(), "a drag marks no pixel"

        page.mouse.move(box["x"] + 1 + 0.5, box["y"] + 1 + 0.5)
        assert "pixel 24, 12" in words.inner_text()
        page.mouse.dblclick(x, y)
        assert windows(page) == WHOLE
        page.mouse.move(1, 1)
        assert "mean of all" in words.inner_text()


def test_two_fingers_zoom_and_one_moves(browser, wide, tmp_path):
    phone = {"viewport": {"width": 390, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, tmp_path, wide, **phone) as page:
        box = page.locator(".nowcast-picture").first.bounding_box()
        middle = box["y"] + box["height"] / 2
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *shares: float) -> None:
            points = [
                {"x": box["x"] + s * box["width"], "y": middle, "id": k}
                for k, s in enumerate(shares)
            ]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 0.4, 0.6)
        for spread in (0.15, 0.2):
            touch("touchMove", 0.5 - spread, 0.5 + spread)
        touch("touchEnd")
        assert windows(page)[0] == pytest.approx([32, 24, 64, 48], abs=1.5)
        assert page.evaluate("visualViewport.scale") == 1, "the page itself is not enlarged"

        touch("touchStart", 0.5)
        for place in (0.6, 0.75):
            touch("touchMove", place)
        touch("touchEnd")
        assert windows(page)[1] == pytest.approx([16, 24, 64, 48], abs=1.5)


def test_the_swipe_and_the_scale_bar_follow_the_zoom(browser, wide, tmp_path):
    with opened(browser, tmp_path, wide) as page:
        choose(page, "layout", "swipe")
        choose(page, "view", "error")
        bar = page.locator("figure:visible .nowcast-scale")
        assert bar.inner_text() == "50 km"
        for key in ["+"] * 2 + ["Shift+ArrowLeft"] * 4:
            page.locator(".nowcast-player").press(key)
        assert bar.inner_text() == "20 km"
        width = windows(page)[0][2]
        white = page.locator("figure:visible canvas").evaluate(
            "(c) => [...c.getContext('2d').getImageData(0, 5, c.width, 1).data]"
        )
        is_error = (np.reshape(white, (128, 4))[:, :3] == 255).all(axis=1)  # no error: white
        assert np.flatnonzero(is_error)[0] == round(width / 2)


def test_every_member_and_share_is_the_chosen_one(browser, tmp_path):
    frames = as_frames(np.full((6, 8, 8), 3.0, "f4"))
    rain = forecast(forecaster("persistence"), frames[:4], None, 2)
    members = xr.concat([rain * 0, rain * 0 + 0.7, rain], "member")
    player = EnsemblePlayer(frames, members.assign_coords(issued=rain.issued), threshold=2)
    with opened(browser, tmp_path, player) as page:
        words = page.locator(".nowcast-words")
        for key, rate in (("1", "0.00"), ("2", "0.7"), ("3", "2.99")):
            page.locator(".nowcast-slider").press(key)
            assert f"member: {rate}" in words.inner_text()
        assert "share of members: 33 %" in words.inner_text()
        assert page.locator(".nowcast-picture:visible").count() == 3
        choose(page, "rain above", "0.5 mm/h")
        assert "share of members: 67 %" in words.inner_text()
        page.locator(".nowcast-slider").press("Home")
        assert "share of members: 100 %" in words.inner_text(), "observed 3 mm/h"
        pixel = "c => [...c.getContext('2d').getImageData(3, 3, 1, 1).data].slice(0, 3)"
        expected = 255 * np.array(colormaps["BuPu"](254)[:3])
        shown = page.locator("canvas").nth(2).evaluate(pixel)
        np.testing.assert_allclose(shown, expected, atol=1.01)


def test_films_of_grey_values_have_no_units(browser, tmp_path):
    films = {"truth": np.full((2, 80, 80), 0.5), "network": np.zeros((2, 80, 80))}
    with opened(browser, tmp_path, FramePlayer(films, colours="grey")) as page:
        assert "mm/h" not in page.locator(".nowcast-player").inner_text()
        page.locator(".nowcast-player").press("ArrowRight")
        assert label(page) == "frame 2 of 2"
        page.locator(".nowcast-player").press("+")
        pixel = "all => all.map(c => c.getContext('2d').getImageData(3, 3, 1, 1).data[0])"
        assert page.locator("canvas").evaluate_all(pixel) == [128, 0]
