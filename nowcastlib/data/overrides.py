"""What options say of the grid of frames: they win over the coordinates, with a warning."""

import numpy as np
import xarray as xr

from nowcastlib.data.grid import pixel_size
from nowcastlib.data.read_options import warn_of_contradiction


def with_north(frames: xr.DataArray, first_row_is_north: bool, where: str) -> xr.DataArray:
    """Frames (…, y, x) north up, as the option says of their first row.

    Coordinates of the rows stay where they are on the map; if they contradict the option, the rows
    of rain are assigned to them the other way round, with a warning.
    """
    rows = slice(None) if first_row_is_north else slice(None, None, -1)
    turned = frames.isel(y=rows)
    if "y" not in frames.indexes or frames.sizes["y"] < 2:
        return turned

    y = np.sort(frames.y.values)[::-1]
    if np.array_equal(turned.y.values, y):
        return turned
    if frames.y.attrs.get("units"):  # mere numbers of rows state nothing
        stated, option = ("south", "--north-up") if first_row_is_north else ("north", "--south-up")
        warn_of_contradiction(where, f"by y that its first row is in the {stated}", option)
    return turned.assign_coords(y=("y", y, frames.y.attrs))


def with_pixel_size(frames: xr.DataArray, km: float, where: str) -> xr.DataArray:
    """Frames (…, y, x) whose pixels have that width and height.

    Coordinates that agree within 1 % stay. Else they are metres from the first pixel: the place is
    then unknown.
    """
    size = pixel_size(frames)
    if size and np.allclose(size, km, rtol=0.01):
        return frames
    if size:
        stated = f"pixels of {size.y:.3g} × {size.x:.3g} km"
        warn_of_contradiction(where, stated, f"--pixel-km {km:g}")

    metres = {"units": "m"}
    y, x = (1000 * km * np.arange(frames.sizes[axis]) for axis in ("y", "x"))
    placed = frames.assign_coords(y=("y", -y, metres), x=("x", x, metres))
    placed.attrs = {key: value for key, value in frames.attrs.items() if key != "crs"}
    return placed
