"""0.1 mm/h is dry in every room: rain is above it or not, compared as float32 everywhere."""

import numpy as np
import pandas as pd
import pytest
import torch
from made_forecasts import moving_rain, network

from nowcastlib.data import as_frames, describe, frames_table, windows
from nowcastlib.display import rain_scale
from nowcastlib.display.player.levels import rain_levels
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import BASELINES, baselines, forecast, forecaster, probabilities
from nowcastlib.live.issue import Issue
from nowcastlib.units import DRY, RATES, ModelScale, exceeds
from nowcastlib.verification import EvaluationOptions, count, evaluate

# 0.1 mm/h as stores decode it: float32, float32 made longer, and a multiple of a packed step
LIMITS = [np.float32(0.1), np.float64(np.float32(0.1)), np.float64(0.1)]
limits = pytest.mark.parametrize("limit", LIMITS, ids=["float32", "from float32", "float64"])


def frames_at(limit):
    """Ten frames of 32 × 32 px that rain at the limit everywhere."""
    return as_frames(np.full((10, 32, 32), limit))


@limits
def test_tables_and_descriptions_have_no_wet_pixel_at_the_limit(limit):
    frames = frames_at(limit).astype(limit.dtype)
    assert (frames_table(frames).wet == 0).all()
    assert "share above 0.1 mm/h 0.000" in describe(frames)


@limits
def test_scores_have_no_event_and_no_rank_at_the_limit(limit):
    rate = np.full((3, 1, 8, 8), limit)
    counts = count([(rate, rate[0])], [DRY])
    assert counts.hits.sum() == 0
    assert counts.probability_events.sum() == 0
    assert counts.probability_forecasts.squeeze().values.tolist() == [
        64,
        0,
        0,
        0,
    ]
    assert counts.ranks.sum() == 0


@limits
def test_evaluation_finds_no_rain_at_the_limit(limit):
    options = EvaluationOptions(leads=1, thresholds=(DRY,), size=0)
    with pytest.raises(NowcastError, match=r"no rain above 0\.1 mm/h"):
        evaluate(frames_at(limit), {"p": BASELINES["persistence"]}, options, progress=False)


@limits
def test_baselines_track_nothing_at_the_limit(limit):
    rain = np.full((3, 32, 32), limit)
    rain[:, 8:16, 8:16] *= np.arange(1, 4)[:, None, None] / 3
    assert (baselines.motion(rain) == 0).all()
    assert not baselines._can_be_decomposed(rain)


def rain_on(background):
    """Five frames of 64 × 64 px: rain that moves and changes, and the background around it."""
    rain = np.asarray(moving_rain()[:5], "f8")
    return np.where(exceeds(rain, DRY), rain, np.float64(background))


@limits
@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
def test_pysteps_takes_the_limit_for_dry(limit, name):
    """Its rain is that of a dry background; where old rain is only moved, the limit may stay."""
    at_limit, dry = (BASELINES[name](rain_on(rate), 2) for rate in (limit, 0.0))
    assert exceeds(dry, DRY).mean() > 0.1
    np.testing.assert_array_equal(
        np.where(at_limit == limit, 0.0, at_limit), np.where(dry == limit, 0.0, dry)
    )


@pytest.mark.parametrize("rate", RATES)
def test_rain_at_a_rate_of_the_guided_network_is_not_above_it(monkeypatch, rate):
    """The area of the last frame is counted in the rates as observed, not in model units."""
    areas = []

    def recorded(logits, now):
        areas.append(int(exceeds(now, rate).sum()))
        return matched(logits, now)

    matched = probabilities.matched_threshold
    monkeypatch.setattr(probabilities, "matched_threshold", recorded)
    run = forecaster("radar")
    observed = np.full((run.n_in, 32, 32), rate)
    observed[:, 8:16, 8:16] += 0.01
    run(observed, 1)
    assert areas == [64]


@limits
def test_networks_forecast_no_rain_at_the_limit(limit):
    untrained = network()
    observed = np.full((untrained.n_in, 32, 32), limit)
    assert (untrained(observed, 2) == 0).all()


@limits
def test_pictures_and_players_show_the_limit_as_dry(limit):
    rate = np.full((2, 2), limit)
    assert (rain_levels(rate) == 0).all()
    assert (rain_scale.NORM(rate) < 0).all()


@limits
def test_live_page_sees_no_rain_at_the_limit(limit):
    frames = frames_at(limit)
    predicted = forecast(BASELINES["persistence"], frames, leads=2)
    now = pd.Timestamp(frames.time.values[-1])
    issue = Issue(frames, frames[-3:], {"persistence": predicted}, "here", now)
    assert issue.outlook.startswith("No rain in sight")


@pytest.mark.parametrize("rate0", [0.03, 0.1, 0.2, 0.7])
def test_random_squares_count_no_wet_pixel_at_the_limit(rate0):
    """Windows are compared in model units: the limit is converted as the pixels are."""
    scale = ModelScale(rate0=rate0)
    pixels = scale.to_model(torch.full((67,), DRY)).numpy()
    assert not exceeds(pixels, windows.dry_limit(scale)).any()
    assert exceeds(1.001 * pixels, windows.dry_limit(scale)).all()


def test_missing_rain_is_not_above_any_threshold():
    assert exceeds([np.nan, 0.0, 0.6, 0.7], 0.6).tolist() == [False, False, False, True]


@pytest.mark.parametrize("threshold", [*RATES, 0.6, 0.7, 3.3])
def test_tensors_are_compared_as_arrays_are(threshold):
    rates = np.array([threshold, np.float32(threshold), 1.0001 * threshold, 0, np.nan])
    for dtype in ("f4", "f8"):
        array = rates.astype(dtype)
        for values in (array, torch.from_numpy(array)):
            assert exceeds(values, threshold).tolist() == [False, False, True, False, False]
