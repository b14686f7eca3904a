"""Plots: what is drawn, in which units, with which labels."""

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

from nowcastlib.display import plots, rain_scale
from nowcastlib.display.plots import animations
from nowcastlib.forecasting import forecast, forecaster
from nowcastlib.verification import roc, score
from nowcastlib.verification.counts import count


def test_show_frame_names_units_and_the_scale(frames):
    axis = plots.show_frame(frames[3], title="now", colorbar=True)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("km", "km", "now")
    assert axis.images[0].get_extent() == [0, 8, 0, 8]
    bar = next(a for a in axis.figure.axes if a.get_ylabel() == "rain rate (mm/h)")
    axis.figure.canvas.draw()
    assert [t.get_text() for t in bar.get_yticklabels()] == [
        f"{level:g}" for level in rain_scale.LEVELS
    ]


def test_arrows_are_as_long_as_the_motion_of_their_steps():
    velocity = np.stack([np.full((32, 48), 3.0), np.full((32, 48), -1.0)])
    axis = plots.show_motion(np.zeros((32, 48)), velocity, title="now", steps=2)
    (arrows,) = (c for c in axis.collections if isinstance(c, Quiver))
    x, y = arrows.XY.T
    assert len(x) > 50
    assert x.min() >= 0
    assert x.max() < 48
    assert y.max() < 32
    lengths = np.stack([arrows.U, arrows.V], 1) / arrows.scale  # px
    np.testing.assert_allclose(lengths, np.tile([6, -2], (len(x), 1)))
    assert (arrows.angles, arrows.scale_units, axis.yaxis_inverted()) == ("xy", "xy", True)


def test_maps_of_probabilities_and_of_changes_have_different_colours():
    probability = plots.show_map(np.array([[0, 0.5], [1, np.nan]]))
    change = plots.show_map(np.zeros((2, 2)), limit=0.3)
    assert [ax.images[0].get_clim() for ax in (probability, change)] == [(0, 1), (-0.3, 0.3)]

    image = probability.images[0]
    shown = image.to_rgba(image.get_array())
    assert colors.to_hex(shown[1, 1]) == rain_scale.UNKNOWN
    assert colors.to_hex(shown[0, 0]) != colors.to_hex(shown[1, 0])

    brown, green = (change.images[0].to_rgba(v)[:3] for v in (-0.3, 0.3))
    assert brown[0] > brown[1]
    assert green[1] > green[0]

    labelled = plots.show_map(np.eye(2), label="probability").figure
    assert "probability" in [ax.get_ylabel() for ax in labelled.axes]


def test_forecasters_without_a_colour_of_their_own_get_different_ones():
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
    assert axis.get_title() == "2 cases, rain > 2 mm/h"
    assert axis.get_xlabel() == "lead time (minutes)"
    assert len(axis.collections) == 2, "the intervals"
    assert plots.show_scores(counted, "mse").get_title() == "2 cases"


def test_spectrum_reliability_roc_and_ranks_show_the_counts(counted):
    pooled = counted.sum("case")
    spectrum = plots.show_spectrum(counted, 10)
    assert spectrum.xaxis_inverted()
    assert "wavelength (km)" in spectrum.get_xlabel()
    power = score(pooled, "spectrum").sel(forecaster="steps", lead_time=10)[2:]
    np.testing.assert_array_equal(spectrum.lines[1].get_ydata(), power)

    reliability = plots.show_reliability(counted, 0.5).lines[1].get_xydata()
    events = pooled.sum("lead_time").sel(forecaster="steps", threshold=0.5)
    expected = score(events, "reliability").dropna("probability")
    np.testing.assert_allclose(reliability, np.stack([expected.probability, expected], 1))

    curves = plots.show_roc(counted, 0.5)
    x, y = curves.lines[1].get_xydata().T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = float(roc(pooled.sum("lead_time").sel(threshold=0.5)).area.sel(forecaster="steps"))
    assert ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() == pytest.approx(area)
    assert curves.get_legend_handles_labels()[1][1] == f"steps ({area:.2f})"

    bars = plots.show_ranks(counted, "steps").patches
    assert len(bars) == 4
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_animation_has_a_picture_per_lead(frames, made, tmp_path, ending):
    truth = frames.sel(time=made.valid_time.values)
    path = plots.save_animation({"observed": truth, "persistence": made}, tmp_path / f"a.{ending}")
    pictures = iio.imread(path)
    assert len(pictures) == 4
    assert (pictures[0] != pictures[-1]).any()


