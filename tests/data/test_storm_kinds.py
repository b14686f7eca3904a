"""Each kind of synthetic storm resembles rain of real radars, in numbers that differ by kind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nowcastlib.data import storms
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.storm_kinds import KINDS, draw
from nowcastlib.data.storms import Storm
from nowcastlib.units import DRY

MIDDLE = 18  # the frame in which a squall line is at the centre


@pytest.fixture(scope="module")
def drawn():
    """Five storms of each kind, half an hour around the middle: {kind: (storm, time, y, x)}."""
    seeds = [np.random.default_rng([5, n]) for n in range(5)]
    return {
        kind: np.stack([storms.rain(draw(kind, rng), MIDDLE + 4)[MIDDLE - 3 :: 3] for rng in seeds])
        for kind in KINDS
    }


REAL = pd.read_csv("docs/results/rain_statistics.csv", index_col="rain")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.1, 1, 5, 20])
def test_share_above_a_rate_is_within_the_range_of_real_events(drawn, kind, rate):
    real = REAL[~REAL.index.str.startswith("synthetic")][f"above_{rate:g}"]
    share = (drawn[kind] > rate).mean()
    assert 0.8 * real.min() <= share <= real.max()  # the real windows are the wettest of each event


def test_kinds_differ_as_their_names_say(drawn):
    wet = {kind: (rain > DRY).mean() for kind, rain in drawn.items()}
    heavy = {kind: (rain > 20).mean() for kind, rain in drawn.items()}
    assert wet["widespread rain with cells"] > 0.5 > 2 * wet["showers in streets"]
    assert max(heavy, key=heavy.get) == "squall line"


def test_squall_line_passes_the_centre_at_its_time_and_moves_with_the_storm():
    storm = replace(
        draw("squall line", np.random.default_rng(0)), velocity=(2.5, 0.0), rotation=0.0, size=128
    )
    rain = storms.rain(storm, MIDDLE + 9)
    columns = np.log(rain + DRY).mean(1)  # (time, x)
    where = (
        (columns - columns.min()) ** 4 @ np.arange(128) / ((columns - columns.min()) ** 4).sum(1)
    )
    assert where[MIDDLE] == pytest.approx(64, abs=16)  # the line winds, and its rain trails behind
    assert where[MIDDLE + 8] - where[MIDDLE - 8] == pytest.approx(40, abs=12)


def test_streets_of_showers_lie_along_the_motion():
    storm = draw("showers in streets", np.random.default_rng(1))
    along = np.arctan2(storm.velocity[1], storm.velocity[0])
    assert np.cos(2 * (along - storm.orientation)) == pytest.approx(1)
    assert storm.stretch >= 2


def test_cells_add_rain_and_take_none_away():
    plain = Storm(size=64, intensity=2.0)
    with_cells = replace(plain, cells=2.0)
    difference = storms.rain(with_cells, 3) - storms.rain(plain, 3)
    assert difference.min() >= -1e-4
    assert difference.max() > 2


def test_rain_spreads_where_growth_is_above_0_and_shrinks_where_below():
    shares = {
        growth: (storms.rain(Storm(size=64, growth=growth, lifetime=1e6), 13) > DRY).mean((1, 2))
        for growth in (-1.0, 1.0)
    }
    assert shares[1.0][-1] > shares[1.0][0] + 0.2
    assert shares[-1.0][-1] < shares[-1.0][0] - 0.1


def test_air_that_is_too_dry_for_rain_stays_dry():
    assert storms.rain(Storm(size=32, wet_fraction=1e-12), 4).max() == 0


def test_rates_stay_below_a_cloudburst():
    rain = storms.rain(Storm(size=64, wet_fraction=0.9, intensity=9.0, cells=9.0), 2)
    assert 50 < rain.max() < 101


def test_kinds_take_turns_in_the_demo_and_seeds_give_other_storms():
    demo = Demo(events=8)
    assert demo.storm(0).line > 0
    assert demo.storm(1).line == 0
    assert demo.storm(4).line > 0
    assert demo.storm(0) != demo.storm(4)
    assert demo.storm(0) != Demo(events=8, seed=1).storm(0)


def test_three_of_eight_demo_events_have_heavy_rain():
    demo = Demo(events=8, seed=1)  # the storms of the course
    shares = [(storms.rain(demo.storm(event), 18)[::6] > 5).mean() for event in range(8)]
    assert sum(share >= 0.02 for share in shares) >= 3
    assert shares[0] >= 0.02  # the event on which the tour opens


def test_documentation_states_the_table_and_the_area_under_the_curve():
    text = Path("docs/results.md").read_text()
    result = json.loads(Path("docs/results/real_or_synthetic.json").read_text())
    assert f"ROC curve is {result['mean_auc']:.2f} (" in text
    for kind in KINDS:
        row = REAL.loc[f"synthetic {kind}"]
        cells = f"| {kind} | {row['above_0.1']:.2f} | {row.above_1:.2f} | {row.above_5:.3f} |"
        assert cells in text
