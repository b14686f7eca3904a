"""Times of frames are UTC; the usual step is the most frequent gap."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nowcastlib.data.cf_axes import ascending_times
from nowcastlib.data.grid import as_frames
from nowcastlib.data.times import time_step, utc, within
from nowcastlib.errors import NowcastError


def test_a_time_with_a_zone_becomes_utc():
    assert utc("2024-06-01T14:05+02:00") == pd.Timestamp("2024-06-01T12:05")
    assert utc("2024-06-01") == pd.Timestamp("2024-06-01")


def test_a_word_that_is_not_a_time_is_refused():
    with pytest.raises(NowcastError, match="'rubbish' is not a time: write it like 2015-05-15"):
        utc("rubbish")
    with pytest.raises(NowcastError, match="'rubbish'"):
        within(pd.Series(pd.date_range("2024-06-01", periods=2)), "rubbish")


@pytest.mark.parametrize("year", [1258, 2534])
def test_a_year_that_nanoseconds_cannot_express_is_refused_by_name(year):
    times = pd.date_range(f"{year}-10-27", periods=3, freq="5min", unit="s")
    frames = xr.DataArray(np.zeros((3, 2, 2)), {"time": times}, ("time", "y", "x"))
    with pytest.raises(NowcastError, match=rf"old\.nc has times from {year}.*check the units"):
        ascending_times(frames, "old.nc")


def test_times_lie_within_a_span_that_excludes_its_end():
    times = pd.Series(pd.date_range("2024-06-01T12:00", periods=4, freq="5min"))
    start, end = "2024-06-01T14:05+02:00", "2024-06-01T12:15"
    assert within(times, start, None).tolist() == [False, True, True, True]
    assert within(times, None, end).tolist() == [True, True, True, False]
    assert within(times, start, end).tolist() == [False, True, True, False]
    assert within(times).all()


def test_time_step_is_the_most_frequent_gap():
    frames = as_frames(np.zeros((5, 7, 8)), step=6)
    assert time_step(frames.isel(time=[0, 2, 3, 4])) == 6


def test_a_single_frame_has_no_time_step():
    assert np.isnan(time_step(as_frames(np.zeros((1, 7, 8)))))


@pytest.mark.parametrize(
    "text", ["now", "today", "Jun", "12:00", "2024", "06/01/2024", "", "NaT", "2024-13-01", "1e9"]
)
def test_only_iso_times_are_times(text):
    with pytest.raises(NowcastError, match="write it like 2015-05-15T16:00"):
        utc(text)


@pytest.mark.parametrize(
    "text",
    ["2024-06-01T14:05+02:00", "2024-06-01 12:05:00.000", "20240601T1205", "2024-06-01T12:05Z"],
)
def test_iso_times_are_read_to_utc(text):
    assert utc(text) == pd.Timestamp("2024-06-01T12:05")
