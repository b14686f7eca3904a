"""Scores of probabilities for clips: one answer, yes or no, for each clip.

The clips of an event resemble each other. Intervals therefore come from a bootstrap over events:
whole events are drawn with replacement.

References
----------
Wilks, D. S. (2011): Statistical Methods in the Atmospheric Sciences. Academic Press, chapter 8.
Murphy, A. H. (1973): A new vector partition of the probability score. J. Appl. Meteor. 12, 595-600.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics

from nowcastlib.errors import NowcastError

Score = Callable[[np.ndarray, np.ndarray], float]  # labels and probabilities → a number
BINS = 10  # of the reliability: probabilities 0…0.1, 0.1…0.2, …


def auc(labels: np.ndarray, forecast: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs (yes, no) in which "yes" has the larger number.

    0.5 without skill, 1 for a perfect order. It asks for the order only: any increasing function of
    the forecast has the same area. NaN if all labels are the same.
    """
    return _if_both(metrics.roc_auc_score, labels, forecast)


def average_precision(labels: np.ndarray, forecast: np.ndarray) -> float:
    """Mean precision over all hit rates; without skill it is the base rate. NaN without "yes"."""
    return _if_both(metrics.average_precision_score, labels, forecast)


def brier(labels: np.ndarray, forecast: np.ndarray) -> float:
    """Mean squared error of the probabilities; 0 for a perfect forecast."""
    return float(np.mean((np.asarray(forecast, "f8") - labels) ** 2))


def reliability_error(labels: np.ndarray, forecast: np.ndarray) -> float:
    """Reliability term of the Brier score: 0 if the event is as frequent as its probability says.

    The mean squared difference between probability and frequency over ``BINS`` equal classes.
    """
    table = reliability(labels, forecast)
    return float((table.clips * (table.forecast - table.observed) ** 2).sum() / table.clips.sum())


SCORES_OF_CLIPS: dict[str, Score] = {
    "auc": auc,
    "average_precision": average_precision,
    "brier": brier,
    "reliability": reliability_error,
}


