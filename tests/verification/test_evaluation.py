"""Evaluation: the same cases for all forecasters, at the right times and pixels."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import xarray as xr
from made_forecasts import RUNS

from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import (
    BASELINES,
    Baseline,
    Network,
    baselines,
    forecast,
    forecaster,
)
from nowcastlib.verification import (
    COUNTS,
    EvaluationOptions,
    count,
    evaluate,
    interval,
    issue_times,
    observed_at,
    score,
    table,
)
from nowcastlib.verification.evaluation import suitable_batch


def test_forecasters_get_the_same_cases(storm):
    options = EvaluationOptions(leads=3, thresholds=(0.5, 5.0), size=0, every=2, scales=(2, 8))
    counts = evaluate(storm, RUNS, options, progress=False)
    assert counts.hits.dims == ("forecaster", "case", "lead_time", "threshold")
    assert counts.forecaster.values.tolist() == list(RUNS)
    assert counts.lead_time.values.tolist() == [0, 5, 10, 15]
    assert counts.lead_time.attrs["units"] == "minutes"
    assert counts.scale.values.tolist() == [2, 8]
    assert (counts.issued.values == storm.time.values[[3, 5, 7]]).all()
    assert (counts.event == storm.time[0]).all()
    assert (counts.pixels == 64 * 64).all()
    assert ((counts.hits + counts.misses).std("forecaster") == 0).all()  # the same rain for all

    pooled = counts.sum("case")
    later = score(pooled.sel(lead_time=15, threshold=0.5), "csi").to_series()
    assert later["extrapolation"] > later["persistence"] > 0


@pytest.mark.parametrize("lost", [False, True])
def test_cases_that_a_network_forecasts_at_once_have_the_same_sums(storm, lost):
    """The last batch holds fewer cases than the others; pixels may be lost in one of them."""
    frames = storm.copy()
    if lost:
        frames[3, :2], frames[5, :, -2:] = np.nan, np.nan
    sizes = []

    class Recorded(Network):
        def of_cases(self, observed, *arguments):
            sizes.append(len(observed))
            return super().of_cases(observed, *arguments)

    radar = forecaster("radar", "cpu")
    runs = {
        "radar": Recorded(radar.model, radar.config),
        "members": Network(radar.model, radar.config, members=2),
        "network": RUNS["network"],
        "sprog": RUNS["sprog"],
    }
    one_by_one = EvaluationOptions(leads=2, size=0, scales=(2,))
    expected = evaluate(frames, runs, one_by_one, progress=False)
    assert set(sizes) == {1}
    sizes.clear()
    counts = evaluate(frames, runs, replace(one_by_one, batch=2), progress=False)
    assert sizes == [2] * (counts.sizes["case"] // 2) + [1] * (counts.sizes["case"] % 2)
    assert len(sizes) > 1
    xr.testing.assert_allclose(counts, expected, rtol=1e-5)


def test_a_gpu_gets_as_many_cases_at_once_as_suit_the_grid(storm):
    for device, cases in (("cpu", 1), ("meta", 1), ("cuda", 256), ("mps", 256)):
        run = Mock(Network, device=torch.device(device))
        assert suitable_batch([RUNS["sprog"], run], storm) == cases  # of 64 × 64 px
    assert suitable_batch([RUNS["sprog"]], storm) == 1


def test_only_ensembles_have_more_than_two_ranks_and_a_crps_below_the_mae(storm):
    options = EvaluationOptions(leads=3, size=0, every=2, scales=(2,))
    counts = evaluate(storm, RUNS, options, progress=False)
    pooled = counts.sum("case")
    ranks = counts.ranks.sel(lead_time=15)
    assert ranks.sel(forecaster="steps").notnull().all()
    assert ranks.sel(forecaster="sprog")[:, 2:].isnull().all()
    crps, mae = score(pooled, "crps"), score(pooled, "mae")
    single = [name for name in RUNS if name != "steps"]
    np.testing.assert_allclose(crps.sel(forecaster=single), mae.sel(forecaster=single))
    assert (crps.sel(forecaster="steps")[1:] < mae.sel(forecaster="steps")[1:]).all()


def perfect_forecaster(frames, late=0):
    """It knows the frames to come; its forecast is some steps late."""
    position = {frame.tobytes(): k for k, frame in enumerate(frames.values.astype("f8"))}

    def run(observed, n):
        first = position[observed[-1].tobytes()] + 1 - late
        return frames.values[first : first + n]

    return Baseline(run)


@pytest.mark.parametrize("late", [-1, 1])
def test_a_forecast_that_is_a_step_off_is_not_perfect_at_any_lead(storm, late):
    """Lead 0 says nothing about the clock: it compares the last observation with itself."""
    options = EvaluationOptions(leads=3, thresholds=(0.5,), size=0)
    frames = storm[:-1] if late < 0 else storm
    runs = {"off": perfect_forecaster(storm, late)}
    csi = score(evaluate(frames, runs, options, progress=False).sum("case"), "csi").squeeze()
    assert csi.sel(lead_time=0) == 1
    assert (csi[1:] < 0.95).all()


def test_perfect_forecast_has_perfect_scores(storm):
    options = EvaluationOptions(leads=4, thresholds=(0.5,), size=0)
    counts = evaluate(storm, {"perfect": perfect_forecaster(storm)}, options, progress=False)
    assert counts.sizes["case"] == 12 - 2 - 4
    pooled = counts.sum("case")
    for name in ("csi", "hss", "fss", "ssim", "spectrum"):
        assert (score(pooled, name) == 1).all()
    assert (score(pooled, "mse") == 0).all()
    assert score(pooled, "correlation").values == pytest.approx(1)


def test_forecaster_sees_the_square_and_is_scored_inside_the_margin(storm):
    shapes = []

    def spy(observed, n):
        shapes.append(observed.shape)
        assert (observed[-1] == storm.values[len(shapes) + 1, 16:48, 16:48]).all()
        return baselines.persistence(observed, n)

    options = EvaluationOptions(leads=2, thresholds=(0.5,), size=32, margin=6)
    counts = evaluate(storm, {"spy": Baseline(spy)}, options, progress=False)
    assert set(shapes) == {(3, 32, 32)}
    assert (sum(counts[name] for name in COUNTS) == 20 * 20).all()

    inner = storm.values[:, 22:42, 22:42]
    expected = count([(inner[t : t + 1], inner[t + 2 : t + 3]) for t in range(2, 10)], [0.5])
    for name in (*COUNTS, "squared_errors", "observed_power", "fraction_errors"):
        computed = counts[name][0].sel(lead_time=10)
        np.testing.assert_array_equal(computed, expected[name].squeeze("lead"))
    np.testing.assert_allclose(counts.wavelength, 20 / np.arange(1, 10))


@pytest.mark.parametrize(("pool", "pixels", "csi"), [(1, 8 * 7, 0), (4, 2 * 2, 1)])
def test_near_miss_is_a_hit_in_squares_of_4_px(frames, pool, pixels, csi):
    """The shower moves by one pixel inside a square; the first of 8 columns is not observed."""
    frames = frames * 0
    frames[3, 5, 5], frames[4, 5, 6] = 3.0, 3.0
    forecasters = {"persistence": Baseline(baselines.persistence, n_in=1)}
    options = EvaluationOptions(leads=1, thresholds=(0.5,), size=0, pool=pool, scales=(2,))
    counts = evaluate(frames, forecasters, options, progress=False)
    assert (counts.pixels == pixels).all()
    assert score(counts.isel(case=3).sel(lead_time=5), "csi") == csi


def test_common_pixels_are_those_that_every_forecaster_forecasts(storm):
    def half(observed, n):
        field = baselines.persistence(observed, n).copy()
        field[:, :, :32] = np.nan
        return field

    def pair(observed, n):
        """One member without a forecast in 8 rows, the other in 32."""
        members = np.stack([baselines.persistence(observed, n)] * 2)
        members[0, :, :8] = np.nan
        members[1, :, :32] = np.nan
        return members

    runs = {"persistence": BASELINES["persistence"], "half": Baseline(half), "pair": Baseline(pair)}
    options = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, every=3, scales=(2,))
    every_pixel = evaluate(storm, runs, options, progress=False).sum("case")
    common = evaluate(storm, runs, replace(options, common=True), progress=False).sum("case")

    cases = 3
    assert (every_pixel.pixels == cases * 64 * 64).all()
    assert (common.pixels[:, 0] == cases * 64 * 64).all()  # lead 0 is the observation
    assert (common.pixels[:, 1:] == cases * 56 * 32).all()
    for name in ("hits", "misses", "squared_errors", "fraction_errors", "crps_sum"):
        assert (common[name] == common[name].sel(forecaster="persistence")).all()
    misses = every_pixel.misses.isel(lead_time=slice(1, None))
    assert (misses.sel(forecaster="half") > misses.sel(forecaster="persistence")).all()


def test_new_event_begins_after_an_hour_without_frames(storm):
    def cases(run, pause):
        times = [*storm.time.values[:6], *(storm.time.values[6:] + np.timedelta64(pause, "m"))]
        frames = storm.assign_coords(time=times)
        options = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, scales=(2,))
        counts = evaluate(frames, {"run": run}, options, progress=False)
        return frames.time.values.astype("datetime64[ns]"), counts

    times, counts = cases(Baseline(baselines.persistence, n_in=3), 65)
    assert counts.issued.values.tolist() == [times[k].tolist() for k in (2, 3, 8, 9)]
    assert counts.event.values.tolist() == [times[k].tolist() for k in (0, 0, 6, 6)]
    by_event = counts.groupby("event").sum().squeeze("forecaster")
    first = count([(storm.values[[k] * 3], storm.values[k : k + 3]) for k in (2, 3)], [0.5], (2,))
    np.testing.assert_array_equal(by_event.hits[0], first.hits.sum("case"))
    times, near = cases(Baseline(baselines.persistence, n_in=3), 55)
    assert near.sizes["case"] == 4
    assert (near.event == times[0]).all()
    # the first frame of an event is enough for its first forecast
    times, early = cases(Baseline(baselines.persistence, n_in=1), 65)
    assert early.event.values.tolist() == [times[k].tolist() for k in (0, 0, 0, 0, 6, 6, 6, 6)]


def test_evaluation_works_with_one_case_and_with_unobserved_pixels(storm):
    holed = storm[:6].copy(deep=True)
    holed[2, :5] = np.nan
    holed[3, :, :5] = np.nan
    holed[4, 60:] = np.nan
    options = EvaluationOptions(leads=1, thresholds=(0.5,), size=0, scales=(2,))
    counts = evaluate(holed, RUNS, options, progress=False)
    assert counts.sizes["case"] == 2  # issued at frames 3 and 4
    assert (counts.pixels == [[64 * 59, 64 * 60], [64 * 60, 64 * 64]]).all()

    csi = score(counts, "csi").squeeze("threshold")  # (forecaster, case, lead_time)
    assert csi.notnull().all()
    assert (csi[:, :, 0] == 1).all()
    one = counts.isel(case=[0])
    assert interval(one).isnull().all()
    assert len(table(one)) == len(RUNS) * 2


def test_evaluation_without_a_case_or_a_pixel_or_rain_is_refused(storm):
    runs = {"persistence": BASELINES["persistence"]}

    def refused(match, frames=storm, **changes):
        options = EvaluationOptions(**({"leads": 2} | changes))
        with pytest.raises(NowcastError, match=match):
            evaluate(frames, runs, options, progress=False)

    refused(r"3 \+ 10 consecutive frames, .* 12 have none: ask for fewer leads", leads=10)
    refused(r"need 3 \+ 2 consecutive frames", frames=storm.isel(time=slice(1)))
    refused("a margin of 32 px leaves no pixel", margin=32)
    refused(r"no rain above 0\.5 mm/h", frames=storm * 0)
    refused(r"3 \+ 2 .* 12 of them incomplete, have none", frames=storm * np.nan)


@pytest.mark.parametrize(
    ("name", "value"),
    [("every", 0), ("every", -1), ("margin", -1), ("size", -1), ("pool", 0), ("leads", 0)],
)
def test_options_below_their_minimum_are_refused(name, value):
    with pytest.raises(NowcastError, match=f"{name} is {value}: it must be"):
        EvaluationOptions(**{name: value})


@pytest.mark.parametrize("threshold", [-1, 0, 0.09])
def test_thresholds_among_the_rates_that_count_as_dry_are_refused(threshold):
    with pytest.raises(NowcastError, match=rf"a threshold is {threshold} mm/h.* 0\.1 or more"):
        EvaluationOptions(thresholds=(0.5, threshold))
    assert EvaluationOptions(thresholds=(0.5, 0.1)).thresholds == (0.5, 0.1)


def test_observations_on_another_grid_or_at_other_times_are_refused(storm):
    predicted = forecast(BASELINES["persistence"], storm, storm.time.values[5], 3)
    np.testing.assert_array_equal(observed_at(predicted, storm), storm.values[6:9])
    ensemble = predicted.expand_dims(member=2)
    np.testing.assert_array_equal(observed_at(ensemble, storm), storm.values[6:9])
    for axis, moved in (("x", storm.x + 500), ("y", storm.y + 500), ("y", -storm.y)):
        with pytest.raises(NowcastError, match=f"on different grids: their {axis} differ"):
            observed_at(predicted, storm.assign_coords({axis: moved}))
    with pytest.raises(NowcastError, match="on different grids: their y differ"):
        observed_at(predicted, storm[:, 1:])
    with pytest.raises(NowcastError, match="forecast for 2024-06-01 00:40:00 cannot be verified"):
        observed_at(predicted, storm[:8])
    with pytest.raises(NowcastError, match="forecast for 2024-06-01 00:30:00 cannot be verified"):
        observed_at(predicted, storm.assign_coords(time=storm.time + np.timedelta64(1, "m")))


def test_issue_times_need_frames_without_a_gap(storm):
    holed = storm.isel(time=[0, 1, 2, 3, 4, 6, 7, 8, 9])
    assert (issue_times(holed, 2, 2) == storm.time.values[[1, 2, 7]]).all()
    assert (issue_times(holed, 2, 2, every=2) == storm.time.values[[1, 7]]).all()
