"""Places of one's own: on the live page, on the terminal and as JSON."""

import json
from types import SimpleNamespace

import archive_files
import numpy as np
import pytest
from browser_tools import FLAGS, chromium
from placed_frames import moving_cell, place_at
from playwright.sync_api import sync_playwright

from nowcastlib.cli import main
from nowcastlib.data import ingest, open_frames, pixel_of
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.forecasting import chance_of_rain, forecast_at, forecaster, outlook
from nowcastlib.live import utcnow
from nowcastlib.live.issue import Issue
from nowcastlib.live.page import render_page

AHEAD, BEHIND = "A & O 'ahead'", "Behind"  # names
COLUMNS = {AHEAD: 70, BEHIND: 44}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """MeteoSwiss files of a cell that moves east, what the commands say of two places, and more."""
    root = tmp_path_factory.mktemp("places")
    rain = np.pad(moving_cell(frames=8).values, ((0, 0), (12, 12), (0, 0)))  # 72 × 80 px, to zoom
    archive_files.write_all("mch", root / "files", rain)
    source = ingest(Archive("mch", str(root / "files")), root / "frames.zarr")
    frames = open_frames(source).load()
    places = [place_at(frames, column, 32, name) for name, column in COLUMNS.items()]
    words = [f"{place.latitude:.6f},{place.longitude:.6f},{place.name}" for place in places]
    return SimpleNamespace(
        root=root, source=source, frames=frames, places=places, words=words,
        page=root / "live.html", json=root / "outlook.json",
    )  # fmt: skip


def live(site, words, *more) -> int:
    """The exit code of ``nowcast live`` with places."""
    line = f"live --source archive --product mch --path {site.root}/files --no-open --leads 6"
    line += f" --out {site.page} --forecasters extrapolation,radar"
    places = [part for word in words for part in ("--place", word)]
    return main([*line.split(), *places, *more])


@pytest.fixture(scope="module")
def printed(site):
    """What ``nowcast live`` prints: lines on stdout."""
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as out:
        assert live(site, site.words, "--json", str(site.json)) == 0
    return out.getvalue().splitlines()


def test_live_tells_places_on_the_terminal_and_as_json(site, printed):
    """By the network, which gives probabilities, although a baseline is named first."""
    _, series = forecast_at(forecaster("radar"), site.frames, site.places, leads=6)
    assert printed[1:] == [f"{each.place.name}: {outlook(each, 'radar')}" for each in series]
    assert printed[1].startswith(f"{AHEAD}: Rain from 12:4")
    assert printed[1].endswith(" % sure.")
    assert printed[2].startswith(f"{BEHIND}: Raining now (1")

    report = json.loads(site.json.read_text())
    assert report["issued"] == "2024-06-01T12:35:00Z"
    assert "do not use" in report["warning"]
    for place, each in zip(report["places"], series, strict=True):
        assert place["name"] == each.place.name
        assert place["forecaster"] == "radar"
        leads = place["forecasts"]["radar"]["leads"]
        rates = [lead["rate_mm_h"] for lead in leads]
        np.testing.assert_allclose(rates, each.rate, atol=1e-3)
        chances = [lead["chance_above_mm_h"]["0.1"] for lead in leads]
        np.testing.assert_allclose(chances, chance_of_rain(each), atol=1e-3)
        other = place["forecasts"]["extrapolation"]
        assert {lead["chance_above_mm_h"] for lead in other["leads"]} == {None}
        assert other["outlook"].endswith("extrapolation gives no probability.")


def test_the_page_tells_each_place(site, printed):
    page = site.page.read_text()
    assert page.count('<section class="place">') == 2
    assert "<h2>A &amp; O &#39;ahead&#39;</h2>" in page
    for line in printed[1:]:
        assert f"<b>{line.rpartition(': ')[2]}</b>" in page
    assert "The chance of rain is radar's own probability"
    assert "chance of rain above" in page


def test_the_page_without_probabilities_says_so(site, capsys):
    assert live(site, site.words[:1], "--forecasters", "persistence") == 0
    page = site.page.read_text()
    assert "None of the forecasts gives probabilities." in page
    assert "chance of rain above" not in page
    assert "persistence gives no probability." in capsys.readouterr().out
    assert live(site, site.words) == 0  # for the tests after this one


