"""The check of rain rates: every value of every store and feed passes it before it is used.

``open_frames`` wraps the rain of a store in ``LazyRates``, so that frames are checked whenever they
are read: for a forecast, an evaluation, a table of frames or training windows. ``ingest`` checks
each frame of any feed before it is written.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.core import indexing

from nowcastlib.data.lazy_values import LazyValues
from nowcastlib.data.reflectivity import HAIL_CAP
from nowcastlib.errors import NowcastError, printable

log = logging.getLogger("nowcastlib")

LOWEST = -1.0  # mm/h; rates from here to 0 are noise of a product and become 0
HIGHEST = 1000.0  # mm/h; higher rates are no rain
BLOCK = 1 << 18  # values that are searched together
REMEDY = (
    "declare it as _FillValue, or make it NaN, if it marks missing pixels, else check the units "
    "and the scale, or give --units"
)


@dataclass
class RainCheck:
    """Check of the rain rates of one store or feed; it counts what it changes."""

    negative_pixels: int = 0  # that became 0
    frames: int = 0  # that had such pixels
    lowest: float = 0.0  # mm/h
    capped_pixels: int = 0  # whose reflectivity was set to HAIL_CAP
    capped_frames: int = 0  # that had such pixels

    def check(self, rate: np.ndarray, times: Sequence | np.ndarray, where: str) -> np.ndarray:
        """Refuse impossible rain rates, and set small negative ones to 0.

        Parameters
        ----------
        rate : array (time, …)
            Rain rate in mm/h; NaN = not observed.
        times : sequence or array
            Time of each frame, for the message.
        where : str
            Store or file, for the message.

        Returns
        -------
        array (time, …)
            ``rate`` itself if nothing had to be changed.

        Raises
        ------
        NowcastError
            If a rate is infinite, below ``LOWEST`` or above ``HIGHEST``.
        """
        low, high = extremes(rate)
        if value := _impossible(low, high):
            number = int(np.argwhere(rate == value)[0][0])
            time = pd.Timestamp(times[number])
            raise NowcastError(f"{where} holds {describe_impossible(value)} at {time}: {REMEDY}")
        if low >= 0:
            return rate

        by_frame = (rate < 0).reshape(len(rate), -1).sum(axis=1)
        self.negative_pixels += int(by_frame.sum())
        self.frames += int((by_frame > 0).sum())
        self.lowest = min(self.lowest, low)
        return np.maximum(rate, 0)  # NaN stays NaN

    def add(self, other: "RainCheck") -> None:
        """Add the counts of another check."""
        self.negative_pixels += other.negative_pixels
        self.frames += other.frames
        self.lowest = min(self.lowest, other.lowest)
        self.capped_pixels += other.capped_pixels
        self.capped_frames += other.capped_frames

    def add_capped(self, pixels: int) -> None:
        """Count pixels of one frame whose reflectivity was capped when it was read."""
        self.capped_pixels += pixels
        self.capped_frames += pixels > 0

    @property
    def has_changes(self) -> bool:
        """Whether anything was changed."""
        return self.negative_pixels > 0 or self.capped_pixels > 0

    def summary(self, where: str) -> str:
        """What was changed, in one line."""
        changes = []
        if self.negative_pixels:
            pixels = _pixels_of_frames(self.negative_pixels, self.frames)
            lowest = f"(lowest {self.lowest:.3g} mm/h)"
            changes.append(f"{pixels} with a small negative rain rate {lowest} set to 0")
        if self.capped_pixels:
            pixels = _pixels_of_frames(self.capped_pixels, self.capped_frames)
            changes.append(f"{pixels} above {HAIL_CAP:g} dBZ (hail or clutter) set to that")
        return f"{where}: {'; '.join(changes)}"


def _pixels_of_frames(pixels: int, frames: int) -> str:
    """Such as "3 pixels of 1 frame"."""
    counts = ((pixels, "pixel"), (frames, "frame"))
    return " of ".join(f"{n:,} {word}{'s' * (n != 1)}" for n, word in counts)


def impossible_rate(rate: np.ndarray) -> float:
    """A rain rate (mm/h) below ``LOWEST`` or above ``HIGHEST``; 0 if there is none."""
    return _impossible(*extremes(rate))


def _impossible(low: float, high: float) -> float:
    """The one of two rain rates that is impossible; 0 if both are possible."""
    return low if low < LOWEST else high if high > HIGHEST else 0.0


def extremes(rate: np.ndarray) -> tuple[float, float]:
    """The lowest rain rate if it is negative and the highest if it is positive, else 0 (mm/h).

    NaN is left out. Large arrays are searched in blocks, each for both while it is in the cache of
    the processor: two passes through memory would take twice as long.
    """
    values = rate.reshape(-1)  # a view of contiguous arrays
    low = high = 0.0
    for k in range(0, values.size, BLOCK):
        block = values[k : k + BLOCK]
        low = min(low, float(np.fmin.reduce(block)))  # NaN if the block is NaN: min leaves it out
        high = max(high, float(np.fmax.reduce(block)))
    return low, high


def describe_impossible(value: float) -> str:
    """Name an impossible rain rate, and those that are possible."""
    return f"a rain rate of {value:g} mm/h (possible: {LOWEST:g} to {HIGHEST:g})"


class LazyRates(LazyValues):
    """Rain rates (time, y, x) in mm/h that are scaled and checked whenever they are read.

    They are read as contiguous arrays of floats in native byte order, in any part that is needed.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Lazy rain rates, in any order of the file below.
    factor : float
        Multiply by it to get mm/h.
    where : str
        Name of the store, for messages.
    is_checked : bool
        Whether to check the rates: a feed leaves that to ``ingest``.
    """

    def __init__(self, frames: xr.DataArray, factor: float, where: str, is_checked: bool = True):
        super().__init__(frames)
        self.times = frames.time.values
        self.factor = factor
        self.where = where
        self.is_checked = is_checked
        self.has_warned = False

    def _read(self, key: tuple) -> np.ndarray:
        try:
            stored = self.variable[key].values
        except MemoryError:
            raise
        except Exception as error:  # zarr, codecs, fsspec and netCDF4 each have errors of their own
            first = np.atleast_1d(self.times[key[0]])[0]
            raise NowcastError(
                f"{self.where}: frames from {pd.Timestamp(first)} on cannot be read "
                f"({type(error).__name__}: {printable(error)}): try again, or fetch the store again"
            ) from error
        rate = np.ascontiguousarray(stored, self.dtype).reshape(stored.shape)
        if self.factor != 1:
            rate = rate * self.dtype.type(self.factor)
        return self._checked(rate, key[0]) if self.is_checked else rate

    def _checked(self, rate: np.ndarray, number: int | slice | np.ndarray) -> np.ndarray:
        """The rates after the check; small negatives are reported once."""
        times = np.atleast_1d(self.times[number])
        check = RainCheck()
        checked = check.check(rate.reshape(len(times), -1), times, self.where).reshape(rate.shape)
        if check.negative_pixels and not self.has_warned:
            self.has_warned = True
            log.warning("%s, now and in all other frames", check.summary(self.where))
        return checked


def lazy_rates(
    frames: xr.DataArray, factor: float, where: str, is_checked: bool = True
) -> xr.DataArray:
    """Frames (time, y, x) whose values are those of ``LazyRates``; see there."""
    rates: Any = indexing.LazilyIndexedArray(LazyRates(frames, factor, where, is_checked))
    # as xarray does for a file: frames that were read stay in memory with the frames
    cached: Any = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(rates))
    return xr.DataArray(xr.Variable(frames.dims, cached, frames.attrs), frames.coords)


def are_checked(frames: xr.DataArray) -> bool:
    """Whether the values of frames come from ``LazyRates`` that checks them, unread so far."""
    rates = _lazy_rates(frames)
    return rates is not None and rates.is_checked


def local_store(frames: xr.DataArray) -> list[str]:
    """The store on this machine's disk from which unread frames come; empty if there is none."""
    rates = _lazy_rates(frames)
    is_local = rates is not None and Path(rates.where).exists()
    return [rates.where] if rates is not None and is_local else []


def _lazy_rates(frames: xr.DataArray) -> LazyRates | None:
    """The ``LazyRates`` that read the values of frames; None if the values are in memory."""
    values: Any = frames.variable._data  # a chain of wrappers, each around its ``array``
    while values is not None and not isinstance(values, LazyRates):
        values = getattr(values, "array", None)
    return values
