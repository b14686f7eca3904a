"""Times of frames: UTC, spans, the usual step, and the tolerance of a time."""

from datetime import datetime

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError

TimeLike = str | datetime | np.datetime64  # a pandas.Timestamp is a datetime

TOLERANCE = 0.5  # minutes by which the time of a frame may differ from the time asked for


def utc(time: TimeLike) -> pd.Timestamp:
    """Convert a time to a time stamp in UTC without a zone.

    Parameters
    ----------
    time : str, datetime, numpy.datetime64 or pandas.Timestamp
        A time with a zone is converted; a time without a zone is UTC already.

    Raises
    ------
    NowcastError
        If ``time`` cannot be read as a time.

    Examples
    --------
    >>> utc("2015-05-15T18:00+02:00")
    Timestamp('2015-05-15 16:00:00')
    """
    try:
        stamp = pd.Timestamp(time)
    except ValueError as error:
        raise NowcastError(f"{time!r} is not a time: write it like 2015-05-15T16:00") from error
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
    """Minutes between frames (time, …): the most frequent gap, NaN for a single frame."""
    gaps = np.diff(frames.time.values) / np.timedelta64(1, "m")
    return float(pd.Series(gaps).mode().iloc[0]) if gaps.size else float("nan")
