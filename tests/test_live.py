"""Live: from the newest frames of a local server to a page, also when they are old or missing."""

import dataclasses
import re
import time
import webbrowser
from functools import partial

import archive_files
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser_tools import FLAGS, chromium
from fvg_server import TIMES, Answer, feed, row
from playwright.sync_api import sync_playwright

from nowcastlib import live
from nowcastlib.cli import main
from nowcastlib.data import as_frames, ingest, store
from nowcastlib.data.feeds import demo_server
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.fvg import Fvg
from nowcastlib.display.rain_scale import LEVELS
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster, forecasters
from nowcastlib.forecasting.baselines import BASELINES, Baseline
from nowcastlib.live import page as page_module
from nowcastlib.live import update
from nowcastlib.live.issue import WET, table_rows

STAYS = {"persistence": BASELINES["persistence"]}  # needs three frames
NOW = TIMES[3] + pd.Timedelta(minutes=1)


def page_of(radar, tmp_path, runs=STAYS, now=NOW, **options) -> str:
    out, options = tmp_path / "live.html", live.LiveOptions(progress=False, **options)
    live.write_page(radar, runs, out, options, lambda: pd.Timestamp(now))
    return out.read_text()


def odim(folder, rate) -> list[Answer]:
    return [Answer(archive_files.write("odim", folder, rate=rate).read_bytes())]


def table(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in body.split("</tr>")[:-1]]


def fetched(server) -> list[int]:
    numbers = sorted(
        int(path.rsplit("/")[-1]) for path in server.requests if path.startswith("/products/")
    )
    server.requests.clear()
    return numbers


# ---- the page


def test_page_shows_the_forecasts_from_the_newest_frames_of_the_radar(tmp_path, monkeypatch):
    names, played = ("extrapolation", "sprog", "convedlstm"), []
    player = page_module.ForecastPlayer
    monkeypatch.setattr(
        page_module, "ForecastPlayer", lambda *args: played.extend(args) or player(*args)
    )
    with demo_server.serve(Demo(events=1, frames=14, size=48)) as url:
        runs = {name: forecaster(name) for name in names}
        page = page_of(Fvg(base=url), tmp_path, runs, "2024-06-01T12:51", minutes=40)
        day = "2024-06-01", "2024-06-02"
        path = ingest(Fvg(base=url), tmp_path / "frames.zarr", *day)

    frames, (observed, made, past, _) = store.open_frames(path), played
    assert list(made) == list(names)
    assert past == 6  # the network needs as many
    times = pd.date_range("2024-06-01T12:15", periods=8, freq="5min", name="time")
    assert observed.indexes["time"].equals(times)
    for name, field in made.items():
        expected = forecast(forecaster(name), frames, "2024-06-01T12:50", 12)
        xr.testing.assert_equal(field, expected)
        assert field.attrs["source"] == expected.attrs["source"]

    rows = table(page)
    assert [r[0] for r in rows] == [f"+{5 * k}" for k in range(1, 13)]
    assert rows[0][1] == "12:55"
    for k, (_, _, share, largest, *_) in enumerate(rows):
        rate = made["extrapolation"].values[k]
        known = rate[np.isfinite(rate)]
        assert known.size or k, "the first lead is known somewhere"
        expected = (
            (f"{(known > 0.5).mean():.1%}", f"{known.max():.1f}") if known.size else ("–", "–")
        )
        assert (share, largest) == expected

    assert 'datetime="2024-06-01T12:50:00Z">2024-06-01 12:50 UTC<' in page
    for text in (
        "48 × 48 px of 1 km, every 5 min",
        BASELINES["sprog"].description,
        page_module.NETWORK,
        "not a warning service",
        url,
    ):
        assert text in page


def test_page_says_when_it_was_written_and_for_which_time(server, tmp_path):
    before = live.utcnow().floor("min")
    page = page_of(feed(server), tmp_path)
    written = pd.Timestamp(re.search(r"Page written (.*?) UTC", page)[1])
    assert before <= written <= live.utcnow()
    assert f"as if it were {NOW:%Y-%m-%d %H:%M} UTC." in page


