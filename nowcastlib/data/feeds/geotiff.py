"""Frames in GeoTIFF files of any maker: the files state grid, projection, scale and nodata."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rasterio
import xarray as xr

from nowcastlib.data.coordinates import DEGREES, in_direction
from nowcastlib.data.feeds.file_limits import (
    MAX_COMPOSITE_PIXELS,
    check_pixels,
    check_regular,
    named,
)
from nowcastlib.data.grid import frame
from nowcastlib.data.overrides import with_north, with_pixel_size
from nowcastlib.data.read_options import AS_STATED, ReadOptions, warn_of_contradiction
from nowcastlib.data.reflectivity import rain_of_dbz
from nowcastlib.errors import NowcastError
from nowcastlib.units import kind_of_rain


def read(path: str, options: ReadOptions = AS_STATED) -> xr.DataArray:
    """Read the rain of a GeoTIFF.

    Parameters
    ----------
    path
        The file.
    options
        What the file does not say, or says wrongly. `variable` is the number or the description of
        a band.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up; NaN where the file has no data.

    Raises
    ------
    NowcastError
        If the units, the band, or the time of an amount are not known.
    Exception
        Whatever rasterio raises.
    """
    with opened(path) as file:
        band = _band(file, options.variable, path)
        values = file.read(band, masked=True).astype("f8").filled(np.nan)  # (y, x)
        values = values * file.scales[band - 1] + file.offsets[band - 1]
        stated = file.units[band - 1] or ""
        grid, crs = file.transform, file.crs

    rate, capped = _rain(values, stated, path, options)
    counts = {"capped_pixels": capped} if capped else {}
    result = placed(rate, grid, crs, path, options.north_up).assign_attrs(counts)
    return with_pixel_size(result, options.pixel_km, path) if options.pixel_km else result


@contextmanager
def opened(path: str) -> Iterator[rasterio.DatasetReader]:
    """Open a GeoTIFF whose size is checked; its values are not read yet.

    Raises
    ------
    NowcastError
        If the file is not regular, or claims too many pixels.
    Exception
        Whatever rasterio raises.
    """
    with named(path):
        check_regular(path)
    with rasterio.open(path, driver="GTiff") as file:  # other drivers may read other files
        with named(path):
            for rows, columns in (file.shape, *file.block_shapes):
                check_pixels(columns, rows, MAX_COMPOSITE_PIXELS)
        yield file


def _band(file: Any, variable: str, path: str) -> int:
    """The number of the band of that number or description; 1 where there is one only."""
    names = {str(number): number for number in file.indexes}
    names |= {name: k for k, name in zip(file.indexes, file.descriptions, strict=True) if name}
    if variable in names:
        return names[variable]
    if file.count == 1 and not variable:
        return 1
    raise NowcastError(f"{path} has the bands {', '.join(names)}: give one of them as --variable")


def _rain(
    values: np.ndarray, stated: str, path: str, options: ReadOptions
) -> tuple[np.ndarray, int]:
    """Rain rate in mm/h, and the number of pixels whose reflectivity was capped."""
    units, minutes = options.units or stated, options.accumulation_minutes
    kind, factor = kind_of_rain(units)
    if not kind:
        raise NowcastError(
            f"{path} has the units {units or 'none'}: give --units such as mm/h or dBZ"
        )
    if options.units and stated and kind_of_rain(stated) != (kind, factor):
        warn_of_contradiction(path, f"units of {stated}", f"--units {units}")
    if kind == "amount" and not minutes:
        raise NowcastError(
            f"{path} does not say in which time its {units} fell: give --accumulation-minutes"
        )
    if kind != "amount" and minutes:
        raise NowcastError(
            f"{path} holds no amount of rain, but {units}: leave out --accumulation-minutes, or "
            "give --units mm too"
        )
    if kind != "reflectivity":
        return values * factor / ((minutes or 60) / 60), 0
    try:
        return rain_of_dbz(values)
    except NowcastError as error:
        raise NowcastError(f"{path} {error}") from None


def placed(
    rate: np.ndarray, grid: Any, crs: Any, path: str, first_row_is_north: bool | None = None
) -> xr.DataArray:
    """A frame with the coordinates of a GeoTIFF.

    Parameters
    ----------
    rate
        Rain rate, (y, x) in mm/h, in the order of the file.
    grid
        rasterio's affine transform.
    crs
        rasterio's CRS; None if the file has none: the size of a pixel is then not known.
    path
        What messages call the file.
    first_row_is_north
        The option; None lets the transform decide.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up, coordinates in metres or degrees.

    Raises
    ------
    NowcastError
        If the grid is rotated.
    """
    if grid.b or grid.d:
        raise NowcastError(f"{path} has a rotated grid: warp it to one whose rows run west to east")
    rows, columns = rate.shape
    x = grid.c + grid.a * (np.arange(columns) + 0.5)
    y = grid.f + grid.e * (np.arange(rows) + 0.5)

    units: dict[str, str] = {}
    if crs is not None and crs.is_geographic:
        units = DEGREES
        x = np.unwrap(x, period=360)
    elif crs is not None:
        metres = crs.linear_units_factor[1]  # such as 0.3048 for feet
        x, y, units = x * metres, y * metres, {"y": "m", "x": "m"}
        crs = crs if metres == 1 else None  # the projection would be in other units

    result = frame(rate, x, y, crs.to_wkt() if crs is not None and units is not DEGREES else "")
    for axis in ("y", "x"):
        if units.get(axis) != "m":
            result[axis].attrs = {"units": units[axis]} if units else {}
        if axis == "x" or first_row_is_north is None:
            result = in_direction(result, axis, f"{path} has a coordinate {axis}")
    if first_row_is_north is not None:
        result = with_north(result, first_row_is_north, path)
    return result.copy(data=np.ascontiguousarray(result.values))
