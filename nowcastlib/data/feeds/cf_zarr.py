"""The frames of a CF-Zarr store as a feed: MRMS, MLCast's national archives, our own stores."""

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
        lazy = self.frames.isel(time=row.number).drop_vars("time")
        try:
            return in_background(lazy.load).result(FRAME_SECONDS)
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
