"""Frames of other pixels and time steps than a network was trained at: there and back."""

import logging

import numpy as np
import pytest
import xarray as xr
from made_forecasts import network

from nowcastlib.data import as_frames
from nowcastlib.forecasting import (
    BASELINES,
    Network,
    Rescaled,
    at_trained_scale,
    forecast,
    forecaster,
    observed_until,
    resampling,
)
from nowcastlib.units import TrainedScale
from nowcastlib.verification import EvaluationOptions, evaluate

SHAPE = (48, 80)  # km
RADAR = forecaster("radar")


def moving_cell(km=1.0, minutes=5.0, frames=7, kmh=48.0, shape=SHAPE) -> xr.DataArray:
    """A round cell of 20 mm/h that moves east, with pixels of ``km`` each ``minutes``."""
    height, width = (round(side / km) for side in shape)
    y = (np.arange(height) + 0.5)[:, None] * km - shape[0] / 2
    x = (np.arange(width) + 0.5) * km - 0.6 * shape[1]
    at = kmh / 60 * minutes * np.arange(1 - frames, 1)[:, None, None]  # km, 0 at the last frame
    rate = 20 * np.exp(-(y**2 + (x - at) ** 2) / (2 * 5**2))
    return with_pixels(as_frames(np.where(rate < 0.1, 0, rate), step=minutes), km)


def with_pixels(frames: xr.DataArray, y_km: float, x_km: float | None = None) -> xr.DataArray:
    """Frames with pixels of another size."""
    axes = {"y": -1000 * y_km, "x": 1000 * (x_km or y_km)}
    return frames.assign_coords(
        {a: (a, m * np.arange(frames.sizes[a]), {"units": "m"}) for a, m in axes.items()}
    )


def textured(frames: xr.DataArray, factor: int) -> xr.DataArray:
    """Frames of 1 km with pixels divided by a factor and detail that keeps the means of 1 km."""
    size = tuple(factor * n for n in frames.shape[1:])
    noise = np.exp(np.random.default_rng(0).normal(0, 0.5, size))
    known = np.full(size, True)
    fine = [resampling.refine(f.values, (factor, factor), known, noise) for f in frames]
    finer = as_frames(np.stack(fine)).assign_coords(time=frames.time)
    return with_pixels(finer, 1 / factor)


def centre_km(field: xr.DataArray, km: float) -> float:
    """Where the rain of a field (y, x) is, km from the left edge."""
    return float(np.average((np.arange(field.sizes["x"]) + 0.5) * km, weights=field.sum("y")))


def test_frames_of_the_trained_scale_are_forecast_by_the_network_itself(caplog):
    frames = moving_cell()
    assert at_trained_scale(RADAR, frames) is RADAR
    predicted = forecast(RADAR, frames, leads=3)
    assert np.array_equal(predicted, RADAR(frames.values[-6:].astype("f8"), 3).astype("f4"))
    assert "nowcast_scale" not in predicted.attrs
    assert not caplog.records


@pytest.mark.parametrize("name", ["radar", "radar-members"])
@pytest.mark.parametrize("factor", [2, 4])
def test_forecast_from_finer_pixels_has_the_means_of_the_forecast_at_1_km(name, factor):
    frames = moving_cell()
    run = forecaster(name)
    native = forecast(run, frames, leads=2)
    fine = forecast(run, textured(frames, factor), leads=2)
    means = fine.coarsen(y=factor, x=factor).mean()
    assert fine.shape[-2:] == (48 * factor, 80 * factor)
    np.testing.assert_allclose(means.values, native.values, atol=2e-3)  # mm/h


def test_forecast_from_smooth_finer_pixels_is_nearly_the_forecast_at_1_km():
    native = forecast(RADAR, moving_cell(), leads=6)
    means = forecast(RADAR, moving_cell(km=0.25), leads=6).coarsen(y=4, x=4).mean()
    assert float(native.max()) > 10
    assert float(abs(means.values - native.values).max()) < 0.5  # mm/h


def test_detail_of_finer_pixels_moves_with_the_rain():
    frames = textured(moving_cell(frames=12), 4)
    observed, truth = frames[:6], frames[6].values  # the texture stands still here ...
    for lag in range(6):  # ... and moves from now on: 4 km, 16 px, a frame
        observed[lag] = np.roll(frames.values[5], 16 * (lag - 5), axis=1)
    truth = np.roll(frames.values[5], 16, axis=1)

    predicted = forecast(RADAR, observed, leads=1)[0].values
    smooth = resampling.bilinear(resampling.block_mean(predicted, (4, 4)), (4, 4), truth.shape)
    detail_of_truth = truth - resampling.bilinear(
        resampling.block_mean(truth, (4, 4)), (4, 4), truth.shape
    )
    inside = truth > 2
    correlation = np.corrcoef((predicted - smooth)[inside], detail_of_truth[inside])[0, 1]
    assert correlation > 0.7


