"""What players send to the browser, and what Python can set. What it draws: test_browser.py."""

import json

import ipywidgets
import numpy as np
import pytest
import xarray as xr
from packed_frames import unpack

from nowcastlib.data import as_frames, frame
from nowcastlib.display import rain_scale
from nowcastlib.display.player import EnsemblePlayer, ForecastPlayer, FramePlayer
from nowcastlib.display.player.levels import EDGES, MOST, NOT_KNOWN, STEPS, VALUES, rain_levels
from nowcastlib.display.player.packing import pack
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecast, forecaster
from nowcastlib.units import exceeds


def sent(player) -> list[np.ndarray]:
    """The levels of a player's sequences, (time, y, x) each, as the browser completes them."""
    sequences = [unpack(packed, player.scene["size"]) for packed in player.sequences]
    n_frames = len(sequences[0])
    return [np.concatenate([sequences[0][: n_frames - len(s)], s]) for s in sequences]


def test_a_level_exceeds_an_edge_where_the_rate_does():
    beside = [np.nextafter(EDGES, 0), np.nextafter(EDGES, 2000)]
    rates = np.concatenate([EDGES, *beside, [0, 5000, 0.1 + 1e-9]])
    levels = rain_levels(rates)
    for k, edge in enumerate(EDGES):
        np.testing.assert_array_equal(levels > k, exceeds(rates, edge))
    assert set(rain_scale.LEVELS) <= set(EDGES)
    assert len(EDGES) < NOT_KNOWN


def test_levels_compare_in_float32_as_verification_does():
    rates = np.float32([0.1, 0.5, 0.7])  # the first is 0.100000001
    assert (rain_levels(rates) > 0).tolist() == [False, True, True]
    np.testing.assert_array_equal(rain_levels(rates), rain_levels(rates.astype("f8")))


def test_levels_keep_the_rate_to_within_5_percent():
    rates = np.geomspace(0.1001, 999, 5000)
    kept = VALUES[rain_levels(rates)]
    np.testing.assert_allclose(kept, rates, rtol=0.05)
    assert np.median(np.abs(kept / rates - 1)) < 0.015


def test_dry_is_level_0_and_nan_is_not_known():
    assert rain_levels(np.array([0, 0.05, np.nan])).tolist() == [0, 0, NOT_KNOWN]
    assert VALUES[0] == 0


def test_the_colour_of_a_level_is_that_of_the_plots(frames):
    palette = FramePlayer(frames).scene["panels"][0]["palette"]
    rates = [0, 0.1, 0.11, 0.5, 0.51, 1, 1.5, 2, 5, 9, 10, 11, 20, 49, 50, 99, 100, 101, 900]
    rates = np.array([*rates, np.nan])
    colours = rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid(rates)))[:, :3]
    expected = ["#" + bytes(rgb).hex() for rgb in (255 * colours).round().astype("u1")]
    assert [palette[level] for level in rain_levels(rates)] == expected


def test_panels_share_the_past_and_then_show_truth_beside_forecast(frames, made):
    player = ForecastPlayer(frames, {"persistence": made}, past=3)
    left, right = sent(player)
    levels = rain_levels(frames.values)
    np.testing.assert_array_equal(left, levels[2:])
    np.testing.assert_array_equal(right[:3], left[:3])
    assert (right[3:, :, 1:] == levels[4, :, 1:]).all()
    assert (right[:, :, 0] == NOT_KNOWN).all()

    assert player.scene["labels"][1:4] == [
        "observed -5 min · valid 2024-06-01 00:15 UTC",
        "observed, now · valid 2024-06-01 00:20 UTC",
        "forecast +5 min · valid 2024-06-01 00:25 UTC",
    ]
    assert (len(player.scene["labels"]), player.frame) == (7, 3)
    chart = player.scene["chart"]
    assert chart["ticks"] == ["−10", "−5", "now", "+5", "+10", "+15", "+20"]
    assert chart["minutes"] == [-10, -5, 0, 5, 10, 15, 20]


