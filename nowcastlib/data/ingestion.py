"""Writing a store: the frames of any feed become one CF-Zarr of rain rate in mm/h."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data import grid
from nowcastlib.data.background import in_background
from nowcastlib.data.feeds import Feed, ServerUnreachable, WrongSettings
from nowcastlib.data.ingest_settings import check_settings, settings_line
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.data.store_writer import StoreWriter, adopt_unfinished
from nowcastlib.data.times import TimeLike
from nowcastlib.errors import NowcastError
from nowcastlib.files import cannot_write, one_writer, real_path

log = logging.getLogger("nowcastlib")

MAX_OUTAGES = 3  # frames in a row for which the server is unreachable: stop
FIRST_FRAMES = 3  # of a new store: its grid is that of most of them


@dataclass(frozen=True)
class IngestOptions:
    """What ``ingest`` keeps of the frames of a feed."""

    crop: tuple[int, int, int, int] | None = None  # px: x and y of the upper left, width, height
    regrid: int = 0  # columns of a coarser grid, rows in proportion; 0: keep the grid
    every: int = 1  # keep every N-th frame
    progress: bool = True  # show a progress bar


def ingest(
    feed: Feed,
    out: str | Path,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    options: IngestOptions = IngestOptions(),
) -> Path:
    """Write the frames of a feed to a store.

    The store grows under its own name, some frames at a time. Whoever opens it meanwhile sees whole
    frames only, and goes on to see those. Run again, an interrupted ingest continues, and an
    existing store gets the frames that it lacks; ``open_frames`` shows them in order.

    A frame is skipped, with a warning that names it, if it cannot be read, if nothing in it is
    observed, or if it has another grid than the others; its time stays a gap.

    Parameters
    ----------
    feed : Feed
        Where the frames come from.
    out : str or Path
        The store, such as "frames.zarr". If it is a link, the store that it leads to is written.
    start, end : str, datetime, numpy.datetime64 or pandas.Timestamp, optional
        Times in UTC: frames in [start, end) are written. None leaves that side open.
    options : IngestOptions
        Crop, coarser grid, every N-th frame, progress bar.

    Returns
    -------
    Path
        The store: ``rainfall_rate`` (time, y, x) in mm/h, NaN = not observed, 0 = dry.

    Raises
    ------
    NowcastError
        If the feed has no readable frame, if the store was written by other settings or has another
        grid than all frames, if another process writes it, or if it cannot be written.
    ServerUnreachable
        If the server of the feed does not answer.
    WrongSettings
        If a frame shows that the feed reads the others wrongly, too: the store is then as before.

    Notes
    -----
    Whatever ends an ingest, also a kill or a full disk, the store has its name and whole frames. It
    has no name as long as it has no frame.

    Examples
    --------
    >>> from nowcastlib.data.feeds.demo import Demo
    >>> path = ingest(Demo(events=1), "frames.zarr")  # doctest: +SKIP
    """
    out = Path(out)
    rows = _rows_to_ingest(feed, start, end, options.every)
    store = real_path(out)
    with one_writer(store):
        try:
            _extend(feed, rows, store, options)
        except OSError as error:
            raise cannot_write(out, error) from error
    return out


def _rows_to_ingest(
    feed: Feed, start: TimeLike | None, end: TimeLike | None, every: int
) -> pd.DataFrame:
    """Rows of the feed's table, each time once, in ascending time, every N-th."""
    rows = feed.list(start, end).drop_duplicates("time").sort_values("time").iloc[::every]
    if rows.time.isna().any():
        raise NowcastError("the feed lists frames without a time (NaT): leave them out of its list")
    if rows.empty:
        raise NowcastError(
            f"there are no frames from {start or 'the first'} to {end or 'the last'}: "
            "ask for other times"
        )
    return rows


def _extend(feed: Feed, rows: pd.DataFrame, store: Path, options: IngestOptions) -> None:
    """Add the frames that the store lacks; the caller holds its lock."""
    settings = settings_line(feed, options.crop, options.regrid, options.every)
    adopt_unfinished(store)
    if store.exists():
        check_settings(store, settings, feed)

    with StoreWriter(store) as writer:
        seconds = rows.time.astype("datetime64[s]").astype("int64")
        missing = rows[~seconds.isin(writer.times)]
        reading = _Reading(feed, missing, options, written=len(rows) - len(missing))
        frames = reading.readable_frames(store.name)
        try:
            with closing(frames):  # ends the line of the progress bar before any error is printed
                _append(reading, frames, writer, _about(feed, settings))
        except WrongSettings:
            writer.undo()  # the frames before it were read wrongly, too
            raise
        finally:
            _report(reading, writer)

    if len(reading.reasons) == len(rows):
        raise NowcastError(
            f"not one of {len(rows)} frames could be used; the first: {reading.reasons[0]}"
        )


