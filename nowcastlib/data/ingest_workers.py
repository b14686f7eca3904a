"""Ingest by several processes: workers read and write parts, one process puts them into the store.

That process holds the lock of the store. Each task of a worker is a range of rows that fills one
chunk: it writes their frames, as a chunk, into a scratch folder beside the store. From there the
chunks move into the store, in order, and the times after them; so readers see whole frames at each
moment, and a store of the same bytes as one process writes.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import is_dataclass, replace
from pathlib import Path

import pandas as pd
import xarray as xr

from nowcastlib.data.feeds import Feed
from nowcastlib.data.ingest_assembly import Assembly
from nowcastlib.data.ingest_reading import Reading
from nowcastlib.data.ingest_tasks import Job, write_part
from nowcastlib.data.store_writer import StoreWriter
from nowcastlib.workers import explained, in_order, packed, threads_of


def absolute(feed: Feed) -> Feed:
    """A feed of files with an absolute path, as workers in other folders need it."""
    path = getattr(feed, "path", "")
    is_local = getattr(feed, "is_local", False)
    if is_dataclass(feed) and is_local and path and Path(path).exists():
        return replace(feed, path=str(Path(path).absolute()))
    return feed


def add_by_workers(reading: Reading, writer: StoreWriter, pattern: xr.DataArray) -> None:
    """Add the frames of the rows that were not read yet; the caller holds the lock of the store.

    Parameters
    ----------
    reading : Reading
        Its options hold the client.
    writer : StoreWriter
        The store, which has a frame or more.
    pattern : xarray.DataArray (y, x)
        A frame that fits into the store.
    """
    writer.flush()
    folder = writer.scratch / "parts"
    folder.mkdir()
    client = reading.options.client
    tasks, rows_at_once = _shares(reading.feed, threads_of(client))
    job = Job(
        # a copy without what the feed has cached, such as open files
        feed=replace(reading.feed) if is_dataclass(reading.feed) else reading.feed,
        options=replace(reading.options, client=None, progress=False),
        shape=pattern.shape,
        axes={axis: pattern.indexes[axis] for axis in ("y", "x") if axis in pattern.indexes},
        about=writer.about,
        parts=folder,
        at_once=rows_at_once,
    )
    content = packed(client, [job], _files(job))
    ranges = _ranges(reading.rows[reading.done :], len(writer.times), job.about["chunks"][0])

    assembly = Assembly(writer, client, content)
    results = in_order(client, write_part, ((content, rows) for rows in ranges), tasks)
    try:
        with explained(), closing(results) as parts:
            for part in parts:
                assembly.add(part, reading)
            assembly.publish(wait=True)
    finally:
        assembly.finish()


def _shares(feed: Feed, threads: int) -> tuple[int | None, int]:
    """Tasks at the same time (None: as many as there are), and rows that each reads at once.

    A server is never asked for more than ``feed.concurrency`` frames at the same time.
    """
    if getattr(feed, "is_local", False):
        return None, 1
    tasks = min(threads, feed.concurrency)
    return tasks, feed.concurrency // tasks


def _files(job: Job) -> list[str | Path]:
    """The folders that a worker must see."""
    is_local = getattr(job.feed, "is_local", False)
    path = getattr(job.feed, "path", "")
    return [job.parts, *([path] if is_local and path else [])]


def _ranges(rows: pd.DataFrame, stored: int, chunk: int) -> Iterator[pd.DataFrame]:
    """The rows, cut where a chunk of the store is full if no frame is skipped."""
    start, stop = 0, chunk - stored % chunk
    while start < len(rows):
        yield rows[start:stop]
        start, stop = stop, stop + chunk
