"""The server of synthetic rain: the demo's rain over HTTP, with the faults of a real server."""

import numpy as np
import pandas as pd
import pytest
import requests

from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds import demo_server, palettes
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.feeds.fvg import Fvg
from nowcastlib.errors import NowcastError

DAY = ("2024-06-01", "2024-06-02")
TWO_DAYS = ("2024-06-01", "2024-06-03")


def all_frames(demo: Demo) -> np.ndarray:
    """Rain rate of all frames of the demo, (time, y, x) in mm/h."""
    return np.stack([demo.read(row).values for row in demo.list().itertuples()])


def last_frame(radar: Fvg) -> np.ndarray:
    """Rain of the last frame of the first day."""
    row = next(radar.list(*DAY).iloc[[-1]].itertuples())
    return radar.read(row).values


def test_download_gives_the_rain_of_the_demo_within_the_radars_disc(tmp_path):
    demo = Demo(events=2, frames=12, size=40)
    with demo_server.serve(demo) as url:
        radar = Fvg(base=url)
        out = ingest(radar, tmp_path / "frames.zarr", *TWO_DAYS)
        assert len(radar.list(*TWO_DAYS)) == 24
    frames = open_frames(out)
    assert frames.indexes["time"].equals(pd.DatetimeIndex(demo.list().time, name="time"))

    observed = np.isfinite(frames.values)
    assert (observed == observed[0]).all()
    assert observed.mean() == pytest.approx(np.pi / 4, abs=0.02)

    # the eighth frame exists only as a picture, the others as HDF5 in steps of 0.01 mm/h
    truth, is_hdf5, disc = all_frames(demo), np.arange(24) != 7, observed[0]
    np.testing.assert_allclose(
        frames.values[is_hdf5][:, disc], truth[is_hdf5][:, disc], atol=0.0051
    )
    edges = palettes.SRI.edges
    drawn, expected = (np.digitize(rate[7][disc], edges) for rate in (frames.values, truth))
    assert (drawn == expected).all()
    assert (drawn > 0).any()


@pytest.fixture(scope="module")
def products():
    """Frames of all products, and the table of the first day's files."""
    demo = Demo(events=2, frames=14, size=32)
    with demo_server.serve(demo, trouble=0) as url:
        rain, echo, hourly = (Fvg(base=url, product=name) for name in ("SRI", "VMI", "SRT_1"))
        yield {
            "truth": all_frames(demo),
            "SRI": last_frame(rain),
            "VMI": last_frame(echo),
            "SRT_1": last_frame(hourly),
            "SRT_1 of the next day": hourly.read(
                next(hourly.list("2024-06-02", "2024-06-03").itertuples())
            ).values,
            "files": rain.products(*DAY),
        }


def test_each_product_has_a_file_in_both_formats_except_one_sri(products):
    counts = products["files"].groupby(["name", "format"]).size()
    assert counts.tolist() == [13, 14, 14, 14, 14, 14]


def test_reflectivity_is_that_of_the_rain_rate(products):
    observed = np.isfinite(products["SRI"])
    half_a_db = 0.05  # of the rain rate
    np.testing.assert_allclose(
        products["VMI"][observed], products["SRI"][observed], rtol=half_a_db, atol=0.011
    )


def test_hourly_sum_is_the_mean_rate_of_its_twelve_frames(products):
    observed = np.isfinite(products["SRI"])
    mean = products["truth"][2:14].mean(axis=0)
    np.testing.assert_allclose(products["SRT_1"][observed], mean[observed], atol=0.0051)
    assert (products["SRT_1"][observed] > 0).mean() > (products["SRI"][observed] > 0).mean()


def test_hourly_sum_counts_missing_frames_as_dry(products):
    observed = np.isfinite(products["SRI"])
    alone = products["truth"][14] / 12
    np.testing.assert_allclose(
        products["SRT_1 of the next day"][observed], alone[observed], atol=0.0051
    )


def test_server_has_holes_and_a_day_without_frames():
    with demo_server.serve(Demo(events=6, frames=20, size=16)) as url:
        radar = Fvg(base=url)
        gaps = radar.list("2024-06-01", "2024-06-10").time.diff().dt.total_seconds().div(60)
        with pytest.raises(NowcastError, match=r"no SRI from 2024-06-03 .* and no other product"):
            radar.list("2024-06-03", "2024-06-04")
        day = {"from": "2024-06-03 00:00:00", "to": "2024-06-04 00:00:00", "last": 9, "offset": 0}
        assert requests.get(f"{url}/radars/1/products", day).content == b"null"
    holes = gaps[(gaps > 5) & (gaps < 300)]
    assert len(holes) == 2
    assert holes.between(10, 40).all()


def test_unknown_file_is_not_found():
    demo = Demo(events=1, frames=2, size=16)
    with demo_server.serve(demo) as url, pytest.raises(NowcastError, match="404"):
        Fvg(base=url).fetch(1)


def test_failing_files_fail_once_by_a_broken_connection_or_a_busy_server():
    with demo_server.serve(Demo(events=1, frames=12, size=24), trouble=1) as url:
        first, second = (f"{url}/products/{demo_server.FIRST_ID + 6 * k}" for k in (0, 1))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(first)
        assert requests.get(first).status_code == 200
        assert requests.get(second).status_code == 503
        assert requests.get(second).status_code == 200


def test_failing_files_do_not_change_what_is_downloaded(tmp_path):
    demo = Demo(events=1, frames=12, size=24)
    stores = {}
    for trouble in (0, 2):
        with demo_server.serve(demo, trouble) as url:
            out = ingest(Fvg(base=url), tmp_path / f"{trouble}.zarr", *DAY)
            stores[trouble] = open_frames(out)
    assert stores[0].equals(stores[2])
    assert stores[0].sizes["time"] == 12