@pytest.mark.parametrize(
    ("km", "minutes"), [(0.25, 5), (1, 5), (2, 5), (1, 2.5), (1, 15), (0.25, 15), (2, 15)]
)
def test_cell_moves_at_its_speed_in_kilometres_an_hour(km, minutes):
    frames = moving_cell(km, minutes, frames=11, kmh=72, shape=(48, 120))
    leads = round(15 / minutes)
    predicted = forecast(RADAR, frames, leads=leads)
    assert ("nowcast_scale" in predicted.attrs) == ((km, minutes) != (1, 5))
    moved = centre_km(predicted[-1], km) - centre_km(frames[-1], km)
    assert moved / (15 / 60) == pytest.approx(72, rel=0.1)
    now, then = float(frames[-1].sum()), float(predicted[-1].sum())
    assert then == pytest.approx(now, rel=0.35)


def test_every_second_frame_is_used_of_frames_every_2_and_a_half_minutes():
    frames = moving_cell(minutes=2.5, frames=11)
    predicted = forecast(RADAR, frames, leads=4)
    native = forecast(RADAR, frames[::2], leads=2)
    assert np.array_equal(predicted[1::2], native)
    assert list(predicted.lead_time) == [2.5, 5, 7.5, 10]

    places = [centre_km(field, 1) for field in (frames[-1], *predicted)]
    np.testing.assert_allclose(np.diff(places), 2, atol=0.4)  # km in 2.5 minutes


def test_frames_every_15_minutes_are_interpolated_along_the_motion():
    run = at_trained_scale(RADAR, moving_cell(minutes=15))
    assert isinstance(run, Rescaled)
    assert run.n_in == 4
    frames = moving_cell(minutes=15, frames=4, kmh=72, shape=(48, 120))
    between = run._to_network(frames.values)
    true = moving_cell(minutes=7.5, frames=6, kmh=72, shape=(48, 120)).values
    assert between.shape == true.shape
    assert abs(between - true).max() < 2  # mm/h; the cell has 20


def test_a_lost_frame_is_filled_along_the_motion_before_others_are_interpolated():
    frames = moving_cell(minutes=15, frames=4, kmh=48)
    run = at_trained_scale(RADAR, frames)
    assert isinstance(run, Rescaled)
    lost = frames.values.copy()
    lost[2] = np.nan
    true = moving_cell(minutes=7.5, frames=6, kmh=48).values
    assert abs(run._to_network(lost) - true).max() < 5  # mm/h; the cell has 20


@pytest.mark.parametrize(("km", "minutes"), [(0.5, 5), (2, 5), (1, 15)])
def test_a_lost_frame_hardly_changes_the_forecast_at_another_scale(km, minutes):
    """Read as dry it would halve the motion."""
    frames = moving_cell(km, minutes, frames=6, kmh=48)
    run = at_trained_scale(RADAR, frames)
    assert isinstance(run, Rescaled)
    lost = frames.values.copy()
    lost[-2] = np.nan
    complete, filled = (run(observed, 2) for observed in (frames.values, lost))
    assert np.isfinite(filled).all()
    assert abs(filled - complete).mean() < 0.15 * complete.mean()


@pytest.mark.parametrize(
    ("km", "factors"),
    [
        ((1, 1), ((1, 1), (1, 1))),
        ((0.6, 0.6), ((1, 1), (1, 1))),
        ((0.5, 0.5), ((2, 2), (1, 1))),
        ((0.25, 0.25), ((4, 4), (1, 1))),
        ((0.1, 0.1), ((9, 9), (1, 1))),
        ((1.1, 0.25), ((1, 4), (1, 1))),
        ((2, 2), ((1, 1), (2, 2))),
        ((0.5, 2), ((2, 1), (1, 2))),
        ((5, 5), ((1, 1), (1, 1))),
    ],
)
def test_pixels_change_by_whole_factors(km, factors):
    run = at_trained_scale(RADAR, with_pixels(moving_cell(), *km))
    change = run.change if isinstance(run, Rescaled) else None
    assert ((change.averaged, change.divided) if change else ((1, 1), (1, 1))) == factors


