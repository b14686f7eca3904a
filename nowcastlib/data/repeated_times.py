"""Frames of one time: which of them is kept."""

import logging

import numpy as np
import xarray as xr

from nowcastlib.data.rain_check import lazy_rates

log = logging.getLogger("nowcastlib")


def without_repeated_times(frames: xr.DataArray, path: str) -> xr.DataArray:
    """Frames with each time once: a frame is left out if another of its time says as much.

    Of frames that agree wherever both are observed, the one with the most observed pixels is kept.
    Of frames that differ, the first is kept, and a warning counts such times. Only frames whose
    time is repeated are read, one at a time.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Lazy frames in ascending time; NaN = not observed.
    path : str
        What the warning calls the store.
    """
    times, firsts, counts = np.unique(frames.time.values, return_index=True, return_counts=True)
    values = lazy_rates(frames, 1, path, is_checked=False)  # an unreadable frame is named
    kept = firsts.copy()
    differing = []
    for k in np.flatnonzero(counts > 1):
        kept[k], is_one = _fullest(values, range(firsts[k], firsts[k] + counts[k]))
        if not is_one:
            differing.append(times[k])

    if differing:
        log.warning(
            "%s holds different frames of the same time (such times: %d, from %s on): the first "
            "frame of each is used",
            path,
            len(differing),
            np.datetime_as_string(differing[0], unit="s"),
        )
    return frames.isel(time=kept)


def _fullest(values: xr.DataArray, numbers: range) -> tuple[int, bool]:
    """The frame with the most observed pixels, or the first if frames differ; whether they agree.

    Frames agree if the fullest has the values of all others, wherever these are observed.
    """
    observed = [int(np.isfinite(values[number].values).sum()) for number in numbers]
    fullest = numbers[int(np.argmax(observed))]
    full = values[fullest].values
    for number in numbers:
        other = values[number].values
        if not (np.isnan(other) | (other == full)).all():
            return numbers[0], False
    return fullest, True
