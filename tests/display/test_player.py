"""What the players send to the browser: levels of rain, labels, controls, maps. What it draws: test_browser.py."""

import json
import zlib

import numpy as np
import pytest
import xarray as xr

from nowcastlib.data import as_frames
from nowcastlib.data.grid import frame
from nowcastlib.display import player, rain_scale
from nowcastlib.display.player import EDGES, NOT_KNOWN, STEPS, VALUES, ForecastPlayer, FramePlayer
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster


def sent(shown, size=(8, 8)) -> list[np.ndarray]:
    """The levels of a player's sequences, (time, y, x) each."""
    return [
        np.frombuffer(zlib.decompress(s), "u1").reshape(-1, *size) for s in shown.canvas.sequences
    ]


def test_a_level_exceeds_an_edge_where_the_rate_does():
    at = np.concatenate(
        [EDGES, np.nextafter(EDGES, 0), np.nextafter(EDGES, 2000), [0, 5000, 0.1 + 1e-9]]
    )
    levels = player._levels(at)
    for k, edge in enumerate(EDGES):
        np.testing.assert_array_equal(levels > k, at > edge)
    assert set(rain_scale.LEVELS) <= set(EDGES) and len(EDGES) < NOT_KNOWN
    single = np.float32(
        [0.1, 0.5, 0.7]
    )  # as verification compares: in double precision, float32's 0.1 exceeds 0.1
    np.testing.assert_array_equal(player._levels(single) > 0, single.astype("f8") > 0.1)


def test_levels_tell_the_rate_to_within_5_percent_and_whether_it_is_known():
    rate = np.geomspace(0.1001, 999, 5000)
    np.testing.assert_allclose(VALUES[player._levels(rate)], rate, rtol=0.05)
    assert np.median(np.abs(VALUES[player._levels(rate)] / rate - 1)) < 0.015
    assert (
        player._levels(np.array([0, 0.05, np.nan])).tolist() == [0, 0, NOT_KNOWN] and VALUES[0] == 0
    )


def test_the_colour_of_a_level_is_that_of_the_plots(frames):
    palette = FramePlayer(frames).canvas.palettes[0]
    rate = np.array(
        [0, 0.1, 0.11, 0.5, 0.51, 1, 1.5, 2, 5, 9, 10, 11, 20, 49, 50, 99, 100, 101, 900, np.nan]
    )
    shown = (
        (255 * rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid(rate))))
        .round()
        .astype("u1")[:, :3]
    )
    assert [palette[k] for k in player._levels(rate)] == ["#" + bytes(rgb).hex() for rgb in shown]


def test_player_shows_the_past_on_all_sides_then_truth_beside_forecast(frames, made):
    shown = ForecastPlayer(frames, {"persistence": made}, past=3)
    left, right = sent(shown)
    levels = player._levels(frames.values)
    np.testing.assert_array_equal(left, levels[2:])
    np.testing.assert_array_equal(right[:3], left[:3])
    assert (right[3:, :, 1:] == levels[4, :, 1:]).all() and (right[:, :, 0] == NOT_KNOWN).all()
    assert shown.labels[1:4] == [
        "observed -5 min · valid 2024-06-01 00:15 UTC",
        "observed, now · valid 2024-06-01 00:20 UTC",
        "forecast +5 min · valid 2024-06-01 00:25 UTC",
    ]
    assert (shown.slider.min, shown.slider.max, shown.slider.value) == (0, 6, 3)
    assert shown.canvas.ticks == ["−10", "−5", "now", "+5", "+10", "+15", "+20"]
    assert shown.canvas.minutes == [-10, -5, 0, 5, 10, 15, 20]


def test_a_player_without_a_past_starts_with_the_forecast(frames, made):
    shown = ForecastPlayer(frames, {"persistence": made}, past=0)
    assert (
        len(shown.labels) == 4
        and shown.labels[0].startswith("forecast +5 min")
        and shown.canvas.past == 0
    )


def test_player_is_grey_where_the_truth_is_not_yet_known(frames, made):
    left, _ = sent(ForecastPlayer(frames.isel(time=slice(7)), {"persistence": made}))
    assert (left[-2:] == NOT_KNOWN).all() and (left[-3, :, 1:] < NOT_KNOWN).all()


def test_player_refuses_nothing_and_forecasts_for_other_times_or_places(frames, made):
    with pytest.raises(NowcastError, match="no forecast"):
        ForecastPlayer(frames, {})
    later = forecast(forecaster("persistence"), frames, frames.time.values[3], 4)
    with pytest.raises(NowcastError, match="'b' is for other times"):
        ForecastPlayer(frames, {"a": made, "b": later})
    with pytest.raises(NowcastError, match="'b' is for other times or another grid"):
        ForecastPlayer(frames, {"a": made, "b": made[:, 1:]})
    with pytest.raises(NowcastError, match=r"a grid of \(8, 8\) px, observed are \(8, 7\)"):
        ForecastPlayer(frames[:, :, 1:], {"a": made})


