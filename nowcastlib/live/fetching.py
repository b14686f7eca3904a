"""The newest frames of a feed, and which of them a forecast can use."""

import contextlib
import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import (
    Feed,
    IngestOptions,
    checked_field,
    grid,
    has_enough,
    ingest,
    mark_complete,
    nearest_frames,
    open_frames,
    usual_step,
)
from nowcastlib.data.feeds import cf_zarr, fvg
from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, written_folder
from nowcastlib.live.options import LiveOptions

MINUTE = pd.Timedelta("1min")
QUIET = IngestOptions(progress=False)


@dataclass(frozen=True)
class _SelectedFrames:
    """Some rows of a feed, as a feed. Frames that ``stored`` has are taken from there."""

    feed: Feed
    rows: pd.DataFrame
    stored: xr.DataArray | None  # (time, y, x)
    options: LiveOptions

    @property
    def attribution(self) -> str:
        return self.feed.attribution

    @property
    def licence(self) -> str:
        return self.feed.licence

    @property
    def concurrency(self) -> int:
        return self.feed.concurrency

    @property
    def product(self) -> str:
        return self.feed.product

    @property
    def source(self) -> str:
        return getattr(self.feed, "source", "")  # a feed of another maker may state none

    @property
    def is_local(self) -> bool:
        return getattr(self.feed, "is_local", False)

    def list(self, start: Any = None, end: Any = None) -> pd.DataFrame:
        return self.rows

    def read(self, row: Any) -> xr.DataArray:
        if self.stored is not None and row.time in self.stored.indexes["time"]:
            return self.stored.sel(time=row.time, drop=True)
        cut = grid.cut(checked_field(self.feed.read(row), "the feed"), self.options.crop)
        return grid.coarser(cut, self.options.regrid)


def fetch_newest(
    feed: Feed, out: Path, now: pd.Timestamp, options: LiveOptions
) -> tuple[xr.DataArray, pd.DatetimeIndex]:
    """Fetch the frames of the feed's newest minutes.

    A store beside the page keeps them, so that each complete frame is fetched from a server only
    once. Older frames are removed from it.

    Parameters
    ----------
    feed : Feed
        Where the frames come from.
    out : pathlib.Path
        The page; the store stands beside it.
    now : pandas.Timestamp
        Time of the newest frame at most (UTC).
    options : LiveOptions
        ``minutes``, ``crop``, ``regrid`` and ``progress`` are used.

    Returns
    -------
    xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h of all frames that could be read.
    pandas.DatetimeIndex
        Times of all frames that the feed lists.

    Raises
    ------
    NowcastError
        If the feed does not answer, or if no frame can be read.
    """
    if isinstance(feed, cf_zarr.CfZarr):
        feed = replace(feed)  # opens the store again: it may have grown
    rows = _newest_rows(feed, now, options.minutes)

    path = _store_path(out, (feed, options.crop, options.regrid))
    _tidy(path, feed, rows, options)
    selected = _SelectedFrames(feed, rows, None, options)
    ingest(selected, path, options=IngestOptions(progress=options.progress))

    frames, listed = open_frames(path), pd.DatetimeIndex(rows.time.sort_values())
    return frames[np.isin(frames.time.values, listed)].load(), listed


def latest_times(
    frames: xr.DataArray, listed: pd.DatetimeIndex, n_in: Collection[int]
) -> tuple[pd.DatetimeIndex, list[pd.Timestamp]]:
    """Find the last frames from which a forecast can be made.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (time, y, x)
        Frames with the coordinate ``is_complete``, see ``data.mark_complete``.
    listed : pandas.DatetimeIndex
        Times that the feed lists; their usual step is the time step.
    n_in : collection of int
        Numbers of frames that the forecasters need.

    Returns
    -------
    pandas.DatetimeIndex
        Times of the frames, as many as the longest of ``n_in``, missing ones among them.
    list of pandas.Timestamp
        Missing times: among the frames up to then, and those because of which it is not later.

    Raises
    ------
    NowcastError
        If there are never enough frames, see ``data.has_enough``.
    """
    step = usual_step(listed) if len(listed) > 1 else pd.Timedelta("5min")
    available = frames.indexes["time"][frames.is_complete.values]
    longest = max(n_in)

    missing: set[pd.Timestamp] = set()
    for end in listed[::-1]:
        times = pd.date_range(end=end, periods=longest, freq=step)
        numbers = nearest_frames(available, times, step)
        missing.update(times[numbers < 0])
        if all(has_enough(numbers[-n:] >= 0) for n in n_in):
            own = np.where(numbers >= 0, available[numbers], times)
            return pd.DatetimeIndex(own), sorted(missing)

    newest = pd.date_range(end=listed[-1], periods=longest, freq=step)
    lacking = newest[nearest_frames(available, newest, step) < 0]
    raise NowcastError(
        f"no forecast: it needs {longest} complete frames, {step / MINUTE:g} minutes apart; up to "
        f"{listed[-1]:%Y-%m-%d %H:%M} UTC, {missing_text(lacking)}: try again later, or with "
        "more --minutes"
    )


def missing_text(times) -> str:
    """Clock times of missing frames as a clause; at most six of them."""
    clocks = [f"{time:%H:%M}" for time in times]
    text = ", ".join(clocks[:6])
    if len(clocks) > 6:
        text += f" and {len(clocks) - 6} more"
    return f"{text} {'is' if len(clocks) == 1 else 'are'} missing or incomplete"


def _newest_rows(feed: Feed, now: pd.Timestamp, minutes: float) -> pd.DataFrame:
    """Rows of the feed's table in the last minutes before its newest frame."""
    age = pd.Timedelta(minutes=minutes)
    start = now - age if isinstance(feed, fvg.Fvg) else None  # others have their newest any time
    rows = feed.list(start, now + pd.Timedelta("1s"))
    rows = rows[rows.time > rows.time.max() - age].drop_duplicates("time")
    if rows.empty:
        raise NowcastError(
            f"the feed has no frame until {now:%Y-%m-%d %H:%M} UTC: give a later time"
        )
    return rows


def _store_path(out: Path, key: object) -> Path:
    """The store beside the page; each feed, crop and grid has its own."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).hexdigest()
    return out.with_name(f"{out.stem}-{digest}.zarr")


def _tidy(path: Path, feed: Feed, rows: pd.DataFrame, options: LiveOptions) -> None:
    """Leave in the store only what need not be fetched again: listed and complete frames.

    Of feeds on disk it keeps nothing: a file may have changed under the same name.
    """
    if not path.exists():
        return
    stored = keep = None
    if isinstance(feed, fvg.Fvg) or (isinstance(feed, cf_zarr.CfZarr) and not feed.is_local):
        with contextlib.suppress(NowcastError):  # else it is not a readable store
            stored = open_frames(path).load()
            is_complete = mark_complete(stored).is_complete.values
            keep = stored[is_complete & np.isin(stored.time.values, rows.time)]
    if stored is not None and keep is not None and len(keep) == len(stored):
        return

    with one_writer(path):
        if keep is None or not len(keep):
            shutil.rmtree(path, ignore_errors=True)
            return
        rows = rows[rows.time.isin(keep.time.values)]
        with written_folder(path) as new:
            ingest(_SelectedFrames(feed, rows, keep, options), new, options=QUIET)
