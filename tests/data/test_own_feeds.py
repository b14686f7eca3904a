"""Feeds of one's own pass the same gate as stores: frames north up in mm/h, times in UTC."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nowcastlib.data import Feed, IngestOptions, frame, ingest, open_frames
from nowcastlib.errors import NowcastError

TIMES = pd.date_range("2024-06-01T12:00", periods=4, freq="5min")
RAIN = np.zeros((5, 7), "f4")
RAIN[1, 2], RAIN[3, 5] = 5.0, 2.0
ORDERLY = frame(RAIN, 1000.0 * np.arange(7), -1000.0 * np.arange(5))


class OwnFeed(Feed):
    """A feed as a user writes it; ``change`` says how its frames come."""

    attribution = "the radar on our roof"

    def __init__(self, change=lambda field: field, times=TIMES):
        self.change, self.times = change, times

    def list(self, start=None, end=None):
        return pd.DataFrame({"time": self.times})

    def read(self, row):
        return self.change(ORDERLY.copy(deep=True))


def stored(feed, folder, **options):
    """The store that ingest makes of a feed, as any reader sees it."""
    out = ingest(feed, folder / "own.zarr", options=IngestOptions(progress=False, **options))
    return xr.open_zarr(out).rainfall_rate


def in_km(field):
    km = {axis: (axis, field[axis].values / 1000, {"units": "km"}) for axis in ("y", "x")}
    return field.assign_coords(km)


@pytest.mark.parametrize(
    "change",
    [
        lambda field: field[::-1],
        lambda field: field[:, ::-1],
        lambda field: field.transpose("x", "y"),
        lambda field: field.rename(y="northing", x="easting"),
        lambda field: field.expand_dims(time=[TIMES[0]]),
        lambda field: field.assign_coords(time=TIMES[0]),
        lambda field: field.astype("i2"),
        lambda field: field.chunk(),
        in_km,
    ],
    ids=["south up", "from the east", "x, y", "names", "one time", "time", "int", "dask", "km"],
)
def test_a_frame_is_stored_north_up_in_its_place(tmp_path, change):
    frames = stored(OwnFeed(change), tmp_path)
    np.testing.assert_array_equal(frames, np.stack([RAIN] * 4))
    for axis in ("y", "x"):
        np.testing.assert_allclose(frames[axis], ORDERLY[axis])


def test_a_crop_is_counted_from_the_north_also_if_the_feed_is_south_up(tmp_path):
    frames = stored(OwnFeed(lambda field: field[::-1]), tmp_path, crop=(2, 1, 4, 2))
    np.testing.assert_array_equal(frames[0], RAIN[1:3, 2:6])


def alternating():
    """Every second frame is south up."""
    numbers = iter(range(100))
    return lambda field: field if next(numbers) % 2 else field[::-1]


def test_each_frame_is_looked_at(tmp_path):
    frames = stored(OwnFeed(alternating()), tmp_path)
    np.testing.assert_array_equal(frames, np.stack([RAIN] * 4))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda field: field.assign_attrs(units="dBZ"), "is in dBZ: convert it to mm/h"),
        (lambda field: field.assign_attrs(units="kg m-2 s-1"), "is in kg m-2 s-1: convert"),
        (lambda field: field.astype(str), "in place of numbers|instead of numbers"),
        (lambda field: field.values, "ndarray in place of a frame: make it by data.frame"),
        (lambda field: field.isel(x=[0, 2, 1]), "x that neither rises nor falls"),
        (lambda field: field.expand_dims(member=2), "has the axes|with the axes"),
    ],
    ids=["dBZ", "kg m-2 s-1", "text", "array", "disorder", "members"],
)
def test_a_frame_that_cannot_be_judged_is_skipped_by_name(tmp_path, change, why):
    with pytest.raises(NowcastError, match=f"not one of 4 frames .*{why}"):
        stored(OwnFeed(change), tmp_path)
    assert not (tmp_path / "own.zarr").exists()


@pytest.mark.parametrize(
    "times",
    [
        TIMES.tz_localize("UTC"),
        TIMES.tz_localize("UTC").tz_convert("Europe/Rome"),
        TIMES - pd.Timedelta("2us"),
        TIMES.as_unit("s"),
        [f"{time:%Y-%m-%dT%H:%M}" for time in TIMES],
        [time.to_pydatetime() for time in TIMES.tz_localize("UTC").tz_convert("Asia/Tokyo")],
    ],
    ids=["UTC", "Rome", "2 microseconds early", "seconds", "text", "objects"],
)
def test_times_of_a_list_become_utc_in_whole_seconds(tmp_path, times):
    stored(OwnFeed(times=times), tmp_path)
    assert open_frames(tmp_path / "own.zarr").indexes["time"].tolist() == TIMES.tolist()


def test_frames_with_the_same_time_are_counted(tmp_path, caplog):
    stored(OwnFeed(times=TIMES[[0, 1, 1, 2]]), tmp_path)
    assert "1 frames with the time of another (the first is of 2024-06-01 12:05:00)" in caplog.text
    assert len(open_frames(tmp_path / "own.zarr")) == 3


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (pd.date_range("2024-06-01T12:00", periods=4, freq="400ms"), "a second or more apart"),
        (["2024-06-01T12:00", "noon"], "'noon' is not a time"),
        ([TIMES[0], pd.NaT], "without a time"),
    ],
    ids=["0.4 s", "a word", "NaT"],
)
def test_times_that_cannot_be_stored_are_refused(tmp_path, times, why):
    with pytest.raises(NowcastError, match=why):
        stored(OwnFeed(times=times), tmp_path)