def test_the_page_is_replaced_through_a_link_and_foreign_names_beside_it_stay(server, tmp_path):
    (tmp_path / "web").mkdir()
    page = tmp_path / "live.html"  # which page_of writes
    page.symlink_to(tmp_path / "web" / "rain.html")
    (tmp_path / "web" / "rain.html").write_text("the page before")
    before = (tmp_path / "web" / "rain.html").stat().st_ino

    foreign = [tmp_path / "web" / name for name in ("rain.html.partial", ".rain.html.partial")]
    foreign += [tmp_path / "web" / ".rain.html.abcdefgh.partial"]  # as ours, but without a marker
    for folder in foreign:
        folder.mkdir()
        (folder / "mine").write_text("mine")

    text = page_of(feed(server), tmp_path)
    assert page.is_symlink()
    assert (tmp_path / "web" / "rain.html").read_text() == text
    assert (tmp_path / "web" / "rain.html").stat().st_ino != before  # replaced, never half
    assert all((folder / "mine").read_text() == "mine" for folder in foreign)
    assert len([*(tmp_path / "web").iterdir()]) == 4


def test_page_shows_and_describes_the_mean_of_an_ensemble(server, tmp_path):
    def two_members(observed, n):
        return np.stack([np.full((n, *observed.shape[1:]), rate) for rate in (0.0, 8.0)])

    page = page_of(feed(server), tmp_path, {"members": Baseline(two_members, n_in=3)}, leads=1)
    assert table(page) == [["+5", "12:20", "100.0%", "4.0"]]
    assert page_module.NETWORK_ENSEMBLE in page
    assert page_module.MEAN in page
    assert page_module.NETWORK not in page


def test_networks_are_described_without_the_seconds_that_pysteps_takes(monkeypatch):
    single = xr.DataArray(0.0)
    assert page_module._description("sprog", single) == BASELINES["sprog"].description
    monkeypatch.setattr(forecasters, "_baselines", lambda: pytest.fail("imports pysteps"))
    assert page_module._description("radar", single) == page_module.NETWORK
    members = page_module._description("radar-members", single.expand_dims("member"))
    assert members.startswith(page_module.NETWORK_ENSEMBLE)


def test_player_and_table_of_the_page_have_the_same_threshold(server, tmp_path):
    page = page_of(feed(server), tmp_path)
    threshold = int(re.search(r'"threshold": (\d+)', page)[1])
    assert LEVELS[threshold] == WET


def test_log_warns_of_pixels_that_a_network_was_not_trained_for(tmp_path, caplog):
    demo = Demo(events=1, frames=6, size=32)
    page_of(demo, tmp_path, {"radar": forecaster("radar")}, "2024-06-01T12:26", regrid=16, leads=1)
    assert "radar was trained at" in caplog.text
    assert "these frames have 2 km every 5 minutes" in caplog.text


def test_no_frame_is_fetched_twice_and_old_frames_are_removed(server, tmp_path):
    radar = partial(page_of, feed(server), tmp_path, minutes=16)
    assert "12:10 UTC</time>" in radar(now=TIMES[2])
    assert fetched(server) == [100, 101, 102]
    server.rows += [row(104, TIMES[3] + pd.Timedelta(minutes=5))]
    server.answers["104"] = server.answers["103"]
    assert "12:20 UTC</time>" in radar(now="2024-06-01T12:20:30")
    assert fetched(server) == [103, 104]
    (kept,) = tmp_path.glob("*.zarr*")
    assert store.open_frames(kept).indexes["time"][0] == TIMES[1]
    assert kept.name.startswith("live-")
    assert "12:20 UTC</time>" in radar(now="2024-06-01T12:21")
    assert fetched(server) == []