def test_of_an_ensemble_the_mean_is_shown_and_the_range_sent(frames, made):
    members = xr.concat([made * 0 + k for k in range(11)], "member").assign_coords(
        issued=made.issued
    )
    members[0, :, 0] = np.nan  # a row that one member does not know: the others tell
    shown = ForecastPlayer(frames, {"one": made, "many": members})
    _, one, many, low, high = sent(shown)
    assert shown.canvas.ranges == [[], [], [3, 4]] and shown.canvas.panels[2] == ["many", [2]]
    for levels, row, rate in ((many, 1, 5.0), (many, 0, 5.5), (low, 1, 1.0), (high, 1, 9.0)):
        np.testing.assert_array_equal(levels[3:, row, 1:], player._levels(np.array(rate)))
    for levels in (many, low, high):
        np.testing.assert_array_equal(levels[:3], one[:3])


@pytest.mark.parametrize(("n", "layout"), [(1, 0), (3, 0), (4, 1)])
def test_few_forecasts_stand_side_by_side_of_many_one(frames, made, n, layout):
    canvas = ForecastPlayer(frames, {f"f{k}": made for k in range(n)}).canvas
    assert canvas.arrangement == layout and len(canvas.panels) == 1 + n
    assert len(set(canvas.lines)) == 1 + n


def test_forecasters_keep_the_colours_that_they_have_in_plots(frames, made):
    canvas = ForecastPlayer(frames, {"mine": made, "convedlstm": made, "persistence": made}).canvas
    assert canvas.lines[2:] == [
        rain_scale.FORECASTER_COLOURS["convedlstm"],
        rain_scale.FORECASTER_COLOURS["persistence"],
    ]
    assert (
        canvas.lines[1] not in rain_scale.FORECASTER_COLOURS.values()
        or canvas.lines[1] not in canvas.lines[2:]
    )


def test_the_dropdowns_are_the_controls_of_the_page(frames, made):
    shown = ForecastPlayer(frames, {"a": made, "b": made})
    for (trait, label, options, _), dropdown in zip(
        shown.canvas.controls, shown.dropdowns.values(), strict=True
    ):
        assert (dropdown.description, list(dropdown.options)) == (label, options)
        assert dropdown.index == getattr(shown.canvas, trait)
    assert shown.dropdown.options == ("a", "b")
    assert [
        t for t, k in shown.canvas.thresholds if STEPS * rain_scale.LEVELS.index(t) == k
    ] == list(rain_scale.LEVELS[:-1])


def test_speed_is_the_interval_of_play(frames):
    shown = FramePlayer(frames)
    assert shown.play.interval == 400
    shown.dropdowns["speed"].index = 3
    assert shown.play.interval == 100


def test_a_name_cannot_end_the_page_script(frames, made):
    page = ForecastPlayer(frames, {"</script><script>alert(1)": made}).page()
    assert page.count("</script>") == 1


def test_players_name_who_made_the_data(frames, made):
    told, frames = (
        "Radar of Nowhere · CC BY 4.0",
        frames.assign_attrs(source="Radar of Nowhere", license="CC BY 4.0"),
    )
    assert (
        FramePlayer(frames).canvas.credit
        == ForecastPlayer(frames, {"a": made}).canvas.credit
        == told
    )
    assert json.dumps(told) in FramePlayer(frames).page()


def test_frame_player_has_a_label_a_time_and_no_forecast(frames):
    shown = FramePlayer(frames)
    np.testing.assert_array_equal(sent(shown)[0], player._levels(frames.values))
    assert shown.labels[:2] == ["2024-06-01 00:00 UTC", "2024-06-01 00:05 UTC"]
    assert (shown.slider.max, shown.slider.value, list(shown.dropdowns)) == (8, 0, ["speed"])
    assert shown.dropdown is None and shown.canvas.axis == "time (UTC)"


def test_frames_that_know_their_place_bring_borders_degrees_and_km():
    """Around Basel, where Switzerland, France and Germany meet."""
    metres = 1000.0 * np.arange(-16, 16)
    here = frame(np.zeros((32, 32)), metres, -metres, "+proj=aeqd +lat_0=47.58 +lon_0=7.59")
    frames = here.expand_dims(time=as_frames(np.zeros((1, 2, 2))).time).assign_attrs(here.attrs)
    canvas = FramePlayer(frames).canvas
    ends = np.concatenate([np.reshape(line, (-1, 2))[[0, -1]] for line in canvas.borders])
    assert (np.abs(ends - 16) < 4).all(
        axis=1
    ).sum() >= 3  # the borders of three countries end in the middle
    assert canvas.pixel == pytest.approx(1, rel=0.01) and np.shape(canvas.degrees) == (2, 17, 17)
    nowhere = FramePlayer(as_frames(np.zeros((1, 4, 4)))).canvas
    assert nowhere.borders == [] and nowhere.degrees == [] and nowhere.pixel == 1
