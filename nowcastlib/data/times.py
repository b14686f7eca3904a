"""Times of frames: UTC, spans, the usual step, and how far a frame may be off its time."""

import re
from datetime import datetime

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError, printable

TimeLike = str | datetime | np.datetime64  # a pandas.Timestamp is a datetime

ISO_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d([.,]\d{1,9})?)?)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?"
    r"|\d{8}T\d{4}(\d\d)?Z?",
    re.ASCII,
)

TOLERANCE = pd.Timedelta(seconds=30)  # a frame is never further off the time asked for


def utc(time: TimeLike) -> pd.Timestamp:
    """Convert a time to a time stamp in UTC without a zone.

    Parameters
    ----------
    time : str, datetime, numpy.datetime64 or pandas.Timestamp
        A time with a zone is converted; a time without a zone is UTC already. Text must be a date
        or a time as in ISO 8601, such as 2015-05-15 or 2015-05-15T18:00+02:00.

    Raises
    ------
    NowcastError
        If ``time`` cannot be read as a time.

    Examples
    --------
    >>> utc("2015-05-15T18:00+02:00")
    Timestamp('2015-05-15 16:00:00')
    """
    # pandas would also read "now", "Jun" and "12:00", as times that depend on the clock
    try:
        if isinstance(time, str) and not ISO_TIME.fullmatch(time.strip()):
            raise ValueError("it is not written as in ISO 8601")
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError) as error:
        written = printable(repr(time))
        raise NowcastError(f"{written} is not a time: write it like 2015-05-15T16:00") from error
    if pd.isna(stamp):
        raise NowcastError("a time is missing (NaT): write it like 2015-05-15T16:00")
    return stamp if stamp.tzinfo is None else stamp.tz_convert("UTC").tz_localize(None)


def time_text(time: pd.Timestamp) -> str:
    """A time for readers, to the minute where that is exact: "2015-05-15 16:00"."""
    return f"{time:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def within(
    times: pd.Series, start: TimeLike | None = None, end: TimeLike | None = None
) -> pd.Series:
    """Mark the times (UTC) in [start, end); None leaves that side open.

    Raises
    ------
    NowcastError
        If ``start`` or ``end`` cannot be read as a time.
    """
    first = pd.Timestamp.min if start is None else utc(start)
    last = pd.Timestamp.max if end is None else utc(end)
    return (times >= first) & (times < last)


def time_step(frames: xr.DataArray) -> float:
    """Minutes between frames (time, …): see ``usual_step``; NaN for a single frame."""
    return usual_step(frames.indexes["time"]) / pd.Timedelta(minutes=1)


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    """Time between frames: the most frequent gap; NaT for a single frame.

    Where times are some seconds off, so that less than half of the gaps near the most frequent one
    equal it, the step is the mean of these gaps in whole seconds.
    """
    gaps = pd.Series(times).diff().dropna()
    if gaps.empty:
        return pd.NaT

    usual = gaps.mode().iloc[0]
    near = gaps[(gaps - usual).abs() <= usual / 3]
    return usual if (near == usual).mean() >= 0.5 else near.mean().round("s")


def nearest_frames(
    times: pd.DatetimeIndex, wanted: pd.DatetimeIndex, step: pd.Timedelta | None = None
) -> np.ndarray:
    """Number of the frame at each time; forecast, evaluation and windows use the same frames.

    Parameters
    ----------
    times : pandas.DatetimeIndex
        Times of the frames, ascending.
    wanted : pandas.DatetimeIndex
        Times asked for.
    step : pandas.Timedelta, optional
        Time between frames, by default their usual step. A frame may be off by a third of it, but
        by no more than TOLERANCE: no frame is taken for two times that lie a step apart.

    Returns
    -------
    array (wanted,)
        Number of the nearest frame; -1 where none is near enough.
    """
    if step is None:
        step = usual_step(times)
    tolerance = TOLERANCE if pd.isna(step) else min(step / 3, TOLERANCE)
    return times.get_indexer(wanted, method="nearest", tolerance=tolerance)
