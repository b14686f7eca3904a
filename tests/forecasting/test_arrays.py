"""Arrays that open_frames did not open: they pass the same checks, at the door, once."""

import logging
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_forecasts import moving_rain

from nowcastlib.data import RadarWindows, checked_frames, frames_table, open_frames, rain_check
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, forecast
from nowcastlib.verification import EvaluationOptions, evaluate

OPTIONS = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, scales=(2,), every=3)


@pytest.fixture(scope="module")
def frames():
    """Twelve frames of 32 × 32 px, north up, in memory."""
    return moving_rain()[:, :32, :32].astype("f4")


def extrapolated(frames):
    return forecast(BASELINES["extrapolation"], frames, leads=3)


def scores(frames):
    counts = evaluate(frames, {"p": BASELINES["persistence"]}, OPTIONS, progress=False)
    return counts.squared_errors.values


@pytest.mark.parametrize("flipped", [("y",), ("x",), ("y", "x")], ids="".join)
def test_a_forecast_lies_as_the_frames_do_and_is_the_same_at_each_place(frames, flipped):
    turned = frames.isel({axis: slice(None, None, -1) for axis in flipped})
    ours, theirs = extrapolated(frames), extrapolated(turned)
    for axis in ("y", "x"):
        np.testing.assert_array_equal(theirs[axis], turned[axis])
    np.testing.assert_array_equal(theirs.sel(y=ours.y, x=ours.x), ours)
    assert theirs.values.flags.c_contiguous
    np.testing.assert_array_equal(scores(turned), scores(frames))


def test_axes_of_any_order_and_name_and_kilometres_are_understood(frames):
    km = frames.assign_coords(
        y=("y", frames.y.values / 1000, {"units": "km"}),
        x=("x", frames.x.values / 1000, {"units": "km"}),
    )
    theirs = extrapolated(km.transpose("x", "y", "time").rename(y="northing", x="easting"))
    np.testing.assert_array_equal(theirs, extrapolated(frames))
    assert theirs.attrs["pixel_km"] == 1
    assert theirs.dims == ("lead_time", "y", "x")
    np.testing.assert_array_equal(theirs.x, km.x)
    assert theirs.x.attrs["units"] == "km"


def test_frames_are_put_in_the_order_of_their_times(frames):
    shuffled = frames.isel(time=np.random.default_rng(0).permutation(frames.sizes["time"]))
    np.testing.assert_array_equal(extrapolated(shuffled), extrapolated(frames))
    np.testing.assert_array_equal(scores(shuffled), scores(frames))


@pytest.mark.parametrize("dtype", [">f4", ">f8", "f8"])
def test_numbers_of_any_byte_order_are_the_same_frames(frames, dtype):
    checked = checked_frames(frames.astype(dtype))
    assert checked.dtype.isnative
    np.testing.assert_array_equal(checked, frames)
    np.testing.assert_array_equal(extrapolated(frames.astype(dtype)), extrapolated(frames))


def test_an_array_without_coordinates_keeps_its_rows(frames):
    bare = xr.DataArray(frames.values, {"time": frames.time}, ("time", "y", "x"))
    np.testing.assert_array_equal(extrapolated(bare), extrapolated(frames))


@pytest.mark.parametrize("value", [-9999.0, 9.96921e36, np.inf, -np.inf, -1.5, 1001.0])
def test_an_impossible_rate_is_refused_by_time_and_value(frames, value):
    wrong = frames.copy(deep=True)
    wrong[9, 2, 3] = value
    message = rf"array of frames holds .*{re.escape(f'{value:g}')} mm/h .*2024-06-01 00:45"
    with pytest.raises(NowcastError, match=message):
        extrapolated(wrong)
    with pytest.raises(NowcastError, match=message):
        scores(wrong)


