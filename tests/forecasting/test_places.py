"""The forecast for a place: when it rains there, how sure that is, and how it is said."""

import doctest
import json

import numpy as np
import pandas as pd
import pytest
import torch
from placed_frames import moving_cell, place_at, placed

from nowcastlib.data import Place, Window
from nowcastlib.forecasting import (
    BASELINES,
    Baseline,
    Network,
    PlaceForecast,
    forecast,
    forecast_at,
    forecaster,
    outlook,
    outlook_lines,
    outlook_report,
    outlooks,
    probabilities,
)
from nowcastlib.networks import GuidedConfig, build
from nowcastlib.training import default_config
from nowcastlib.units import RATES, TrainedScale

ISSUED = pd.Timestamp("2024-06-01T13:20")
DRY_PLACE = Place(46, 13, "Udine")


AS_IT_IS = TrainedScale()


def guided(members=0, trained_at=AS_IT_IS) -> Network:
    """An untrained guided network: rain is advected, and blurred as it is lost."""
    torch.manual_seed(0)
    config = default_config("guided").changed(model=GuidedConfig((6, 4), (3, 3)), n_in=4)
    return Network(build(config.model), config, members, trained_at=trained_at)


RADAR = forecaster("radar")


# ---- what it says


def at_place(now, rates, chance=None) -> PlaceForecast:
    """A forecast every five minutes; the chance of rain, and half as much of heavier rain."""
    times = pd.date_range(ISSUED, periods=len(rates) + 1, freq="5min")
    chances = None
    if chance is not None:
        chances = np.array(chance)[:, None] * 0.5 ** np.arange(len(RATES))
    past = pd.Series([now], times[:1])
    return PlaceForecast(DRY_PLACE, past, pd.Series(rates, times[1:], dtype=float), chances)