def reliability(labels: np.ndarray, forecast: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """How often the event happens where it is forecast with some probability.

    Parameters
    ----------
    labels : array (clip,)
        1 or 0.
    forecast : array (clip,)
        Probabilities.
    bins : int
        Equal classes of probability.

    Returns
    -------
    pandas.DataFrame
        One row for each class that has clips: ``clips``, their mean ``forecast``, and ``observed``,
        the share with the label 1.
    """
    labels, forecast = _checked(labels, forecast)
    if forecast.min() < 0 or forecast.max() > 1:
        raise NowcastError("these are no probabilities: reliability needs numbers within 0…1")
    number = np.minimum((forecast * bins).astype(int), bins - 1)
    table = pd.DataFrame({"number": number, "forecast": forecast, "observed": labels})
    groups = table.groupby("number")
    return groups.mean().assign(clips=groups.size()).reset_index(drop=True)


def confusion(labels: np.ndarray, forecast: np.ndarray, threshold: float) -> dict[str, int]:
    """Hits, misses, false alarms and correct negatives of warnings at a threshold.

    A warning is issued where the forecast is at least ``threshold``.
    """
    labels, forecast = _checked(labels, forecast)
    warned = forecast >= threshold
    table = metrics.confusion_matrix(labels == 1, warned, labels=[False, True])
    (correct_negatives, false_alarms), (misses, hits) = table.tolist()
    return {
        "hits": hits,
        "misses": misses,
        "false_alarms": false_alarms,
        "correct_negatives": correct_negatives,
    }


def roc_of_clips(labels: np.ndarray, forecast: np.ndarray) -> pd.DataFrame:
    """Hit rate against false alarm rate, for each threshold at which one could warn.

    Returns
    -------
    pandas.DataFrame
        ``threshold``, descending, ``pofd`` (share of the clips without the event that get a
        warning) and ``pod`` (share of those with it).

    Raises
    ------
    NowcastError
        If all labels are the same.
    """
    labels, forecast = _checked(labels, forecast)
    if len(np.unique(labels)) < 2:
        raise NowcastError(f"all {len(labels)} labels are {labels[0]:g}: there is no ROC curve")
    pofd, pod, threshold = metrics.roc_curve(labels, forecast)
    return pd.DataFrame({"threshold": threshold, "pofd": pofd, "pod": pod})


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: events are drawn with replacement."""

    level: float = 0.9  # probability that the interval covers
    draws: int = 300
    seed: int = 0


def event_interval(
    score: Score,
    labels: np.ndarray,
    forecast: np.ndarray,
    events: np.ndarray,
    bootstrap: Bootstrap = Bootstrap(),
) -> tuple[float, float]:
    """Bootstrap interval of a score, over events.

    Parameters
    ----------
    score : Callable
        Labels and forecast → a number, such as ``auc``.
    labels, forecast, events : array (clip,)
        ``events`` says to which event each clip belongs.
    bootstrap : Bootstrap

    Returns
    -------
    low, high : float
        NaN for a single event, or if the score is undefined for more than one draw of ten: too few
        events have the label 1. Other undefined draws are left out.
    """
    labels, forecast = _checked(labels, forecast)
    rows = list(pd.Series(np.arange(len(labels))).groupby(np.asarray(events)).indices.values())
    if len(rows) < 2:
        return float("nan"), float("nan")

    rng = np.random.default_rng(bootstrap.seed)
    scores = []
    for drawn in rng.integers(len(rows), size=(bootstrap.draws, len(rows))):
        chosen = np.concatenate([rows[k] for k in drawn])
        scores.append(score(labels[chosen], forecast[chosen]))
    if np.isnan(scores).mean() > 0.1:
        return float("nan"), float("nan")
    tail = (1 - bootstrap.level) / 2
    low, high = np.nanquantile(scores, [tail, 1 - tail])
    return float(low), float(high)


def classification_table(
    forecasts: Mapping[str, np.ndarray],
    labels: np.ndarray,
    events: np.ndarray,
    bootstrap: Bootstrap = Bootstrap(),
) -> pd.DataFrame:
    """Table of the scores of several forecasters on the same clips.

    Parameters
    ----------
    forecasts : mapping of str to array (clip,)
        Probabilities by the name of the forecaster.
    labels, events : array (clip,)
        Labels, and to which event each clip belongs.
    bootstrap : Bootstrap
        How the intervals are drawn.

    Returns
    -------
    pandas.DataFrame
        One row for each forecaster: number of ``clips`` and ``events``, ``base_rate``, the scores
        of ``SCORES_OF_CLIPS``, and the interval ``auc_low`` … ``auc_high``.

    Raises
    ------
    NowcastError
        If a forecast has another length than the labels, or a number is not finite.
    """
    rows = {}
    for name, forecast in forecasts.items():
        checked, values = _checked(labels, forecast, name)
        low, high = event_interval(auc, checked, values, events, bootstrap)
        rows[name] = {
            "clips": len(checked),
            "events": len(np.unique(events)),
            "base_rate": float(checked.mean()),
            **{score: of(checked, values) for score, of in SCORES_OF_CLIPS.items()},
            "auc_low": low,
            "auc_high": high,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("forecaster")


def _if_both(score: Callable, labels: np.ndarray, forecast: np.ndarray) -> float:
    """A score that is defined if there are clips of both labels; else NaN."""
    labels, forecast = _checked(labels, forecast)
    return float(score(labels, forecast)) if len(np.unique(labels)) == 2 else float("nan")


def _checked(
    labels: np.ndarray, forecast: np.ndarray, name: str = "the forecast"
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and forecast as arrays. Raises NowcastError if they cannot be compared."""
    labels, forecast = np.asarray(labels, "f8"), np.asarray(forecast, "f8")
    if labels.ndim != 1 or labels.shape != forecast.shape:
        raise NowcastError(
            f"{name} has the shape {forecast.shape}, and the labels {labels.shape}: give one "
            "number for each clip"
        )
    for what, values in (("labels", labels), (name, forecast)):
        if unknown := int((~np.isfinite(values)).sum()):
            raise NowcastError(f"{unknown} of {len(values)} numbers of {what} are not finite")
    if not set(np.unique(labels)) <= {0.0, 1.0}:
        raise NowcastError("labels are 0 (no) or 1 (yes)")
    return labels, forecast
