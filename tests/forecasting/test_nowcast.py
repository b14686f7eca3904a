"""Forecasts use no later frame, and have the right times and grid."""

import numpy as np
import pytest
import xarray as xr
from made_forecasts import RUNS, moving_rain, network

from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, forecast, observed_until

every_run = pytest.mark.parametrize("name", sorted(RUNS))
PERSISTENCE = BASELINES["persistence"]


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


@every_run
def test_forecast_has_valid_times_units_and_grid(storm, name):
    predicted = forecast(RUNS[name], storm, "2024-06-01T00:30", 4)
    member = ("member",) if name == "steps" else ()
    assert predicted.dims == (*member, "lead_time", "y", "x")
    assert predicted.dtype == "f4"
    assert predicted.shape[len(member) :] == (4, 64, 64)
    assert predicted.lead_time.values.tolist() == [5, 10, 15, 20]
    assert predicted.lead_time.attrs["units"] == "minutes"
    assert (predicted.valid_time.values == storm.time.values[7:11]).all()
    assert predicted.issued == storm.time[6]
    assert predicted.attrs["units"] == "mm h-1"
    assert (predicted.y == storm.y).all()
    assert (predicted.x == storm.x).all()
    assert np.nanmin(predicted) >= 0
    assert np.isfinite(predicted).mean() > 0.6


@every_run
def test_forecast_does_not_depend_on_later_frames(storm, name):
    changed = storm.copy(deep=True)
    changed[7:] = 77.0
    at = storm.time.values[6]
    before = forecast(RUNS[name], storm, at, 3)
    xr.testing.assert_identical(before, forecast(RUNS[name], changed, at, 3))
    changed[6] = 0.0
    assert not before.equals(forecast(RUNS[name], changed, at, 3))


@every_run
def test_forecaster_needs_and_uses_its_n_in_frames_only(storm, name):
    n_in = RUNS[name].n_in
    changed = storm.copy(deep=True)
    changed[: 7 - n_in] = np.nan
    at = storm.time.values[6]
    before, after = (forecast(RUNS[name], frames, at, 1) for frames in (storm, changed))
    xr.testing.assert_identical(before, after)
    with pytest.raises(NowcastError, match=f"needs {n_in} frames"):
        forecast(RUNS[name], storm.isel(time=slice(n_in - 1)))


def test_missing_frame_is_named(storm):
    holed = storm.isel(time=[0, 1, 2, 4, 5, 6, 7])
    message = r"needs 3 frames, 5 minutes apart, .* none at 2024-06-01 00:15 .*00:30$"
    with pytest.raises(NowcastError, match=message):
        forecast(PERSISTENCE, holed, storm.time.values[5])
    message = r"none at 2024-06-01 23:50 \(the store holds 2024-06-01"
    with pytest.raises(NowcastError, match=message):
        forecast(PERSISTENCE, storm, "2024-06-02")


@pytest.mark.parametrize(
    ("wanted", "possible"),
    [("00:00", "first possible time is 2024-06-01 00:10"), ("00:17", "nearest .* 00:15")],
)
def test_impossible_time_has_a_possible_one_named(storm, wanted, possible):
    with pytest.raises(NowcastError, match=f"{possible}$"):
        forecast(PERSISTENCE, storm, f"2024-06-01T{wanted}")


def test_invalid_time_and_number_of_leads_are_refused(storm):
    with pytest.raises(NowcastError, match="'noon'"):
        forecast(PERSISTENCE, storm, "noon")
    with pytest.raises(NowcastError, match="at least 1"):
        forecast(PERSISTENCE, storm, leads=0)


def test_default_time_is_that_of_the_last_frame(storm):
    assert (observed_until(storm, None, 2).time.values == storm.time.values[-2:]).all()


def test_time_zone_is_converted_to_utc(storm):
    observed = observed_until(storm, "2024-06-01T02:30+02:00", 1)
    assert observed.time.values[0] == storm.time.values[6]


def test_lead_times_of_a_network_of_one_frame_have_the_step_of_the_store(storm):
    assert forecast(network(n_in=1), storm, leads=2).lead_time.values.tolist() == [5, 10]