def test_a_place_that_is_not_observed_does_not_make_the_page_deny_its_probabilities(site):
    hidden = site.frames.copy(deep=True)
    hidden[:, 30:35, 68:73] = np.nan
    past = hidden[-6:].assign_coords(is_complete=("time", [True] * 6))
    field, series = forecast_at(forecaster("radar"), past, site.places, leads=2)
    issue = Issue(hidden, past, {"radar": field}, "a radar", utcnow(), at_places={"radar": series})
    page = render_page(issue)
    assert "<b>Not observed at 12:35 UTC: no forecast.</b>" in page
    assert "The chance of rain is radar's own probability" in page


MARKS = """[...document.querySelectorAll(".nowcast-picture")].map((picture) => {
  const box = picture.getBoundingClientRect();
  return [...picture.querySelectorAll(".nowcast-place")].map((mark) => {
    const at = mark.getBoundingClientRect();
    const name = mark.firstChild.getBoundingClientRect();
    return {
      text: mark.textContent,
      x: (at.left - box.left) / box.width,
      y: (at.top - box.top) / box.height,
      inside: name.left >= box.left && name.right <= box.right && name.top >= box.top,
      hidden: mark.hidden,
    };
  });
})"""
LETTERS = """[...document.querySelectorAll(".place svg text")].map((text) => {
  const [box, of] = [text, text.closest("svg")].map((e) => e.getBoundingClientRect());
  const scale = of.width / 360;
  return [11 * scale, box.left >= of.left && box.right <= of.right];
})"""


@pytest.mark.parametrize("width", [390, 1200])
def test_marks_and_charts_are_readable_on_phones_and_screens(site, printed, width):
    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(site.page.as_uri())
        page.wait_for_selector(".nowcast-player canvas")
        panels, letters = page.evaluate(MARKS), page.evaluate(LETTERS)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("zoom in").click(click_count=4)
        zoomed = page.evaluate(MARKS)[0]
        browser.close()

    assert not said
    assert len(panels) == 3  # observed, and two forecasts
    for marks in panels:
        assert [mark["text"] for mark in marks] == [AHEAD, BEHIND]
        for mark, place in zip(marks, site.places, strict=True):
            x, y = pixel_of(site.frames, place)
            assert mark["x"] == pytest.approx((x + 0.5) / 80, abs=0.01)
            assert mark["y"] == pytest.approx((y + 0.5) / 72, abs=0.02)
            assert mark["inside"]
            assert not mark["hidden"]
    assert min(size for size, _ in letters) >= 10.5
    assert all(inside for _, inside in letters)
    assert [mark["hidden"] for mark in zoomed] == [True, False]  # beyond the window


FAILURES = {
    "outside": ("13.2,46.1,Udine", "Udine (latitude 13.2, longitude 46.1) lies outside the grid"),
    "no number": ("Udine", "'Udine' is not a place: write LATITUDE,LONGITUDE"),
    "southern": ("-46.07,13.24,Udine", "lies outside the grid"),
    "markup": ("46.07,13.24,<b>", "one of < >"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_place_that_is_none_is_one_line_and_the_old_files_stay(site, printed, capsys, name):
    word, expected = FAILURES[name]
    before = site.page.read_bytes(), site.json.read_bytes()
    assert live(site, [word], "--json", str(site.json), "--forecasters", "persistence") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert expected in errors[0]
    assert (site.page.read_bytes(), site.json.read_bytes()) == before


def test_json_needs_a_place_and_a_place_needs_frames_with_coordinates(site, capsys):
    assert live(site, [], "--json", str(site.root / "x.json")) == 2
    assert "name one with --place" in capsys.readouterr().err
    unplaced = ingest(Demo(1, 6, 32), site.root / "demo.zarr")
    line = f"forecast --data {unplaced} --weights persistence --out {site.root}/f.zarr --place"
    assert main([*line.split(), "46,13"]) == 2
    assert "do not say where on the Earth they lie" in capsys.readouterr().err
    assert not (site.root / "f.zarr").exists()
    assert not (site.root / "x.json").exists()


def test_forecast_tells_places_too(site, printed, capsys):
    line = f"forecast --data {site.source} --leads 6 --out {site.root}/f.zarr"
    report = site.root / "forecast.json"
    words = ["--place", site.words[0], "--place", site.words[1], "--json", str(report)]
    assert main([*line.split(), *words]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == printed[1:]
    own, other = (json.loads(path.read_text())["places"] for path in (report, site.json))
    for k in (0, 1):
        assert own[k]["forecasts"]["radar"] == other[k]["forecasts"]["radar"]


def test_videos_have_no_places(site, capsys):
    line = f"forecast --beyond --data {site.root} --out {site.root}/beyond --place 46,13"
    assert main(line.split()) == 2
    assert "leave out --place" in capsys.readouterr().err
