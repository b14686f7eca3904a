"""How good forecasts were: scores by lead time, threshold and event, each made of sums that were counted by case.

So the order in which one adds, divides and averages stands in the code that asks, not hidden in a score:

- ``score(counts.sum("case"), "csi")``: pooled, the hits of all cases are added up before anything is divided;
- ``score(counts, "csi").mean("case")``: averaged, each case is divided by itself, and cases without an event are left
  out; ``counts.groupby("event").sum()`` pools by event.

Of an ensemble the mean of its members is scored as any forecast, and the members by ``crps``, ``brier``,
``reliability``, ``roc`` and ranks; a forecast without members is an ensemble of one. What is undefined (no event) is
NaN, and stays so.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data import centre, pixel_km, time_step
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import Forecaster, forecast
from nowcastlib.verification.counts import COUNTS, SCALES, count


def _spread(squares: xr.DataArray, total: xr.DataArray, pixels: xr.DataArray) -> xr.DataArray:
    """Sum of squared distances from the mean; of a constant field NaN, not what rounding makes of 0."""
    spread = squares - total**2 / pixels
    return spread.where(spread > 1e-12 * squares)


# Sums → scores. For the sums see ``counting.count``.
SCORES: dict[str, Callable[[xr.Dataset], xr.DataArray]] = {
    "csi": lambda c: c.hits / (c.hits + c.misses + c.false_alarms),  # critical success index, threat score
    "pod": lambda c: c.hits / (c.hits + c.misses),  # probability of detection: share of the rain that was forecast
    "far": lambda c: c.false_alarms / (c.hits + c.false_alarms),  # false alarm ratio: share that did not come
    "hss": lambda c: 2 * (c.hits * c.correct_negatives - c.misses * c.false_alarms) / (  # Heidke skill score
        (c.hits + c.misses) * (c.misses + c.correct_negatives)
        + (c.hits + c.false_alarms) * (c.false_alarms + c.correct_negatives)),
    "bias": lambda c: (c.hits + c.false_alarms) / (c.hits + c.misses),  # frequency bias: above 1, too often
    "mse": lambda c: c.squares / c.pixels,  # (mm/h)²: the Rainfall-MSE of Shi et al. 2015
    "mae": lambda c: c.errors / c.pixels,  # mm/h
    "mean_error": lambda c: (c.forecast - c.observed) / c.pixels,  # mm/h; above 0: too much rain
    "correlation": lambda c: (c.products - c.forecast * c.observed / c.pixels) / (  # Pearson's, over pixels
        _spread(c.forecast_squares, c.forecast, c.pixels) * _spread(c.observed_squares, c.observed, c.pixels)) ** 0.5,
    "ssim": lambda c: c.similarity / c.frames,  # of Wang et al. 2004, of rain in model units (see ``count``)
    "fss": lambda c: 1 - c.fraction_errors / c.fraction_squares,  # fractions skill score (Roberts and Lean 2008)
    "spectrum": lambda c: c.forecast_power / c.observed_power,  # power at a wavelength, of what it should be
    "member_spectrum": lambda c: c.member_power / c.observed_power,  # the same of a member, not of the members' mean
    "crps": lambda c: c.crps_sum / c.pixels,  # mm/h; of a forecast without members: the mean absolute error
    "brier": lambda c: c.brier_sum / c.pixels,
    "reliability": lambda c: c.happened / c.foretold,  # how often it rained where a probability was forecast
}  # fmt: skip


def score(counts: xr.Dataset, name: str) -> xr.DataArray:
    """A score by its name in ``SCORES``, of summed counts as of single ones; undefined (no event) is NaN."""
    if name not in SCORES:
        raise NowcastError(f"unknown score {name!r}: choose one of {', '.join(SCORES)}")
    found = SCORES[name](counts)
    return found.where(np.isfinite(found)).rename(name)


def mean_csi(counts: xr.Dataset) -> xr.DataArray:
    """CSI of summed counts, averaged over the leads after the first, undefined if it is at one: what papers rank by."""
    later = counts.sel(lead_time=counts.lead_time > 0)
    return score(later, "csi").mean("lead_time", skipna=False).rename("mean_csi")


def interval(
    counts: xr.Dataset,
    of: Callable[[xr.Dataset], xr.DataArray] = mean_csi,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
) -> xr.DataArray:
    """Bootstrap interval of a pooled score: the cases are drawn again, with replacement; dim ``bound`` (low, high).

    ``of`` makes scores of summed counts. The interval tells how much the score owes to these very cases, not to this
    kind of weather: cases that follow each other are alike, and it is rather too narrow. NaN of a single case, and
    where a draw leaves the score undefined.
    """
    n = counts.sizes["case"]
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    times = xr.DataArray(times.astype("f8"), dims=("draw", "case"))
    again = counts.map(lambda sums: xr.dot(sums, times, dim="case"))
    tail = (1 - level) / 2
    bounds = of(again).quantile([tail, 1 - tail], "draw", skipna=False).rename(quantile="bound")
    return bounds.assign_coords(bound=["low", "high"]).where(n > 1)


def roc(counts: xr.Dataset) -> xr.Dataset:
    """Relative operating characteristic of summed counts: ``pod`` and ``pofd`` of an alarm from a ``probability`` on.

    POFD is the share of dry pixels with an alarm; ``area`` under the curve: 0.5 knows nothing, 1 everything.
    """
    above = (
        counts[["foretold", "happened"]]
        .isel(probability=slice(None, None, -1))
        .cumsum("probability")
    )
    alarms, hits = above.foretold - above.happened, above.happened
    pod, pofd = hits / hits.isel(probability=-1), alarms / alarms.isel(probability=-1)
    first = {"probability": (1, 0)}
    y, x = (part.pad(first, constant_values=0) for part in (pod, pofd))
    area = ((y + y.shift(probability=1)) / 2 * x.diff("probability")).sum(
        "probability", skipna=False
    )
    return xr.Dataset({"pod": pod, "pofd": pofd, "area": area}).sortby("probability")


def effective_resolution(counts: xr.Dataset) -> xr.DataArray:
    """The wavelength (km) at which the spectrum of summed counts falls below half of the observed: shorter is blur.

    The shortest wavelength of the grid where it never does. The longest two, which few waves make up, are passed over;
    NaN of a grid that has no more.
    """
    ratio = score(counts, "spectrum").isel(wavelength=slice(2, None))
    if not ratio.sizes["wavelength"]:
        return ratio.sum("wavelength", min_count=1)
    weak = ratio < 0.5
    found = weak.wavelength.isel(wavelength=weak.argmax("wavelength"))
    return xr.where(weak.any("wavelength"), found, ratio.wavelength[-1]).where(
        ratio.notnull().any("wavelength")
    )


def issue_times(frames: xr.DataArray, n_in: int, leads: int, every: int = 1) -> pd.DatetimeIndex:
    """Times at which a forecast of ``leads`` steps can be made from ``n_in`` frames and verified.

    Every ``every``-th of them. Raises NowcastError if there is none.
    """
    times, possible = frames.indexes["time"], []
    if len(times) > 1:
        step = pd.Timedelta(minutes=time_step(frames))
        possible = [
            t for t in times if all(t + k * step in times for k in range(1 - n_in, leads + 1))
        ]
    if not possible:
        raise NowcastError(
            f"{len(times)} frames hold no {n_in} + {leads} in a row: ask for fewer leads, or give more data"
        )
    return pd.DatetimeIndex(possible[::every])


def observed_at(predicted: xr.DataArray, frames: xr.DataArray) -> np.ndarray:
    """What was observed, (lead, y, x) in mm/h, at the valid times of a forecast, on its grid.

    Raises NowcastError if the frames (time, y, x) lie on another grid or have no frame at one of the times.
    """
    for axis in ("y", "x"):
        if predicted.sizes[axis] != frames.sizes[axis] or not np.allclose(
            predicted[axis], frames[axis]
        ):
            raise NowcastError(
                f"forecast and observation are on different grids: their {axis} differ"
            )
    missing = [t for t in predicted.valid_time.values if t not in frames.indexes["time"]]
    if missing:
        raise NowcastError(
            f"nothing was observed at {pd.Timestamp(missing[0])}, for which there is a forecast"
        )
    return frames.sel(time=predicted.valid_time.values).values


def evaluate(
    frames: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    leads: int = 12,
    thresholds: Sequence[float] = (0.5, 2.0, 5.0),
    size: int = 256,
    margin: int = 0,
    every: int = 1,
    common: bool = False,
    pool: int = 1,
    scales: Sequence[int] = SCALES,
    progress: bool = True,
) -> xr.Dataset:
    """What ``count`` counts, for each forecaster on the same frames (time, y, x): dims forecaster, case, lead_time, ….

    ``lead_time`` is in minutes; lead time 0 is the last observation itself, whose CSI of 1 shows that the clocks of
    forecast and observation agree. Each case has its ``issued`` time and its ``event`` (that of its first frame; a new
    one after an hour without frames). Forecasts are made from the central ``size`` px alone (0: the whole grid) and
    scored ``margin`` px inside of that, from every ``every``-th possible time, the same for all; with ``common`` only
    where every forecaster knows something, so that nobody loses or wins by what comes over the edge. With ``pool`` not
    pixels are compared but the largest rates in squares of ``pool`` px, as for SEVIR: a near miss is a hit.

    Raises NowcastError if no case is complete, or if there is no rain above the lowest threshold.
    """
    if min(every - 1, size, margin, *thresholds) < 0:
        raise NowcastError(
            "every is at least 1, and neither size nor margin nor a threshold is below 0"
        )
    frames = centre(frames, size) if size else frames
    n_in = max(getattr(run, "n_in", 3) for run in forecasters.values())
    times, step = issue_times(frames, n_in, leads, every), time_step(frames)
    wanted = frames.sel(time=slice(times[0], times[-1] + pd.Timedelta(minutes=step * leads)))
    if 2 * margin >= min(frames.shape[1:]):
        raise NowcastError(
            f"a margin of {margin} px leaves nothing of {frames.shape[1:]}: lower it"
        )
    if not any(
        (wanted.isel(time=t).values > min(thresholds)).any() for t in range(wanted.sizes["time"])
    ):
        raise NowcastError(
            f"no rain above {min(thresholds)} mm/h in these frames: there is nothing to score"
        )

    inner = (..., slice(margin, -margin or None), slice(margin, -margin or None))
    found, pixel = {name: [] for name in forecasters}, pixel_km(frames)
    with tqdm(total=len(times) * len(forecasters), unit="forecast", disable=not progress) as bar:
        for at in times:
            now, made = frames.sel(time=at).values, {}
            for name, run in forecasters.items():
                bar.set_description(name, refresh=False)
                predicted = forecast(run, frames, at, leads)
                first = np.broadcast_to(now, (*predicted.shape[:-3], 1, *now.shape))
                made[name] = _largest(
                    np.concatenate([first, predicted.values], axis=-3)[inner], pool
                )
                bar.update()
            truth = _largest(
                np.concatenate([now[None], observed_at(predicted, frames)])[inner], pool
            )
            if common:
                unknown = [
                    np.isnan(rate).reshape(-1, *truth.shape).all(0) for rate in made.values()
                ]
                truth = np.where(np.any(unknown, axis=0), np.nan, truth)
            for name, rate in made.items():
                found[name].append(count([(rate, truth)], thresholds, scales, pool * pixel))
    cases = [xr.concat(parts, "case", join="outer") for parts in found.values()]
    index = frames.indexes["time"]
    begins = index[np.r_[True, np.diff(index) > np.timedelta64(60, "m")]]
    counts = xr.concat(
        cases, xr.DataArray(list(forecasters), dims="forecaster", name="forecaster"), join="outer"
    )
    counts = counts.rename(lead="lead_time").assign_coords(
        lead_time=("lead_time", step * np.arange(leads + 1), {"units": "minutes"}),
        issued=("case", times),
        event=("case", begins[begins.searchsorted(times, "right") - 1]),
    )
    return counts.transpose("forecaster", "case", "lead_time", ...)


def _largest(rate: np.ndarray, pool: int) -> np.ndarray:
    """The largest known rates in squares of ``pool`` px; what is left over at the lower and right edge is left out."""
    height, width = (n // pool * pool for n in rate.shape[-2:])
    blocks = rate[..., :height, :width].reshape(
        *rate.shape[:-2], height // pool, pool, width // pool, pool
    )
    return np.fmax.reduce(np.fmax.reduce(blocks, axis=-1), axis=-2)


def table(counts: xr.Dataset, level: float = 0.9) -> pd.DataFrame:
    """The scores that one number a lead and threshold can tell, pooled over the cases: a row each, with the counts.

    ``csi_low`` and ``csi_high`` are its bootstrap interval; ``csi_averaged`` is the average of the cases' own CSI,
    where ``csi_defined`` of them have one.
    """
    pooled, of_case = counts.sum("case"), score(counts, "csi")
    columns = {name: pooled[name].astype(int) for name in COUNTS}
    names = (
        "csi",
        "pod",
        "far",
        "hss",
        "bias",
        "brier",
        "mse",
        "mae",
        "mean_error",
        "correlation",
        "ssim",
        "crps",
    )
    columns |= {name: score(pooled, name) for name in names}
    bounds = interval(counts[[*COUNTS]], lambda c: score(c, "csi"), level)
    columns |= {f"csi_{bound}": bounds.sel(bound=bound, drop=True) for bound in ("low", "high")}
    columns |= {"csi_averaged": of_case.mean("case"), "csi_defined": of_case.notnull().sum("case")}
    found = (
        xr.Dataset(columns)
        .to_dataframe(dim_order=["forecaster", "threshold", "lead_time"])
        .reset_index()
    )
    found.insert(3, "cases", counts.sizes["case"])
    order = {name: k for k, name in enumerate(counts.forecaster.values)}
    return found.sort_values(
        "forecaster", key=lambda column: column.map(order), kind="stable", ignore_index=True
    )
