"""Scores of clips: by hand, textbook numbers, order, reliability, bootstrap over events."""

import numpy as np
import pytest

from nowcastlib.errors import NowcastError
from nowcastlib.verification import (
    Bootstrap,
    auc,
    average_precision,
    brier,
    classification_table,
    confusion,
    event_interval,
    reliability,
    reliability_error,
    roc_of_clips,
)

LABELS = np.array([1, 0, 1, 0, 0, 1.0])
FORECAST = np.array([0.9, 0.8, 0.7, 0.2, 0.7, 0.6])


def by_pairs(labels, forecast):
    """Share of the pairs (yes, no) that are ranked rightly; equal numbers count one half."""
    yes, no = forecast[labels == 1][:, None], forecast[labels == 0]
    return ((yes > no) + 0.5 * (yes == no)).mean()


def test_auc_is_the_share_of_pairs_that_are_ranked_rightly():
    # 0.9 beats three; 0.7 beats 0.2, equals 0.7; 0.6 beats 0.2: 3 + 1.5 + 1 of 9 pairs
    assert auc(LABELS, FORECAST) == pytest.approx(5.5 / 9) == by_pairs(LABELS, FORECAST)
    rng = np.random.default_rng(0)
    labels, forecast = rng.integers(0, 2, 200), rng.random(200).round(1)
    assert auc(labels, forecast) == pytest.approx(by_pairs(labels, forecast))
    assert auc(labels, forecast**3) == pytest.approx(auc(labels, forecast))
    assert auc(labels, -forecast) == pytest.approx(1 - auc(labels, forecast))
    assert auc(labels, np.full(200, 0.3)) == 0.5


def test_area_under_the_curve_is_the_auc():
    curve = roc_of_clips(LABELS, FORECAST)
    assert np.trapezoid(curve.pod, curve.pofd) == pytest.approx(auc(LABELS, FORECAST))
    assert (curve.pod.iloc[0], curve.pod.iloc[-1]) == (0, 1)
    assert curve.threshold.is_monotonic_decreasing


def test_average_precision_by_hand():
    # "yes" is found at ranks 1, 3 and 5 of 0.9, 0.8, 0.6, 0.5, 0.4: (1/1 + 2/3 + 3/5) / 3
    labels, forecast = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.6, 0.5, 0.4])
    assert average_precision(labels, forecast) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_brier_score_of_the_base_rate_is_its_variance():
    labels = np.array([1, 0, 0, 0])
    assert brier(labels, np.full(4, 0.25)) == pytest.approx(0.25 * 0.75)
    assert brier(labels, labels) == 0
    assert brier(labels, 1 - labels) == 1


def test_reliability_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    forecast = np.array([0.1, 0.1, 0.15, 0.15, 0.95, 1.0])
    table = reliability(labels, forecast)
    assert table.clips.tolist() == [4, 2]
    assert table.forecast.tolist() == pytest.approx([0.125, 0.975])
    assert table.observed.tolist() == [0.25, 1.0]
    error = (4 * 0.125**2 + 2 * 0.025**2) / 6
    assert reliability_error(labels, forecast) == pytest.approx(error)


def test_too_high_probabilities_keep_the_auc_and_lose_reliability():
    """This is what class weights do."""
    rng = np.random.default_rng(0)
    p = rng.random(4000) ** 3
    labels = (rng.random(4000) < p).astype(float)
    inflated = p / (p + (1 - p) / 4)  # odds times 4
    assert auc(labels, inflated) == pytest.approx(auc(labels, p))
    assert reliability_error(labels, p) < 0.002 < 0.01 < reliability_error(labels, inflated)


def test_confusion_at_a_threshold_is_the_textbook_table():
    assert confusion(LABELS, FORECAST, 0.7) == {
        "hits": 2, "misses": 1, "false_alarms": 2, "correct_negatives": 1,
    }  # fmt: skip
    assert confusion(LABELS, FORECAST, 2.0)["misses"] == 3
    assert confusion(LABELS, FORECAST, 0.0)["correct_negatives"] == 0


def test_interval_over_events_is_wider_than_over_clips():
    """Ten events of 20 clips each: all clips of an event have the same label and forecast."""
    rng = np.random.default_rng(0)
    events = np.repeat(np.arange(10), 20)
    labels = np.repeat(np.arange(10) % 2, 20).astype(float)
    forecast = np.repeat(rng.random(10), 20)
    of_events = event_interval(auc, labels, forecast, events)
    of_clips = event_interval(auc, labels, forecast, np.arange(200))
    assert of_events[0] <= auc(labels, forecast) <= of_events[1]
    assert np.diff(of_events) > 2 * np.diff(of_clips)


def test_interval_needs_events_of_both_labels():
    assert np.isnan(event_interval(auc, LABELS, FORECAST, np.zeros(6))).all()
    events = np.arange(6) // 5  # one event with "yes" in one draw of four only
    labels = np.array([0, 0, 0, 0, 0, 1.0])
    assert np.isnan(event_interval(auc, labels, FORECAST, events)).all()


def test_table_has_a_row_for_each_forecaster():
    events = np.array([0, 0, 1, 1, 2, 2])
    forecasts = {"network": FORECAST, "base rate": np.full(6, 0.5)}
    table = classification_table(forecasts, LABELS, events, Bootstrap(draws=50))
    assert table.index.tolist() == ["network", "base rate"]
    assert table.loc["network", "auc"] == auc(LABELS, FORECAST)
    assert table.loc["base rate", ["auc", "brier", "reliability"]].tolist() == [0.5, 0.25, 0.0]
    assert (table.events == 3).all()
    assert (table.base_rate == 0.5).all()


@pytest.mark.parametrize(
    ("labels", "forecast", "message"),
    [
        (LABELS, FORECAST[:4], r"shape \(4,\), and the labels \(6,\)"),
        (np.where(LABELS, np.nan, 0), FORECAST, "3 of 6 numbers of labels are not finite"),
        (LABELS, FORECAST * np.inf, "6 of 6 numbers of the forecast are not finite"),
        (LABELS + 1, FORECAST, "labels are 0"),
    ],
)
def test_numbers_that_cannot_be_compared_are_refused(labels, forecast, message):
    with pytest.raises(NowcastError, match=message):
        auc(labels, forecast)


def test_scores_that_do_not_exist_are_nan_or_refused():
    assert np.isnan(auc(np.ones(3), np.array([0.1, 0.2, 0.3])))
    with pytest.raises(NowcastError, match="there is no ROC curve"):
        roc_of_clips(np.ones(3), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(NowcastError, match="no probabilities"):
        reliability(LABELS, 10 * FORECAST)
