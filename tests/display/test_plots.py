"""Plots: the scale, what is drawn."""

import base64
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.quiver import Quiver

from nowcastlib.display import plots
from nowcastlib.forecasting.baselines import persistence
from nowcastlib.forecasting.nowcast import forecast
from nowcastlib.verification.counts import count
from nowcastlib.verification.evaluation import roc, score


def test_colours_darken_with_the_rain_rate_so_that_they_can_be_read_without_hue():
    lightness = [
        np.dot(colors.to_rgb(c), (0.2126, 0.7152, 0.0722)) for c in (plots.DRY, *plots.COLOURS)
    ]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("rate", "colour"), [(0, "DRY"), (0.09, "DRY"), (np.nan, "UNKNOWN")])
def test_dry_and_not_observed_have_colours_of_their_own(rate, colour):
    shown = plots.CMAP(plots.NORM(np.ma.masked_invalid([rate])))[0]
    assert colors.to_hex(shown) == getattr(plots, colour)


@pytest.mark.parametrize("k", range(len(plots.LEVELS)))
def test_each_class_starts_above_its_level(k):
    level, colours = plots.LEVELS[k], [plots.DRY, *plots.COLOURS]
    shown = [colors.to_hex(plots.CMAP(plots.NORM(rate))) for rate in (level, 1.0001 * level)]
    assert shown == colours[k : k + 2]


def test_show_frame_names_units_and_the_scale(frames):
    axis = plots.show_frame(frames[3], title="now", colorbar=True)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("km", "km", "now")
    assert axis.images[0].get_extent() == [0, 8, 0, 8]
    bar = next(a for a in axis.figure.axes if a.get_ylabel() == "rain rate (mm/h)")
    axis.figure.canvas.draw()
    assert [t.get_text() for t in bar.get_yticklabels()] == [f"{level:g}" for level in plots.LEVELS]


def test_arrows_end_where_the_rain_will_be():
    velocity = np.stack([np.full((32, 48), 3.0), np.full((32, 48), -1.0)])
    axis = plots.show_motion(np.zeros((32, 48)), velocity, title="now", steps=2)
    (arrows,) = (c for c in axis.collections if isinstance(c, Quiver))
    x, y = arrows.XY.T
    assert len(x) > 50 and (x.min() >= 0) and (x.max() < 48) and (y.max() < 32)
    ways = np.stack([arrows.U, arrows.V], 1) / arrows.scale
    np.testing.assert_allclose(ways, np.tile([6, -2], (len(x), 1)))
    assert (arrows.angles, arrows.scale_units, axis.yaxis_inverted()) == ("xy", "xy", True)


def test_maps_of_probabilities_and_of_changes_have_their_own_colours():
    sure, change = (
        plots.show_map(np.array([[0, 0.5], [1, np.nan]])),
        plots.show_map(np.zeros((2, 2)), limit=0.3),
    )
    assert [a.images[0].get_clim() for a in (sure, change)] == [(0, 1), (-0.3, 0.3)]
    shown = sure.images[0].to_rgba(sure.images[0].get_array())
    assert colors.to_hex(shown[1, 1]) == plots.UNKNOWN and colors.to_hex(
        shown[0, 0]
    ) != colors.to_hex(shown[1, 0])
    brown, green = (change.images[0].to_rgba(v)[:3] for v in (-0.3, 0.3))
    assert brown[0] > brown[1] and green[1] > green[0]
    assert "probability" in [
        a.get_ylabel() for a in plots.show_map(np.eye(2), label="probability").figure.axes
    ]


def test_forecasters_without_a_colour_of_their_own_can_be_told_apart():
    values = xr.DataArray(
        np.eye(4), {"forecaster": ["sprog", "a", "b", "radar"]}, dims=("forecaster", "lead_time")
    )
    assert len({line.get_color() for line in plots.show_lines(values, "lead_time").lines}) == 4


def test_show_scores_draws_each_forecaster_at_the_threshold_without_lead_zero(counted):
    axis = plots.show_scores(counted, threshold=2.0)
    assert [line.get_label() for line in axis.lines] == ["persistence", "steps"]
    csi = score(counted.sum("case"), "csi").sel(forecaster="persistence", threshold=2.0)
    np.testing.assert_array_equal(
        axis.lines[0].get_xydata(), [[5, csi.sel(lead_time=5)], [10, csi.sel(lead_time=10)]]
    )
    assert (
        axis.get_title() == "2 cases, rain > 2 mm/h" and axis.get_xlabel() == "lead time (minutes)"
    )
    assert len(axis.collections) == 2, "the intervals"
    assert plots.show_scores(counted, "mse").get_title() == "2 cases"


