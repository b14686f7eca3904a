"""Reading of the frames of a feed for a store: several at a time, checked, in order."""

import logging
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data import grid
from nowcastlib.data.background import in_background
from nowcastlib.data.colours import are_colours
from nowcastlib.data.feeds import Feed, ServerUnreachable, WrongSettings
from nowcastlib.data.gate import checked_field
from nowcastlib.data.ingest_settings import IngestOptions
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

MAX_OUTAGES = 3  # frames in a row for which the server is unreachable: stop


def difference(expected: xr.DataArray, field: xr.DataArray) -> str:
    """How the grid of a frame differs: by its size or by more than 1 % of a pixel; else ""."""
    if expected.shape != field.shape:
        sizes = ("×".join(map(str, one.shape)) for one in (field, expected))
        return "it has {} px, the others {}".format(*sizes)

    for axis in ("y", "x"):
        there, here = expected.get_index(axis), field.get_index(axis)
        if here.equals(there):  # the usual case, and a fast one
            continue
        # whole numbers, also of an axis without a coordinate, have no infinity
        there, here = np.asarray(there, "f8"), np.asarray(here, "f8")
        pixel = np.abs(np.diff(there)).min(initial=np.inf)
        tolerance = pixel / 100 if np.isfinite(pixel) else 0.0
        if np.abs(here - there).max(initial=0) > tolerance:
            return "it lies elsewhere than the others"
    return ""


def _is_like(passed: xr.DataArray, field: xr.DataArray) -> bool:
    """Whether a frame has type, axes, units and coordinates of one (y, x) that is in order."""
    return (
        isinstance(field, xr.DataArray)
        and field.dims == ("y", "x")
        and field.dtype.kind == "f"
        and field.attrs.get("units", "") == passed.attrs.get("units", "")
        and all(field.get_index(axis).equals(passed.get_index(axis)) for axis in ("y", "x"))
    )


class Frame(NamedTuple):
    """A frame that was read."""

    time: pd.Timestamp
    where: str  # the file or the feed, for messages
    field: xr.DataArray  # (y, x) or (channel, y, x), as read
    values: np.ndarray  # of the same dimensions, as stored
    check: RainCheck  # what the check changed


class Reading:
    """Reading of the frames of a feed, some at the same time, in the order of their rows."""

    def __init__(self, feed: Feed, rows: pd.DataFrame, options: IngestOptions, written: int):
        self.feed = feed
        self.rows = rows
        self.options = options
        self.written = written  # frames that the store has already
        self.reasons: list[str] = []  # why frames were skipped
        self.check = RainCheck()
        self._passed: xr.DataArray | None = None  # the last frame that passed the gate unchanged

    def readable_frames(self, name: str) -> Generator[Frame, None, None]:
        """The good frames, in the order of their rows.

        Raises ServerUnreachable after three frames in a row for which the server did not answer,
        and WrongSettings at the first frame that shows them.
        """
        outages = 0
        bar = tqdm(
            total=self.written + len(self.rows),
            initial=self.written,
            desc=f"→ {name}",
            unit="frame",
            disable=not self.options.progress,
        )
        with bar, closing(self._read_ahead()) as results:
            for time, result in results:
                bar.update()
                try:
                    frame = result()
                    if frame.values.size and not np.isfinite(frame.values).any():
                        raise NowcastError("nothing in it is observed")
                except WrongSettings:
                    raise
                except NowcastError as error:
                    outages = outages + 1 if isinstance(error, ServerUnreachable) else 0
                    if outages == MAX_OUTAGES:
                        raise ServerUnreachable(f"{error}; a new run continues here") from error
                    self.skip(time, str(error))
                    continue
                outages = 0
                self.check.add(frame.check)
                yield frame

    def skip(self, time: pd.Timestamp, reason: str) -> None:
        """Leave a frame out, with a warning."""
        log.warning("skipped the frame of %s: %s", time, reason)
        self.reasons.append(reason)

    def stored(self, field: xr.DataArray) -> xr.DataArray:
        """A frame (y, x) as the store has it."""
        return grid.coarser(grid.cut(field, self.options.crop), self.options.regrid)

    def difference_from(self, expected: xr.DataArray, field: xr.DataArray) -> str:
        """How a frame differs from the grid of the store; "" if it does not."""
        try:
            return difference(expected, self.stored(field))
        except NowcastError as error:  # it is too small for the crop or the coarser grid
            return str(error)

    def _read_ahead(self) -> Generator[tuple[pd.Timestamp, Callable], None, None]:
        """Time and result of each frame; ``feed.concurrency`` frames are read at the same time."""
        waiting: deque = deque()
        for row in self.rows.itertuples():
            waiting.append((row.time, in_background(self._read, row).result))
            if len(waiting) >= self.feed.concurrency:
                yield waiting.popleft()
        yield from waiting

    def _through_the_gate(self, field: xr.DataArray, where: str) -> xr.DataArray:
        """A frame north up in mm/h; one like the frame before is in order and passes at once."""
        is_in_order = self._passed is not None and _is_like(self._passed, field)
        if is_in_order or are_colours(field):  # colour films are no rain
            return field
        checked = checked_field(field, where)
        self._passed = checked if _is_like(checked, field) else None
        return checked

    def _read(self, row: Any) -> Frame:
        """A frame as read and as stored."""
        where = str(getattr(row, "path", "") or getattr(self.feed, "path", "") or "the feed")
        field = self._through_the_gate(self.feed.read(row), where)
        values = field.values
        if self.options.crop:
            x, y, width, height = self.options.crop
            values = values[..., y : y + height, x : x + width]

        check = RainCheck()
        if values.size:  # else the crop lies beyond the frame, which is reported later
            values = check.check(values[None], [row.time], where)[0]
            values = grid.area_mean(values, self.options.regrid)
        check.add_capped(field.attrs.get("capped_pixels", 0))
        return Frame(row.time, where, field, values, check)
