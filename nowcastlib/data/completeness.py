"""Which frames are complete: one rule for forecasts, evaluation, windows and the live page.

A frame is complete if it shows at least ``MIN_OBSERVED`` of the pixels that it and the frames
before it usually show. Later frames do not count, because a forecast in operation does not know
them: so an evaluation takes the frames that a forecast would take. Pixels that no frame shows, such
as the corners of a composite, do not count. Any other frame counts as missing, as if there were no
frame at that time.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.slabs import by_slabs
from nowcastlib.data.times import nearest_frames

MIN_OBSERVED = 0.9  # share of the usually observed pixels that a complete frame has at least
NEIGHBOURS = 12  # frames before a frame, which tell how many pixels are usual
MAX_MISSING = 1 / 3  # share of the frames of a forecast that may be missing


def observed_shares(frames: xr.DataArray, client: Any = None) -> np.ndarray:
    """Observed share of the pixels of each frame.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Rain rate in mm/h; NaN is not observed. A large store is read part by part.
    client : distributed.Client, optional
        Its workers read the frames.

    Returns
    -------
    array (time,)
    """
    return np.concatenate([np.zeros(0), *by_slabs(_observed, frames, client)])


def _observed(rate: np.ndarray) -> np.ndarray:
    """Observed share of frames (time, y, x)."""
    return np.isfinite(rate).mean(axis=(1, 2))


def complete(shares: np.ndarray) -> np.ndarray:
    """Which frames are complete.

    Parameters
    ----------
    shares : array (time,)
        Observed share of the pixels of each frame, in ascending time.

    Returns
    -------
    array of bool (time,)
        Frames that show at least ``MIN_OBSERVED`` of what is usual. Usual is the median of a frame
        and the ``NEIGHBOURS`` before it, without those that show nothing. Frames with fewer before
        them are compared with the first ``NEIGHBOURS`` + 1.
    """
    shown = pd.Series(shares, dtype="f8").where(shares > 0)
    usual = shown.rolling(NEIGHBOURS + 1, min_periods=1).median()
    usual[:NEIGHBOURS] = shown[: NEIGHBOURS + 1].median()
    return (shown >= MIN_OBSERVED * usual).to_numpy()  # False for NaN: shows nothing


def mark_complete(frames: xr.DataArray, client: Any = None) -> xr.DataArray:
    """The frames (time, y, x) with the coordinate ``is_complete`` (time), see ``complete``.

    All frames are read once, by the workers of a client if there is one, unless they have this
    coordinate already.
    """
    if "is_complete" in frames.coords:
        return frames
    return frames.assign_coords(is_complete=("time", complete(observed_shares(frames, client))))


def mark_last(frames: xr.DataArray, n: int, end: int | None = None) -> xr.DataArray:
    """The last ``n`` of frames (time, y, x) with the coordinate ``is_complete`` (time).

    With ``end``, the last ``n`` before this number. Only these frames of a store on disk are read.
    If they are not observed everywhere, up to ``NEIGHBOURS`` more frames are read: those before
    them, or, at the beginning of the store, those after them.
    """
    end = len(frames) if end is None else end
    first = max(0, end - n)
    last = frames[first:end].load()
    if "is_complete" in frames.coords:
        return last

    shares = observed_shares(last)
    if (shares < 1).any():
        begin = max(0, first - NEIGHBOURS)
        before = observed_shares(frames[begin:first])
        until = end if begin else max(end, NEIGHBOURS + 1)
        shares = np.concatenate([before, shares, observed_shares(frames[end:until])])
        first -= begin
    else:
        first = 0
    is_complete = complete(shares)[first : first + len(last)]
    return last.assign_coords(is_complete=("time", is_complete))


def has_enough(is_complete: np.ndarray) -> np.ndarray:
    """Whether successive frames are enough to make a forecast, or to verify one.

    Parameters
    ----------
    is_complete : array of bool (n, …)
        Whether each of the ``n`` frames is complete.

    Returns
    -------
    array of bool (…)
        The first and the last frame are complete, and at most ``MAX_MISSING`` of them are missing.
    """
    missing = (~is_complete).sum(axis=0)
    return is_complete[0] & is_complete[-1] & (missing <= MAX_MISSING * len(is_complete))


def frames_at(
    frames: xr.DataArray, times: pd.DatetimeIndex, step: pd.Timedelta | None = None
) -> xr.DataArray:
    """The frames nearest to some times, NaN where there is none.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Rain rate in mm/h.
    times : pandas.DatetimeIndex
        Times asked for.
    step : pandas.Timedelta, optional
        Time between frames: see ``times.nearest_frames`` for how much a frame may be off.

    Returns
    -------
    xarray.DataArray (time, y, x)
        Each frame has its own time; where there is none, the time asked for.
    """
    numbers = nearest_frames(frames.indexes["time"], times, step)
    picked = frames.isel(time=np.maximum(numbers, 0))
    if (numbers >= 0).all():
        return picked

    has_frame = numbers >= 0
    own = np.where(has_frame, picked.time.values, times.values)
    there = xr.DataArray(has_frame, {"time": own}, ("time",))
    coordinates = {"time": own}
    if "is_complete" in frames.coords:
        coordinates["is_complete"] = ("time", picked.is_complete.values & has_frame)
    return picked.assign_coords(coordinates).where(there)
