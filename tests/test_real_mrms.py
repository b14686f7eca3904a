"""A store of MRMS; these tests run where it lies beside the folder that NOWCAST_ARCHIVE names."""

import pytest

from nowcastlib.data import grid, time_step
from nowcastlib.data.store import open_frames
from nowcastlib.forecasting import forecast, forecaster


def test_mrms_store_opens_north_up(mrms):
    """MRMS: a CF-Zarr store on a grid of latitude and longitude."""
    frames = open_frames(mrms)
    assert frames.dims == ("time", "y", "x")
    assert frames.shape == (36, 3500, 7000)
    assert frames.y[0] - frames.y[-1] > 30
    assert time_step(frames) == 2
    assert grid.pixel_size(frames).y == pytest.approx(1.11, abs=0.01)


def test_shipped_network_forecasts_a_part_of_mrms(mrms):
    frames = open_frames(mrms).isel(y=slice(2000, 2111), x=slice(4300, 4551))
    rain = forecast(forecaster("radar"), frames, leads=12)
    assert rain.shape == (12, 111, 251)
    assert 5 < float(rain.max()) < 300
    assert rain.lead_time.values.tolist() == list(range(2, 26, 2))
