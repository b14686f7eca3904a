"""The list of a feed's frames: each time once, in UTC and whole seconds."""

import logging

import pandas as pd

from nowcastlib.data.times import utc
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")


def checked_list(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of a feed with times that a store can hold.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row for each frame; the column ``time`` holds times of any zone, or text as in ISO 8601.

    Returns
    -------
    pandas.DataFrame
        The same rows; ``time`` is in UTC without a zone and rounded to the second. Of rows with the
        same time the first is kept, and a warning counts the others.

    Raises
    ------
    NowcastError
        If a frame has no time, or if frames follow each other within less than a second.
    """
    if rows.empty:
        return rows
    if "time" not in rows:
        raise NowcastError("the feed lists frames without a column time: add it to its list")
    if rows.time.isna().any():
        raise NowcastError("the feed lists frames without a time (NaT): leave them out of its list")

    times = (
        pd.DatetimeIndex([utc(time) for time in rows.time]) if _is_other(rows.time) else rows.time
    )
    rows = rows.assign(time=pd.DatetimeIndex(times).round("s"))
    is_repeated = rows.time.duplicated().to_numpy()
    if (is_repeated & ~pd.Series(times).duplicated().to_numpy()).any():
        raise NowcastError(
            f"the feed lists several frames of the second {rows.time[is_repeated].iloc[0]}: give "
            "frames that are a second or more apart"
        )
    if is_repeated.any():
        log.warning(
            "the feed lists %d frames with the time of another (the first is of %s): the first "
            "frame of each time is used",
            is_repeated.sum(),
            rows.time[is_repeated].iloc[0],
        )
    return rows[~is_repeated]


def _is_other(times: pd.Series) -> bool:
    """Whether times have a zone, or are text or objects."""
    return times.dtype.kind != "M" or getattr(times.dt, "tz", None) is not None
