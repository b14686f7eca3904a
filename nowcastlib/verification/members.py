"""Sums for the scores of an ensemble: CRPS, Brier score, reliability, ROC, ranks."""

from collections.abc import Sequence

import numpy as np

from nowcastlib.units import exceeds
from nowcastlib.verification.cases import Case, Sums

PROBABILITIES = np.linspace(0, 1, 11)  # bins of ten members, and of a single forecast


def member_sums(case: Case, thresholds: Sequence[float], rng: np.random.Generator) -> Sums:
    """CRPS, Brier score, reliability and ranks of the members."""
    members, truth = case.members, case.truth
    n_bins = len(probabilities(len(members)))
    brier, forecasts, events = [], [], []
    for threshold in thresholds:
        event = exceeds(truth, threshold)
        probability = exceeds(members, threshold).mean(0)
        brier.append(((probability - event) ** 2).sum((1, 2)))
        nearest = np.rint(probability * (n_bins - 1)).astype(int)  # bin: (lead, y, x)
        forecasts.append(_histograms(nearest, case.is_observed, n_bins))
        events.append(_histograms(nearest, event, n_bins))

    rainy = (truth > 0) | (members > 0).any(0)  # rates up to DRY are 0
    ties = (members == truth).sum(0)
    rank = (members < truth).sum(0) + rng.integers(0, ties + 1)
    by_probability = ("threshold", "probability")
    return {
        "crps_sum": ((), _crps(members, truth).sum((1, 2))),
        "brier_sum": (("threshold",), np.stack(brier, 1)),
        "probability_forecasts": (by_probability, np.stack(forecasts, 1).astype("f8")),
        "probability_events": (by_probability, np.stack(events, 1).astype("f8")),
        "ranks": (("rank",), _histograms(rank, rainy, len(members) + 1).astype("f8")),
    }


def probabilities(members: int) -> np.ndarray:
    """The probabilities that an ensemble can forecast; a single forecast has those of ten."""
    return np.linspace(0, 1, members + 1) if members > 1 else PROBABILITIES


def _crps(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS (lead, y, x): mean distance to the members, less half the mean distance between them."""
    m = len(members)
    weights = 2 * np.arange(1, m + 1) - m - 1
    spread = np.tensordot(weights, np.sort(members, axis=0), 1) / m**2
    return np.abs(members - truth).mean(0) - spread


def _histograms(values: np.ndarray, where: np.ndarray, bins: int) -> np.ndarray:
    """How often each whole number below ``bins`` occurs where the mask is true: (lead, bin)."""
    return np.stack([np.bincount(v[w], minlength=bins) for v, w in zip(values, where, strict=True)])