def test_small_negatives_are_0_and_counted_in_one_warning(frames, caplog):
    negative, dry = frames.copy(deep=True), frames.copy(deep=True)
    negative[10:, 2, 3:6], dry[10:, 2, 3:6] = -0.6, 0.0
    with caplog.at_level(logging.WARNING, "nowcastlib"):
        predicted = extrapolated(negative)
    (record,) = caplog.records
    assert "3 pixels of 1 frame" in record.getMessage()  # of the first frame that is read
    assert "now and in all other frames" in record.getMessage()
    assert "-0.6 mm/h" in record.getMessage()
    np.testing.assert_array_equal(predicted, extrapolated(dry))

    caplog.clear()
    with caplog.at_level(logging.WARNING, "nowcastlib"):
        np.testing.assert_array_equal(scores(negative), scores(dry))
    assert len([r for r in caplog.records if "-0.6 mm/h" in r.getMessage()]) == 1
    assert (negative[10:, 2, 3:6] == np.float32(-0.6)).all()  # the array itself stays as it is


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign_attrs(units="dBZ"), "is in dBZ: convert"),
        (lambda f: f.assign_attrs(units="m s-1"), "is in m s-1: convert"),
        (lambda f: f.assign_attrs(units="kg m-2 s-1"), "is in kg m-2 s-1: convert"),
        (lambda f: f.astype(str), "instead of numbers"),
        (lambda f: f > 1, "bool instead of numbers"),
        (lambda f: f[0], r"has the axes \('y', 'x'\)"),
        (lambda f: f.expand_dims("member"), "has the axes .*member"),
        (lambda f: f.drop_vars("time"), "a time, with its coordinate"),
        (lambda f: f.assign_coords(time=np.arange(12)), "no dates"),
        (lambda f: f.isel(x=[0, 2, 1]), "neither rises nor falls"),
        (lambda f: f.values, "not ndarray: data.as_frames"),
        (lambda f: f.to_dataset(), "not Dataset"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_remedy(frames, change, message):
    for use in (extrapolated, scores):
        with pytest.raises(NowcastError, match=message):
            use(change(frames))


def test_frames_of_a_store_are_not_checked_again_and_changed_ones_are(frames, tmp_path):
    frames.to_dataset().to_zarr(tmp_path / "f.zarr", zarr_format=2)
    opened = open_frames(tmp_path / "f.zarr")
    part = opened[2:, 4:20, 4:20]
    assert checked_frames(opened) is opened
    assert checked_frames(part) is part
    assert checked_frames(checked_frames(frames[3:]))[2:].equals(frames[5:])

    changed = opened * 1000
    with pytest.raises(NowcastError, match="array of frames holds"):
        extrapolated(changed)
    opened[11, 5, 5] = -9999.0
    with pytest.raises(NowcastError, match="array of frames holds"):
        extrapolated(opened)


def test_only_frames_that_are_used_are_checked(frames, monkeypatch):
    """Nothing is read when an array passes the gate; a forecast reads a few of the last frames.

    The last one comes first, alone: whether it is complete decides from when the forecast is made.
    """
    checked = []

    class Counting(rain_check.RainCheck):
        def check(self, rate, times, where):
            checked.extend(pd.DatetimeIndex(times))
            return super().check(rate, times, where)

    monkeypatch.setattr(rain_check, "RainCheck", Counting)
    checked_frames(frames)
    assert not checked
    extrapolated(frames)
    times = frames.indexes["time"]
    assert checked == [times[-1], *times[-4:]]


def measured(frames):
    return frames_table(frames)[["valid", "wet", "mean", "max"]].to_numpy()


def windows(frames):
    return RadarWindows(frames, np.array([[8, 9, 10]]))[0]


@pytest.mark.parametrize("use", [measured, windows])
def test_tables_and_windows_check_an_array_too(frames, use):
    south_up = frames.isel(y=slice(None, None, -1)).transpose("x", "time", "y")
    np.testing.assert_array_equal(use(south_up), use(frames))

    wrong = frames.copy(deep=True)
    wrong[9, 2, 3] = -9999.0
    with pytest.raises(NowcastError, match=r"array of frames holds .*-9999 mm/h"):
        use(wrong)
    with pytest.raises(NowcastError, match="is in dBZ: convert"):
        use(frames.assign_attrs(units="dBZ"))
    for order in ([1, 0, *range(2, 12)], [0, 1, 1, *range(2, 11)]):
        with pytest.raises(NowcastError, match="ascend without duplicates"):
            use(frames.isel(time=order))


@pytest.mark.parametrize("use", [measured, windows])
def test_tables_and_windows_set_small_negatives_to_0(frames, use, caplog):
    negative, dry = frames.copy(deep=True), frames.copy(deep=True)
    negative[9, 2, 3], dry[9, 2, 3] = -0.6, 0.0
    np.testing.assert_array_equal(use(negative), use(dry))
    assert "1 pixel of 1 frame" in caplog.text


def in_dask(frames, folder):
    return frames.chunk(time=5, y=20)


def in_zarr(frames, folder):
    """Chunks of a store, which dask reads: ``open_frames`` was not asked."""
    frames.to_dataset(name="rain").to_zarr(folder / "f.zarr", zarr_format=2)
    return xr.open_zarr(folder / "f.zarr", chunks={}).rain


@pytest.mark.parametrize("lazily", [in_dask, in_zarr])
@pytest.mark.parametrize("use", [extrapolated, scores, measured, windows])
def test_frames_that_dask_reads_give_the_same_numbers(frames, tmp_path, lazily, use):
    lazy = lazily(frames, tmp_path)
    assert lazy.chunks
    np.testing.assert_array_equal(use(lazy), use(frames))
    with pytest.raises(NowcastError, match=r"array of frames holds .*-1000 mm/h"):
        use(lazy.where(lazy.y != lazy.y[3], -1000.0))