def _append(
    reading: "_Reading",
    frames: Iterator["_Frame"],
    writer: StoreWriter,
    attributes: dict[str, str],
) -> None:
    """Add the frames of one grid: that of the store, or that of most of the first frames."""
    first: list[_Frame] = []
    interruption = None
    if not writer.has_grid:
        first, interruption = _take(frames, FIRST_FRAMES)
    if first:
        writer.create(reading.stored(_most_common(first)), attributes)

    pattern = None  # the first frame that fits into the store
    for one in itertools.chain(first, [] if interruption else frames):
        if pattern is not None:
            difference = _difference(pattern, one.field)
        elif not (difference := reading.difference_from(writer.grid, one.field)):
            pattern = one.field
        if difference:
            reading.skip(one.time, f"{one.where}: {difference}: use another store for such frames")
        else:
            writer.add(int(one.time.timestamp()), one.values)
    if interruption:
        raise interruption


def _take(
    frames: Iterator["_Frame"], n: int
) -> tuple[list["_Frame"], ServerUnreachable | KeyboardInterrupt | None]:
    """The first ``n`` frames; fewer if the reading ends before, then with what ended it."""
    first: list[_Frame] = []
    try:
        first.extend(itertools.islice(frames, n))
    except (ServerUnreachable, KeyboardInterrupt) as interruption:
        return first, interruption
    return first, None


def _most_common(frames: list["_Frame"]) -> xr.DataArray:
    """The first frame as read (y, x) whose grid is that of most frames."""
    fields = [one.field for one in frames]
    return max(fields, key=lambda a: sum(not _difference(a, b) for b in fields))


def _difference(expected: xr.DataArray, field: xr.DataArray) -> str:
    """How the grid of a frame differs: by its size or by more than 1 % of a pixel; else ""."""
    if expected.shape != field.shape:
        sizes = ("×".join(map(str, one.shape)) for one in (field, expected))
        return "it has {} px, the others {}".format(*sizes)

    for axis in ("y", "x"):
        # whole numbers, also of an axis without a coordinate, have no infinity
        there, here = (np.asarray(one[axis].values, "f8") for one in (expected, field))
        pixel = np.abs(np.diff(there)).min(initial=np.inf)
        tolerance = pixel / 100 if np.isfinite(pixel) else 0.0
        if np.abs(here - there).max(initial=0) > tolerance:
            return "it lies elsewhere than the others"
    return ""


def _report(reading: "_Reading", writer: StoreWriter) -> None:
    """Say what was left out, and what was changed: that stands in the store's history, too."""
    name = writer.path.name
    if reading.reasons:
        log.warning("%s: %s of %s frames skipped", name, len(reading.reasons), len(reading.rows))
    if reading.check.has_changes:
        summary = reading.check.summary(name)
        log.warning(summary)
        if writer.has_grid:
            writer.note(summary)


def _about(feed: Feed, settings: str) -> dict[str, str]:
    """Global attributes of the store that depend on the feed."""
    return {"source": feed.attribution, "license": feed.licence, "history": settings}


class _Frame(NamedTuple):
    """A frame that was read."""

    time: pd.Timestamp
    where: str  # the file or the feed, for messages
    field: xr.DataArray  # (y, x), as read
    values: np.ndarray  # (y, x), as stored
    check: RainCheck  # what the check changed


class _Reading:
    """Reading of the frames of a feed, some at the same time, in the order of their rows."""

    def __init__(self, feed: Feed, rows: pd.DataFrame, options: IngestOptions, written: int):
        self.feed = feed
        self.rows = rows
        self.options = options
        self.written = written  # frames that the store has already
        self.reasons: list[str] = []  # why frames were skipped
        self.check = RainCheck()

    def readable_frames(self, name: str) -> Generator[_Frame, None, None]:
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
            return _difference(expected, self.stored(field))
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

    def _read(self, row: Any) -> _Frame:
        """A frame as read and as stored."""
        field = self.feed.read(row)
        where = str(getattr(row, "path", "") or getattr(self.feed, "path", "") or "the feed")
        values = field.values
        if self.options.crop:
            x, y, width, height = self.options.crop
            values = values[y : y + height, x : x + width]

        check = RainCheck()
        if values.size:  # else the crop lies beyond the frame, which is reported later
            values = check.check(values[None], [row.time], where)[0]
            values = grid.area_mean(values, self.options.regrid)
        check.add_capped(field.attrs.get("capped_pixels", 0))
        return _Frame(row.time, where, field, values, check)
