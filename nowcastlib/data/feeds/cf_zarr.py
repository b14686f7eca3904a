"""The frames of a CF-Zarr as a feed: MRMS, MLCast's national archives, our own stores."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr
from botocore.exceptions import BotoCoreError

from nowcastlib.data.feeds import NoAnswer
from nowcastlib.data.store import open_frames
from nowcastlib.data.times import within
from nowcastlib.errors import NowcastError


@dataclass(frozen=True)
class Cloud:
    """The frames of a CF-Zarr, as a feed; its fields are ``open_frames``'s. Raises what ``open_frames`` raises."""

    path: str
    endpoint: str = ""
    variable: str = ""
    concurrency: int = 4  # frames that are fetched at the same time: polite

    @cached_property
    def frames(self) -> xr.DataArray:
        return open_frames(self.path, self.endpoint, self.variable)

    @property
    def attribution(self) -> str:
        return self.frames.attrs["source"]

    @property
    def licence(self) -> str:
        return self.frames.attrs["license"]

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames: ``time`` (UTC) and ``number`` in the store."""
        times = self.frames.indexes["time"]
        table = pd.DataFrame({"time": times, "number": range(len(times))})
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One frame, (y, x) in mm/h, on the store's own grid; raises NowcastError if it cannot be read."""
        try:
            return self.frames.isel(time=row.number).drop_vars("time").load()
        except Exception as error:  # as when a store is opened
            kind = NoAnswer if isinstance(error, BotoCoreError) else NowcastError
            raise kind(
                f"{self.path}: its frame of {row.time} cannot be read ({error}): try again"
            ) from error
