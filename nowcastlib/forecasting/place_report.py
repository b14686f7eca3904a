"""The outlooks of several forecasters for some places: lines of text, and JSON."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nowcastlib.data import AROUND_KM
from nowcastlib.forecasting.outlooks import outlook, spells
from nowcastlib.forecasting.place_forecasts import PlaceForecast
from nowcastlib.units import DRY, RATES

MINUTE = pd.Timedelta("1min")


def main_forecaster(forecasts: Mapping[str, Sequence[PlaceForecast]]) -> str:
    """Name of the first forecaster that gives probabilities, else of the first one."""
    for name, at_places in forecasts.items():
        if any(forecast.chances is not None for forecast in at_places):
            return name
    return next(iter(forecasts))


def outlook_lines(forecasts: Mapping[str, Sequence[PlaceForecast]]) -> list[str]:
    """Say in a line for each place when it will rain, by the main forecaster.

    Parameters
    ----------
    forecasts : mapping of str to sequence of PlaceForecast
        Forecasts of the same places by name of the forecaster; empty if there is no place.
    """
    if not forecasts:
        return []
    main = main_forecaster(forecasts)
    return [f"{each.place.label}: {outlook(each, main)}" for each in forecasts[main]]


def outlook_report(forecasts: Mapping[str, Sequence[PlaceForecast]]) -> dict:
    """All numbers and sentences about some places, for JSON.

    Parameters
    ----------
    forecasts : mapping of str to sequence of PlaceForecast
        Forecasts of the same places by name of the forecaster.

    Returns
    -------
    dict
        ``issued``, ``rain_above_mm_h``, ``around_km`` and ``places``. Each of these has ``name``,
        ``latitude``, ``longitude``, ``forecaster``, ``outlook``, ``observed`` and ``forecasts``.
        Each of these has ``outlook``, ``rain`` (its spells) and ``leads``. Times are ISO 8601 in
        UTC, rain rates in mm/h, chances 0 to 1; None is not known.
    """
    main = main_forecaster(forecasts)
    places = []
    for k, first in enumerate(forecasts[main]):
        own = {name: at_places[k] for name, at_places in forecasts.items()}
        longest = max(own.values(), key=lambda forecast: len(forecast.observed)).observed
        place = {
            "name": first.place.label,
            "latitude": first.place.latitude,
            "longitude": first.place.longitude,
            "forecaster": main,
            "outlook": outlook(first, main),
            "observed": [{"time": _iso(t), "rate_mm_h": _number(r)} for t, r in longest.items()],
            "forecasts": {name: _report(forecast, name) for name, forecast in own.items()},
        }
        places.append(place)
    issued = _iso(forecasts[main][0].issued)
    return {"issued": issued, "rain_above_mm_h": DRY, "around_km": AROUND_KM, "places": places}


def _report(forecast: PlaceForecast, name: str) -> dict:
    """The forecast of one forecaster for one place."""
    rain = [
        {
            "from": _iso(spell.start),
            "to": _iso(spell.end) if spell.end is not None else None,
            "peak_mm_h": _number(spell.peak),
            "chance": _number(spell.chance),
        }
        for spell in spells(forecast)
    ]
    leads = []
    for k, (time, rate) in enumerate(forecast.rate.items()):
        chances = None
        if forecast.chances is not None:
            pairs = zip(RATES, forecast.chances[k], strict=True)
            chances = {f"{above:g}": _number(chance) for above, chance in pairs}
        minutes = (time - forecast.issued) / MINUTE
        lead = {"time": _iso(time), "minutes": minutes, "rate_mm_h": _number(rate)}
        leads.append(lead | {"chance_above_mm_h": chances})
    return {"outlook": outlook(forecast, name), "rain": rain, "leads": leads}


def _iso(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _number(value: float) -> float | None:
    """A number with three decimals; None for NaN."""
    return round(float(value), 3) if np.isfinite(value) else None
