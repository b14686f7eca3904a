"""Ingest by several processes: workers read and write parts, one process puts them into the store.

That process holds the lock of the store. Each task of a worker is a range of rows that fills one
chunk: it writes their frames, as a chunk, into a scratch folder beside the store. From there the
chunks move into the store, in order, and the times after them; so readers see whole frames at each
moment, and a store of the same bytes as one process writes. Where frames are skipped, a chunk is
joined from two parts or more, by a worker too.

A worker that dies leaves a folder that nobody uses, and its range is done again. A worker that
goes on after its ingest has ended finds no scratch folder, so it cannot change the store.
"""

import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.feeds import Feed, ServerUnreachable, WrongSettings
from nowcastlib.data.ingest_reading import (
    MAX_OUTAGES,
    Reading,
    difference,
    other_grid,
    read_rows,
)
from nowcastlib.data.ingest_settings import IngestOptions
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.data.store_files import existing_keys, write_array
from nowcastlib.data.store_layout import zarr_array
from nowcastlib.data.store_writer import StoreWriter
from nowcastlib.errors import NowcastError
from nowcastlib.workers import check_visible, explained, in_order, packed, threads_of, unpacked

FIRST = 10  # priority of a join: its parts wait for it


@dataclass(frozen=True)
class Job:
    """What all tasks of an ingest need."""

    feed: Feed
    options: IngestOptions
    shape: tuple[int, ...]  # (y, x) or (channel, y, x) of a frame that fits into the store
    axes: dict[str, pd.Index]  # its coordinates, if it has any
    about: dict  # metadata (.zarray) of the frames of the store
    parts: Path  # folder of the parts
    at_once: int  # rows that a worker reads at the same time

    def difference(self, field: xr.DataArray) -> str:
        """How the grid of a frame (y, x) as read differs; "" if it does not."""
        values = np.broadcast_to(np.uint8(0), self.shape)  # takes no memory
        dimensions = ("channel", "y", "x")[-len(self.shape) :]
        return difference(xr.DataArray(values, self.axes, dimensions), field)


class Outcome(NamedTuple):
    """What one row gave."""

    time: pd.Timestamp
    error: NowcastError | None  # why it gave no frame
    wrong: str  # why its frame does not fit into the store; "" if it does
    check: RainCheck | None  # what the check changed


class Written(NamedTuple):
    """An array (time, y, x) of one chunk along the first axis, on disk."""

    folder: Path
    keys: tuple[str, ...]  # names of the files of its chunks; where there is none, all is NaN


class Part(NamedTuple):
    """What a range of rows gave."""

    outcomes: list[Outcome]
    array: Written  # of the frames that fit


class Piece(NamedTuple):
    """Some frames of an array on disk."""

    array: Written
    start: int
    stop: int


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

    assembly = _Assembly(writer, client, content)
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


def write_part(content: bytes, rows: pd.DataFrame) -> Part:
    """Read a range of rows and write their frames into a folder of their own: a worker's task."""
    (job,) = unpacked(content)
    check_visible([job.parts])  # it goes with its ingest
    outcomes: list[Outcome] = []
    frames: list[np.ndarray] = []
    outages = 0
    with closing(read_rows(job.feed, rows, job.options, job.at_once)) as results:
        for time, frame, error in results:
            wrong, check = "", None
            if frame is not None:
                check = frame.check
                if different := job.difference(frame.field):
                    wrong = other_grid(frame.where, different)
                else:
                    frames.append(frame.values)
            outcomes.append(Outcome(time, error, wrong, check))
            outages = outages + 1 if isinstance(error, ServerUnreachable) else 0
            if isinstance(error, WrongSettings) or outages == MAX_OUTAGES:
                break

    values = np.stack(frames) if frames else np.zeros((0, *job.about["shape"][1:]), "f4")
    return Part(outcomes, _written(job, values))


def join(content: bytes, pieces: list[Piece]) -> Written:
    """Write the frames of several arrays as one array of their own: a worker's task."""
    (job,) = unpacked(content)
    check_visible([job.parts])
    return _written(job, _frames_of(pieces))


def _frames_of(pieces: list[Piece]) -> np.ndarray:
    """The frames (time, y, x) of several arrays."""
    for array, _, _ in pieces:
        check_visible(array.folder / key for key in array.keys)  # else Zarr would read NaN
    return np.concatenate([zarr_array(p.array.folder)[p.start : p.stop] for p in pieces])


