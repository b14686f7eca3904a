"""Frames whose place on the Earth is known."""

import numpy as np
import xarray as xr

from nowcastlib.data import Place, as_frames
from nowcastlib.data.place import projection

CRS = "EPSG:3035"  # Europe, equal area
WEST, NORTH = 4_321_000.0, 3_000_000.0  # m; the first pixel


def placed(rate: np.ndarray, km: float = 1.0, minutes: float = 5.0) -> xr.DataArray:
    """Frames (time, y, x) of pixels of ``km`` in the middle of Europe, north up."""
    frames = as_frames(rate, step=minutes)
    x = WEST + 1000 * km * (np.arange(frames.sizes["x"]) + 0.5)
    y = NORTH - 1000 * km * (np.arange(frames.sizes["y"]) + 0.5)
    metres = {"units": "m"}
    frames = frames.assign_coords(x=("x", x, metres), y=("y", y, metres))
    return frames.assign_attrs(crs=CRS)


def place_at(frames: xr.DataArray, column: float, row: float, name: str = "") -> Place:
    """The place at a column and a row of frames with a map projection."""
    x, y = (
        np.interp(index, np.arange(frames.sizes[axis]), frames[axis].values)
        for axis, index in (("x", column), ("y", row))
    )
    lon, lat = projection(frames.attrs["crs"]).transform(x, y, direction="INVERSE")
    return Place(float(lat), float(lon), name)


def moving_cell(column: float = 48, km: float = 1.0, minutes: float = 5.0, frames: int = 6):
    """A round cell of 20 mm/h, 33 km wide, that moves east at 48 km/h: 48 × 80 km.

    Its middle is ``column`` km from the western edge in the last frame, and 20 km from the
    northern one.
    """
    y = (np.arange(round(48 / km)) + 0.5)[:, None] * km - 20
    x = (np.arange(round(80 / km)) + 0.5) * km - column
    at = 0.8 * minutes * np.arange(1 - frames, 1)[:, None, None]  # km, 0 at the last frame
    rate = 20 * np.exp(-(y**2 + (x - at) ** 2) / 50)
    return placed(np.where(rate < 0.1, 0, rate), km, minutes)