def test_a_player_without_a_past_starts_with_the_forecast(frames, made):
    scene = ForecastPlayer(frames, {"persistence": made}, past=0).scene
    assert len(scene["labels"]) == 4
    assert scene["past"] == 0
    assert scene["labels"][0].startswith("forecast +5 min")


def test_the_observation_is_grey_where_it_is_missing(frames, made):
    left, _ = sent(ForecastPlayer(frames.isel(time=slice(7)), {"persistence": made}))
    assert (left[-2:] == NOT_KNOWN).all()
    assert (left[-3, :, 1:] < NOT_KNOWN).all()


def test_a_player_needs_a_forecast(frames):
    with pytest.raises(NowcastError, match="no forecast"):
        ForecastPlayer(frames, {})


def test_forecasts_must_have_the_same_times_and_grid(frames, made):
    later = forecast(forecaster("persistence"), frames, frames.time.values[3], 4)
    with pytest.raises(NowcastError, match="'b' has other times"):
        ForecastPlayer(frames, {"a": made, "b": later})
    with pytest.raises(NowcastError, match="'b' has other times or another grid"):
        ForecastPlayer(frames, {"a": made, "b": made[:, 1:]})


@pytest.mark.parametrize(
    ("change", "axis"),
    [
        (lambda frames: frames[:, :, 1:], "x"),
        (lambda frames: frames.assign_coords(x=frames.x + 5000), "x"),
        (lambda frames: frames[:, ::-1], "y"),
        (lambda frames: frames.transpose("time", "x", "y"), "dimensions"),
    ],
)
def test_forecasts_and_observation_must_have_the_same_grid(frames, made, change, axis):
    other = change(frames)
    with pytest.raises(NowcastError, match=f"forecast 'b'.* different grids: their {axis} differ"):
        ForecastPlayer(other, {"b": made})
    with pytest.raises(NowcastError, match=f"different grids: their {axis} differ"):
        EnsemblePlayer(other, xr.concat([made, made], "member"))


def test_an_ensemble_is_shown_as_its_mean_with_the_range_of_its_members(frames, made):
    members = xr.concat([made * 0 + k for k in range(11)], "member")
    members = members.assign_coords(issued=made.issued)
    members[0, :, 0] = np.nan  # one member does not know this row: the mean is that of the others
    player = ForecastPlayer(frames, {"one": made, "many": members})
    _, one, many, low, high = sent(player)

    panels = player.scene["panels"]
    assert [panel["quantiles"] for panel in panels] == [[], [], [3, 4]]
    assert (panels[2]["title"], panels[2]["sequences"]) == ("many", [2])
    for levels, row, rate in ((many, 1, 5.0), (many, 0, 5.5), (low, 1, 1.0), (high, 1, 9.0)):
        np.testing.assert_array_equal(levels[3:, row, 1:], rain_levels(np.array(rate)))
    for levels in (many, low, high):
        np.testing.assert_array_equal(levels[:3], one[:3])


@pytest.mark.parametrize(("n", "arrangement"), [(1, 0), (3, 0), (4, 1)])
def test_up_to_three_forecasts_stand_side_by_side_of_more_one(frames, made, n, arrangement):
    player = ForecastPlayer(frames, {f"f{k}": made for k in range(n)})
    panels = player.scene["panels"]
    assert (player.arrangement, len(panels)) == (arrangement, 1 + n)
    assert len({panel["colour"] for panel in panels}) == 1 + n


def test_forecasters_keep_the_colours_that_they_have_in_plots(frames, made):
    names = ("mine", "convedlstm", "persistence")
    panels = ForecastPlayer(frames, dict.fromkeys(names, made)).scene["panels"]
    _, mine, *others = [panel["colour"] for panel in panels]
    assert others == [rain_scale.FORECASTER_COLOURS[name] for name in names[1:]]
    assert mine not in others


