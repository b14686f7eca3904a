"""A forecast for places that a user names: rain rates and probabilities, lead by lead.

The rain rate of a place is the mean over the pixels around it, see ``data.window_around``. The
chance of rain is the mean over these pixels of the probability that a pixel has more rain than a
threshold. A network that forecasts probabilities (GuidedConfig) gives its own; of an ensemble it is
the share of the members. Other forecasters give none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import Place, Window, checked_frames, on_own_grid, window_around
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting.forecasters import Forecaster
from nowcastlib.forecasting.network import Network
from nowcastlib.forecasting.nowcast import as_forecast, observed_until, step_of
from nowcastlib.forecasting.probabilities import share_above
from nowcastlib.forecasting.rescaling import Rescaled, at_trained_scale


@dataclass(frozen=True)
class PlaceForecast:
    """Rain at a place, observed and forecast.

    Attributes
    ----------
    place : Place
        The place.
    observed : pandas.Series
        Rain rate in mm/h by time (UTC) of the frames that the forecast starts from; NaN where not
        observed. The last one is now.
    rate : pandas.Series
        Forecast rain rate in mm/h by valid time (UTC), NaN where there is no forecast; of an
        ensemble the median of the members.
    chances : array (lead, rate) or None
        Probabilities of more rain than each of ``units.RATES``; NaN where there is no forecast.
        None if the forecaster gives no probabilities.
    """

    place: Place
    observed: pd.Series
    rate: pd.Series
    chances: np.ndarray | None

    @property
    def issued(self) -> pd.Timestamp:
        """Time of the last frame that was used, UTC."""
        return self.observed.index[-1]


def forecast_at(
    run: Forecaster,
    frames: xr.DataArray,
    places: Sequence[Place],
    at: str | datetime | np.datetime64 | None = None,
    leads: int = 12,
) -> tuple[xr.DataArray, list[PlaceForecast]]:
    """Forecast the whole grid and, from the same run, some places.

    Parameters
    ----------
    run : Forecaster
        The forecaster, see ``forecaster``.
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h, with coordinates that say where on the Earth it lies.
    places : sequence of Place
        The places.
    at, leads
        As for ``forecast``.

    Returns
    -------
    xr.DataArray
        Rain rate (lead_time, y, x) in mm/h, as ``forecast`` returns it.
    list of PlaceForecast
        In the order of the places.

    Raises
    ------
    NowcastError
        As ``forecast``; also if a place lies outside the grid, or if nobody knows where the grid
        lies.
    """
    if leads < 1:
        raise NowcastError(f"a forecast needs leads, not {leads}: ask for at least 1")
    given, frames = frames, checked_frames(frames)
    windows = [window_around(frames, place) for place in places]
    run = at_trained_scale(run, frames)
    observed = observed_until(frames, at, run.n_in)

    rain = observed.values.astype("f8")
    if isinstance(run, Network | Rescaled):
        rate, chances = run.with_chances(rain, leads, windows)
    else:
        rate, chances = run(rain, leads), None

    predicted = as_forecast(rate, observed, step_of(frames), run)
    series = []
    for k, (place, window) in enumerate(zip(places, windows, strict=True)):
        own = None if chances is None else chances[:, k]
        series.append(_at_place(place, window, observed, predicted, own))
    return (predicted if given is frames else on_own_grid(predicted, given)), series


def _at_place(
    place: Place,
    window: Window,
    observed: xr.DataArray,
    predicted: xr.DataArray,
    chances: np.ndarray | None,
) -> PlaceForecast:
    """What frames and forecast show at a place; ``chances`` (lead, rate) are the network's own."""
    rate = window.mean(predicted.values)  # (…, lead)
    if "member" in predicted.dims:
        chances = share_above(predicted.values, window).mean(0)  # (member, lead, rate) before
        rate = np.median(rate, 0)
    if chances is not None:
        chances = np.where(np.isnan(rate)[:, None], np.nan, chances)
    past = pd.Series(window.mean(observed.values), observed.indexes["time"])
    return PlaceForecast(place, past, pd.Series(rate, predicted.valid_time.values), chances)
