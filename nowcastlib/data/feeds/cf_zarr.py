"""The frames of a CF-Zarr store as a feed: MRMS, MLCast's national archives, our own stores."""

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import xarray as xr
from botocore.exceptions import BotoCoreError

from nowcastlib.data.background import in_background
from nowcastlib.data.feeds.protocol import Feed, ServerUnreachable, TimeLike
from nowcastlib.data.public_archives import ARCHIVES, PublicArchive
from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.data.store import lazy_frames
from nowcastlib.data.times import within
from nowcastlib.errors import NowcastError

FRAME_SECONDS = 300.0  # for a frame: a server may send a byte now and then, and never end
BLOCK = 128 << 20  # bytes of whole frames that are read together, at most
BLOCKS = 2  # that stay in memory: frames are read in order


@dataclass(frozen=True)
class CfZarr(Feed):
    """Frames of a CF-Zarr store or NetCDF file with one rain rate or amount.

    Parameters
    ----------
    path
        A folder, a URL that fsspec understands, or the name of a public archive.
    endpoint
        Address of an S3 service other than Amazon's.
    variable
        Name of the rain variable, needed if the store has several.
    concurrency
        Frames that are read at the same time.
    options
        What the store does not say, or says wrongly; its `variable` may stand in `variable`.

    Raises
    ------
    NowcastError
        At the first use, if the store cannot be opened: see `nowcastlib.data.open_frames`.
    """

    path: str
    endpoint: str = ""
    variable: str = ""
    concurrency: int = 4
    options: ReadOptions = AS_STATED

    @cached_property
    def frames(self) -> xr.DataArray:
        """All frames, lazy, (time, y, x) in mm/h; `ingest` checks their rates."""
        archive = ARCHIVES.get(self.path, PublicArchive(self.path, self.endpoint))
        options = replace(self.options, variable=self.variable or self.options.variable)
        return lazy_frames(archive, options, is_checked=False)

    @cached_property
    def _blocks(self) -> "_Blocks":
        return _Blocks(self.frames)

    def _opened_blocks(self) -> "_Blocks":
        """The frames in blocks; another process may have to open the store first."""
        try:
            return self._blocks
        except NowcastError as error:
            if self.is_local:
                raise
            raise ServerUnreachable(str(error)) from error

    @property
    def source(self) -> str:
        """The feed's name and variable: an archive may grow, or move to another path."""
        return f"cloud {self.variable}".strip()

    @property
    def is_local(self) -> bool:
        """Whether the store is on this machine's disk."""
        path = ARCHIVES.get(self.path, PublicArchive(self.path)).path
        return "://" not in path or path.startswith(("file:", "local:"))

    @property
    def attribution(self) -> str:
        """Who made the data, as the store says."""
        return self.frames.attrs["source"]

    @property
    def licence(self) -> str:
        """The licence, as the store says; "" if it does not."""
        return self.frames.attrs["license"]

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the frames in [start, end).

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC) and `number` of the frame in the store.
        """
        times = self.frames.indexes["time"]
        table = pd.DataFrame({"time": times, "number": range(len(times))})
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row: Any) -> xr.DataArray:
        """Read one frame.

        Parameters
        ----------
        row
            A row of `list`, as `itertuples` gives it.

        Returns
        -------
        xarray.DataArray
            (y, x) in mm/h, on the store's own grid.

        Raises
        ------
        ServerUnreachable
            If the S3 server does not answer, or not in time.
        NowcastError
            If the frame cannot be read.
        """
        blocks = self._opened_blocks()
        try:
            return blocks.frame(row.number)
        except FutureTimeout as error:
            raise ServerUnreachable(
                f"{self.path}: its frame of {row.time} has not come within {FRAME_SECONDS:g} s: "
                "run again later"
            ) from error
        except Exception as error:  # zarr, fsspec and botocore each raise errors of their own
            is_unreachable = isinstance(error.__cause__ or error, BotoCoreError)
            error_class = ServerUnreachable if is_unreachable else NowcastError
            raise error_class(
                f"{self.path}: its frame of {row.time} cannot be read ({error}): try again"
            ) from error


class _Blocks:
    """Frames (time, y, x) that a store keeps in one chunk, read together where they are small.

    Else each frame would read, and decode, the chunk of all of them again.
    """

    def __init__(self, frames: xr.DataArray):
        self.frames = frames
        together = frames.encoding.get("preferred_chunks", {}).get("time", 1)
        bytes_of_frame = frames.dtype.itemsize * frames.shape[1] * frames.shape[2]
        self.size = together if together * bytes_of_frame <= BLOCK else 1  # frames of a block
        self._read: dict[int, Future[xr.DataArray]] = {}
        self._lock = threading.Lock()

    def frame(self, number: int) -> xr.DataArray:
        """A copy of one frame (y, x); frames of one block wait for the same reading."""
        block, place = divmod(number, self.size)
        with self._lock:
            if block not in self._read:
                lazy = self.frames[block * self.size : (block + 1) * self.size]
                self._read[block] = in_background(lazy.load)
                for old in list(self._read)[:-BLOCKS]:
                    del self._read[old]
            future = self._read[block]
        try:
            return future.result(FRAME_SECONDS)[place].drop_vars("time").copy()
        except BaseException:
            with self._lock:  # the next frame tries again
                self._read.pop(block, None)
            raise
