"""Plots of probabilities for clips: what is drawn is what the scores say."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from matplotlib import pyplot as plt

from nowcastlib.display import plots

LABELS = np.array([1, 0, 1, 0, 0, 1.0])
FORECAST = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.6])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_roc_names_the_area_and_ends_in_the_corner():
    ax = plots.show_roc_of_clips(LABELS, {"network": FORECAST, "guess": np.full(6, 0.5)})
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["network (0.78)", "guess (0.50)"]
    x, y = ax.lines[0].get_data()
    assert (x[-1], y[-1]) == (1, 1)


def test_reliability_draws_the_observed_frequencies():
    ax = plots.show_reliability_of_clips(LABELS, {"network": FORECAST})
    x, y = ax.lines[0].get_data()
    assert y == pytest.approx([0, 1, 2 / 3])  # 0…1/3, 1/3…2/3, 2/3…1
    assert x == pytest.approx([0.15, 0.6, 0.8])


def test_reliability_counts_the_clips_of_each_class():
    few = plots.show_reliability_of_clips(LABELS, {"network": FORECAST})
    assert [text.get_text() for text in few.texts] == ["2", "1", "3"]
    many = plots.show_reliability_of_clips(np.tile(LABELS, 25), {"network": np.tile(FORECAST, 25)})
    assert [text.get_text() for text in many.texts] == ["25", "25", "50", "50"]


def test_warnings_show_the_point_and_the_counts():
    left, right = plots.show_warnings(LABELS, FORECAST, 0.7).axes
    x, y = left.lines[-1].get_data()
    assert (x[0], y[0]) == pytest.approx((1 / 3, 2 / 3))
    shown = [text.get_text() for text in right.texts]
    assert shown == ["2\nhits", "1\nmisses", "1\nfalse alarms", "2\ncorrect negatives"]