def _written(job: Job, values: np.ndarray) -> Written:
    """A new folder with frames (time, y, x): a task that is done again gets another one."""
    folder = Path(tempfile.mkdtemp(dir=job.parts))
    write_array(folder, job.about, values)
    return Written(folder, existing_keys(folder, job.about, 0))


class _Chunk(NamedTuple):
    """A chunk of the store that is being joined."""

    times: list[int]  # of its new frames, seconds since 1970
    array: Any  # it, or its future
    used: list[Piece]  # parts that nobody needs after it


class _Assembly:
    """Puts parts together to chunks, and these into the store, in order."""

    def __init__(self, writer: StoreWriter, client: Any, content: Any):
        self.writer = writer
        self.client = client
        self.content = content
        self.size = writer.about["chunks"][0]  # frames of a chunk
        self.pieces: list[Piece] = []  # frames that fill no chunk yet
        self.times: list[int] = []  # of those that the store has not
        self.chunks: deque[_Chunk] = deque()

        stored = len(writer.times)
        if begun := stored % self.size:
            folder = writer.frames_folder
            last = Written(folder, existing_keys(folder, writer.about, stored - begun))
            self.pieces = [Piece(last, stored - begun, stored)]

    def add(self, part: Part, reading: Reading) -> None:
        """Add the frames of a part that are kept.

        Raises ServerUnreachable and WrongSettings as ``Reading.is_kept``, after the frames before.
        """
        kept: list[int] = []
        try:
            for outcome in part.outcomes:
                if not reading.is_kept(outcome.time, outcome.error):
                    continue
                reading.check.add(outcome.check or RainCheck())
                if outcome.wrong:
                    reading.skip(outcome.time, outcome.wrong)
                else:
                    kept.append(int(outcome.time.timestamp()))
        finally:
            self._append(Piece(part.array, 0, len(kept)), kept)
            self.publish()

    def _append(self, piece: Piece, times: list[int]) -> None:
        """Add frames, and begin to join each chunk that is full."""
        self.times += times
        while (space := self.size - self._waiting()) <= piece.stop - piece.start:
            middle = piece.start + space
            self.pieces.append(piece._replace(stop=middle))
            self._join()
            piece = piece._replace(start=middle)
        if piece.stop > piece.start:
            self.pieces.append(piece)

    def _waiting(self) -> int:
        return sum(p.stop - p.start for p in self.pieces)

    def _join(self) -> None:
        """Begin to make a chunk of the pieces; a part that is one already stays as it is."""
        stored = sum(p.stop - p.start for p in self.pieces if not self._is_part(p))
        times, self.times = self.times[: self.size - stored], self.times[self.size - stored :]
        if len(self.pieces) == 1:
            array: Any = self.pieces[0].array
        else:
            array = self.client.submit(join, self.content, self.pieces, pure=False, priority=FIRST)
        self.chunks.append(_Chunk(times, array, self.pieces))
        self.pieces = []

    def _is_part(self, piece: Piece) -> bool:
        """Whether frames were written by a worker, and not stored before."""
        return piece.array.folder.parent == self.writer.scratch / "parts"

    def publish(self, wait: bool = False) -> None:
        """Put the chunks that are joined into the store."""
        while self.chunks:
            array = self.chunks[0].array
            if not isinstance(array, Written):
                if not (wait or array.done()):
                    return
                array = array.result()
            chunk = self.chunks.popleft()
            self.writer.take(chunk.times, *array)
            self._remove(array.folder, chunk.used)

    def _remove(self, folder: Path, used: list[Piece]) -> None:
        """Remove the folders that are no longer needed."""
        waiting = [*self.pieces, *(piece for chunk in self.chunks for piece in chunk.used)]
        needed = {piece.array.folder for piece in waiting}
        unused = {folder, *(piece.array.folder for piece in used if self._is_part(piece))}
        for each in unused - needed:
            shutil.rmtree(each, ignore_errors=True)

    def finish(self) -> None:
        """Store the frames that are left, also after an error, by this process alone."""
        pieces = [piece for chunk in self.chunks for piece in chunk.used] + self.pieces
        times = iter([time for chunk in self.chunks for time in chunk.times] + self.times)
        for piece in filter(self._is_part, pieces):
            for values, time in zip(_frames_of([piece]), times, strict=False):
                self.writer.add(time, values)
        self.writer.flush()
