"""Scores of forecasts of colour films: MSE, PSNR and SSIM in place of the scores of rain."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import nearest_frames, usual_step
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import ColourNetwork, ColourPersistence, forecast_colours
from nowcastlib.verification.film_scores import score_films

SCORES = ["mse", "psnr", "ssim"]


def score_colours(
    films: xr.DataArray,
    forecasters: Mapping[str, ColourNetwork | ColourPersistence],
    leads: int = 12,
    every: int = 1,
) -> pd.DataFrame:
    """Score forecasters on colour films, all of them in the same cases.

    A case is a time that has all input frames and all frames that verify it. Pixels that are not
    observed count as equal.

    Parameters
    ----------
    films : xr.DataArray
        Colours (time, channel, y, x) from 0 to 1, from ``data.open_colours``.
    forecasters : mapping of str to forecaster
        By name.
    leads : int
        Number of steps to forecast.
    every : int
        Forecast from every N-th of the possible times.

    Returns
    -------
    pd.DataFrame
        One row for each forecaster and lead (index), with ``mse`` (mean over pixels and channels),
        ``psnr`` in dB, ``ssim`` (see ``score_films``) and the number of ``cases``.

    Raises
    ------
    NowcastError
        If no time has enough frames.
    """
    starts = _cases(films, max(run.n_in for run in forecasters.values()), leads)[::every]
    per_value = 1 / (films.sizes["channel"] * films.sizes["y"] * films.sizes["x"])

    tables = {}
    for name, run in forecasters.items():
        cases = [_score_case(films, run, start, leads) for start in starts]
        scores = sum(cases) / len(cases)
        tables[name] = scores.assign(mse=scores.mse * per_value, cases=len(cases))
    return pd.concat(tables, names=["forecaster", "lead"])


def _cases(films: xr.DataArray, n_in: int, leads: int) -> pd.DatetimeIndex:
    """Times from which a forecast can be made and scored."""
    times = films.indexes["time"]
    step = usual_step(times) if len(times) > 1 else pd.NaT
    offsets = range(1 - n_in, leads + 1)
    there = [nearest_frames(times, times + k * step, step) >= 0 for k in offsets]
    possible = times[np.all(there, axis=0)]
    if possible.empty:
        raise NowcastError(
            f"no time has {n_in} frames before it and {leads} after it: ask for fewer leads"
        )
    return possible


def _score_case(
    films: xr.DataArray, run: ColourNetwork | ColourPersistence, start: pd.Timestamp, leads: int
) -> pd.DataFrame:
    """Scores of one forecast by lead."""
    predicted = forecast_colours(run, films, start, leads)
    numbers = nearest_frames(films.indexes["time"], pd.DatetimeIndex(predicted.valid_time.values))
    truth = films.isel(time=numbers).transpose("time", "channel", "y", "x").values
    forecast = predicted.transpose("lead_time", "channel", "y", "x").values
    known = np.isfinite(truth) & np.isfinite(forecast)
    pair = [np.where(known, values, 0)[None] for values in (forecast, truth)]  # (1, T, C, H, W)
    return score_films(*pair)[SCORES]
