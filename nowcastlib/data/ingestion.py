"""Writing a store: the frames of any feed become one CF-Zarr of rain rate in mm/h."""

import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from tqdm.auto import tqdm

from nowcastlib.data import grid
from nowcastlib.data.background import in_background
from nowcastlib.data.feeds import Feed, ServerUnreachable
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.data.store import open_frames
from nowcastlib.data.store_writer import TITLE, create_store, finish_store, resume_store
from nowcastlib.data.times import TimeLike
from nowcastlib.errors import NowcastError
from nowcastlib.files import cannot_write, partial_path

log = logging.getLogger("nowcastlib")

MAX_OUTAGES = 3  # frames in a row for which the server is unreachable: stop


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

    The store grows in ``out`` + ".partial", some frames at a time, and takes its name when all
    frames are in it: a store with the name ``out`` is always whole and ascending in time. Run
    again, an interrupted ingest continues, and an existing store gets the frames that it lacks. A
    frame that cannot be read, or in which nothing is observed, is skipped with a warning that names
    it; its time stays a gap.

    Parameters
    ----------
    feed : Feed
        Where the frames come from.
    out : str or Path
        The store, such as "frames.zarr".
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
        If the feed has no readable frame, if a frame has another grid than the store, if the store
        was written by other settings, or if it cannot be written.
    ServerUnreachable
        If the server of the feed does not answer.

    Notes
    -----
    While frames are written, the store has the name ``out.partial``, also one that existed before:
    a store named ``out`` is always whole. If a feed fails, a store that existed before gets its
    name back. One that this call began is removed, except if the server is unreachable. After
    an interruption the next call continues the unfinished store.

    Examples
    --------
    >>> from nowcastlib.data.feeds.demo import Demo
    >>> path = ingest(Demo(events=1), "frames.zarr")  # doctest: +SKIP
    """
    out = Path(out)
    rows = _rows_to_ingest(feed, start, end, options.every)
    history = _history(feed, options)
    partial = partial_path(out)
    was_whole, was_begun = out.exists(), partial.exists()

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if was_whole:
            stored = open_frames(out).time.values
            _check_history(out, history)
            if np.isin(rows.time.values, stored).all():
                return out
            shutil.rmtree(partial, ignore_errors=True)  # left by a run killed after the renaming
            out.rename(partial)
        elif not was_begun and not os.access(out.parent, os.W_OK):
            raise PermissionError(13, "the folder is not writable", str(out.parent))

        try:
            _append(feed, rows, partial, options, history)
        except NowcastError:
            if was_whole:  # give it back its name, with the frames that could be added
                finish_store(partial, out)
            raise
        finish_store(partial, out)
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


def _history(feed: Feed, options: IngestOptions) -> str:
    """What the frames are and how they were changed, for the attribute ``history`` of the store."""
    product = f"product {feed.product}, " if feed.product else ""
    crop = ",".join(map(str, options.crop or ["none"]))
    every = f", every {options.every} frames" if options.every > 1 else ""
    return f"nowcastlib ingest: {product}crop {crop}, regrid {options.regrid or 'none'}{every}"


def _check_history(store: Path, history: str) -> None:
    """Refuse a store that was not written by ingest, or by other settings."""
    group = zarr.open_group(str(store), mode="r")
    if group.attrs.get("title") != TITLE or "rainfall_rate" not in group:
        raise NowcastError(f"{store} was not made by ingest: choose another name")

    earlier = group.attrs.get("history", history)
    if earlier != history:
        raise NowcastError(
            f"{store} was made by other settings ({earlier}), not ({history}): "
            "use those settings, or another store"
        )


def _append(
    feed: Feed, rows: pd.DataFrame, partial: Path, options: IngestOptions, history: str
) -> None:
    """Add the frames that the store ``partial`` lacks."""
    writer = resume_store(partial)
    seconds = rows.time.astype("datetime64[s]").astype("int64")
    missing = rows[~seconds.isin(writer.times if writer else [])]
    reading = _Reading(feed, missing, options, written=len(rows) - len(missing))

    first = None  # frame of this run; the others must have its grid
    try:
        for time, frame, values in reading.readable_frames(partial.stem):
            if first is None or writer is None:
                first = frame
                stored = grid.coarser(grid.cut(frame, options.crop), options.regrid)
                writer = writer or create_store(partial, stored, _about(feed, history))
                _check_grid(writer.grid, stored, time, partial)
            _check_grid(first, frame, time, partial)
            writer.add(int(time.timestamp()), values)
    finally:
        if writer:
            writer.flush()  # keep what was read, whatever happened
        if reading.check.negative_pixels:
            log.warning(reading.check.summary(partial.stem))

    if writer is None:
        why = f"; the first: {reading.reasons[0]}" if reading.reasons else ""
        raise NowcastError(f"not one of {len(rows)} frames could be read{why}")


def _about(feed: Feed, history: str) -> dict[str, str]:
    """Global attributes of the store that depend on the feed."""
    return {"source": feed.attribution, "license": feed.licence, "history": history}


class _Reading:
    """Reading of the frames of a feed, some at the same time, in the order of their rows."""

    def __init__(self, feed: Feed, rows: pd.DataFrame, options: IngestOptions, written: int):
        self.feed = feed
        self.rows = rows
        self.options = options
        self.written = written  # frames that the store has already
        self.reasons: list[str] = []  # why frames were skipped
        self.check = RainCheck()

    def readable_frames(self, name: str) -> Iterator[tuple[pd.Timestamp, xr.DataArray, np.ndarray]]:
        """Time, frame as read and values as stored of each good frame.

        Raises ServerUnreachable after three frames in a row for which the server did not answer.
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
                    frame, values, check = result()
                    if values.size and not np.isfinite(values).any():
                        raise NowcastError("nothing in it is observed")
                except NowcastError as error:
                    outages = outages + 1 if isinstance(error, ServerUnreachable) else 0
                    if outages == MAX_OUTAGES:
                        raise
                    log.warning("skipped the frame of %s: %s", time, error)
                    self.reasons.append(str(error))
                    continue
                outages = 0
                self.check.add(check)
                yield time, frame, values

    def _read_ahead(self) -> Generator[tuple[pd.Timestamp, Callable], None, None]:
        """Time and result of each frame; ``feed.concurrency`` frames are read at the same time."""
        waiting: deque = deque()
        for row in self.rows.itertuples():
            waiting.append((row.time, in_background(self._read, row).result))
            if len(waiting) >= self.feed.concurrency:
                yield waiting.popleft()
        yield from waiting

    def _read(self, row: Any) -> tuple[xr.DataArray, np.ndarray, RainCheck]:
        """A frame as read, its values (y, x) as stored, and what the check changed in them."""
        frame = self.feed.read(row)
        values = frame.values
        if self.options.crop:
            x, y, width, height = self.options.crop
            values = values[y : y + height, x : x + width]

        check = RainCheck()
        if values.size:  # else the crop lies beyond the frame, which is reported later
            where = getattr(row, "path", "") or getattr(self.feed, "path", "") or "the feed"
            values = check.check(values[None], [row.time], where)[0]
            values = grid.area_mean(values, self.options.regrid)
        return frame, values, check


def _check_grid(expected: xr.DataArray, frame: xr.DataArray, time, partial: Path) -> None:
    """Refuse a frame of another size, or of a place that differs by more than 1 % of a pixel."""
    remedy = (
        f"use another store for frames from then on; the frames before it are kept, run again with "
        f"end {time.isoformat()} to complete {partial.stem}"
    )
    if expected.shape != frame.shape:
        raise NowcastError(
            f"the frame of {time} is {frame.shape} px, those before it {expected.shape}: {remedy}"
        )
    for axis in ("y", "x"):
        there, here = expected[axis].values, frame[axis].values
        pixel = np.abs(np.diff(there)).min(initial=np.inf)
        tolerance = pixel / 100 if np.isfinite(pixel) else 0.0
        if np.abs(here - there).max(initial=0) > tolerance:
            raise NowcastError(f"the frame of {time} lies elsewhere than those before it: {remedy}")