def test_a_run_continues_where_an_interrupted_one_stopped(server, tmp_path, monkeypatch):
    read = Fvg.read
    monkeypatch.setattr(
        Fvg, "read", lambda self, row: read(self, row) if row.id < 102 else _interrupt()
    )
    with pytest.raises(KeyboardInterrupt):
        page_of(feed(server, concurrency=1), tmp_path)
    assert not (tmp_path / "live.html").exists()
    assert fetched(server) == [100, 101]
    monkeypatch.undo()
    assert "12:15 UTC</time>" in page_of(feed(server, concurrency=1), tmp_path)
    assert fetched(server) == [102, 103]


def test_frames_of_a_grid_that_changed_are_used_when_the_older_ones_are_out_of_date(
    server, tmp_path, monkeypatch, caplog
):
    read = Fvg.read
    monkeypatch.setattr(
        Fvg, "read", lambda self, row: read(self, row) if row.id < 102 else _interrupt()
    )
    with pytest.raises(KeyboardInterrupt):
        page_of(feed(server, concurrency=1), tmp_path)
    monkeypatch.undo()
    server.answers = dict.fromkeys(server.answers, odim(tmp_path / "other", np.ones((10, 10))))
    with pytest.raises(NowcastError, match="12:10, 12:15 are missing"):
        page_of(feed(server, concurrency=1), tmp_path)
    assert "it has 10×10 px, the others 12×16" in caplog.text
    server.rows += [row(104, TIMES[3] + pd.Timedelta(minutes=5))]
    server.answers["104"] = server.answers["103"]
    later = {"now": "2024-06-01T12:20:30", "minutes": 14}
    assert "10 × 10 px" in page_of(feed(server, concurrency=1), tmp_path, **later)


def _interrupt(*_):
    raise KeyboardInterrupt


def test_feeds_on_disk_are_read_again_each_time(tmp_path):
    """A file on disk may change under the same name."""
    wet = Demo(events=1, frames=4, size=32, seed=1)
    for white in (10.0, 20.0):
        made = dataclasses.replace(wet)
        object.__setattr__(made, "read", lambda row, w=white: wet.read(row) * 0 + w)
        assert f"at most {white} mm/h" in page_of(made, tmp_path)
    assert [p.suffix for p in sorted(tmp_path.iterdir())] == [".zarr", ".html"]


def test_a_store_on_disk_is_read_again_after_a_correction(tmp_path):
    path = tmp_path / "source.zarr"
    (tmp_path / "page").mkdir()
    for rate in (10.0, 20.0):
        corrected = as_frames(np.full((4, 32, 32), rate, "f4"))
        corrected.to_dataset(name="rain").to_zarr(path, mode="w", zarr_format=2)
        page = page_of(CfZarr(str(path)), tmp_path / "page")
        assert f"at most {rate} mm/h" in page


def test_size_cuts_the_centre_and_leads_are_as_asked(server, tmp_path):
    page = page_of(feed(server), tmp_path, size=8, leads=2)
    assert "8 × 8 px" in page
    assert [r[:2] for r in table(page)] == [["+5", "12:20"], ["+10", "12:25"]]
    page = page_of(feed(server), tmp_path)
    assert "12 × 16 px" in page
    assert len(table(page)) == 12


# ---- incomplete, old or missing frames


@pytest.mark.parametrize(("east", "newest"), [(1e-7, "12:15"), (500.0, "12:10")])
def test_a_frame_may_lie_elsewhere_by_a_small_share_of_a_pixel(tmp_path, caplog, east, newest):
    """A frame that half a pixel of 1 km separates from the others is skipped."""
    made = Demo(events=1, frames=4, size=32)
    shifted = dataclasses.replace(made)

    def read(row):
        frame = made.read(row)
        return frame.assign_coords(x=frame.x + east) if row.number == 3 else frame

    object.__setattr__(shifted, "read", read)
    assert f"{newest} UTC</time>" in page_of(shifted, tmp_path)
    assert ("lies elsewhere" in caplog.text) == (east == 500.0)


HALF = np.where(np.arange(16) < 8, archive_files.field(), np.nan)


