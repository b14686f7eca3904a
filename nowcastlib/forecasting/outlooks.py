"""When it will rain at a place: spells of rain, and a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from nowcastlib.forecasting.place_forecasts import PlaceForecast
from nowcastlib.units import DRY, RATES, exceeds

EVEN = 0.5  # rain that is less probable is called possible


@dataclass(frozen=True)
class Spell:
    """Rain without a break at a place.

    Attributes
    ----------
    start : pandas.Timestamp
        First time with rain, UTC; the time of issue if it rains already.
    last : pandas.Timestamp
        Last time with rain.
    end : pandas.Timestamp or None
        First time without rain; None if the forecast ends before that, or does not know.
    peak : float
        Largest rain rate in mm/h.
    chance : float
        Largest chance of rain among its leads, 0 to 1; NaN if there are no probabilities, or if it
        ends before the first lead.
    """

    start: pd.Timestamp
    last: pd.Timestamp
    end: pd.Timestamp | None
    peak: float
    chance: float


def spells(forecast: PlaceForecast) -> list[Spell]:
    """Find the spells of rain, from now to the last lead.

    Rain is a rain rate above ``units.DRY``. An unknown rate ends a spell, and its end is unknown.
    """
    times = forecast.rate.index.insert(0, forecast.issued)
    rate = np.concatenate([forecast.observed.values[-1:], forecast.rate.values])
    chance = np.concatenate([[np.nan], chance_of_rain(forecast)])

    result = []
    for is_wet, group in groupby(range(len(times)), key=exceeds(rate, DRY).__getitem__):
        run = list(group)
        if not is_wet:
            continue
        after = run[-1] + 1
        ends = after < len(times) and np.isfinite(rate[after])
        future = [k for k in run if k] or run
        known = chance[run][np.isfinite(chance[run])]
        result.append(
            Spell(
                times[run[0]],
                times[run[-1]],
                times[after] if ends else None,
                float(rate[future].max()),
                float(known.max()) if known.size else np.nan,
            )
        )
    return result


def chance_of_rain(forecast: PlaceForecast) -> np.ndarray:
    """Probability of more than ``units.DRY`` for each lead; NaN if there is none."""
    if forecast.chances is None:
        return np.full(len(forecast.rate), np.nan)
    return forecast.chances[:, RATES.index(DRY)]


def outlook(forecast: PlaceForecast, name: str) -> str:
    """Say in one sentence when it will rain, how much, and how sure that is.

    Parameters
    ----------
    forecast : PlaceForecast
        The forecast for the place.
    name : str
        Name of the forecaster.

    Returns
    -------
    str
        Such as "Rain from 13:25 to 13:50 UTC, probably up to 2 mm/h; 70 % sure." The per cent are
        the largest chance of rain at one of the leads of the spell. "chance of rain at most" is
        the largest at any of the dry leads.
    """
    if not forecast.rate.notna().any():
        if np.isnan(forecast.observed.iloc[-1]):
            return f"Not observed at {_clock(forecast.issued)} UTC: no forecast."
        return f"No forecast by {name}: the rain would come from outside the grid."

    rain = spells(forecast)
    words, chance = _dry(forecast)
    if rain and rain[0].start == forecast.issued:
        words, chance = _raining(forecast, rain)
    elif rain:
        words, chance = _coming(rain)
    if forecast.chances is None:
        chance = f"{name} gives no probability"
    return "; ".join(filter(None, [words, _unknown(forecast), chance])) + "."


def rate_text(rate: float) -> str:
    """A rain rate in mm/h as text, as exact as a forecast may sound.

    Examples
    --------
    >>> rate_text(0.43), rate_text(2.6)
    ('0.4', '3')
    """
    return f"{rate:.1f}".removesuffix(".0") if rate < 2 else f"{rate:.0f}"


def chance_text(chance: float) -> str:
    """A probability as text, to 5 %; nothing is quite sure.

    Examples
    --------
    >>> chance_text(0.68), chance_text(0.999)
    ('70 %', 'over 95 %')
    """
    percent = 5 * round(20 * chance)
    if percent < 5:
        return "under 5 %"
    return "over 95 %" if percent > 95 else f"{percent} %"


def _dry(forecast: PlaceForecast) -> tuple[str, str]:
    """No rain at any lead."""
    last = forecast.rate.last_valid_index()
    return f"No rain until {_clock(last)} UTC", _at_most(chance_of_rain(forecast))


def _coming(rain: Sequence[Spell]) -> tuple[str, str]:
    """Rain that begins after now."""
    first = rain[0]
    rates = f"probably up to {rate_text(max(spell.peak for spell in rain))} mm/h"
    words, chance = "Rain", ""
    if first.chance < EVEN:
        words, chance = "Possibly rain", f"chance of rain {chance_text(first.chance)}"
    elif first.chance >= EVEN:  # else there is none
        chance = f"{chance_text(first.chance)} sure"
    return f"{words} {_and_again(rain)} UTC, {rates}", chance


def _raining(forecast: PlaceForecast, rain: Sequence[Spell]) -> tuple[str, str]:
    """Rain that falls now."""
    first, later = rain[0], rain[1:]
    now = f"Raining now ({rate_text(forecast.observed.iloc[-1])} mm/h)"
    chances = chance_of_rain(forecast)
    if first.end is None:
        if first.last == first.start:
            return now, ""
        words = f"{now}, at least until {_clock(first.last)} UTC"
        if later:
            words += f", again {_and_again(later)} UTC"
        wet = chances[forecast.rate.index <= first.last]
        return f"{words}, probably up to {rate_text(first.peak)} mm/h", _at_least(wet)
    if later:
        words, chance = _coming(later)
        return f"{now} until {_clock(first.end)} UTC. {words}", chance
    dry = chances[forecast.rate.index >= first.end]
    return f"{now}, dry from {_clock(first.end)} UTC on", _at_most(dry)


def _and_again(rain: Sequence[Spell]) -> str:
    """The times of spells: "from 13:25 to 13:50 and from 14:05 on"."""
    parts = [
        f"from {_clock(spell.start)} {f'to {_clock(spell.end)}' if spell.end else 'on'}"
        for spell in rain
    ]
    return " and ".join(parts)


def _at_most(chances: np.ndarray) -> str:
    """The largest chance of rain, in words; empty if there is none."""
    known = chances[np.isfinite(chances)]
    return _bounded("at most", known.max()) if known.size else ""


def _at_least(chances: np.ndarray) -> str:
    """The smallest chance of rain, in words; empty if there is none."""
    known = chances[np.isfinite(chances)]
    return _bounded("at least", known.min()) if known.size else ""


def _bounded(bound: str, chance: float) -> str:
    """A chance of rain with its bound; "under 5 %" and "over 95 %" are bounds already."""
    text = chance_text(chance)
    return f"chance of rain {text if text[0].isalpha() else f'{bound} {text}'}"


def _unknown(forecast: PlaceForecast) -> str:
    """Which leads have no forecast; empty if all have one."""
    missing = forecast.rate.index[forecast.rate.isna()]
    if missing.empty:
        return ""
    last = forecast.rate.last_valid_index()
    if missing[0] > last:
        return f"not known from {_clock(missing[0])} on"
    return f"not known at {len(missing)} of {len(forecast.rate)} times"


def _clock(time: pd.Timestamp) -> str:
    return f"{time:%H:%M}"
