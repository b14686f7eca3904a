"""How long an amount of rain fell: what a store states about the sums in its frames.

See the CF conventions, cfconventions.org: chapter 7 (bounds and cell methods).
"""

import re
from contextlib import suppress

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.read_options import warn_of_contradiction
from nowcastlib.data.times import usual_step
from nowcastlib.errors import NowcastError

SPAN_IN_NAME = r"(?<![a-z\d.])(\d+)[ _-]*(mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z\d])"


def accumulation_hours(
    frames: xr.DataArray, bounds: xr.DataArray | None, path: str, minutes: float = 0
) -> float:
    """Hours in which the amount of rain in a frame fell.

    The option ``minutes`` decides. Else the store states it by the first of: bounds of the times,
    accumulation_period, cell_methods. Else it is the step of the times, if that is regular and no
    name states another time.

    Raises
    ------
    NowcastError
        If the store does not state it, if it contradicts itself, or if its times have no regular
        step.
    """
    lengths = _hours_of_bounds(bounds)
    period = _hours(frames.attrs.get("accumulation_period"))
    if minutes:
        others = {round(60 * hours, 3) for hours in [*lengths, period] if hours} - {minutes}
        if others:
            text = " and ".join(f"{m:g} minutes" for m in sorted(others))
            option = f"--accumulation-minutes {minutes:g}"
            warn_of_contradiction(path, f"that a sum lasted {text}", option)
        return minutes / 60

    if len(lengths) == 1 and period and not np.isclose(lengths[0], period):
        raise NowcastError(
            f"the bounds of the times in {path} say that a sum lasted {60 * lengths[0]:g} minutes, "
            f"its accumulation_period says {60 * period:g} minutes: give --accumulation-minutes"
        )

    if len(lengths) <= 1:  # frames of different lengths have no common one
        stated = [*lengths, period] if lengths or period else [_hours_of_interval_or_step(frames)]
        for hours in stated:
            if hours:
                return hours
    raise NowcastError(
        f"{path} does not say in which time the {frames.attrs.get('units')} of its frames fell: "
        "give --accumulation-minutes, or write an attribute accumulation_period such as '5 minutes'"
    )


def _hours_of_bounds(bounds: xr.DataArray | None) -> list[float]:
    """The different lengths (hours) of the bounds of the times."""
    if bounds is None:
        return []
    lengths = pd.to_timedelta(np.diff(bounds.values, axis=-1).ravel()).round("s").unique()
    return [hours for hours in lengths / pd.Timedelta("1h") if hours > 0]


def _hours(span: object) -> float:
    """A time span such as "5 minutes" or "PT1H" in hours; 0 if it is not understood."""
    with suppress(ValueError):
        hours = pd.Timedelta(span) / pd.Timedelta("1h")
        if hours > 0.001:
            return hours
    return 0.0


def _hours_of_interval_or_step(frames: xr.DataArray) -> float:
    """The interval of cell_methods, else the step of the times, in hours; 0 if neither tells.

    By CF the interval is that of the samples that were added. It is the length of the sum only if
    the step of the frames is no longer.
    """
    cell_methods = str(frames.attrs.get("cell_methods"))
    interval = re.search(r"interval: *([\d.]+ *[a-z]+)", cell_methods, re.IGNORECASE)
    if not interval:
        return _hours_of_step(frames)

    hours = _hours(interval[1])
    step = usual_step(frames.indexes["time"]) / pd.Timedelta("1h")
    return 0.0 if step > 1.01 * hours else hours


def _hours_of_step(frames: xr.DataArray) -> float:
    """The usual step of the times in hours; 0 if it need not be the length of the sums.

    Missing frames are allowed: single gaps of several steps. Several such gaps in a row are times
    at which sums may have been longer, and a name may state another length.
    """
    gaps = pd.Series(np.diff(frames.time.values))
    if gaps.empty:
        return 0.0

    step = gaps.mode()[0]
    is_long = gaps != step
    has_longer_steps = (is_long & (gaps == gaps.shift())).any()
    hours = step / pd.Timedelta("1h")
    named = _hours_in_names(frames)
    is_named = not named or any(np.isclose(hours, other) for other in named)
    return 0.0 if (gaps % step).any() or has_longer_steps or not is_named else hours


def _hours_in_names(frames: xr.DataArray) -> list[float]:
    """Time spans in the names of a variable, such as 1 h, 5min or hourly, in hours."""
    names = f"{frames.name} {frames.attrs.get('long_name', '')}".lower()
    spans = re.findall(SPAN_IN_NAME, names)
    hours = [_hours(f"{number} {'min' if unit[0] == 'm' else unit[0]}") for number, unit in spans]
    return hours + [h for word, h in {"hourly": 1.0, "daily": 24.0}.items() if word in names]
