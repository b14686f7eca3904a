"""The players in a real browser: in JupyterLab, and in a saved page; by keyboard, mouse and finger."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser_tools import FLAGS, chromium
from matplotlib import colormaps
from playwright.sync_api import sync_playwright

from nowcastlib.data import as_frames, storms
from nowcastlib.display import rain_scale
from nowcastlib.display.player import (
    BROWN_GREEN,
    COMPARED,
    ERRORS,
    CellPlayer,
    ForecastPlayer,
    FramePlayer,
    _levels,
)
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on loopback, with folders of its own, showing a copy of the tour."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "00_tour.ipynb", home)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folders = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    folders |= {
        name: str(home / name.lower())
        for name in ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR")
    }
    log = (home / "lab.log").open("w")
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ip=127.0.0.1",
        f"--notebook-dir={home}",
    ]
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
    """What the canvases of the player show, as PNG data."""
    return page.evaluate(
        "[...document.querySelectorAll('.nowcast-player canvas')].map(c => c.toDataURL())"
    )


def label(page) -> str:
    return page.locator(".nowcast-label").inner_text()


@contextmanager
def opened(browser, folder, player, **options):
    """A page that holds the player alone. Fails if it complains, or asks for anything but itself."""
    path = folder / "player.html"
    head = "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    path.write_text(f"<!doctype html>{head}<body>{player.page()}")
    page, asked, complaints = browser.new_page(**options), [], []
    page.set_default_timeout(5000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('.nowcast-label').textContent")
    yield page
    assert asked == [path.as_uri()]
    assert not [
        c for c in complaints if "willReadFrequently" not in c
    ]  # the tests read pixels back, no player does
    page.close()


def choose(page, what: str, option: str) -> None:
    page.get_by_label(what, exact=True).select_option(option)


def test_tour_in_jupyterlab_follows_keyboard_dropdowns_and_play(browser, lab):
    page, complaints, asked = browser.new_page(viewport={"width": 1400, "height": 1000}), [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{lab}/lab/tree/00_tour.ipynb?reset&token=test")
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
    page.wait_for_function(
        "document.querySelector('.nowcast-label')?.textContent.includes('forecast +5 min')"
    )
    slider, now = (
        page.locator(".widget-slider .noUi-handle").first,
        "document.querySelector('.nowcast-label').textContent",
    )

    def dropdown(what):
        return page.locator(".widget-dropdown", has=page.get_by_text(what, exact=True)).locator(
            "select"
        )

    dropdown("layout").select_option("all side by side")
    page.wait_for_function("!document.querySelectorAll('figure[hidden]').length")
    names = page.locator(".nowcast-player figcaption").all_inner_texts()

    # every position of the slider is the next 5 minutes, and another picture in every panel
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"{now}.includes('-10 min')")
    last, shown = int(float(slider.get_attribute("aria-valuemax"))), []
    for k in range(last + 1):
        lead = 5 * (k - 2)
        page.wait_for_function(f"{now}.includes('{f'{lead:+d} min' if lead else 'now'}')")
        shown.append([label(page).split("valid ")[1], *panels(page)])
        page.keyboard.press("ArrowRight")
    times = pd.to_datetime([time.removesuffix(" UTC") for time, *_ in shown])
    assert last >= 6 and (np.diff(times) == pd.Timedelta(minutes=5)).all()
    observed = [pictures[1] for pictures in shown]
    assert len(set(observed)) == len(shown)
    for panel in range(1, len(shown[0])):
        assert [row[panel] for row in shown[:3]] == observed[:3]  # the past is the same in all
    assert all(len(set(row[1:])) > 1 for row in shown[3:])

    dropdown("layout").select_option("one beside it")
    for name in names[1:]:
        dropdown("forecast").select_option(name)
        page.wait_for_function(
            f"[...document.querySelectorAll('figure:not([hidden])')][1].innerText.startsWith('{name}')"
        )
        assert page.locator("figure:visible figcaption").all_inner_texts() == ["observed", name]
    rain = panels(page)
    dropdown("view").select_option("hits and misses")
    page.wait_for_function("!document.querySelectorAll('.nowcast-legend')[3].hidden")
    assert panels(page)[0] == rain[0] and panels(page)[-1] != rain[-1]

    # the player's own keys reach its controls, and JupyterLab's commands do not hear them
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.locator(".nowcast-player").focus()
    for key in ("Home", "v", "1", "l", "b", "ArrowRight"):  # b would insert a cell
        page.keyboard.press(key)
    page.wait_for_function(f"{now}.includes('-5 min')")
    page.wait_for_function("document.querySelectorAll('figure:not([hidden])').length == 1")  # swipe
    assert (
        slider.get_attribute("aria-valuenow") == "1.0"
        and dropdown("view").input_value() == "rain rate"
    )
    assert (
        page.locator(".jp-Notebook .jp-Cell").count() == cells
        and dropdown("forecast").input_value() == names[1]
    )
    page.keyboard.press("Space")
    page.wait_for_function(f"{now}.includes('forecast +')")
    page.keyboard.press("Space")
    page.wait_for_timeout(600)
    stopped = label(page)
    page.wait_for_timeout(600)
    assert label(page) == stopped
    assert not page.locator(
        ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
    ).count()
    assert not complaints
    assert asked and not [url for url in asked if not url.startswith((lab, "data:", "blob:"))]
    page.close()


@pytest.fixture(scope="module")
def storm():
    """Twelve frames (24 × 20 px, a corner never observed, the last frame not at all) and two forecasts, one of three
    members."""
    rate = storms.rain(storms.Storm(size=24, seed=3, wet_fraction=0.6, intensity=4), 12)[:, :, :20]
    rate[:, :4, :5] = np.nan
    rate[1:4, 10, 3:11] = [
        0.1,
        0.5,
        1,
        2,
        5,
        10,
        20,
        50,
    ]  # what equals a threshold does not exceed it
    frames = as_frames(rate).assign_attrs(source="Radar of Nowhere")[:11]
    stays = forecast(forecaster("persistence"), frames, frames.time.values[5], 6)
    stays[2, 20:] = np.nan  # not known
    moved = [
        stays.copy(data=np.roll(stays.values * f, k, axis=2))
        for k, f in ((1, 0.7), (2, 1.5), (4, 3))
    ]
    made = {
        "stays": stays,
        "members": xr.concat(moved, "member").assign_coords(issued=stays.issued),
    }
    return frames, made


def test_every_frame_forecast_layout_view_and_threshold_is_what_numpy_says(
    browser, storm, tmp_path
):
    frames, made = storm
    player = ForecastPlayer(frames, made)
    with opened(browser, tmp_path, player, viewport={"width": 1000, "height": 800}) as page:
        found = page.evaluate(
            """() => {
                const change = (element, value) => {
                    element.value = value;
                    element.dispatchEvent(new Event(element.type === "range" ? "input" : "change"));
                };
                const slider = document.querySelector(".nowcast-controls input");
                const [choices, layouts, views, thresholds] = document.querySelectorAll(".nowcast-controls select");
                const all = (select) => [...select.options].map((_, k) => k);
                const rows = [];
                for (const layout of all(layouts)) for (const choice of all(choices)) for (const view of all(views))
                for (const threshold of all(thresholds)) for (let frame = 0; frame <= +slider.max; frame++) {
                    [[layouts, layout], [choices, choice], [views, view], [thresholds, threshold], [slider, frame]]
                        .filter(([element, value]) => +element.value !== value).forEach((pair) => change(...pair));
                    const panels = [...document.querySelectorAll("figure:not([hidden])")].map((figure) => {
                        const canvas = figure.querySelector("canvas");
                        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                        return {
                            title: figure.querySelector("figcaption").textContent,
                            pixels: btoa(String.fromCharCode(...data)),
                            scores: [...figure.querySelectorAll(".nowcast-scores b")].map((b) => b.textContent),
                            outline: figure.querySelector(".nowcast-outline").getAttribute("d"),
                        };
                    });
                    const told = document.querySelector(".nowcast-label").textContent;
                    rows.push([layout, choice, view, threshold, frame, told, panels]);
                }
                return rows;
            }"""
        )
    assert len(found) == 3 * 2 * 4 * 8 * 9
    truth, past = frames.values[3:].astype("f8"), 3
    truth = np.concatenate(
        [truth, np.full_like(truth[:1], np.nan)]
    )  # the last frame is not observed
    members = [np.ma.masked_invalid(f.values.astype("f8")) for f in made.values()]
    means = [
        (m.mean(0) if m.ndim == 4 else m).filled(np.nan) for m in members
    ]  # what one does not know, others tell
    forecasts = [np.concatenate([truth[:past], f]) for f in means]
    counts = [
        count([(f.values, truth[past:])], rain_scale.LEVELS[:-1], scales=[2]) for f in made.values()
    ]
    rgb = lambda colours: np.array([list(bytes.fromhex(c[1:])) for c in colours])  # noqa: E731
    brown, compared = rgb([*BROWN_GREEN, rain_scale.UNKNOWN]), rgb(COMPARED.values())
    rates, seen = np.array(player.canvas.values), np.isfinite(truth)

    def rain(rate):
        return (255 * rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid(rate)))[..., :3]).round()

    def expected(panel, view, threshold, frame):
        o = truth[frame]
        f = o if panel == 0 else forecasts[panel - 1][frame]
        if panel == 0 or frame < past or view < 2:
            return rain(f)
        f = np.nan_to_num(f)
        if view == 2:
            error = rates[_levels(f)] - rates[_levels(np.nan_to_num(o))]
            return brown[np.where(seen[frame], np.digitize(error, ERRORS, right=True), -1)]
        over, event = f > threshold, np.nan_to_num(o) > threshold
        return compared[
            np.where(seen[frame], np.select([event & over, event, over], [0, 1, 2], 3), 4)
        ]

    for layout, choice, view, k, frame, told, shown in found:
        threshold, where = rain_scale.LEVELS[k], (layout, choice, view, k, frame)
        assert told == player.labels[frame]
        wanted = {0: [0, 1, 2], 1: [0, choice + 1], 2: [choice + 1]}[layout]
        names = ["observed", *made]
        assert [p["title"] for p in shown] == [
            ("observed | " if layout == 2 else "") + names[n] for n in wanted
        ]
        for n, panel in zip(wanted, shown, strict=True):
            pixels = np.frombuffer(b64decode(panel["pixels"]), "u1").reshape(24, 20, 4)
            picture = expected(n, view, threshold, frame)
            if layout == 2:
                picture[:, :10] = rain(truth[frame])[:, :10]
            np.testing.assert_array_equal(pixels[..., :3], picture, err_msg=str(where))
            assert bool(panel["outline"]) == (view == 1 and bool((truth[frame] > threshold).any()))
            if n == 0 or frame < past or not seen[frame].any():
                assert panel["scores"] == [], where
                continue
            table = counts[n - 1].isel(case=0, lead=frame - past, threshold=k)
            wished = [score(table, s).item() for s in ("csi", "pod", "far")]
            for text, value in zip(panel["scores"], wished, strict=False):
                assert text == "–" if np.isnan(value) else abs(float(text) - value) < 0.00501, where
            assert panel["scores"][3:] == [
                str(int(table[c])) for c in ("hits", "misses", "false_alarms")
            ], where


def test_the_outline_runs_between_the_pixels(browser, tmp_path):
    rate = np.zeros((4, 6, 7), "f4")
    rate[:, 2:4, 1:4] = 3
    rate[:, 5, 6] = np.nan
    frames = as_frames(rate)
    with opened(
        browser,
        tmp_path,
        ForecastPlayer(frames, {"a": forecast(forecaster("persistence"), frames[:3], None, 1)}),
    ) as page:
        choose(page, "view", "outline of observed")
        path = page.locator(".nowcast-outline").first.get_attribute("d")
        assert sorted(path.replace("M", " M").split(" M")[1:]) == [
            "1 2H4",
            "1 2V4",
            "1 4H4",
            "4 2V4",
        ]
        choose(page, "rain above", "5 mm/h")
        assert page.locator(".nowcast-outline").first.get_attribute("d") == ""


def test_saved_page_follows_the_keyboard(browser, storm, tmp_path):
    with opened(browser, tmp_path, ForecastPlayer(*storm)) as page:
        assert "Radar of Nowhere" in page.locator(".nowcast-credit").inner_text()
        slider = page.get_by_label("frame", exact=True)
        slider.focus()
        page.keyboard.press("Home")  # the browser's own
        assert "-10 min" in label(page) and slider.get_attribute("aria-valuetext") == label(page)
        page.locator(".nowcast-player").focus()
        for key, told in (
            ("ArrowRight", "-5 min"),
            ("End", "+30 min"),
            ("ArrowRight", "-10 min"),
            ("ArrowLeft", "+30 min"),
        ):
            page.keyboard.press(key)
            assert told in label(page)
        assert slider.input_value() == "8"
        for key, what, told in (
            ("2", "forecast", "members"),
            ("9", "forecast", "members"),
            ("v", "view", "outline of observed"),
            ("t", "rain above", "2 mm/h"),
            ("l", "layout", "one beside it"),
            ("s", "speed", "2×"),
        ):
            page.keyboard.press(key)
            assert (
                page.get_by_label(what, exact=True).evaluate("s => s.options[s.selectedIndex].text")
                == told
            )
        page.keyboard.press("Home")
        page.keyboard.press("Space")
        assert page.get_by_role("button", name="pause").count() == 1
        page.wait_for_function(
            "document.querySelector('.nowcast-label').textContent.includes('forecast')"
        )
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
        assert "pixel 9, 13" in page.locator(".nowcast-words").inner_text()  # from the middle
        page.keyboard.press("Escape")
        assert "mean of all pixels" in page.locator(".nowcast-words").inner_text()


def test_play_plays_on_and_stops(browser, storm, tmp_path):
    with opened(browser, tmp_path, ForecastPlayer(*storm)) as page:
        choose(page, "speed", "4×")
        page.get_by_role("button", name="play").click()
        for lead in ("+10", "+30", "-10"):  # over the end
            page.wait_for_function(
                f"document.querySelector('.nowcast-label').textContent.includes('{lead} min')"
            )
        page.get_by_role("button", name="pause").click()
        stopped = label(page)
        page.wait_for_timeout(300)
        assert label(page) == stopped
        page.get_by_label("a frame on").click()
        assert label(page) != stopped
        page.get_by_label("a frame back").click()
        assert label(page) == stopped


def test_a_pixel_is_told_where_the_mouse_points_and_kept_where_it_clicks(browser, storm, tmp_path):
    frames, made = storm
    with opened(
        browser, tmp_path, ForecastPlayer(frames, made), viewport={"width": 1000, "height": 800}
    ) as page:
        page.get_by_label("frame", exact=True).fill("4")  # +10 minutes
        box = page.locator(".nowcast-picture").nth(1).bounding_box()

        def at(x, y):
            return box["x"] + box["width"] * (x + 0.5) / 20, box["y"] + box["height"] * (
                y + 0.5
            ) / 24

        told = lambda: page.locator(".nowcast-words").inner_text()  # noqa: E731
        y, x = np.unravel_index(np.nanargmax(frames.values[7]), (24, 20))
        page.mouse.move(*at(x, y))
        rates = [
            frames.values[7, y, x],
            made["stays"].values[1, y, x],
            made["members"].values[:, 1, y, x].mean(),
        ]
        assert f"pixel {x}, {y}" in told()
        for name, rate in zip(("observed", "stays", "members"), rates, strict=True):
            text = told().split(f"{name}: ")[1].split("\n")[0]
            assert (
                (float(text.removesuffix(" mm/h")) == pytest.approx(rate, rel=0.1))
                if rate > 0.1
                else text == "dry"
            )
        assert (
            page.locator(".nowcast-cross").evaluate_all(
                "all => new Set(all.map((c) => c.getAttribute('d'))).size"
            )
            == 1
        )
        assert page.locator(".nowcast-chart polygon").count() == 1  # the range of the members
        curve = page.locator(".nowcast-curve").first.get_attribute("d")
        page.mouse.click(*at(2, 1))  # never observed
        assert "pixel 2, 1" in told() and "observed: not known" in told()
        assert page.locator(".nowcast-curve").first.get_attribute("d") == "" != curve
        page.mouse.move(1, 1)
        assert "pixel 2, 1" in told()
        page.mouse.click(*at(2, 1))
        page.mouse.move(1, 1)
        assert "mean of all pixels" in told()
        mean = float(told().split("observed: ")[1].split(" mm/h")[0])
        assert mean == pytest.approx(np.nanmean(frames.values[7]), rel=0.02)


def test_the_swipe_follows_the_mouse_and_the_keyboard(browser, storm, tmp_path):
    frames, made = storm
    with opened(browser, tmp_path, ForecastPlayer(frames, made)) as page:
        choose(page, "layout", "swipe")
        choose(page, "forecast", "stays")
        page.get_by_label("frame", exact=True).fill("7")
        wide = page.locator("figure:visible .nowcast-picture").bounding_box()

        def columns_of_the_observed():
            shown = page.locator("figure:visible canvas").evaluate(
                "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
            )
            shown = np.reshape(shown, (24, 20, 4))[..., :3]
            left, right = (
                (255 * rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid(f)))[..., :3]).round()
                for f in (frames.values[10], made["stays"].values[4])
            )
            return [
                k
                for k in range(21)
                if (shown[:, :k] == left[:, :k]).all() and (shown[:, k:] == right[:, k:]).all()
            ]

        assert columns_of_the_observed() == [10]
        page.mouse.move(wide["x"] + wide["width"] / 2, wide["y"] + wide["height"] / 3)
        page.mouse.down()
        page.mouse.move(wide["x"] + wide["width"] * 0.8, wide["y"] + wide["height"] / 2, steps=3)
        assert columns_of_the_observed() == [16]
        page.mouse.up()
        page.mouse.move(wide["x"] + wide["width"] * 0.3, wide["y"] + 9)
        assert columns_of_the_observed() == [16]
        page.locator(".nowcast-swipe").focus()
        page.keyboard.press("Home")
        assert columns_of_the_observed()[0] == 0
        page.keyboard.press("End")
        assert columns_of_the_observed()[-1] == 20


def test_a_phone_shows_all_without_scrolling_sideways_and_a_tap_keeps_a_pixel(
    browser, storm, tmp_path
):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    frames, made = storm
    with opened(
        browser, tmp_path, ForecastPlayer(frames, made | {"x" * 60: made["stays"]}), **phone
    ) as page:
        for layout in ("all side by side", "one beside it", "swipe"):
            choose(page, "layout", layout)
            for view in ("rain rate", "error", "hits and misses"):
                choose(page, "view", view)
                assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator("figure:visible .nowcast-picture").tap(position={"x": 30, "y": 200})
        assert "pixel " in page.locator(".nowcast-words").inner_text()


def test_names_are_text_and_empty_fields_are_pictures(browser, tmp_path):
    """Dry, not observed at all, a single lead, no past, and names that look like markup."""
    rate = np.zeros((4, 6, 6), "f4")
    rate[3] = np.nan
    frames = as_frames(rate)
    name = "</script><b>bold</b>"
    made = forecast(forecaster("persistence"), frames[:3], None, 1)
    with opened(
        browser, tmp_path, ForecastPlayer(frames, {name: made, "&lt;": made}, past=0)
    ) as page:
        assert page.locator("figcaption").all_inner_texts() == ["observed", name, "&lt;"]
        assert (
            not page.locator("b", has_text="bold").filter(has_text="</script>").locator("b").count()
        )
        for view in ("outline of observed", "error", "hits and misses"):
            choose(page, "view", view)
        assert not page.locator(".nowcast-scores b").count(), "no number of what was not observed"
        assert (
            page.locator(".nowcast-scores").last.inner_text() == "rain > 1 mm/h: nothing observed"
        )
        pixel = "c => [...c.getContext('2d').getImageData(3, 3, 1, 1).data].slice(0, 3)"
        shown = [page.locator("canvas").nth(k).evaluate(pixel) for k in (0, 1)]
        assert shown == [list(bytes.fromhex(rain_scale.UNKNOWN[1:]))] * 2
    with opened(browser, tmp_path, FramePlayer(frames[:1])) as page:
        page.get_by_label("a frame on").click()
        assert (
            label(page) == "2024-06-01 00:00 UTC"
            and "rain rate: 0.00 mm/h" in page.locator(".nowcast-words").inner_text()
        )


def test_the_map_lies_where_the_pixels_are(browser, tmp_path):
    """49° N, the border of Canada, through the middle of row 10 of 21, and 0.1° a pixel."""
    lat, lon = 50 - 0.1 * np.arange(21), -112 + 0.1 * np.arange(60)
    axes = {"y": ("y", lat, {"units": "degrees_north"}), "x": ("x", lon, {"units": "degrees_east"})}
    frames = as_frames(np.zeros((1, 21, 60))).assign_coords(axes)
    with opened(browser, tmp_path, FramePlayer(frames)) as page:
        box = page.locator(".nowcast-picture").bounding_box()
        line = page.locator(".nowcast-borders").bounding_box()
        assert (line["y"] + line["height"] / 2 - box["y"]) / box["height"] == pytest.approx(
            0.5, abs=0.01
        )
        page.mouse.move(box["x"] + box["width"] * 20.5 / 60, box["y"] + box["height"] * 0.5)
        assert "49.00° N, 110.00° W" in page.locator(".nowcast-words").inner_text()
        bar = page.locator(".nowcast-scale")
        km = (
            float(bar.inner_text().removesuffix(" km"))
            / bar.bounding_box()["width"]
            * (box["width"] - 2)
        )
        assert km == pytest.approx(60 * 0.1 * 111.2 * np.cos(np.radians(49)), rel=0.02)


def test_every_frame_of_a_long_day_is_the_one_that_its_label_says(browser, tmp_path):
    """288 frames of 64 px."""
    rates = np.repeat([0.0, 0.2, 0.7, 1.5, 3.0, 7.0, 15.0, 30.0, 70.0, 200.0, np.nan], 27)[:288]
    frames = as_frames(np.broadcast_to(rates[:, None, None], (288, 64, 64)).astype("f4"))
    path = tmp_path / "day.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{FramePlayer(frames).page()}")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_function(
        "document.querySelector('.nowcast-label').textContent == '2024-06-01 00:00 UTC'"
    )
    assert page.locator("select").count() == 1 and page.locator("canvas").count() == 1  # speed
    shown = page.evaluate(
        """() => {
            const slider = document.querySelector(".nowcast-controls input"), canvas = document.querySelector("canvas");
            return [...Array(288).keys()].map((k) => {
                slider.value = k;
                slider.dispatchEvent(new Event("input"));
                const pixel = canvas.getContext("2d").getImageData(5, canvas.height - 5, 1, 1).data;
                return [document.querySelector(".nowcast-label").textContent, ...pixel.slice(0, 3)];
            });
        }"""
    )
    colours = [rain_scale.DRY, *rain_scale.COLOURS, rain_scale.UNKNOWN]
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
        page.locator(".nowcast-controls input").fill(str(step))
        for channel in range(2):
            page.get_by_label("channel", exact=True).select_option(str(channel))
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
