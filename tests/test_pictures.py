"""Plots and the player: the scale, what is drawn, what the player is fed."""

import base64
import io
import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from PIL import Image

from nowcastlib import NowcastError, plots, store
from nowcastlib.baselines import persistence
from nowcastlib.forecast import forecast
from nowcastlib.player import ForecastPlayer, FramePlayer


@pytest.fixture
def frames():
    """Nine frames of 8 × 8 px; frame t is t + 0.2 mm/h everywhere, but not observed in the first column."""
    rate = np.zeros((9, 8, 8), "f4") + np.arange(9, dtype="f4")[:, None, None] + 0.2
    rate[:, :, 0] = np.nan
    return store.as_frames(rate)


@pytest.fixture
def made(frames):
    return forecast(persistence, frames, frames.time.values[4], 4)


def test_colours_darken_with_the_rain_rate_so_that_they_can_be_read_without_hue():
    lightness = [np.dot(colors.to_rgb(c), (0.2126, 0.7152, 0.0722)) for c in (plots.DRY, *plots.COLOURS)]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("rate", "colour"), [(0, "DRY"), (0.09, "DRY"), (np.nan, "UNKNOWN")])
def test_dry_and_not_observed_have_colours_of_their_own(rate, colour):
    shown = plots.CMAP(plots.NORM(np.ma.masked_invalid([rate])))[0]
    assert colors.to_hex(shown) == getattr(plots, colour)


@pytest.mark.parametrize("k", range(len(plots.LEVELS)))
def test_each_class_starts_at_its_level(k):
    assert colors.to_hex(plots.CMAP(plots.NORM(plots.LEVELS[k]))) == plots.COLOURS[k]


def test_show_frame_names_units_and_the_scale(frames):
    axis = plots.show_frame(frames[3], title="now", colorbar=True)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("km", "km", "now")
    assert axis.images[0].get_extent() == [0, 8, 0, 8]
    assert "rain rate (mm/h)" in [a.get_ylabel() for a in axis.figure.axes]


def test_show_scores_draws_each_forecaster_at_the_threshold_without_lead_zero():
    rows = [(n, lead, t, 7, lead / 100 + t) for n in ("a", "b") for lead in (0, 5, 10) for t in (0.5, 2.0)]
    axis = plots.show_scores(pd.DataFrame(rows, columns=["forecaster", "lead_time", "threshold", "cases", "csi"]))
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[5, 0.55], [10, 0.6]])
    assert axis.get_title() == "7 cases, rain > 0.5 mm/h" and axis.get_xlabel() == "lead time (minutes)"


def test_animation_has_a_picture_a_lead(frames, made, tmp_path):
    truth = frames.sel(time=made.valid_time.values)
    path = plots.save_animation({"observed": truth, "persistence": made}, tmp_path / "a.gif")
    pictures = iio.imread(path)
    assert len(pictures) == 4 and (pictures[0] != pictures[-1]).any()


def test_arrays_without_times_are_animated_and_embedded_in_the_page(tmp_path):
    path = plots.save_animation({"truth": np.eye(8)[:3, None] * np.full((8, 1), 5.0)}, tmp_path / "a.gif")
    page = plots.show_animation(path).data
    assert len(iio.imread(path)) == 3 and base64.b64decode(page.split("base64,")[1].split('"')[0]) == path.read_bytes()


@pytest.fixture
def history():
    """Four epochs of two lengths."""
    return pd.DataFrame({
        "epoch": range(4), "length": [1, 1, 3, 3], "train": [4.0, 2.0, 7.0, 5.0], "validation": [9.0, 8.0, 5.0, 4.0],
        "test": np.nan,
    })  # fmt: skip


def test_history_shows_the_losses_that_there_are_and_the_median_of_each_length(history):
    axis = plots.show_history(history)
    assert [line.get_label() for line in axis.lines] == ["training", "validation, free rollout"]
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[1, 4], [2, 2], [3, 7], [4, 5]])
    bars = np.concatenate([bar.get_segments() for bar in axis.collections])
    np.testing.assert_allclose(bars, [[[0.6, 3], [2.4, 3]], [[2.6, 6], [4.4, 6]]])
    assert [text.get_text() for text in axis.texts] == ["1 frame", "3 frames"]
    tested = plots.show_history(history.assign(test=1.0))
    assert "test, free rollout" in [line.get_label() for line in tested.lines]


def test_live_history_draws_each_epoch_in_one_place(history, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "display", lambda *_, **__: SimpleNamespace(update=drawn.append))
    redraw = plots.live_history("loss")
    for n in (1, 4):
        redraw(history[:n])
    assert [len(figure.axes[0].lines[0].get_xdata()) for figure in drawn] == [1, 4] and not plt.get_fignums()


def test_variants_have_a_dot_a_run_and_a_bar_at_their_mean():
    table = pd.DataFrame({"variant": ["b", "b", "a"], "seed": [0, 1, 0], "mse": [1.0, 3.0, 5.0]})
    axis = plots.show_variants(table, "mse")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a"] and axis.yaxis_inverted()
    points = [line.get_xydata().tolist() for line in axis.lines]
    assert points == [[[1, 0], [3, 0]], [[2, 0]], [[5, 1]], [[5, 1]]]


