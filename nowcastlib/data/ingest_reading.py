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


class Result(NamedTuple):
    """What the reading of one row gave."""

    time: pd.Timestamp
    frame: Frame | None
    error: NowcastError | None  # why there is no frame


def read_rows(
    feed: Feed, rows: pd.DataFrame, options: IngestOptions, at_once: int
) -> Generator[Result, None, None]:
    """The frames of a table, in the order of its rows; ``at_once`` are read at the same time."""
    with closing(_read_ahead(feed, rows, options, at_once)) as results:
        for time, result in results:
            try:
                frame = result()
                if frame.values.size and not np.isfinite(frame.values).any():
                    raise NowcastError("nothing in it is observed")
                outcome = Result(time, frame, None)
            except NowcastError as error:
                outcome = Result(time, None, error)
            yield outcome


def _read_ahead(
    feed: Feed, rows: pd.DataFrame, options: IngestOptions, at_once: int
) -> Generator[tuple[pd.Timestamp, Callable[[], Frame]], None, None]:
    """Time and result of each frame."""
    waiting: deque = deque()
    read = _RowReader(feed, options).read
    for row in rows.itertuples():
        waiting.append((row.time, in_background(read, row).result))
        if len(waiting) >= at_once:
            yield waiting.popleft()
    yield from waiting


class _RowReader:
    """Reads the frame of a row, and brings it into order."""

    def __init__(self, feed: Feed, options: IngestOptions):
        self.feed = feed
        self.options = options
        self._passed: xr.DataArray | None = None  # the last frame that passed the gate unchanged

    def _through_the_gate(self, field: xr.DataArray, where: str) -> xr.DataArray:
        """A frame north up in mm/h; one like the frame before is in order and passes at once."""
        is_in_order = self._passed is not None and _is_like(self._passed, field)
        if is_in_order or are_colours(field):  # colour films are no rain
            return field
        checked = checked_field(field, where)
        self._passed = checked if _is_like(checked, field) else None
        return checked

    def read(self, row: Any) -> Frame:
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


class Reading:
    """Reading of the frames of a feed, in the order of their rows: which are kept, and why not.

    As a context it shows a progress bar.
    """

    def __init__(
        self, feed: Feed, rows: pd.DataFrame, options: IngestOptions, written: int, name: str
    ):
        self.feed = feed
        self.rows = rows
        self.options = options
        self.reasons: list[str] = []  # why frames were skipped
        self.check = RainCheck()
        self.done = 0  # rows that were read
        self._outages = 0  # rows in a row for which the server was unreachable
        self._bar = tqdm(
            total=written + len(rows),
            initial=written,  # frames that the store has already
            desc=f"→ {name}",
            unit="frame",
            disable=not options.progress,
        )

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def readable_frames(self, at_once: int) -> Generator[Frame, None, None]:
        """The good frames, in the order of their rows; see ``is_kept`` for the errors."""
        with closing(read_rows(self.feed, self.rows, self.options, at_once)) as results:
            for time, frame, error in results:
                if self.is_kept(time, error) and frame is not None:
                    self.check.add(frame.check)
                    yield frame

    def is_kept(self, time: pd.Timestamp, error: NowcastError | None) -> bool:
        """Whether a row gave a frame; it is skipped with a warning if it did not.

        Raises ServerUnreachable after three rows in a row for which the server did not answer, and
        WrongSettings at the first row that shows them.
        """
        self.done += 1
        self._bar.update()
        if error is None:
            self._outages = 0
            return True
        if isinstance(error, WrongSettings):
            raise error
        self._outages = self._outages + 1 if isinstance(error, ServerUnreachable) else 0
        if self._outages == MAX_OUTAGES:
            raise ServerUnreachable(f"{error}; a new run continues here") from error
        self.skip(time, str(error))
        return False

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


def other_grid(where: str, wrong: str) -> str:
    """Why a frame of another grid is skipped."""
    return f"{where}: {wrong}: use another store for such frames"
