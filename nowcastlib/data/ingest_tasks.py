"""Tasks of the workers of an ingest: they read a range of rows and write their frames as a part.

A part is an array of its own in a scratch folder beside the store. A worker that dies leaves a
folder that nobody uses, and its task is done again. A worker that goes on after its ingest has
ended finds no scratch folder, so it cannot change the store.
"""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.feeds import Feed, ServerUnreachable, WrongSettings
from nowcastlib.data.ingest_reading import MAX_OUTAGES, difference, other_grid, read_rows
from nowcastlib.data.ingest_settings import IngestOptions
from nowcastlib.data.rain_check import RainCheck
from nowcastlib.data.store_files import existing_keys, write_array
from nowcastlib.data.store_layout import zarr_array
from nowcastlib.errors import NowcastError
from nowcastlib.workers import check_visible, unpacked


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
    return _written(job, frames_of(pieces))


def frames_of(pieces: list[Piece]) -> np.ndarray:
    """The frames (time, y, x) of several arrays."""
    for array, _, _ in pieces:
        check_visible(array.folder / key for key in array.keys)  # else Zarr would read NaN
    return np.concatenate([zarr_array(p.array.folder)[p.start : p.stop] for p in pieces])


def _written(job: Job, values: np.ndarray) -> Written:
    """A new folder with frames (time, y, x): a task that is done again gets another one."""
    folder = Path(tempfile.mkdtemp(dir=job.parts))
    write_array(folder, job.about, values)
    return Written(folder, existing_keys(folder, job.about, 0))
