"""Any CF-Zarr with one rain rate, on disk or behind a URL: MRMS, national archives on S3, our own stores."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import xarray as xr

from .. import NowcastError
from . import RAIN_RATE, within

# what archives write as the unit of a rain rate, and how many mm/h it is
PER_HOUR = dict.fromkeys(["mm h-1", "mm/h", "mm/hr", "mm hr-1", "mm h^-1", "kg m-2 h-1"], 1.0)
PER_HOUR |= dict.fromkeys(["kg m-2 s-1", "mm s-1", "mm/s"], 3600.0) | {"m s-1": 3.6e6}
AXES = {
    "time": {"time", "t"},
    "y": {"y", "latitude", "lat", "projection_y_coordinate", "northing"},
    "x": {"x", "longitude", "lon", "projection_x_coordinate", "easting"},
}


def open_frames(path: str | Path) -> xr.DataArray:
    """The rain rate of a CF-Zarr: lazy DataArray (time, y, x), mm/h, ascending time, north up.

    ``path`` is a folder or a URL that fsspec understands. The variable is found by its units, the axes by standard
    name, ``axis`` or usual name. Raises NowcastError if there is no store, no such variable, or more than one.
    """
    try:
        dataset = xr.open_zarr(str(path), chunks=None)
    except Exception as error:  # zarr, fsspec and xarray each have errors of their own for "there is no store"
        raise NowcastError(f"{path} is no Zarr store that can be read: {error}") from error
    rates = [v for v in dataset.data_vars.values() if v.ndim == 3 and v.attrs.get("units") in PER_HOUR]
    if len(rates) != 1:
        found = ", ".join(f"{n} [{v.attrs.get('units', 'no units')}]" for n, v in dataset.data_vars.items())
        raise NowcastError(f"{path} should hold one rain rate (units such as mm h-1); it has: {found or 'nothing'}")
    rate, factor = rates[0].rename("rainfall_rate"), PER_HOUR[rates[0].attrs["units"]]
    rate = rate.rename({name: axis for name in rate.dims if (axis := _axis(dataset[name])) != name})
    if set(rate.dims) != set(AXES):
        raise NowcastError(f"{path} has the axes {rates[0].dims}; a time and two horizontal ones are needed")
    if not rate.sizes["time"]:
        raise NowcastError(f"{path} holds no frames: ingest again")
    rate = rate.transpose(*AXES)
    if not rate.indexes["time"].is_monotonic_increasing:
        rate = rate.sortby("time")
    if rate.indexes["time"].has_duplicates:
        rate = rate.drop_duplicates("time")
    if rate.sizes["y"] > 1 and rate.y[0] < rate.y[-1]:
        rate = rate.isel(y=slice(None, None, -1))
    if factor != 1:
        rate = rate * factor
    mapping = dataset.get(rates[0].encoding.get("grid_mapping", rates[0].attrs.get("grid_mapping", "")))
    crs = {} if mapping is None else {"crs": mapping.attrs.get("crs_wkt", "")}
    rate = rate.drop_encoding()  # how it was written there is not how we write
    return rate.drop_attrs(deep=False).assign_attrs(RAIN_RATE, **crs, source=dataset.attrs.get("source", str(path)))


def _axis(coordinate: xr.DataArray) -> str:
    attrs = coordinate.attrs
    names = {attrs.get("standard_name"), attrs.get("axis", "").lower(), str(coordinate.name).lower()}
    return next((axis for axis, usual in AXES.items() if names & usual), str(coordinate.name))


@dataclass(frozen=True)
class Cloud:
    """The frames of a CF-Zarr, as a feed. Raises what ``open_frames`` raises."""

    path: str

    @cached_property
    def frames(self) -> xr.DataArray:
        return open_frames(self.path)

    @property
    def attribution(self) -> str:
        return self.frames.attrs["source"]

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames: ``time`` (UTC) and ``number`` in the store."""
        times = self.frames.indexes["time"]
        table = pd.DataFrame({"time": times, "number": range(len(times))})
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One frame, (y, x) in mm/h, on the store's own grid."""
        return self.frames.isel(time=row.number).drop_vars("time").load()