def test_each_control_sets_a_trait_to_the_number_of_an_option(frames, made):
    player = ForecastPlayer(frames, {"a": made, "b": made})
    controls = {control["trait"]: control for control in player.scene["controls"]}
    assert list(controls) == ["choice", "arrangement", "view", "threshold", "speed"]
    assert controls["choice"]["options"] == ["a", "b"]
    for trait, control in controls.items():
        assert control["options"][getattr(player, trait)]

    first = {
        trait: control["options"][getattr(player, trait)] for trait, control in controls.items()
    }
    assert (first["threshold"], first["speed"]) == ("1 mm/h", "1×")
    assert player.scene["intervals"] == [800, 400, 200, 100]  # ms, of the speeds


def test_a_threshold_is_exceeded_above_its_level(frames, made):
    thresholds = ForecastPlayer(frames, {"a": made}).scene["rain"]["thresholds"]
    assert [rate for rate, _ in thresholds] == list(rain_scale.LEVELS[:-1])
    assert all(level == STEPS * rain_scale.LEVELS.index(rate) for rate, level in thresholds)


def test_python_observes_and_sets_what_is_shown(frames, made):
    player = ForecastPlayer(frames, {"a": made, "b": made})
    seen = []
    player.observe(lambda change: seen.append((change.name, change.new)), ["frame", "choice"])
    player.frame, player.choice = 5, 1
    assert seen == [("frame", 5), ("choice", 1)]
    assert isinstance(player, ipywidgets.DOMWidget)
    synced = player.traits(sync=True)
    assert {"frame", "playing", "choice", "arrangement", "view", "threshold", "speed"} <= set(
        synced
    )


def test_an_ipywidgets_slider_can_be_linked_to_the_frame(frames):
    player, slider = FramePlayer(frames), ipywidgets.IntSlider(max=8)
    link = ipywidgets.jslink((slider, "value"), (player, "frame"))
    assert (link.source, link.target) == ((slider, "value"), (player, "frame"))


def test_a_notebook_gets_the_widget_and_a_page_made_of_it_the_html(frames):
    data, _ = FramePlayer(frames)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert '<script type="module">' in data["text/html"]


def test_widget_and_page_load_as_a_single_module(frames):
    player = FramePlayer(frames)
    for script in (player._esm, player.page()):
        assert "import " not in script
        assert "export {" not in script
    assert player._esm.count("export ") == 1
    assert "export default" in player._esm


def test_a_name_cannot_end_the_page_script(frames, made):
    page = ForecastPlayer(frames, {"</script><script>alert(1)": made}).page()
    assert page.count("</script>") == 1


def test_two_players_on_a_page_have_different_places(frames):
    player = FramePlayer(frames)
    assert player.page().split('id="')[1][:40] != player.page().split('id="')[1][:40]


def test_players_name_the_source_and_licence_of_the_data(frames, made):
    frames = frames.assign_attrs(source="Radar of Nowhere", license="CC BY 4.0")
    credit = "Radar of Nowhere · CC BY 4.0"
    for player in (FramePlayer(frames), ForecastPlayer(frames, {"a": made})):
        assert player.scene["credit"] == credit
        assert json.dumps(credit) in player.page()


def test_frame_player_has_times_and_no_forecast(frames):
    player = FramePlayer(frames)
    scene = player.scene
    np.testing.assert_array_equal(sent(player)[0], rain_levels(frames.values))
    assert scene["labels"][:2] == ["2024-06-01 00:00 UTC", "2024-06-01 00:05 UTC"]
    assert (len(scene["labels"]), player.frame) == (9, 0)
    assert [control["trait"] for control in scene["controls"]] == ["speed"]
    assert scene["chart"]["axis"] == "time (UTC)"


def test_frames_with_a_place_bring_borders_degrees_and_km():
    """Around Basel, where Switzerland, France and Germany meet."""
    metres = 1000.0 * np.arange(-16, 16)
    here = frame(np.zeros((32, 32)), metres, -metres, "+proj=aeqd +lat_0=47.58 +lon_0=7.59")
    time = as_frames(np.zeros((1, 2, 2))).time
    frames = here.expand_dims(time=time).assign_attrs(here.attrs)
    place = FramePlayer(frames).scene["map"]

    ends = np.concatenate([np.reshape(line, (-1, 2))[[0, -1]] for line in place["borders"]])
    in_the_middle = (np.abs(ends - 16) < 4).all(axis=1)
    assert in_the_middle.sum() >= 3, "the borders of three countries end in the middle"
    assert place["pixel_km"] == pytest.approx(1, rel=0.01)
    assert np.shape(place["degrees"]) == (2, 17, 17)