@pytest.mark.parametrize(
    ("minutes", "needed", "network_minutes"),
    [(1, 21, 4), (2, 11, 4), (2.5, 11, 5), (5, 6, 5), (12, 6, 12), (15, 4, 7.5), (30, 3, 10)],
)
def test_steps_are_left_out_or_divided(minutes, needed, network_minutes):
    run = at_trained_scale(RADAR, moving_cell(minutes=minutes))
    assert run.n_in == needed
    stride = run.change.stride if isinstance(run, Rescaled) else 1
    assert stride * minutes == pytest.approx(network_minutes)


def test_steps_between_two_trained_ones_are_interpolated():
    made = network(n_in=3)
    trained = TrainedScale((1.0, 1.0), (5.0, 6.0))
    made = Network(made.model, made.config, trained_at=trained)
    run = at_trained_scale(made, moving_cell(minutes=4))
    assert run.n_in == 4  # 10 minutes
    assert forecast(made, moving_cell(minutes=4), leads=3).shape == (3, 48, 80)


def test_both_axes_may_change_in_opposite_ways():
    frames = with_pixels(moving_cell(shape=(96, 40)), 0.5, 2)
    predicted = forecast(RADAR, frames, leads=2)
    assert predicted.shape == (2, 96, 40)
    assert float(predicted.max()) > 5


@pytest.mark.parametrize(("km", "minutes"), [(0.25, 5), (2, 5), (1, 15)])
def test_small_frames_with_gaps_are_forecast_where_they_are_observed(km, minutes):
    rain = np.random.default_rng(0).gamma(0.5, 4, (6, 61, 93))
    rain[:, :9] = np.nan
    rain[-1, 30, 40:44] = np.nan
    predicted = forecast(RADAR, with_pixels(as_frames(rain, step=minutes), km), leads=2).values
    assert predicted.shape == (2, 61, 93)
    assert np.array_equal(np.isfinite(predicted), np.isfinite(np.stack([rain[-1]] * 2)))
    assert np.nanmin(predicted) >= 0
    assert np.nanmax(predicted) > 0


def test_dry_frames_stay_dry_at_any_scale():
    frames = with_pixels(as_frames(np.zeros((6, 61, 93)), step=15), 0.25)
    assert (forecast(RADAR, frames, leads=2) == 0).all()


def test_forecast_says_how_it_was_rescaled(caplog):
    caplog.set_level(logging.INFO)
    predicted = forecast(RADAR, moving_cell(km=0.5), leads=1)
    at = "frames of 0.5 km every 5 minutes are forecast at 1 km every 5 minutes"
    assert at in predicted.attrs["nowcast_scale"]
    assert at in caplog.text
    assert all(record.levelname == "INFO" for record in caplog.records)


@pytest.mark.parametrize(
    ("frames", "word"),
    [
        (moving_cell(km=2, frames=8), "interpolated"),
        (moving_cell(minutes=15, frames=6), "interpolated"),
        (moving_cell(km=5, frames=8, shape=(240, 400)), "untested"),
        (moving_cell(minutes=60, frames=8), "untested"),
        (
            moving_cell(frames=8).assign_coords(y=np.arange(48.0), x=np.arange(80.0)),
            "give y and x their",
        ),
    ],
)
def test_frames_that_cannot_be_brought_to_the_scale_give_one_warning(frames, word, caplog):
    options = EvaluationOptions(leads=1, scales=(4,))
    counts = evaluate(frames, {"radar": RADAR}, options, progress=False)
    assert counts.sizes["case"] == 2
    warnings = [r.getMessage() for r in caplog.records if "was trained" in r.getMessage()]
    assert len(warnings) == 1
    assert word in warnings[0]
    assert warnings[0].startswith("radar was trained at pixels of 0.71 to 1.12 km every 4 to 12")


def test_frames_outside_the_scale_are_taken_as_they_are_and_the_forecast_says_so():
    frames = moving_cell(km=5, shape=(240, 400))
    predicted = forecast(RADAR, frames, leads=1)
    assert np.array_equal(predicted, RADAR(observed_until(frames, None, 6).values, 1).astype("f4"))
    assert "untested" in predicted.attrs["nowcast_scale"]


def test_network_of_unknown_scale_takes_frames_as_they_are_with_a_warning(caplog):
    made = network()
    frames = moving_cell(km=0.25, shape=(12, 20))
    assert made.trained_at == TrainedScale()
    predicted = forecast(made, frames, leads=1)
    assert np.array_equal(predicted, made(frames.values.astype("f8"), 1).astype("f4"))
    assert "does not tell at which pixel size" in caplog.text


def test_baselines_take_frames_of_any_scale(caplog):
    assert at_trained_scale(BASELINES["sprog"], moving_cell(km=0.25)) is BASELINES["sprog"]
    assert not caplog.records