def sprites(player: ForecastPlayer) -> list[np.ndarray]:
    """The player's pictures as class numbers, (sequence, time, y, x)."""
    return [np.asarray(Image.open(io.BytesIO(s))).reshape(-1, 8, 8) for s in player.canvas.sprites]


def test_player_shows_the_past_on_both_sides_then_truth_beside_forecast(frames, made):
    player = ForecastPlayer(frames, {"persistence": made}, past=3)
    left, right = sprites(player)
    classes = np.digitize(frames.values, plots.LEVELS)
    np.testing.assert_array_equal(left[:, :, 1:], classes[2:, :, 1:])
    np.testing.assert_array_equal(right[:3], left[:3])
    assert (right[3:, :, 1:] == classes[4, :, 1:]).all()
    assert (left[:, :, 0] == len(plots.LEVELS) + 1).all() and (right[:, :, 0] == len(plots.LEVELS) + 1).all()
    assert player.labels[1:4] == [
        "observed -5 min · valid 2024-06-01 00:15 UTC",
        "observed, now · valid 2024-06-01 00:20 UTC",
        "forecast +5 min · valid 2024-06-01 00:25 UTC",
    ]
    assert (player.slider.min, player.slider.max, player.slider.value) == (0, 6, 3)


def test_player_is_grey_where_the_truth_is_not_yet_known(frames, made):
    left, _ = sprites(ForecastPlayer(frames.isel(time=slice(7)), {"persistence": made}))
    assert (left[-2:] == len(plots.LEVELS) + 1).all() and (left[-3, :, 1:] <= len(plots.LEVELS)).all()


def test_player_refuses_nothing_and_forecasts_for_other_times(frames, made):
    with pytest.raises(NowcastError, match="no forecast"):
        ForecastPlayer(frames, {})
    later = forecast(persistence, frames, frames.time.values[3], 4)
    with pytest.raises(NowcastError, match="'b' is for other times"):
        ForecastPlayer(frames, {"a": made, "b": later})


def test_a_name_cannot_end_the_page_script(frames, made):
    page = ForecastPlayer(frames, {"</script><script>alert(1)": made}).page()
    assert page.count("</script>") == 1


def test_pictures_name_who_made_the_data(frames, made, monkeypatch, tmp_path):
    told = "Radar of Nowhere · CC BY 4.0"
    frames = frames.assign_attrs(source="Radar of Nowhere", license="CC BY 4.0")
    made = forecast(persistence, frames, frames.time.values[4], 4)
    axis = plots.show_frame(frames[0])
    assert [text.get_text() for text in axis.figure.texts] == [told]
    assert told in [t.get_text() for t in plots.show_strip({"a": frames[:2], "b": made[:2]}, ["1", "2"]).texts]
    mixed = plots.show_strip({"nobody's": np.zeros((2, 8, 8)), "b": made[:2]}, ["1", "2"])
    assert told in [t.get_text() for t in mixed.texts]
    monkeypatch.setattr(plots.plt, "close", lambda *_: None)  # so that the last picture can be looked at
    plots.save_animation({"a": made}, tmp_path / "a.gif")
    assert told in [t.get_text() for t in plt.gcf().texts]
    assert FramePlayer(frames).canvas.credit == ForecastPlayer(frames, {"a": made}).canvas.credit == told
    assert json.dumps(told) in FramePlayer(frames).page()
    assert not plots.show_frame(np.zeros((4, 4))).figure.texts  # nothing is known of an array
    two = plt.subplots(1, 2)[1]
    for k in (0, 1):
        plots.show_frame(frames[0].assign_attrs(source=f"Radar {k}", license=""), two[k])
    assert two[0].figure.get_supxlabel() == "Radar 0 | Radar 1"


def test_frame_player_has_a_label_a_time_and_no_forecast(frames):
    player = FramePlayer(frames)
    (shown,) = sprites(player)
    np.testing.assert_array_equal(shown[:, :, 1:], np.digitize(frames.values, plots.LEVELS)[:, :, 1:])
    assert player.labels[:2] == ["2024-06-01 00:00 UTC", "2024-06-01 00:05 UTC"]
    assert (player.slider.max, player.slider.value, len(player.children[0].children)) == (8, 0, 2)


def test_frames_of_a_long_day_stand_in_columns_no_higher_than_a_browser_draws():
    rate = np.broadcast_to(np.arange(288.0)[:, None, None], (288, 64, 8))
    picture = np.asarray(Image.open(io.BytesIO(FramePlayer(store.as_frames(rate)).canvas.sprites[0])))
    assert picture.shape == (16_384, 2 * 8)  # 256 frames, then 32
    for k in (0, 255, 256, 287):
        x, y = divmod(k, 256)
        assert (picture[64 * y : 64 * y + 64, 8 * x : 8 * x + 8] == np.digitize(k, plots.LEVELS)).all()