def test_frames_without_a_place_have_no_borders():
    place = FramePlayer(as_frames(np.zeros((1, 4, 4)))).scene["map"]
    assert place == {"borders": [], "degrees": [], "pixel_km": 1, "places": []}


def test_a_player_of_forecasts_opens_as_wished(frames, made):
    wished = {"lead": 15, "threshold": 0.5, "layout": "swipe", "view": "error", "forecast": "b"}
    player = ForecastPlayer(frames, {"a": made, "b": made}, **wished)
    assert "forecast +15 min" in player.scene["labels"][player.frame]
    assert player.scene["rain"]["thresholds"][player.threshold][0] == 0.5
    shown = {
        c["trait"]: c["options"][getattr(player, c["trait"])] for c in player.scene["controls"]
    }
    assert (shown["arrangement"], shown["view"], shown["choice"]) == ("swipe", "error", "b")


@pytest.mark.parametrize(
    ("wished", "remedy"),
    [
        ({"lead": 7}, "lead=7: choose among -10, -5, 0, 5, 10, 15, 20"),
        ({"threshold": 3}, "threshold=3: choose among 0.1, 0.5, 1, 2, 5, 10, 20, 50"),
        ({"layout": "grid"}, "layout='grid': choose among all side by side, one beside it, swipe"),
        ({"forecast": "c"}, "forecast='c': choose among a"),
        ({"treshold": 1}, "no setting 'treshold': choose among lead, threshold, layout"),
    ],
)
def test_a_player_that_cannot_open_as_wished_says_how_it_can(frames, made, wished, remedy):
    with pytest.raises(NowcastError, match=remedy):
        ForecastPlayer(frames, {"a": made}, **wished)


def test_players_open_on_the_first_frame_with_half_of_the_most_rain(frames):
    wet = [0, 0, 1, 3, 4, 6, 7, 2, 0]  # rows of eight with rain
    rate = np.zeros((9, 8, 8), "f4")
    for k, rows in enumerate(wet):
        rate[k, :rows] = 1
    rain = frames.copy(data=rate)
    assert FramePlayer(rain).frame == 4  # 4 rows of at most 7

    dry = 0 * forecast(forecaster("persistence"), rain, rain.time.values[2], 6)
    player = ForecastPlayer(rain, {"dry": dry}, past=1)
    assert player.scene["labels"][player.frame].startswith("forecast +10 min")
    assert ForecastPlayer(rain, {"dry": dry}, lead=0).frame == 2


def test_films_stand_side_by_side_and_share_the_slider(frames):
    player = FramePlayer({"forwards": frames, "backwards": frames[::-1]})
    forwards, backwards = sent(player)
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert [panel["title"] for panel in player.scene["panels"]] == ["forwards", "backwards"]
    assert player.scene["labels"][1] == "frame 2 of 9", "the times differ"
    assert not player.scene["comparing"]


def test_films_of_grey_values_have_no_rain(frames):
    values = np.linspace(-0.5, 1.5, 2 * 3 * 4).reshape(2, 3, 4)
    player = FramePlayer({"truth": values}, colours="grey", labels=["input", "lead 1"])
    np.testing.assert_array_equal(sent(player)[0], np.rint(255 * values.clip(0, 1)))
    assert player.scene["labels"] == ["input", "lead 1"]
    assert player.scene["rain"] is player.scene["chart"] is None
    assert player.scene["panels"][0]["palette"][128] == "#808080"


