"""How long an amount of rain fell: what a store states about the sums in its frames.

See the CF conventions, cfconventions.org: chapter 7 (bounds and cell methods).
"""

import logging
import re
from contextlib import suppress

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.read_options import warn_of_contradiction
from nowcastlib.data.running_sums import check_is_no_running_sum
from nowcastlib.data.times import usual_step
from nowcastlib.errors import NowcastError, printable

log = logging.getLogger("nowcastlib")

USUAL_BOUNDS = ("time_bnds", "time_bounds")  # of times that do not name theirs
SPAN_ATTRIBUTES = ("accumulation_period", "accumulation_time")
SPAN_OF_SUM = r"\bsum\s+(?:over|within)\s+([^(:]+?)\s*(?=\(|\w+:|$)"  # in cell_methods
INTERVAL_OF_SUM = r"(?:\btime:|\bsum\b)[^(:]*\(?\s*interval:\s*([^):]+?)\s*(?=\)|\w+:|$)"
HOURS_OF_WORDS = {"hourly": 1.0, "one hour": 1.0, "last hour": 1.0, "daily": 24.0}
ISO_SPAN = r"(?<![a-z\d])pt?\d+[dhm](?![a-z\d])"  # such as PT1H
SPAN_IN_NAME = r"(?<![a-z\d.])(\d+)[ _-]*(mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z\d])"


def accumulation_hours(
    frames: xr.DataArray, bounds: xr.DataArray | None, path: str, minutes: float = 0
) -> float:
    """Hours in which the amount of rain in a frame fell.

    The option ``minutes`` decides. Else the store states it by bounds of the times, by
    accumulation_period or accumulation_time, or by cell_methods. Else it is the step of the times,
    with a warning, if that is regular, no name states another time and the sums do not run on.

    Raises
    ------
    NowcastError
        If the store does not state it, if it states it in a way that is not understood, if it
        contradicts itself, if its times have no regular step, or if its sums run on from a start.
    """
    lengths = _hours_of_bounds(bounds)
    spans = _stated_spans(frames)
    if minutes:
        every = [*lengths, *(_hours(span) for span in spans.values())]
        others = {round(60 * hours, 3) for hours in every if hours} - {minutes}
        if others:
            text = " and ".join(f"{m:g} minutes" for m in sorted(others))
            option = f"--accumulation-minutes {minutes:g}"
            warn_of_contradiction(path, f"that a sum lasted {text}", option)
        return minutes / 60

    named = {name: _hours_or_refusal(name, span, path) for name, span in spans.items()}
    if named and lengths == [0.0]:
        lengths = []
    if len(lengths) <= 1:  # frames of different lengths have no common one
        stated = ({"bounds of the times": lengths[0]} if lengths else {}) | named
        _check_is_one(stated, path)
        hours = next(iter(stated.values())) if stated else _hours_of_interval_or_step(frames, path)
        if hours:
            return hours
    raise NowcastError(
        f"{path} does not say in which time the {frames.attrs.get('units')} of its frames fell: "
        "give --accumulation-minutes, or write an attribute accumulation_period such as '5 minutes'"
    )


def _stated_spans(frames: xr.DataArray) -> dict[str, str]:
    """The length of a sum as attributes of the frames state it, by attribute."""
    spans = {name: str(frames.attrs.get(name, "")).strip() for name in SPAN_ATTRIBUTES}
    over = re.search(SPAN_OF_SUM, str(frames.attrs.get("cell_methods")), re.IGNORECASE)
    if over:
        spans["cell_methods"] = over[1].strip()
    return {name: span for name, span in spans.items() if span}


def _hours_or_refusal(name: str, span: str, path: str) -> float:
    """The hours of a span that an attribute states; NowcastError if it is not understood."""
    hours = _hours(span)
    if not hours:
        raise NowcastError(
            f"{path} states by {name} that a sum lasted {printable(repr(span))}, which is not "
            "understood: write it with a unit, such as '60 minutes', or give --accumulation-minutes"
        )
    return hours


def _check_is_one(stated: dict[str, float], path: str) -> None:
    """NowcastError if stated lengths (hours) of a sum differ."""
    if len({round(60 * hours, 3) for hours in stated.values()}) > 1:
        text = ", ".join(f"{name} = {60 * hours:g} minutes" for name, hours in stated.items())
        raise NowcastError(
            f"{path} contradicts itself in how long a sum lasted ({text}): give "
            "--accumulation-minutes"
        )


def bounds_of_times(dataset: xr.Dataset, frames: xr.DataArray) -> xr.DataArray | None:
    """The bounds (time, 2) of the times: those that the times name, else those of a usual name."""
    named = dataset.get(frames.time.attrs.get("bounds"))
    if named is not None:
        return named
    usual = (dataset[name] for name in USUAL_BOUNDS if name in dataset)
    return next((v for v in usual if v.dtype.kind == "M" and v.shape[1:] == (2,)), None)


def _hours_of_bounds(bounds: xr.DataArray | None) -> list[float]:
    """The different lengths (hours) of the bounds of the times; 0 if none has a length."""
    if bounds is None:
        return []
    lengths = pd.to_timedelta(np.diff(bounds.values, axis=-1).ravel()).round("s").unique()
    hours = [hours for hours in np.unique(np.abs(lengths / pd.Timedelta("1h"))) if hours > 0]
    return hours or [0.0]  # bounds without a length: the times of samples


def _hours(span: str) -> float:
    """A time span such as "5 minutes" or "PT1H" in hours; 0 if it is not understood.

    A number without a unit is not understood: pandas would take it for nanoseconds.
    """
    if re.search("[a-z:]", span, re.IGNORECASE):
        with suppress(ValueError):
            hours = pd.Timedelta(span) / pd.Timedelta("1h")
            if hours > 0.001:
                return hours
    return 0.0


def _hours_of_interval_or_step(frames: xr.DataArray, path: str) -> float:
    """The interval of cell_methods, else the step of the times, in hours; 0 if neither tells.

    By CF the interval is that of the samples that were added. It is the length of the sum only if
    the step of the frames is no longer.
    """
    cell_methods = str(frames.attrs.get("cell_methods"))
    interval = re.search(INTERVAL_OF_SUM, cell_methods, re.IGNORECASE)
    if interval:
        hours = _hours_or_refusal("cell_methods", interval[1].strip(), path)
        step = usual_step(frames.indexes["time"]) / pd.Timedelta("1h")
        return 0.0 if step > 1.01 * hours else hours

    hours = _hours_of_step(frames)
    if hours:
        check_is_no_running_sum(frames, path)
        log.warning(
            "%s does not say in which time its %s fell: %g minutes, the time step, is used; "
            "--accumulation-minutes settles it",
            path,
            frames.attrs.get("units"),
            60 * hours,
        )
    return hours


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
    """Time spans in the names of a variable, such as 1 h, 5min or hourly, in hours.

    Comments on sums are searched for words only: their numbers often mean something else.
    """
    names = f"{frames.name} {frames.attrs.get('long_name', '')}".lower()
    names = re.sub(r"[-_]", " ", names)  # "one-hour"
    spans = re.findall(SPAN_IN_NAME, names)
    hours = [_hours(f"{number} {'min' if unit[0] == 'm' else unit[0]}") for number, unit in spans]
    free_text = (str(frames.attrs.get(key, "")).lower() for key in ("comment", "description"))
    sums = [text for text in free_text if re.search("accumul|sum|total|amount", text)]
    words = " ".join([names, *sums])
    hours += [_hours(span.upper()) for span in re.findall(ISO_SPAN, names)]
    return hours + [h for word, h in HOURS_OF_WORDS.items() if word in words]