@pytest.mark.parametrize("what", ["cut", "half observed", "gone"])
@pytest.mark.parametrize("number", [104, 103])
def test_the_forecast_starts_from_the_last_time_with_enough_frames(
    server, tmp_path, caplog, what, number
):
    times = [*TIMES, TIMES[3] + pd.Timedelta(minutes=5)]
    lost = number - 100
    issued = times[3] if number == 104 else times[4]  # a frame between others is filled
    server.rows += [row(104, times[4])]
    server.answers["104"] = server.answers["103"]
    whole = server.answers[str(number)]
    bad = {
        "cut": [Answer(whole[0].body[: len(whole[0].body) // 2])],
        "half observed": odim(tmp_path / "half", HALF),
    }
    server.answers[str(number)] = bad.get(what, [Answer(status=404)])
    page = page_of(feed(server), tmp_path, now=times[4])
    words = f"{times[lost]:%H:%M} is missing or incomplete"
    assert f"{issued:%H:%M} UTC</time>" in page
    assert f'<p class="note">{words}: forecast from {issued:%H:%M} UTC.</p>' in page
    assert words in caplog.text
    fetched(server)
    server.answers[str(number)] = whole  # the feed has it now
    page = page_of(feed(server), tmp_path, now=times[4])
    assert "12:20 UTC</time>" in page
    assert 'class="note"' not in page
    assert fetched(server) == [number]


def test_the_time_step_is_that_of_the_listed_frames(server, tmp_path):
    """Where every other frame is lost, the step does not become ten minutes."""
    server.rows = [row(100 + k, TIMES[0] + pd.Timedelta(minutes=5 * k)) for k in range(8)]
    server.answers |= {
        f"{100 + k}": server.answers["103"] if k % 2 else [Answer(status=404)] for k in range(8)
    }
    page = page_of(feed(server), tmp_path, now="2024-06-01T12:36")
    assert "every 5 minutes" in page
    assert "12:30 is missing or incomplete: forecast from 12:35 UTC" in page


def test_page_and_log_warn_of_old_frames(server, tmp_path, caplog):
    assert '<p id="stale" role="alert" hidden></p>' in page_of(
        feed(server), tmp_path, now="2024-06-01T12:45"
    )
    assert not caplog.records
    page = page_of(feed(server), tmp_path, now="2024-06-01T12:46")
    assert '<p id="stale" role="alert">Issued 31 min ago: do not use.</p>' in page
    assert "Issued 31 min ago" in caplog.text


def test_a_page_warns_when_it_gets_old(server, tmp_path):
    page_of(feed(server), tmp_path)
    asked, said, shown = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for minutes in (-1, 4, 30, 31, 190, 3000):
            page = browser.new_page(viewport={"width": 360, "height": 700})
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.clock.set_fixed_time(
                (TIMES[3] + pd.Timedelta(minutes=minutes)).tz_localize("UTC").to_pydatetime()
            )
            page.goto((tmp_path / "live.html").as_uri())
            page.wait_for_selector(".nowcast-player canvas")
            stale = page.locator("#stale")
            warning = stale.inner_text() if stale.is_visible() else ""
            shown.append((page.locator("#age").inner_text(), warning))
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.close()
        browser.close()
    future = "in the future, if this clock is right"
    assert shown == [
        (future, f"Issued {future}: do not use."),
        ("4 min ago", ""),
        ("30 min ago", ""),
        ("31 min ago", "Issued 31 min ago: do not use."),
        ("3 h 10 min ago", "Issued 3 h 10 min ago: do not use."),
        ("2 days ago", "Issued 2 days ago: do not use."),
    ]
    assert set(asked) == {(tmp_path / "live.html").as_uri()}
    assert not said


def test_a_dry_forecast_says_that_no_rain_is_in_sight(server, tmp_path):
    server.rows = [row(100 + k, TIMES[0] + pd.Timedelta(minutes=5 * k)) for k in range(6)]
    server.answers = dict.fromkeys(
        [f"{100 + k}" for k in range(6)], odim(tmp_path / "dry", np.zeros((32, 32)))
    )
    runs = {n: forecaster(n) for n in ("convedlstm", "extrapolation", "sprog")}
    page = page_of(feed(server), tmp_path, runs, now="2024-06-01T12:26", leads=6)
    assert "No rain in sight: none observed at 12:25, none forecast until 12:55 UTC." in page
    assert {cell for r in table(page) for cell in r[2:]} == {"0.0%", "0.0"}


def test_the_table_does_not_take_unknown_for_dry(tmp_path):
    rates = as_frames(np.full((3, 8, 8), np.nan)).assign_coords(
        lead_time=("time", [5.0, 10.0, 15.0])
    )
    field = rates.swap_dims(time="lead_time").rename(time="valid_time")
    assert [row.cells for row in table_rows({"x": field})] == [["–", "–"]] * 3


@pytest.mark.parametrize("where", ["product", "attribution"])
def test_texts_of_a_feed_are_escaped(server, tmp_path, where):
    evil = "<script>alert(1)</script>"
    if where == "product":
        server.rows = [r | {"name": evil} for r in server.rows]
        page = page_of(feed(server, product=evil), tmp_path)
        assert "<title>Rain forecast: radar 1, &lt;script&gt;alert(1)" in page
    else:
        page = page_of(Demo(1, 4, 16, attribution=evil), tmp_path)
    assert "alert(1)" in page
    assert evil not in page


# ---- the command


def nowcast(server, tmp_path, more: str = "--at 2024-06-01T12:16") -> int:
    base = f"http://127.0.0.1:{server.server_port}"
    line = (
        f"live --base {base} --forecasters persistence --no-open --out {tmp_path}/live.html {more}"
    )
    return main(line.split())


def test_command_writes_the_page_and_opens_it(server, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert nowcast(server, tmp_path) == 0
    assert not opened
    assert (
        "live.html: forecast from 2024-06-01 12:15 UTC by persistence. Observed at 12:15"
        in capsys.readouterr().out
    )
    assert nowcast(server, tmp_path, "--at 2024-06-01T12:16 --open") == 0
    assert opened == [(tmp_path / "live.html").as_uri()]

    def broken(url):
        raise webbrowser.Error("no browser")

    monkeypatch.setattr(webbrowser, "open", broken)
    assert nowcast(server, tmp_path, "--at 2024-06-01T12:16 --open") == 0


def test_command_takes_the_newest_frames_of_any_feed(tmp_path, capsys, caplog):
    path = ingest(Demo(1, 12, 40), tmp_path / "frames.zarr")
    line = f"live --no-open --forecasters persistence --out {tmp_path}/live.html --source"
    assert main(f"{line} cloud --path {path} --regrid 20".split()) == 0
    assert "20 × 20 px of 2 km" in (tmp_path / "live.html").read_text()
    assert main(f"{line} demo --events 1 --pixels 40 --crop 4 4 20 20".split()) == 0
    said = capsys.readouterr()
    assert "forecast from 2024-06-01 12:55" in said.out
    assert "forecast from 2024-06-01 14:55" in said.out
    assert len(re.findall(r"Issued \d+ days ago: do not use", caplog.text)) == 2
    assert "20 × 20 px of 1 km" in (tmp_path / "live.html").read_text()
    assert {store.open_frames(p).sizes["time"] for p in tmp_path.glob("live-*.zarr")} == {
        12,
        24,
    }  # of 12 and of 36


FAILURES = {
    "nothing": (dict(rows=[]), "", r"has no SRI from .* and no other product"),
    "too few": (
        dict(rows=[row(100, TIMES[0]), row(101, TIMES[1])]),
        "",
        "needs 3 complete frames.* 11:55 is missing",
    ),
    "not one": (
        dict(files=Answer(b"<html>")),
        "",
        r"not one of 4 frames could be read; the first: .*text/html|html",
    ),
    "busy": (dict(list=Answer(status=429)), "", "answered 429"),
    "broken": (dict(list=Answer(status=500)), "", "answered 500"),
    "down": (dict(), "--base http://127.0.0.1:9", r"127\.0\.0\.1:9/radars/1/products: no answer"),
    "unknown forecaster": (dict(), "--forecasters zzz", "no forecaster 'zzz'"),
    "no time": (dict(), "--at noon", "'noon' is not a time"),
    "every at": (dict(), "--every 5", "does not go with --at"),
    "option": (dict(), "--path here", "--path is not an option of the source fvg"),
    "folder": (dict(), "--out .", "is a folder: name a file"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_one_line_exit_2_and_the_old_page_stays(
    server, tmp_path, capsys, monkeypatch, name
):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    changes, more, words = FAILURES[name]
    (tmp_path / "live.html").write_text("old")
    server.rows = changes.get("rows", server.rows)
    if "files" in changes:
        server.answers = {number: [changes["files"]] for number in server.answers}
    if "list" in changes:
        server.answers["/radars/1/products"] = [changes["list"]]
    assert nowcast(server, tmp_path, f"--at 2024-06-01T12:16 {more}") == 2
    errors = [line for line in re.split(r"[\r\n]+", capsys.readouterr().err) if "error:" in line]
    assert len(errors) == 1, errors
    assert re.search(words, errors[0]), errors
    assert (tmp_path / "live.html").read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob("*.html.*"))


def test_command_repeats_until_ctrl_c(server, tmp_path, monkeypatch, capsys, caplog):
    """By the real clock: two pages, between them a server that has nothing; then Ctrl-C."""
    now = live.utcnow().floor("min")
    server.rows = [row(100 + k, now - pd.Timedelta(minutes=5 * (4 - k))) for k in range(4)]
    waits, pages, whole = [], [], list(server.rows)

    def sleep(seconds):
        waits.append(seconds)
        pages.append((tmp_path / "live.html").read_text())
        server.rows = [[], [*whole, row(104, now)], None][len(waits) - 1]
        server.answers["104"] = server.answers["103"]
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(update.time, "sleep", sleep)
    assert nowcast(server, tmp_path, "--every 5") == 130
    assert waits == [300, 300, 300]
    assert "and no other product" in caplog.text
    assert "interrupted" in capsys.readouterr().err
    assert pages[0] == pages[1] != pages[2]
    assert f"{now:%H:%M} UTC</time>" in pages[2]
    assert '<meta http-equiv="refresh" content="300">' in pages[0]
    assert fetched(server) == [100, 101, 102, 103, 104]
    assert len(list(tmp_path.glob("live*"))) == 2


def test_command_repeats_after_a_failure_that_nobody_has_foreseen(
    server, tmp_path, monkeypatch, caplog
):
    """The third round meets a bug, and the fourth is as good as the first."""
    now = live.utcnow().floor("min")
    server.rows = [row(100 + k, now - pd.Timedelta(minutes=5 * (3 - k))) for k in range(4)]
    write_page, rounds = live.write_page, []

    def broken(*args):
        rounds.append(len(rounds))
        if rounds[-1] == 1:
            raise RecursionError("a \x1b[2J bug")
        return write_page(*args)

    def sleep(_):
        if len(rounds) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(live, "write_page", broken)
    monkeypatch.setattr(update.time, "sleep", sleep)
    assert nowcast(server, tmp_path, "--every 5") == 130
    assert "the page was not renewed (RecursionError: a  [2J bug)" in caplog.text
    assert rounds == [0, 1, 2]


def test_command_that_repeats_waits_for_a_server_that_is_down_at_first(
    tmp_path, monkeypatch, caplog
):
    def sleep(seconds):
        if seconds == 300:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    line = f"live --base http://127.0.0.1:9 --no-open --out {tmp_path}/live.html --every 5"
    assert main(f"{line} --forecasters persistence".split()) == 130
    assert "no network?" in caplog.text