nan = np.nan
SENTENCES = {
    "coming": (
        at_place(0, [0, 0.5, 2.1, 0, 0], [0.1, 0.4, 0.7, 0.2, 0]),
        "Rain from 13:30 to 13:40 UTC, probably up to 2 mm/h; 70 % sure.",
    ),
    "coming and lasting": (
        at_place(0, [0, 3, 5], [0.1, 0.9, 0.999]),
        "Rain from 13:30 on UTC, probably up to 5 mm/h; over 95 % sure.",
    ),
    "possible": (
        at_place(0, [0, 0.2, 0], [0.1, 0.4, 0.2]),
        "Possibly rain from 13:30 to 13:35 UTC, probably up to 0.2 mm/h; chance of rain 40 %.",
    ),
    "twice": (
        at_place(0, [1, 0, 3, 0], [0.6, 0.3, 0.8, 0.1]),
        "Rain from 13:25 to 13:30 and from 13:35 to 13:40 UTC, probably up to 3 mm/h; 60 % sure.",
    ),
    "dry": (
        at_place(0, [0, 0.05, 0], [0.02, 0.11, 0.1]),
        "No rain until 13:35 UTC; chance of rain at most 10 %.",
    ),
    "stopping": (
        at_place(1.4, [1, 0.3, 0, 0], [0.95, 0.8, 0.3, 0.15]),
        "Raining now (1.4 mm/h), dry from 13:35 UTC on; chance of rain at most 30 %.",
    ),
    "stopping at once": (
        at_place(1.4, [0, 0], [0.3, 0.15]),
        "Raining now (1.4 mm/h), dry from 13:25 UTC on; chance of rain at most 30 %.",
    ),
    "stopping and coming": (
        at_place(1.4, [1, 0, 6], [0.9, 0.2, 0.6]),
        "Raining now (1.4 mm/h) until 13:30 UTC. Rain from 13:35 on UTC, probably up to 6 mm/h; "
        "60 % sure.",
    ),
    "throughout": (
        at_place(3, [4, 5.4, 2], [0.9, 0.85, 0.8]),
        "Raining now (3 mm/h), at least until 13:35 UTC, probably up to 5 mm/h; "
        "chance of rain at least 80 %.",
    ),
    "throughout, for sure": (
        at_place(3, [4, 5.4], [0.99, 1]),
        "Raining now (3 mm/h), at least until 13:30 UTC, probably up to 5 mm/h; "
        "chance of rain over 95 %.",
    ),
    "not observed": (at_place(nan, [nan, nan]), "Not observed at 13:20 UTC: no forecast."),
    "from outside": (
        at_place(0, [nan, nan]),
        "No forecast by x: the rain would come from outside the grid.",
    ),
    "lost at the end": (
        at_place(0, [0, 0, nan, nan]),
        "No rain until 13:30 UTC; not known from 13:35 on; x gives no probability.",
    ),
    "lost while it rains": (
        at_place(2, [2, nan, nan]),
        "Raining now (2 mm/h), at least until 13:25 UTC, probably up to 2 mm/h; "
        "not known from 13:30 on; x gives no probability.",
    ),
    "a gap": (
        at_place(0, [nan, 1, 0]),
        "Rain from 13:30 to 13:35 UTC, probably up to 1 mm/h; not known at 1 of 3 times; "
        "x gives no probability.",
    ),
    "no probability": (
        at_place(0, [0, 2]),
        "Rain from 13:30 on UTC, probably up to 2 mm/h; x gives no probability.",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_outlook_is_said_in_a_sentence(name):
    forecast, sentence = SENTENCES[name]
    assert outlook(forecast, "x") == sentence


def test_the_report_has_all_numbers_and_is_json():
    made = {"x": [at_place(0, [0.2, nan])], "radar": [SENTENCES["coming"][0]]}
    report = json.loads(json.dumps(outlook_report(made), allow_nan=False))
    assert report["issued"] == "2024-06-01T13:20:00Z"
    (place,) = report["places"]
    assert place["name"] == "Udine"
    assert place["forecaster"] == "radar"  # the first one that gives probabilities
    assert place["outlook"] == SENTENCES["coming"][1]
    assert place["observed"] == [{"time": "2024-06-01T13:20:00Z", "rate_mm_h": 0.0}]

    radar = place["forecasts"]["radar"]
    (rain,) = radar["rain"]
    expected = {"from": "2024-06-01T13:30:00Z", "to": "2024-06-01T13:40:00Z"}
    assert rain == expected | {"peak_mm_h": 2.1, "chance": 0.7}
    lead = radar["leads"][1]
    assert (lead["time"], lead["minutes"], lead["rate_mm_h"]) == ("2024-06-01T13:30:00Z", 10, 0.5)
    assert lead["chance_above_mm_h"]["0.1"] == 0.4
    assert lead["chance_above_mm_h"]["1"] == 0.1

    other = place["forecasts"]["x"]
    assert other["leads"][1]["rate_mm_h"] is None
    assert other["leads"][0]["chance_above_mm_h"] is None
    assert other["rain"][0]["to"] is None
    assert other["rain"][0]["chance"] is None
    assert outlook_lines(made) == [f"Udine: {SENTENCES['coming'][1]}"]


def test_examples_of_the_docstrings_run():
    results = doctest.testmod(outlooks)
    assert results.attempted
    assert not results.failed


# ---- what it forecasts


@pytest.fixture(scope="module")
def cell():
    return moving_cell()


def arrival(run, frames, column, row=20) -> float:
    """Minutes until it rains at a column and a row."""
    _, (series,) = forecast_at(run, frames, [place_at(frames, column, row)], leads=8)
    (spell,) = outlooks.spells(series)
    return (spell.start - series.issued) / pd.Timedelta("1min")


@pytest.mark.parametrize("name", ["extrapolation", "guided", "radar"])
def test_a_cell_that_moves_to_a_place_makes_it_rain_at_the_right_minute(cell, name):
    """Its edge is 16 km before its middle, and it moves 4 km in a step."""
    run = {"guided": guided(), "radar": RADAR}.get(name) or BASELINES[name]
    for column, minutes in ((70, 7), (76, 15)):
        assert abs(arrival(run, cell, column) - minutes) <= 5
    assert arrival(run, cell, 76) > arrival(run, cell, 68)


def test_more_rain_is_never_more_probable_than_less(cell):
    places = [place_at(cell, column, 20) for column in (40, 48, 60, 70)]
    for run in (RADAR, forecaster("radar-members")):
        for series in forecast_at(run, cell, places, leads=6)[1]:
            assert series.chances.shape == (6, len(RATES))
            assert (np.diff(series.chances) <= 0).all()
            assert ((series.chances >= 0) & (series.chances <= 1)).all()
    before, after = forecast_at(RADAR, cell, [places[3], places[0]], leads=6)[1]
    rising, falling = before.chances[:, 0], after.chances[:, 0]
    assert rising[-1] > 0.5 > falling[-1]
    assert rising[-1] > rising[0]
    assert falling[-1] < falling[0]


def test_chances_are_the_mean_over_the_pixels_of_a_place(cell):
    """The logits of the network, averaged by hand."""
    run = guided()
    _, (series,) = forecast_at(run, cell, [place_at(cell, 60, 18)], leads=3)
    x = run.config.scale.to_model(torch.from_numpy(cell.values[None, -4:, None].astype("f4")))
    with torch.inference_mode():
        logits = run.model(torch.nan_to_num(x), 3)[0]  # (lead, rate, y, x)
    expected = torch.sigmoid(logits[..., 17:20, 59:62]).mean((-2, -1))
    np.testing.assert_allclose(series.chances, expected, atol=1e-4)


def test_probabilities_that_rise_with_the_rate_are_lowered_first():
    """At one pixel of a place, and at all of another."""
    logits = torch.linspace(2, -2, len(RATES)).view(-1, 1, 1).repeat(1, 4, 8)
    logits[3, 1, 1] = 5.0
    logits[4, :, 4:] = 5.0
    windows = [Window(slice(0, 3), slice(0, 3)), Window(slice(0, 3), slice(5, 8))]
    chances = probabilities.chances(logits, windows)
    straight = torch.sigmoid(logits[:, 0, 0]).numpy()
    one, all_pixels = straight.copy(), straight.copy()
    one[3] = (8 * straight[3] + straight[2]) / 9
    all_pixels[4] = straight[3]
    np.testing.assert_allclose(chances, [one, all_pixels], rtol=1e-5)


def test_a_mirrored_place_in_mirrored_rain_has_the_same_forecast(cell):
    run = guided()
    _, (series,) = forecast_at(run, cell, [place_at(cell, 66, 14)], leads=6)
    mirrored = cell.copy(data=cell.values[:, ::-1, ::-1])
    _, (other,) = forecast_at(run, mirrored, [place_at(cell, 79 - 66, 47 - 14)], leads=6)
    assert series.rate.max() > 1
    np.testing.assert_allclose(other.rate, series.rate, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(other.chances, series.chances, atol=0.03)


def test_frames_with_the_south_up_have_the_same_forecast_for_a_place(cell):
    place = place_at(cell, 66, 14)
    for run in (guided(), BASELINES["extrapolation"]):
        field, (series,) = forecast_at(run, cell, [place], leads=3)
        turned, (other,) = forecast_at(run, cell.isel(y=slice(None, None, -1)), [place], leads=3)
        np.testing.assert_allclose(other.rate, series.rate)
        np.testing.assert_allclose(turned.values[:, ::-1], field.values)


def test_the_forecast_of_the_grid_is_that_without_places(cell):
    for run in (guided(), guided(members=3), BASELINES["extrapolation"]):
        field, _ = forecast_at(run, cell, [place_at(cell, 60, 20)], leads=3)
        assert field.identical(forecast(run, cell, leads=3))


def test_a_baseline_gives_no_probability(cell):
    _, (series,) = forecast_at(BASELINES["extrapolation"], cell, [place_at(cell, 66, 20)], leads=3)
    assert series.chances is None
    assert outlook(series, "extrapolation").endswith("extrapolation gives no probability.")


def test_the_chance_of_an_ensemble_is_the_share_of_its_members(cell):
    def members(observed, n):
        rates = np.array([0, 0, 3.0, 8.0])
        return np.broadcast_to(rates[:, None, None, None], (4, n, *observed.shape[1:])).copy()

    _, (series,) = forecast_at(Baseline(members, n_in=2), cell, [place_at(cell, 9, 9)], leads=2)
    expected = [0.5 if rate < 3 else 0.25 if rate < 8 else 0 for rate in RATES]
    np.testing.assert_allclose(series.chances, [expected] * 2)
    np.testing.assert_allclose(series.rate, 1.5)  # the median


def test_where_the_last_frame_is_not_observed_nothing_is_forecast(cell):
    hidden = cell.copy(deep=True)
    hidden[-1, 11:29, 60:] = np.nan
    _, (series,) = forecast_at(RADAR, hidden, [place_at(cell, 70, 20)], leads=2)
    assert np.isnan(series.chances).all()
    assert outlook(series, "radar") == "Not observed at 00:25 UTC: no forecast."


def test_dry_frames_are_no_rain_with_a_small_chance(cell):
    _, (series,) = forecast_at(RADAR, cell * 0, [place_at(cell, 40, 20)], leads=12)
    assert outlook(series, "radar") == "No rain until 01:25 UTC; chance of rain under 5 %."


def test_a_cell_that_comes_after_the_last_lead_is_not_forecast(cell):
    far = moving_cell(column=10)
    _, (series,) = forecast_at(guided(), far, [place_at(cell, 76, 20)], leads=4)
    assert outlook(series, "x").startswith("No rain until 00:45 UTC; chance of rain")


# ---- other pixels and time steps than those of the training


KM = 1.5  # by which the pixels around a place may reach farther on one side than on another


@pytest.mark.parametrize("km", [0.5, 2.0])
@pytest.mark.parametrize(("east", "south"), [(66.5, 16.5), (64.5, 8.5)])
def test_the_chance_at_other_pixels_is_that_of_the_same_place(cell, km, east, south):
    """The rain comes from the west and north: farther east and north it is less probable."""
    run = guided(trained_at=TrainedScale((1, 1), (5, 5)))
    rescaled = moving_cell(km=km)
    place = place_at(rescaled, east / km - 0.5, south / km - 0.5)
    _, (series,) = forecast_at(run, rescaled, [place], leads=3)

    corners = [(east - KM, south + KM), (east + KM, south - KM)]
    places = [place_at(cell, x - 0.5, y - 0.5) for x, y in corners]
    _, (nearer, farther) = forecast_at(run, cell, places, leads=3)
    assert (nearer.chances[:, 0] - farther.chances[:, 0]).max() > 0.3  # else it tells nothing
    assert (series.chances[:, :3] <= nearer.chances[:, :3] + 0.02).all()
    assert (series.chances[:, :3] >= farther.chances[:, :3] - 0.02).all()


def test_chances_between_two_leads_of_the_network_are_interpolated(cell):
    run = guided(trained_at=TrainedScale((1, 1), (5, 5)))
    frequent = moving_cell(minutes=2.5, frames=12)
    place = place_at(cell, 66, 20)
    _, (series,) = forecast_at(run, frequent, [place], leads=4)
    _, (steps,) = forecast_at(run, cell, [place], leads=2)
    np.testing.assert_allclose(series.chances[1::2], steps.chances, atol=0.02)
    halfway = (series.chances[1] + series.chances[3]) / 2
    np.testing.assert_allclose(series.chances[2], halfway, atol=1e-6)
    now = probability_now(frequent)
    np.testing.assert_allclose(series.chances[0], (now + series.chances[1]) / 2, atol=1e-6)


def probability_now(frames) -> np.ndarray:
    """Share of the pixels around column 66 and row 20 with more rain than each rate."""
    inside = frames.values[-1, 19:22, 65:68]
    return np.array([(inside > rate).mean() for rate in RATES])


def test_a_place_counts_from_the_middle_of_its_pixel():
    """One wet pixel, its neighbours, and the pixel beyond."""
    rate = np.zeros((4, 32, 32))
    rate[:, 12, 20] = 9.0
    frames = placed(rate)
    columns = (18, 19, 20.4, 21, 22)
    places = [place_at(frames, column, 12.3, f"x{column}") for column in columns]
    _, series = forecast_at(BASELINES["persistence"], frames, places, leads=1)
    assert [float(each.rate.iloc[0]) for each in series] == pytest.approx([0, 1, 1, 1, 0])
