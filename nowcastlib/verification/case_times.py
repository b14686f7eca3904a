"""Cases of an evaluation: the times at which a forecast can be made and verified."""

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import has_enough, mark_complete, nearest_frames, usual_step
from nowcastlib.errors import NowcastError

NEW_EVENT = np.timedelta64(60, "m")  # an event ends if no frame comes for longer than this


def issue_times(
    frames: xr.DataArray, n_in: int | Collection[int], leads: int, every: int = 1
) -> pd.DatetimeIndex:
    """Times at which a forecast can be made and verified.

    The frames that a forecast is made from must begin and end with a complete one, and at most a
    third of them may be missing: see ``data.has_enough``. The same holds for the frames that
    verify it.

    Parameters
    ----------
    frames : xr.DataArray
        Rain rate (time, y, x). All frames are read, unless ``data.mark_complete`` marked them.
    n_in : int or collection of int
        Number of frames that the forecaster needs; of several, each number.
    leads : int
        Number of steps to forecast.
    every : int
        Return every N-th of the times.

    Raises
    ------
    NowcastError
        If there is no such time.
    """
    frames = mark_complete(frames)
    times = frames.indexes["time"]
    is_possible = _can_be_scored(times, frames.is_complete.values, n_in, leads)
    if not is_possible.any():
        incomplete = int((~frames.is_complete).sum())
        lost = f", {incomplete} of them incomplete," if incomplete else ""
        n = n_in if isinstance(n_in, int) else max(n_in)
        raise NowcastError(
            f"a forecast and its verification need {n} + {leads} consecutive frames, and these "
            f"{len(times)}{lost} have none: ask for fewer leads, or give more data"
        )
    return times[is_possible][::every]


def _can_be_scored(
    times: pd.DatetimeIndex, is_complete: np.ndarray, n_in: int | Collection[int], leads: int
) -> np.ndarray:
    """Whether there are enough complete frames before and after each time: (time,)."""
    if len(times) < 2:
        return np.zeros(len(times), bool)
    enough = has_enough(_complete_after(times, times, is_complete, range(1, leads + 1)))
    for n in {n_in} if isinstance(n_in, int) else set(n_in):
        enough &= has_enough(_complete_after(times, times, is_complete, range(1 - n, 1)))
    return enough


def _complete_after(
    wanted: pd.DatetimeIndex, times: pd.DatetimeIndex, is_complete: np.ndarray, steps: range
) -> np.ndarray:
    """Whether there is a complete frame some steps after each of the times: (step, wanted)."""
    step = usual_step(times)
    numbers = np.stack([nearest_frames(times, wanted + k * step, step) for k in steps])
    return (numbers >= 0) & is_complete[numbers]


def count_missing(
    frames: xr.DataArray, n_in: Collection[int], cases: pd.DatetimeIndex, leads: int, every: int = 1
) -> dict[str, int]:
    """Count incomplete frames, and what they mean for the cases of an evaluation.

    Parameters
    ----------
    frames : xr.DataArray
        Rain rate (time, y, x) with ``is_complete``, see ``data.mark_complete``.
    n_in : collection of int
        Numbers of frames that the forecasters need.
    cases : pandas.DatetimeIndex
        Times of the cases that are scored.
    leads : int
        Number of steps to forecast.
    every : int
        The cases are every N-th of the possible times.

    Returns
    -------
    dict
        ``incomplete_frames`` of the store; ``cases_left_out``, how many more cases there were if
        no frame was incomplete or absent between two complete frames of an event;
        ``cases_with_missing_frames``, those scored cases in which a frame before or after the time
        of issue is missing or incomplete.
    """
    times, is_complete = frames.indexes["time"], frames.is_complete.values
    scored = times[_can_be_scored(times, is_complete, n_in, leads)]
    whole = _without_gaps(times[is_complete], usual_step(times))
    possible = whole[_can_be_scored(whole, np.ones(len(whole), bool), n_in, leads)].union(scored)
    there = _complete_after(cases, times, is_complete, range(1 - max(n_in), leads + 1))
    return {
        "incomplete_frames": int((~is_complete).sum()),
        "cases_left_out": len(possible[::every]) - len(scored[::every]),
        "cases_with_missing_frames": int((~there).any(axis=0).sum()),
    }


def _without_gaps(times: pd.DatetimeIndex, step: pd.Timedelta) -> pd.DatetimeIndex:
    """The times, and within each event those in between at which there should be a frame."""
    gaps = np.diff(times)
    steps = np.where(gaps <= NEW_EVENT, np.rint(gaps / step.to_timedelta64()), 1)
    steps = np.append(np.maximum(steps, 1), 1).astype(int)  # from each time to the next
    since = np.arange(steps.sum()) - np.repeat(steps.cumsum() - steps, steps)
    return times.repeat(steps) + since * step


def event_starts(frames: xr.DataArray, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Time of the first frame of the event to which each of the times belongs."""
    index = frames.indexes["time"]
    is_start = np.r_[True, np.diff(index) > NEW_EVENT]
    starts = index[is_start]
    return starts[starts.searchsorted(times, "right") - 1]