def test_arrays_without_times_are_animated_and_embedded_in_the_page(tmp_path):
    films = {"truth": np.eye(8)[:3, None] * np.full((8, 1), 5.0)}
    path = plots.save_animation(films, tmp_path / "a.gif")
    assert len(iio.imread(path)) == 3
    page = plots.show_animation(path).data
    assert base64.b64decode(page.split("base64,")[1].split('"')[0]) == path.read_bytes()


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
    """Two epochs with one frame, two with three."""
    columns = {
        "epoch": range(4),
        "length": [1, 1, 3, 3],
        "train": [4.0, 2.0, 7.0, 5.0],
        "validation": [9.0, 8.0, 5.0, 4.0],
        "test": np.nan,
    }
    return pd.DataFrame(columns)


def test_history_shows_the_losses_in_the_table_and_the_median_of_each_length(history):
    axis = plots.show_history(history)
    assert [line.get_label() for line in axis.lines] == ["training", "validation, all leads"]
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[1, 4], [2, 2], [3, 7], [4, 5]])
    bars = np.concatenate([bar.get_segments() for bar in axis.collections])
    np.testing.assert_allclose(bars, [[[0.6, 3], [2.4, 3]], [[2.6, 6], [4.4, 6]]])
    assert [text.get_text() for text in axis.texts] == ["1 frame", "3 frames"]
    tested = plots.show_history(history.assign(test=1.0))
    assert "test, all leads" in [line.get_label() for line in tested.lines]
    same_length = plots.show_history(history.assign(length=3))
    assert [line.get_label() for line in same_length.lines] == ["training", "validation"]


def test_live_training_redraws_losses_and_forecast_after_each_epoch(history, monkeypatch):
    drawn = []
    handle = SimpleNamespace(update=drawn.append)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: handle)
    observed = np.zeros((2, 8, 8))
    redraw = plots.live_training(observed, ["+5 min", "+10 min"], "kl loss")
    for n in (1, 4):
        redraw(history[:n], observed + n)

    for n, figure in zip((1, 4), drawn, strict=True):
        losses, *panels = [ax for ax in figure.axes if ax.get_ylabel() != "rain rate (mm/h)"]
        assert losses.get_ylabel() == "kl loss"
        assert len(losses.lines[0].get_xdata()) == n
        assert [panel.images[0].get_array().max() for panel in panels] == [0, 0, n, n]
        assert [panel.get_title() for panel in panels[:2]] == ["+5 min", "+10 min"]
    assert not plt.get_fignums(), "all figures are closed"


def test_variants_have_a_dot_per_run_and_a_bar_at_their_mean():
    table = pd.DataFrame({"variant": ["b", "b", "a"], "seed": [0, 1, 0], "mse": [1.0, 3.0, 5.0]})
    axis = plots.show_variants(table, "mse")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a"]
    assert axis.yaxis_inverted()
    points = [line.get_xydata().tolist() for line in axis.lines]
    assert points == [[[1, 0], [3, 0]], [[2, 0]], [[5, 1]], [[5, 1]]]


def test_the_colour_bar_of_a_strip_is_one_panel_high():
    figure = plots.show_strip({name: np.ones((2, 8, 8)) for name in "abc"}, ["1", "2"])
    figure.draw_without_rendering()
    *panels, bar = (ax.get_position() for ax in figure.axes)
    assert 0.8 * panels[0].height < bar.height <= panels[0].height
    assert panels[0].y0 <= bar.y0 < bar.y1 <= panels[0].y1 + 1e-6


def test_plots_name_the_source_and_licence_of_the_data(frames, made, monkeypatch, tmp_path):
    credit = "Radar of Nowhere · CC BY 4.0"
    frames = frames.assign_attrs(source="Radar of Nowhere", license="CC BY 4.0")
    made = forecast(forecaster("persistence"), frames, frames.time.values[4], 4)

    def texts(figure):
        return [text.get_text() for text in figure.texts]

    assert texts(plots.show_frame(frames[0]).figure) == [credit]
    assert not texts(plots.show_frame(np.zeros((4, 4))).figure), "an array has no credit"
    assert credit in texts(plots.show_strip({"a": frames[:2], "b": made[:2]}, ["1", "2"]))
    mixed = {"array": np.zeros((2, 8, 8)), "b": made[:2]}
    assert credit in texts(plots.show_strip(mixed, ["1", "2"]))

    monkeypatch.setattr(animations.plt, "close", lambda *_: None)  # keeps the last picture
    plots.save_animation({"a": made}, tmp_path / "a.gif")
    assert credit in texts(plt.gcf())

    two = plt.subplots(1, 2)[1]
    for k in (0, 1):
        plots.show_frame(frames[0].assign_attrs(source=f"Radar {k}", license=""), two[k])
    assert two[0].figure.get_supxlabel() == "Radar 0 | Radar 1"
