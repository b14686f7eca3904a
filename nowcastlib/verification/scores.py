"""Scores by lead time, threshold and event, computed from the sums of ``count``.

The code that asks for a score decides the order of adding, dividing and averaging:

- ``score(counts.sum("case"), "csi")`` is the pooled score: the hits of all cases are added before
  the division;
- ``score(counts, "csi").mean("case")`` is the average of the scores of the cases; cases without
  an event are left out;
- ``counts.groupby("event").sum()`` pools by event.

The mean of an ensemble is scored like any other forecast. The members themselves
are scored by CRPS, Brier score, reliability, ROC and ranks. A single forecast is an ensemble of
one. Scores that are undefined (no event) are NaN.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError
from nowcastlib.verification.formulas import SCORES

COUNTS = ("hits", "misses", "false_alarms", "correct_negatives")  # the contingency table

# columns of ``table``: the scores that are one number for each lead and threshold
TABLE_SCORES = (
    "csi", "pod", "far", "hss", "bias", "brier", "mse", "mae", "mean_error", "correlation", "ssim",
    "crps",
)  # fmt: skip


def score(counts: xr.Dataset, name: str) -> xr.DataArray:
    """A score by its name.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``count``, of single cases or summed over cases.
    name : str
        One of ``SCORES``; ``nowcastlib.verification.formulas`` explains each.

    Returns
    -------
    xr.DataArray
        The score with the dimensions of the sums; NaN where it is undefined.

    Raises
    ------
    NowcastError
        If there is no score of that name.
    """
    if name not in SCORES:
        raise NowcastError(f"unknown score {name!r}: choose one of {', '.join(SCORES)}")
    values = SCORES[name](counts)
    return values.where(np.isfinite(values)).rename(name)


def mean_csi(counts: xr.Dataset) -> xr.DataArray:
    """Critical success index, averaged over the lead times after 0: the number that papers rank by.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``evaluate``, with the dimension ``lead_time``.

    Returns
    -------
    xr.DataArray
        Mean CSI; NaN if the CSI is undefined at one of the lead times.
    """
    forecasts = counts.sel(lead_time=counts.lead_time > 0)  # lead time 0 is the observation
    return score(forecasts, "csi").mean("lead_time", skipna=False).rename("mean_csi")


def interval(
    counts: xr.Dataset,
    statistic: Callable[[xr.Dataset], xr.DataArray] = mean_csi,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> xr.DataArray:
    """Bootstrap interval of a pooled score: the cases are resampled with replacement.

    The interval shows how much the score depends on these cases. It does not show how much it
    depends on this kind of weather: consecutive cases are correlated, so the interval is rather
    too narrow.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``evaluate``, with the dimension ``case``.
    statistic : Callable[[xr.Dataset], xr.DataArray]
        Computes the score from sums over cases.
    level : float
        Probability that the interval covers, 0 to 1.
    draws : int
        Number of resamples.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    xr.DataArray
        The interval along the dimension ``bound`` ("low", "high"). NaN for a single case, and if
        the score is undefined for one of the resamples.

    References
    ----------
    Efron, B., and R. J. Tibshirani (1993): An Introduction to the Bootstrap. Chapman & Hall.
    """
    n = counts.sizes["case"]
    rng = np.random.default_rng(seed)
    repeats = rng.multinomial(n, np.full(n, 1 / n), size=draws)  # how often each case is drawn
    weights = xr.DataArray(repeats.astype("f8"), dims=("draw", "case"))
    resampled = counts.map(lambda sums: xr.dot(sums, weights, dim="case"))

    tail = (1 - level) / 2
    scores = statistic(resampled)
    bounds = scores.quantile([tail, 1 - tail], "draw", skipna=False).rename(quantile="bound")
    return bounds.assign_coords(bound=["low", "high"]).where(n > 1)


def roc(counts: xr.Dataset) -> xr.Dataset:
    """Relative operating characteristic: hits and false alarms of more and more warnings.

    A warning is issued where the forecast probability of rain is at least ``probability``.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``count``.

    Returns
    -------
    xr.Dataset
        ``pod``, the share of the rain with a warning; ``pofd``, the share of the dry pixels with a
        warning; ``area`` under the curve of both: 0.5 without skill, 1 for a perfect forecast.

    References
    ----------
    Mason, I. (1982): A model for assessment of weather forecasts. Aust. Meteor. Mag. 30,
    291-303.
    """
    # from the highest probability down: warnings become more frequent
    descending = counts[["probability_forecasts", "probability_events"]].isel(
        probability=slice(None, None, -1)
    )
    warnings = descending.cumsum("probability")
    hits = warnings.probability_events
    false_alarms = warnings.probability_forecasts - hits

    pod = hits / hits.isel(probability=-1)
    pofd = false_alarms / false_alarms.isel(probability=-1)
    area = _area_under(pofd, pod)
    return xr.Dataset({"pod": pod, "pofd": pofd, "area": area}).sortby("probability")


def _area_under(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    """Area under the curve from (0, 0) through the points along ``probability``, by trapezoids."""
    x, y = (values.pad(probability=(1, 0), constant_values=0) for values in (x, y))
    heights = (y + y.shift(probability=1)) / 2
    return (heights * x.diff("probability")).sum("probability", skipna=False)


def effective_resolution(counts: xr.Dataset) -> xr.DataArray:
    """Wavelength below which the forecast is blurred: its power is less than half of the observed.

    The two longest wavelengths are left out, since few waves contribute to them.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``count``.

    Returns
    -------
    xr.DataArray
        Wavelength in km; the shortest of the grid if the forecast is not blurred, NaN if the grid
        has no more than two wavelengths.
    """
    ratio = score(counts, "spectrum").isel(wavelength=slice(2, None))
    if not ratio.sizes["wavelength"]:
        return ratio.sum("wavelength", min_count=1)

    blurred = ratio < 0.5
    longest_blurred = blurred.wavelength.isel(wavelength=blurred.argmax("wavelength"))
    resolution = xr.where(blurred.any("wavelength"), longest_blurred, ratio.wavelength[-1])
    return resolution.where(ratio.notnull().any("wavelength"))


def table(counts: xr.Dataset, level: float = 0.9) -> pd.DataFrame:
    """Table of the pooled scores, with their counts: one row for each lead time and threshold.

    Parameters
    ----------
    counts : xr.Dataset
        Sums of ``evaluate``, with the dimensions forecaster, case, lead_time and threshold.
    level : float
        Probability that the bootstrap interval of the CSI covers, 0 to 1.

    Returns
    -------
    pd.DataFrame
        Number of cases, contingency table and scores. ``csi_low`` and ``csi_high`` are the
        bootstrap interval of ``csi``. ``csi_averaged`` is the average of the CSI of the single
        cases, and ``csi_defined`` the number of cases that have one.
    """
    pooled = counts.sum("case")
    columns = {name: pooled[name].astype(int) for name in COUNTS}
    columns |= {name: score(pooled, name) for name in TABLE_SCORES}

    bounds = interval(counts[[*COUNTS]], lambda sums: score(sums, "csi"), level)
    columns |= {f"csi_{bound}": bounds.sel(bound=bound, drop=True) for bound in ("low", "high")}
    csi_of_case = score(counts, "csi")
    columns["csi_averaged"] = csi_of_case.mean("case")
    columns["csi_defined"] = csi_of_case.notnull().sum("case")

    order = ["forecaster", "threshold", "lead_time"]
    rows = xr.Dataset(columns).to_dataframe(dim_order=order).reset_index()
    rows.insert(3, "cases", counts.attrs.get("cases", counts.sizes["case"]))

    # xarray sorts the forecasters by name; put them back into their own order
    position = {name: k for k, name in enumerate(counts.forecaster.values)}
    return rows.sort_values(
        "forecaster", key=lambda names: names.map(position), kind="stable", ignore_index=True
    )
