"""Work on all frames of a long store, some whole frames in memory at a time."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data.rain_check import local_store
from nowcastlib.data.store import SLAB
from nowcastlib.workers import in_order, packed, unpacked

Result = TypeVar("Result")

DELAY = 3.0  # seconds until a progress bar appears: short work needs none


def by_slabs(
    function: Callable[[np.ndarray], Result],
    frames: xr.DataArray,
    client: Any = None,
    progress: str = "",
) -> list[Result]:
    """Results of a function for successive parts of the frames.

    Parameters
    ----------
    function : callable
        Gets some whole frames (time, y, x) or (time, channel, y, x).
    frames : xarray.DataArray (time, y, x) or (time, channel, y, x)
        They are read part by part, SLAB bytes at a time, and in whole chunks where these are small.
    client : distributed.Client, optional
        Its workers do the work; without it, this process does.
    progress : str
        Text of a progress bar, which appears if the work takes some seconds; none if "".
    """
    slabs = list(_slabs(frames))
    results = []
    bar = tqdm(total=len(frames), desc=progress, unit="frame", disable=not progress, delay=DELAY)
    with bar, closing(_results(function, frames, slabs, client)) as parts:
        for (start, stop), result in zip(slabs, parts, strict=True):
            results.append(result)
            bar.update(stop - start)
    return results


def _slabs(frames: xr.DataArray) -> Iterator[tuple[int, int]]:
    """First frame of each part, and the one after its last."""
    pixels = max(1, math.prod(frames.shape[1:]))
    n = max(1, SLAB // (4 * pixels))  # frames that are read together, of 4 bytes a pixel
    chunk = frames.encoding.get("preferred_chunks", {}).get("time", 1)
    if chunk <= n:
        n -= n % chunk
    for start in range(0, len(frames), n):
        yield start, min(start + n, len(frames))


def _results(
    function: Callable[[np.ndarray], Result],
    frames: xr.DataArray,
    slabs: list[tuple[int, int]],
    client: Any,
):
    """The results in order."""
    if client is None:
        for start, stop in slabs:
            yield function(frames[start:stop].values)
        return
    content = packed(client, [function, frames], local_store(frames))
    yield from in_order(client, _of_slab, ((content, *slab) for slab in slabs))


def _of_slab(content: bytes, start: int, stop: int) -> Any:
    """The result for some frames: a worker's task."""
    function, frames = unpacked(content)
    return function(frames[start:stop].values)
