"""Forecasts know no future, and are for the times and the grid they claim."""

import numpy as np
import pytest
import xarray as xr
from made_forecasts import RUNS, moving_rain, network

from nowcastlib.data import as_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster, observed_until
from nowcastlib.forecasting.baselines import BASELINES
from nowcastlib.units import DRY

every_run = pytest.mark.parametrize("name", sorted(RUNS))


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


@every_run
def test_forecast_has_valid_times_units_and_grid(storm, name):
    predicted = forecast(RUNS[name], storm, "2024-06-01T00:30", 4)
    member = ("member",) if name == "steps" else ()
    assert predicted.dims == (*member, "lead_time", "y", "x") and predicted.dtype == "f4"
    assert predicted.shape[len(member) :] == (4, 64, 64)
    assert (
        predicted.lead_time.values.tolist() == [5, 10, 15, 20]
        and predicted.lead_time.attrs["units"] == "minutes"
    )
    assert (predicted.valid_time.values == storm.time.values[7:11]).all()
    assert predicted.issued == storm.time[6] and predicted.attrs["units"] == "mm h-1"
    assert (predicted.y == storm.y).all() and (predicted.x == storm.x).all()
    assert np.nanmin(predicted) >= 0 and np.isfinite(predicted).mean() > 0.6


@every_run
def test_forecast_does_not_see_the_future(storm, name):
    changed = storm.copy(deep=True)
    changed[7:] = 77.0
    at = storm.time.values[6]
    before = forecast(RUNS[name], storm, at, 3)
    xr.testing.assert_identical(before, forecast(RUNS[name], changed, at, 3))
    changed[6] = 0.0
    assert not before.equals(forecast(RUNS[name], changed, at, 3))


@every_run
def test_forecast_looks_at_as_many_frames_as_it_says(storm, name):
    """Nobody is given fewer than it needs, nor looks back further than evaluation knows."""
    n_in = RUNS[name].n_in
    changed = storm.copy(deep=True)
    changed[: 7 - n_in] = np.nan
    at = storm.time.values[6]
    xr.testing.assert_identical(
        forecast(RUNS[name], storm, at, 1), forecast(RUNS[name], changed, at, 1)
    )
    with pytest.raises(NowcastError, match=f"needs {n_in} frames"):
        forecast(RUNS[name], storm.isel(time=slice(n_in - 1)))


def test_network_forecast_is_rain_where_there_is_sight():
    rain = np.random.default_rng(0).gamma(0.5, 4, (6, 21, 30))
    rain[-1, :3], rain[:-1, 5] = np.nan, np.nan
    predicted = network()(rain, 5)
    assert predicted.shape == (5, 21, 30)
    assert np.isnan(predicted[:, :3]).all() and np.isfinite(predicted[:, 3:]).all()
    known = predicted[:, 3:]
    assert ((known == 0) | (known >= DRY)).all()


def test_frame_that_is_needed_and_missing_is_told(storm):
    holed = storm.isel(time=[0, 1, 2, 4, 5, 6, 7])
    with pytest.raises(
        NowcastError, match=r"needs 3 frames, 0 days 00:05:00 apart, .* none at 2024-06-01 00:15:00"
    ):
        forecast(BASELINES["persistence"], holed, storm.time.values[5])
    with pytest.raises(
        NowcastError, match=r"none at 2024-06-01 23:50:00 \(the store holds 2024-06-01"
    ):
        forecast(BASELINES["persistence"], storm, "2024-06-02")
    with pytest.raises(NowcastError, match="'noon' is not a time"):
        forecast(BASELINES["persistence"], storm, "noon")
    with pytest.raises(NowcastError, match="ask for at least 1"):
        forecast(BASELINES["persistence"], storm, leads=0)


def test_default_time_is_the_last_and_a_zone_is_minded(storm):
    assert observed_until(storm, None, 2).time.values.tolist() == storm.time.values[-2:].tolist()
    assert observed_until(storm, "2024-06-01T02:30+02:00", 1).time.values[0] == storm.time.values[6]


def test_network_of_one_frame_knows_the_step(storm):
    assert forecast(network(n_in=1), storm, leads=2).lead_time.values.tolist() == [5, 10]


def test_forecaster_goes_by_its_name(tmp_path):
    assert all(forecaster(name) is run for name, run in BASELINES.items())
    with pytest.raises(
        NowcastError, match=r"no forecaster 'zzz': .*persistence, extrapolation, proesmans, sprog"
    ):
        forecaster("zzz")
    (tmp_path / "last.pt").write_text("a checkpoint is no forecaster")
    with pytest.raises(NowcastError, match="no forecaster"):
        forecaster(tmp_path / "last.pt")


@pytest.mark.parametrize("shape", [(128, 128), (61, 93), (300, 40)])
def test_the_shipped_network_moves_a_cluster_and_leaves_the_dry_dry(shape):
    rate = np.zeros((6, *shape))
    row, column = shape[0] // 2, shape[1] // 4
    for t in range(6):
        rate[t, row - 3 : row + 3, column + t : column + t + 6] = 12.0
    predicted = forecast(forecaster("radar"), as_frames(rate), leads=4)
    for lead in (1, 4):
        field = predicted.values[lead - 1]
        assert field.max() > 1
        middle = np.average(np.indices(shape)[1], weights=field)
        assert middle == pytest.approx(column + 5 + lead + 2.5, abs=1.5)
    assert (forecast(forecaster("radar"), as_frames(rate * 0), leads=4) == 0).all()


def test_the_ensemble_of_the_shipped_network():
    frames = Demo(1, frames=6, size=128, seed=5)
    frames = as_frames(np.stack([frames.read(row) for row in frames.list().itertuples()]))
    members = forecast(forecaster("radar-members"), frames, leads=3)
    assert members.dims == ("member", "lead_time", "y", "x") and members.shape == (10, 3, 128, 128)
    one = forecast(forecaster("radar"), frames, leads=3)
    for threshold in (0.5, 2.0):
        areas = (members > threshold).mean(["lead_time", "y", "x"])
        assert 0.4 < float(areas.mean() / (one > threshold).mean()) < 2.5 and float(areas.std()) > 0
    for name in ("convedlstm-members", "sprog-members"):
        with pytest.raises(NowcastError, match="has members"):
            forecaster(name)