def test_spectrum_reliability_roc_and_ranks_are_what_was_counted(counted):
    pooled = counted.sum("case")
    spectrum = plots.show_spectrum(counted, 10)
    assert spectrum.xaxis_inverted() and "wavelength (km)" in spectrum.get_xlabel()
    power = score(pooled, "spectrum").sel(forecaster="steps", lead_time=10)[2:]
    np.testing.assert_array_equal(spectrum.lines[1].get_ydata(), power)
    reliable = plots.show_reliability(counted, 0.5).lines[1].get_xydata()
    rained = pooled.sum("lead_time").sel(forecaster="steps", threshold=0.5)
    expected = (rained.happened / rained.foretold).dropna("probability")
    np.testing.assert_allclose(reliable, np.stack([expected.probability, expected], 1))
    curves = plots.show_roc(counted, 0.5)
    x, y = curves.lines[1].get_xydata().T
    area = float(roc(pooled.sum("lead_time").sel(threshold=0.5)).area.sel(forecaster="steps"))
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and (
        (y[1:] + y[:-1]) / 2 * np.diff(x)
    ).sum() == pytest.approx(area)
    assert curves.get_legend_handles_labels()[1][1] == f"steps ({area:.2f})"
    bars = plots.show_ranks(counted, "steps")
    assert len(bars.patches) == 4 and sum(
        bar.get_height() for bar in bars.patches
    ) == pytest.approx(1)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_animation_has_a_picture_a_lead(frames, made, tmp_path, ending):
    truth = frames.sel(time=made.valid_time.values)
    path = plots.save_animation({"observed": truth, "persistence": made}, tmp_path / f"a.{ending}")
    pictures = iio.imread(path)
    assert len(pictures) == 4 and (pictures[0] != pictures[-1]).any()


def test_arrays_without_times_are_animated_and_embedded_in_the_page(tmp_path):
    path = plots.save_animation(
        {"truth": np.eye(8)[:3, None] * np.full((8, 1), 5.0)}, tmp_path / "a.gif"
    )
    page = plots.show_animation(path).data
    assert (
        len(iio.imread(path)) == 3
        and base64.b64decode(page.split("base64,")[1].split('"')[0]) == path.read_bytes()
    )


@pytest.fixture
def counted():
    """Persistence and an ensemble of three, two cases, leads of 0, 5 and 10 minutes."""
    rng = np.random.default_rng(0)
    truth, members = rng.gamma(0.4, 4, (2, 3, 16, 16)), rng.gamma(0.4, 4, (2, 3, 3, 16, 16))
    runs = {"persistence": truth[:, :1].repeat(3, 1), "steps": members}
    parts = [count(zip(rates, truth, strict=True), [0.5, 2.0], [2]) for rates in runs.values()]
    counts = xr.concat(
        parts, xr.DataArray(list(runs), dims="forecaster", name="forecaster"), join="outer"
    )
    return counts.rename(lead="lead_time").assign_coords(lead_time=[0.0, 5.0, 10.0])


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
    assert [len(figure.axes[0].lines[0].get_xdata()) for figure in drawn] == [
        1,
        4,
    ] and not plt.get_fignums()


def test_variants_have_a_dot_a_run_and_a_bar_at_their_mean():
    table = pd.DataFrame({"variant": ["b", "b", "a"], "seed": [0, 1, 0], "mse": [1.0, 3.0, 5.0]})
    axis = plots.show_variants(table, "mse")
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "b",
        "a",
    ] and axis.yaxis_inverted()
    points = [line.get_xydata().tolist() for line in axis.lines]
    assert points == [[[1, 0], [3, 0]], [[2, 0]], [[5, 1]], [[5, 1]]]


def test_pictures_name_who_made_the_data(frames, made, monkeypatch, tmp_path):
    told = "Radar of Nowhere · CC BY 4.0"
    frames = frames.assign_attrs(source="Radar of Nowhere", license="CC BY 4.0")
    made = forecast(persistence, frames, frames.time.values[4], 4)
    axis = plots.show_frame(frames[0])
    assert [text.get_text() for text in axis.figure.texts] == [told]
    assert told in [
        t.get_text() for t in plots.show_strip({"a": frames[:2], "b": made[:2]}, ["1", "2"]).texts
    ]
    mixed = plots.show_strip({"nobody's": np.zeros((2, 8, 8)), "b": made[:2]}, ["1", "2"])
    assert told in [t.get_text() for t in mixed.texts]
    monkeypatch.setattr(
        plots.plt, "close", lambda *_: None
    )  # so that the last picture can be looked at
    plots.save_animation({"a": made}, tmp_path / "a.gif")
    assert told in [t.get_text() for t in plt.gcf().texts]
    assert not plots.show_frame(np.zeros((4, 4))).figure.texts  # nothing is known of an array
    two = plt.subplots(1, 2)[1]
    for k in (0, 1):
        plots.show_frame(frames[0].assign_attrs(source=f"Radar {k}", license=""), two[k])
    assert two[0].figure.get_supxlabel() == "Radar 0 | Radar 1"
