"""Forecasts compared with what came true: all sums of which scores are made, by case and lead time.

A forecast that knows nothing of a pixel (NaN: the rain would have come over the edge) counts as dry there, for all
forecasters alike; a pixel without an observation counts for nothing. Rain is what exceeds a threshold (``>``).
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from skimage.metrics import structural_similarity

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.errors import NowcastError
from nowcastlib.units import DRY, RainScale

from pysteps.utils.spectral import rapsd  # isort: skip

COUNTS = ("hits", "misses", "false_alarms", "correct_negatives")
SCALES = (2, 4, 8, 16, 32, 64)  # px: sides of the windows of the fractions skill score
PROBABILITIES = np.linspace(0, 1, 11)  # forecast probabilities are rounded to these


def count(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    thresholds: Sequence[float],
    scales: Sequence[int] = SCALES,
    pixel: float = 1.0,
) -> xr.Dataset:
    """All sums that the scores need, of pairs (forecast, observation), both (lead, y, x) in mm/h, by case and lead.

    The forecast of an ensemble is (member, lead, y, x); ``pixel`` is a pixel's size in km. On ``threshold`` (mm/h)
    depend the contingency table; ``fraction_errors`` and ``fraction_squares``, on ``scale`` (px), too; and ``foretold``
    and ``happened``: of each ``probability``, how often it was forecast, and how often it rained then. Power (pysteps'
    RAPSD of mm/h) depends on ``wavelength`` (km); ``member_power`` is that of the first member. ``ranks`` counts, where
    it rains or a member says so, how many members are drier than the observation, ties by lot. ``similarity`` is the
    SSIM (of Wang et al. 2004, windows of 11 px) of the fields in the model units of ``RainScale``. For the last three,
    unknown is dry.

    Raises NowcastError if a pair's shapes differ, or those of two pairs, or if there is none at all.
    """
    cases, shapes, lot = [], set(), np.random.default_rng(0)
    with ThreadPoolExecutor() as pool:
        for predicted, observed in pairs:
            if predicted.shape[-3:] != observed.shape:
                raise NowcastError(
                    f"forecast {predicted.shape} and observation {observed.shape} differ in shape"
                )
            shapes.add(predicted.shape)
            if len(shapes) > 1:
                raise NowcastError(f"the forecasts differ in shape: {sorted(shapes)}")
            known = np.isfinite(observed)
            truth = np.where(known, observed, 0.0).astype("f8")
            members, mean = _members(predicted, known)
            parts = [
                pool.submit(
                    _fractions, mean, truth, known, thresholds, scales
                ),  # takes the longest
                pool.submit(_looks, members, mean, truth, known),
                pool.submit(_continuous, mean, truth, known),
                pool.submit(_categorical, mean, truth, known, thresholds),
                pool.submit(_ensemble, members, truth, known, thresholds, lot),
            ]
            cases.append({name: of_it for part in parts for name, of_it in part.result().items()})
    if not cases:
        raise NowcastError("there is no case to verify")
    frequency = np.fft.rfftfreq(max(observed.shape[1:]), pixel)[
        1 : 1 + cases[0]["observed_power"][1].shape[1]
    ]
    coordinates = {
        "threshold": list(thresholds),
        "scale": list(scales),
        "wavelength": 1 / frequency,
    }
    coordinates |= {"probability": PROBABILITIES, "rank": np.arange(len(members) + 1)}
    stacked = {
        name: (("case", "lead", *dims), np.stack([case[name][1] for case in cases]))
        for name, (dims, _) in cases[0].items()
    }
    return xr.Dataset(stacked, coordinates)


def _members(predicted, known) -> tuple[np.ndarray, np.ndarray]:
    """The members (member, lead, y, x) and their mean; what one does not know the others tell; if none does: dry."""
    members = (predicted[None] if predicted.ndim == 3 else predicted).astype("f8")
    sure = np.isfinite(members)
    mean = np.where(known, np.where(sure, members, 0.0).sum(0) / np.maximum(sure.sum(0), 1), 0.0)
    return np.where(known & sure, members, mean), mean


def _continuous(mean, truth, known) -> dict:
    """Sums over the observed pixels; elsewhere all fields are 0."""
    fields = {"pixels": known, "forecast": mean, "observed": truth, "products": mean * truth}
    fields |= {
        "forecast_squares": mean**2,
        "observed_squares": truth**2,
        "squares": (mean - truth) ** 2,
        "errors": np.abs(mean - truth),
    }
    return {name: ((), field.sum((1, 2), dtype="f8")) for name, field in fields.items()}


def _events(fields, known, thresholds) -> list[np.ndarray]:
    """Where each field (lead, y, x) exceeds each threshold and is observed: (lead, threshold, y, x)."""
    return [np.stack([field > t for t in thresholds], 1) & known[:, None] for field in fields]


def _categorical(mean, truth, known, thresholds) -> dict:
    """The contingency table (Wilks 2011, section 8.2)."""
    over, event = _events((mean, truth), known, thresholds)
    hits, forecasts, events = (
        field.sum((2, 3), dtype="f8") for field in (over & event, over, event)
    )
    pixels = known.sum((1, 2))[:, None]
    table = hits, events - hits, forecasts - hits, pixels - forecasts - events + hits
    return {name: (("threshold",), of_it) for name, of_it in zip(COUNTS, table, strict=True)}


def _fractions(mean, truth, known, thresholds, scales) -> dict:
    """What the fractions skill score is made of: shares of rain in windows, compared; outside the domain is dry."""
    events, errors, squares = _events((mean, truth), known, thresholds), [], []
    for n in scales:
        f, o = (_around(field, n) for field in events)
        e, *own = (np.einsum("tkyx,tkyx->tk", wet, wet, dtype="f8") / n**4 for wet in (f - o, f, o))
        errors.append(e)
        squares.append(sum(own))
    dims = ("threshold", "scale")
    return {
        "fraction_errors": (dims, np.stack(errors, -1)),
        "fraction_squares": (dims, np.stack(squares, -1)),
    }


def _around(events: np.ndarray, n: int) -> np.ndarray:
    """How many events there are in the ``n`` × ``n`` px around each pixel: differences of running sums, exact."""
    sums = np.pad(events, [(0, 0), (0, 0)] + 2 * [(1 + n // 2, (n - 1) // 2)])
    sums = sums.cumsum(2, dtype="i4").cumsum(3, dtype="i4")
    return sums[..., n:, n:] - sums[..., :-n, n:] - sums[..., n:, :-n] + sums[..., :-n, :-n]


def _looks(members, mean, truth, known) -> dict:
    """Structural similarity and power spectra of the frames; no similarity of one that was not observed at all."""
    seen = known.any((1, 2)) & (min(truth.shape[1:]) > 10)
    similar = np.zeros(len(seen))
    for lead in np.flatnonzero(seen):
        frames = (RainScale().to_model(field[lead]) for field in (mean, truth))
        similar[lead] = structural_similarity(
            *frames, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    sums = {"frames": ((), seen.astype("f8")), "similarity": ((), similar)}
    for name, field in {"forecast": mean, "observed": truth, "member": members[0]}.items():
        if name == "member" and len(members) == 1:
            sums["member_power"] = sums["forecast_power"]
            continue
        power = [
            rapsd(frame, fft_method=np.fft)[1:] for frame in field
        ]  # without the mean of the field
        sums[f"{name}_power"] = ("wavelength",), np.stack(power)
    return sums


def _ensemble(members, truth, known, thresholds, lot) -> dict:
    """CRPS as mean distance to the members less half their own (Gneiting and Raftery 2007), probabilities, ranks."""
    m, ordered = len(members), np.sort(members, axis=0)
    spread = np.tensordot(2 * np.arange(1, m + 1) - m - 1, ordered, 1) / m**2
    crps = np.abs(members - truth).mean(0) - spread  # 0 where not observed
    brier, foretold, happened = [], [], []
    for t in thresholds:
        event, probability = truth > t, (members > t).mean(0)
        brier.append(((probability - event) ** 2).sum((1, 2)))
        bins = np.rint(probability * (len(PROBABILITIES) - 1)).astype(int)
        for counted, where in ((foretold, known), (happened, event)):
            counted.append(
                [
                    np.bincount(b[w], minlength=len(PROBABILITIES))
                    for b, w in zip(bins, where, strict=True)
                ]
            )
    rainy = known & ((truth > DRY) | (members > DRY).any(0))
    rank = (members < truth).sum(0) + lot.integers(0, (members == truth).sum(0) + 1)
    ranks = np.stack([np.bincount(r[w], minlength=m + 1) for r, w in zip(rank, rainy, strict=True)])
    by_probability = ("threshold", "probability")
    return {
        "crps_sum": ((), crps.sum((1, 2))),
        "brier_sum": (("threshold",), np.stack(brier, 1)),
        "foretold": (by_probability, np.stack(foretold, 1).astype("f8")),
        "happened": (by_probability, np.stack(happened, 1).astype("f8")),
        "ranks": (("rank",), ranks.astype("f8")),
    }
