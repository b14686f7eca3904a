"""Impossible rain rates are refused by store, time and value; small negatives become 0."""

import logging
import re

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from nowcastlib.data import (
    IngestOptions,
    as_frames,
    frames_table,
    ingest,
    open_frames,
    rain_check,
)
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.windows import RadarWindows
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster
from nowcastlib.verification import EvaluationOptions, evaluate

QUIET = IngestOptions(progress=False)


def store_with(tmp_path, value: float, number: int = 5):
    """A store of ten frames of 16 × 16 px with rain; one frame holds ``value`` in three pixels."""
    rate = np.random.default_rng(0).gamma(0.5, 4, (10, 16, 16)).astype("f4")
    rate[number, 2, 3:6] = value
    path = tmp_path / "theirs.zarr"
    encoding = {"rainfall_rate": {"chunks": (1, 16, 16)}}
    as_frames(rate, "2020-10-31").to_dataset().to_zarr(path, encoding=encoding, zarr_format=2)
    return str(path)


@pytest.mark.parametrize("value", [-9999.0, 9.96921e36, np.inf, -np.inf, -1.5, 1001.0])
def test_an_impossible_rate_is_refused_with_store_time_and_value(tmp_path, value):
    frames = open_frames(store_with(tmp_path, value))  # opens: nothing is read yet
    assert np.isfinite(frames[:5].values).all()
    with pytest.raises(
        NowcastError, match=rf"theirs\.zarr .*{re.escape(f'{value:g}')} mm/h .*2020-10-31 00:25"
    ):
        frames[3:8].load()


@pytest.mark.parametrize("at", ["2020-10-31T00:25", None])
def test_no_forecast_starts_from_an_impossible_rate(tmp_path, at):
    frames = open_frames(store_with(tmp_path, -9999, number=5 if at else 9))
    with pytest.raises(NowcastError, match="-9999 mm/h"):
        forecast(forecaster("extrapolation"), frames, at, leads=2)


def test_evaluation_table_of_frames_and_windows_refuse_an_impossible_rate(tmp_path):
    path = store_with(tmp_path, 9.96921e36)
    options = EvaluationOptions(leads=2, size=0, scales=(1,))
    with pytest.raises(NowcastError, match=r"9\.96921e\+36 mm/h"):
        evaluate(open_frames(path), {"p": forecaster("persistence")}, options, progress=False)
    with pytest.raises(NowcastError, match=r"9\.96921e\+36 mm/h"):
        frames_table(path)
    with pytest.raises(NowcastError, match=r"9\.96921e\+36 mm/h"):
        RadarWindows(open_frames(path), np.arange(6)[None])


def test_small_negatives_become_0_with_one_warning_that_counts_them(tmp_path, caplog):
    frames = open_frames(store_with(tmp_path, -0.6))
    with caplog.at_level(logging.WARNING, "nowcastlib"):
        read = frames.values
        again = frames[4:7].values
    assert (read[5, 2, 3:6] == 0).all()
    assert (again[1, 2, 3:6] == 0).all()
    assert read.min() == 0
    (record,) = caplog.records
    assert "theirs.zarr" in record.getMessage()
    assert "3 pixels" in record.getMessage()
    assert "-0.6 mm/h" in record.getMessage()


def test_a_forecast_from_a_frame_with_small_negatives_is_that_of_a_dry_pixel(tmp_path):
    negative = open_frames(store_with(tmp_path / "negative", -0.6))
    dry = open_frames(store_with(tmp_path / "dry", 0.0))
    run = forecaster("sprog")
    at = "2020-10-31T00:25"
    np.testing.assert_array_equal(
        forecast(run, negative, at, leads=2), forecast(run, dry, at, leads=2)
    )


def test_ingest_counts_small_negatives_of_all_frames_in_one_warning(tmp_path, caplog):
    path = store_with(tmp_path, -0.6)
    with caplog.at_level(logging.WARNING, "nowcastlib"):
        out = ingest(CfZarr(path), tmp_path / "ours.zarr", options=QUIET)
    (record,) = caplog.records
    assert "3 pixels of 1 frame" in record.getMessage()
    assert xr.open_zarr(out).rainfall_rate.min() == 0


def test_ingest_leaves_out_a_frame_with_an_impossible_rate_and_names_it(tmp_path, caplog):
    out = ingest(CfZarr(store_with(tmp_path, -9999)), tmp_path / "ours.zarr", options=QUIET)
    assert pd.Timestamp("2020-10-31T00:25") not in open_frames(out).indexes["time"]
    assert open_frames(out).sizes["time"] == 9
    assert "theirs.zarr" in caplog.text
    assert "-9999 mm/h" in caplog.text


def test_unobserved_pixels_pass_the_check(tmp_path):
    frames = open_frames(store_with(tmp_path, np.nan))
    assert np.isnan(frames.values).sum() == 3
    assert frames.dtype == "f4"


@pytest.mark.parametrize("flipped", ["y", "x"])
def test_frames_of_a_flipped_axis_are_contiguous_arrays_north_up(tmp_path, flipped):
    rate = np.arange(2 * 3 * 4, dtype="f4").reshape(2, 3, 4)
    frames = as_frames(rate)
    path = tmp_path / "flipped.zarr"
    frames.isel({flipped: slice(None, None, -1)}).to_dataset().to_zarr(path, zarr_format=2)
    for part in ({}, {"time": 0}, {"y": slice(1, None)}, {"time": [0, 1]}):
        read = open_frames(path).isel(part)
        np.testing.assert_array_equal(read, frames.isel(part))
        assert read.values.flags.c_contiguous
        torch.from_numpy(read.values)  # raises an error for negative strides
    feed = CfZarr(str(path))  # it leaves the check of the rates to ingest
    assert feed.read(next(feed.list().itertuples())).values.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_extremes_are_found_in_every_block_and_leave_out_nan(monkeypatch, dtype):
    monkeypatch.setattr(rain_check, "BLOCK", 7)
    for number in range(24):
        rate = np.ones((2, 3, 4), dtype)
        rate[0, 1:] = np.nan  # a whole block is not observed
        rate.flat[number] = -0.5
        rate.flat[(number + 11) % 24] = np.inf
        for values in (rate, rate[:, ::-1], rate.transpose(2, 0, 1)):
            assert rain_check.extremes(values) == (-0.5, np.inf)
    assert rain_check.extremes(np.full((2, 3), np.nan, dtype)) == (0, 0)
    assert rain_check.extremes(np.empty((0, 3), dtype)) == (0, 0)