@pytest.mark.parametrize(
    ("films", "options", "problem"),
    [
        ({}, {}, "no film"),
        ({"a": np.ones((2, 4, 4)), "b": np.ones((3, 4, 4))}, {}, r"'b' is \(3, 4, 4\)"),
        (np.ones((4, 4)), {}, r"\(4, 4\); a player needs \(time, y, x\)"),
        (np.ones((2, 4, 4)), {"labels": ["one"]}, "1 labels for 2 frames"),
        (np.ones((2, 4, 4)), {"colours": "gray"}, "'gray': choose among rain, grey"),
        (np.ones((65_536, 1, 1)), {}, r"at most 65,535 frames, not 65,536.*film\[::2\]"),
        (as_frames(np.ones((2, 4, 4))).transpose("y", "x", "time"), {}, r"transpose it to \(time,"),
        (as_frames(np.ones((2, 4, 4))).transpose("time", "x", "y"), {}, r"transpose it to \(time,"),
        (xr.DataArray(np.ones((2, 4, 4)), {"time": [1, 2]}, ["time", "y", "x"]), {}, "is int64"),
        (xr.DataArray(np.ones((1, 4, 4)), {"time": [np.datetime64("NaT", "ns")]},
                      ["time", "y", "x"]), {}, "missing in places: give it times"),
    ],
)  # fmt: skip
def test_bad_films_are_refused(films, options, problem):
    with pytest.raises(NowcastError, match=problem):
        FramePlayer(films, **options)


@pytest.fixture
def members(made):
    """Four members of 0, 1, 2 and 3 mm/h; one does not know the first row."""
    members = xr.concat([made * 0 + k for k in range(4)], "member")
    members = members.assign_coords(issued=made.issued)
    members[3, :, 0] = np.nan
    return members


def test_an_ensemble_player_has_every_member_and_the_share_above_each_threshold(frames, members):
    player = EnsemblePlayer(frames, members, lead=10, threshold=0.5, member=3)
    levels = sent(player)
    observed, member, share = player.scene["panels"]
    assert "forecast +10 min" in player.scene["labels"][player.frame]
    assert observed["sequences"] == [0]
    for number, k in zip(member["sequences"], range(4), strict=True):
        np.testing.assert_array_equal(levels[number][3:, 1:, 1:], rain_levels(np.array(float(k))))
        np.testing.assert_array_equal(levels[number][:3], levels[0][:3])
    assert player.scene["controls"][0]["options"][player.choice] == "3"

    shares = dict(zip(rain_scale.LEVELS[:-1], share["sequences"], strict=True))
    assert share["by"] == "threshold"
    for rate, in_all, in_first_row in ((0.5, 3 / 4, 2 / 3), (2, 1 / 4, 0), (5, 0, 0)):
        shown = levels[shares[rate]][3:]
        assert (shown[:, 1:, 1:] == round(MOST * in_all)).all()
        assert (shown[:, 0, 1:] == round(MOST * in_first_row)).all()
        assert (shown[:, :, 0] == NOT_KNOWN).all()
    before = levels[shares[2]][:3, :, 1:]
    np.testing.assert_array_equal(before, MOST * (frames.values[2:5, :, 1:] > 2))


def test_an_ensemble_player_needs_members_on_the_grid_of_the_observation(frames, made, members):
    with pytest.raises(NowcastError, match="ForecastPlayer"):
        EnsemblePlayer(frames, made)
    with pytest.raises(NowcastError, match="member=5: choose among 1, 2, 3, 4"):
        EnsemblePlayer(frames, members, member=5)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).integers(0, 256, (3, 5, 13)),
        np.full((2, 4, 8), NOT_KNOWN),
        np.zeros((1, 3, 3)),
        np.add.outer(np.arange(3), np.add.outer(np.arange(6), np.arange(9))) % 7,
    ],
    ids=["noise", "unknown", "dry", "smooth"],
)
def test_what_is_packed_is_unpacked(values):
    np.testing.assert_array_equal(unpack(pack(values), values.shape[1:]), values)


def test_frames_that_repeat_take_hardly_more_room_than_one():
    one = np.random.default_rng(0).integers(0, 250, (1, 40, 40))
    assert len(pack(np.repeat(one, 12, axis=0))) < 1.2 * len(pack(one))
