"""Sums of rain that run on from a start: they are recognised, as their differences are the rain."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np
import xarray as xr

from nowcastlib.data.rain_check import lazy_rates
from nowcastlib.errors import NowcastError

BLOCKS, LENGTH = 8, 5  # at most 8 blocks of 5 successive frames are read
FEWEST_RISES = 6  # pairs of frames in which rain was added and none lost; fewer prove nothing
RISES_PER_RESET = 5  # a running sum may start again, but not often
SHARE_OF_FALLS = 0.01  # of the changed pixels: rounding, and corrections of a product


def check_is_no_running_sum(frames: xr.DataArray, path: str) -> None:
    """Refuse amounts of rain that rise from frame to frame and hardly ever fall.

    Frames are read one at a time. Where rain moves or ends, its sums fall at many pixels: then
    about ten frames are enough.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Lazy amounts of rain of any unit, in ascending time; NaN = not observed.
    path : str
        What the error message calls the store.

    Raises
    ------
    NowcastError
        If nearly no pixel falls in any of six or more pairs of frames in which some rise. Sums
        that start again at 0 now and then are refused, too.
    """
    if len(frames) <= FEWEST_RISES:
        return

    amounts = lazy_rates(frames, 1, path, is_checked=False)
    rises = falls = 0
    for block in _blocks(len(frames)):
        for earlier, amount in pairwise(_readable(amounts, block)):
            risen, fallen = (amount > earlier).sum(), (amount < earlier).sum()
            is_fall = fallen > SHARE_OF_FALLS * (risen + fallen)
            falls += int(is_fall)
            rises += int(risen > 0 and not is_fall)
            if falls > BLOCKS * LENGTH / RISES_PER_RESET:
                return

    if rises >= max(FEWEST_RISES, RISES_PER_RESET * falls):
        raise NowcastError(
            f"{path} seems to hold running sums of rain: from frame to frame they rise and do not "
            "fall. Store the differences of successive frames, or give --accumulation-minutes if "
            "each frame is a sum of its own"
        )


def _readable(amounts: xr.DataArray, numbers: range) -> Iterator[np.ndarray]:
    """Frames that can be read; any other raises its error when it is used, not here."""
    for number in numbers:
        with suppress(NowcastError):
            yield amounts[number].values


def _blocks(number: int) -> list[range]:
    """Blocks of successive frames, spread over all frames; a single one of a short store."""
    if number <= BLOCKS * LENGTH:
        return [range(number)]
    return [range(k, k + LENGTH) for k in np.linspace(0, number - LENGTH, BLOCKS).astype(int)]
