"""Writing a store: the frames of any feed become one CF-Zarr of rain rate in mm/h."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import xarray as xr

from nowcastlib.data.feed_lists import checked_list
from nowcastlib.data.feeds import Feed, ServerUnreachable, WrongSettings
from nowcastlib.data.ingest_reading import Frame, Reading, difference, other_grid
from nowcastlib.data.ingest_settings import (
    KEEP_ALL,
    IngestOptions,
    check_settings,
    settings_line,
)
from nowcastlib.data.store_writer import StoreWriter, adopt_unfinished
from nowcastlib.data.times import TimeLike
from nowcastlib.errors import NowcastError
from nowcastlib.files import cannot_write, one_writer, real_path

log = logging.getLogger("nowcastlib")

FIRST_FRAMES = 3  # of a new store: its grid is that of most of them
MOST_NAMED = 3  # skipped frames that the last line names, with the reason


def ingest(
    feed: Feed,
    out: str | Path,
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    options: IngestOptions = KEEP_ALL,
) -> Path:
    """Write the frames of a feed to a store.

    The store grows under its own name, some frames at a time. Whoever opens it meanwhile sees whole
    frames only, and goes on to see those. Run again, an interrupted ingest continues, and an
    existing store gets the frames that it lacks; ``open_frames`` shows them in order.

    A frame is skipped, with a warning that names it, if it cannot be read, if nothing in it is
    observed, or if it has another grid than the others; its time stays a gap. The last warning
    counts the skipped frames, and names the first ones with the reason.

    Parameters
    ----------
    feed : Feed
        Where the frames come from.
    out : str or Path
        The store, such as "frames.zarr". If it is a link, the store that it leads to is written.
    start, end : str, datetime, numpy.datetime64 or pandas.Timestamp, optional
        Times in UTC: frames in [start, end) are written. None leaves that side open.
    options : IngestOptions
        Crop, coarser grid, every N-th frame, progress bar, and processes that share the work.

    Returns
    -------
    Path
        The store: ``rainfall_rate`` (time, y, x) in mm/h, NaN = not observed, 0 = dry; of a feed of
        colours, ``colour`` (time, channel, y, x) from 0 to 1.

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
    if options.client:
        from nowcastlib.data.ingest_workers import absolute  # needs dask

        feed = absolute(feed)
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
    rows = checked_list(feed.list(start, end)).sort_values("time").iloc[::every]
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
        reading = Reading(feed, missing, options, len(rows) - len(missing), store.name)
        try:
            with reading:  # ends the line of the progress bar before any error is printed
                _append(reading, writer, _about(feed, settings))
        except WrongSettings:
            writer.undo()  # the frames before it were read wrongly, too
            raise
        finally:
            _report(reading, writer)

    if len(reading.reasons) == len(rows):
        raise NowcastError(
            f"not one of {len(rows)} frames could be used; the first: {reading.reasons[0]}"
        )


def _append(reading: Reading, writer: StoreWriter, attributes: dict[str, str]) -> None:
    """Add the frames of one grid; with a client its workers add all but the first ones."""
    client = reading.options.client
    adder = _Adder(reading, writer)
    with closing(reading.readable_frames(1 if client else reading.feed.concurrency)) as frames:
        if not writer.has_grid:
            adder.begin(frames, attributes)
        for one in frames:
            adder.add(one)
            if client and adder.pattern is not None:
                break

    if client and adder.pattern is not None:
        from nowcastlib.data.ingest_workers import add_by_workers  # needs dask

        add_by_workers(reading, writer, adder.pattern)


class _Adder:
    """Adds frames of one grid: that of the store, or that of most of the first frames."""

    def __init__(self, reading: Reading, writer: StoreWriter):
        self.reading = reading
        self.writer = writer
        self.pattern: xr.DataArray | None = None  # the first frame that fits into the store

    def begin(self, frames: Iterator[Frame], attributes: dict[str, str]) -> None:
        """Begin a new store with the first frames."""
        first, interruption = _take(frames, FIRST_FRAMES)
        if first:
            self.writer.create(self.reading.stored(_most_common(first)), attributes)
        for one in first:
            self.add(one)
        if interruption:
            raise interruption

    def add(self, one: Frame) -> None:
        """Add a frame, or skip it if it has another grid."""
        if self.pattern is not None:
            wrong = difference(self.pattern, one.field)
        elif not (wrong := self.reading.difference_from(self.writer.grid, one.field)):
            self.pattern = one.field
        if wrong:
            self.reading.skip(one.time, other_grid(one.where, wrong))
        else:
            self.writer.add(int(one.time.timestamp()), one.values)


def _take(
    frames: Iterator[Frame], n: int
) -> tuple[list[Frame], ServerUnreachable | KeyboardInterrupt | None]:
    """The first ``n`` frames; fewer if the reading ends before, then with what ended it."""
    first: list[Frame] = []
    try:
        first.extend(itertools.islice(frames, n))
    except (ServerUnreachable, KeyboardInterrupt) as interruption:
        return first, interruption
    return first, None


def _most_common(frames: list[Frame]) -> xr.DataArray:
    """The first frame as read (y, x) whose grid is that of most frames."""
    fields = [one.field for one in frames]
    return max(fields, key=lambda a: sum(not difference(a, b) for b in fields))


def _report(reading: Reading, writer: StoreWriter) -> None:
    """Say what was left out, and what was changed: that stands in the store's history, too."""
    name = writer.path.name
    if reading.reasons:
        first = "; ".join(reading.reasons[:MOST_NAMED])
        more = len(reading.reasons) - MOST_NAMED
        others = f"; and {more} more, named above" if more > 0 else ""
        counts = len(reading.reasons), len(reading.rows)
        log.warning("%s: %s of %s frames skipped: %s%s", name, *counts, first, others)
    if reading.check.has_changes:
        summary = reading.check.summary(name)
        log.warning(summary)
        if writer.has_grid:
            writer.note(summary)


def _about(feed: Feed, settings: str) -> dict[str, str]:
    """Global attributes of the store that depend on the feed."""
    return {"source": feed.attribution, "license": feed.licence, "history": settings}
