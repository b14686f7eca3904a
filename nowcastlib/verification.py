"""How good a forecast was: categorical and continuous scores by lead time and threshold, with their counts.

Scores are pooled: hits, misses and false alarms of all cases are added up before anything is divided. A forecast
that knows nothing of a pixel (NaN: the rain would have come over the edge) counts as dry there, for all forecasters
alike; pixels without an observation count for nothing. Rain is what exceeds the threshold (``>``, as in pysteps).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from . import NowcastError, _pysteps  # noqa: F401
from .baselines import persistence
from .forecast import Forecaster, forecast
from .grid import centre
from .store import time_step

from pysteps.verification.detcatscores import det_cat_fct_accum, det_cat_fct_init  # isort: skip

COUNTS = ["hits", "misses", "false_alarms", "correct_negatives"]


def verify(pairs: Iterable[tuple[np.ndarray, np.ndarray]], thresholds: Sequence[float]) -> pd.DataFrame:
    """Scores of (forecast, observed) pairs, each (lead, y, x) in mm/h.

    One row a lead (its number, from 0) and threshold (mm/h): ``cases``, ``hits``, ``misses``, ``false_alarms``,
    ``correct_negatives`` (pixels), ``csi`` = hits / (hits + misses + false alarms), ``pod`` = hits / (hits +
    misses), ``far`` = false alarms / (hits + false alarms), ``bias`` = (hits + false alarms) / (hits + misses) and
    ``mse`` ((mm/h)², of no threshold). NaN where a score is undefined: no event, none forecast.

    Raises NowcastError for pairs of different shapes, or none at all.
    """
    tables, squares, pixels, cases = None, 0.0, 0, 0
    for predicted, observed in pairs:
        if predicted.shape != observed.shape:
            raise NowcastError(f"forecast {predicted.shape} and observation {observed.shape} are on different grids")
        if tables is None:
            tables = [[det_cat_fct_init(t) for _ in predicted] for t in thresholds]
        known = np.isfinite(observed)
        predicted = np.where(known, np.nan_to_num(predicted), np.nan)
        for of_threshold in tables:
            for table, p, o, seen in zip(of_threshold, predicted, observed, known, strict=True):
                det_cat_fct_accum(table, p[seen], o[seen])  # NaN would count as a correct negative
        squares = squares + np.nansum((predicted - observed) ** 2, axis=(1, 2), dtype="f8")
        pixels = pixels + known.sum(axis=(1, 2))
        cases += 1
    if tables is None:
        raise NowcastError("there is no case to verify")
    rows = [
        {"lead": lead, "threshold": threshold, "cases": cases} | {c: int(np.sum(table[c])) for c in COUNTS}
        for threshold, of_threshold in zip(thresholds, tables, strict=True)
        for lead, table in enumerate(of_threshold)
    ]
    scores = pd.DataFrame(rows)
    hits, misses, false_alarms = (scores[c].astype(float) for c in COUNTS[:3])
    scores["csi"] = hits / (hits + misses + false_alarms)  # pandas: 0 / 0 is NaN
    scores["pod"] = hits / (hits + misses)
    scores["far"] = false_alarms / (hits + false_alarms)
    scores["bias"] = ((hits + false_alarms) / (hits + misses)).replace(np.inf, np.nan)
    scores["mse"] = (squares / np.where(pixels > 0, pixels, np.nan))[scores.lead]
    return scores


def issue_times(frames: xr.DataArray, n_in: int, leads: int, every: int = 1) -> pd.DatetimeIndex:
    """Times at which a forecast of ``leads`` steps can be made from ``n_in`` frames and verified.

    Every ``every``-th of them. Raises NowcastError if there is none.
    """
    times, possible = frames.indexes["time"], []
    if len(times) > 1:
        step = pd.Timedelta(minutes=time_step(frames))
        possible = [t for t in times if all(t + k * step in times for k in range(1 - n_in, leads + 1))]
    if not possible:
        raise NowcastError(
            f"{len(times)} frames hold no {n_in} + {leads} in a row: ask for fewer leads, or give more data"
        )
    return pd.DatetimeIndex(possible[::every])


def evaluate(
    frames: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    leads: int = 12,
    thresholds: Sequence[float] = (0.5, 2.0, 5.0),
    size: int = 256,
    margin: int = 0,
    every: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores of each forecaster on the same frames (time, y, x): the table of ``verify`` with two columns before it.

    ``forecaster`` and ``lead_time`` (minutes; lead time 0 is the last observation itself, whose CSI of 1 shows that
    the clocks of forecast and observation agree). Forecasts are made from the central ``size`` px alone (0: the
    whole grid) and scored ``margin`` px inside of that, from every ``every``-th possible time, the same for all.

    Raises NowcastError if no case is complete, or if there is no rain above the lowest threshold.
    """
    frames = centre(frames, size) if size else frames
    n_in = max(getattr(f, "n_in", 3) for f in forecasters.values())
    times, step = issue_times(frames, n_in, leads, every), time_step(frames)
    wanted = frames.sel(time=slice(times[0], times[-1] + pd.Timedelta(minutes=step * leads)))
    if 2 * margin >= min(frames.shape[1:]):
        raise NowcastError(f"a margin of {margin} px leaves nothing of {frames.shape[1:]}: lower it")
    if not any((wanted.isel(time=t).values > min(thresholds)).any() for t in range(wanted.sizes["time"])):
        raise NowcastError(f"no rain above {min(thresholds)} mm/h in these frames: there is nothing to score")

    def pairs(run):
        for at in times:
            predicted = forecast(run, frames, at, leads)
            truth = frames.sel(time=[at, *predicted.valid_time.values]).values
            both = np.concatenate([persistence(truth[:1], 1), predicted.values]), truth
            yield tuple(a[:, margin or None : -margin or None, margin or None : -margin or None] for a in both)

    tables = []
    for name, run in forecasters.items():
        bar = tqdm(pairs(run), total=len(times), desc=name, unit="case", disable=not progress)
        table = verify(bar, thresholds)
        table.insert(0, "forecaster", name)
        table.insert(1, "lead_time", table.pop("lead") * step)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def mean_csi(scores: pd.DataFrame) -> pd.DataFrame:
    """CSI (pooled over cases) averaged over leads from the first step on: a row a forecaster, a column a threshold.

    NaN where it is undefined at one of the leads.
    """
    table = scores[scores.lead_time > 0].pivot_table(
        index="forecaster",
        columns="threshold",
        values="csi",
        aggfunc=lambda s: s.mean(skipna=False),
        dropna=False,
    )
    return table.reindex(scores.forecaster.unique())
