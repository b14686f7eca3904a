"""Radar images in HDF5, decoded by their own attributes and never by a guess.

ODIM_H5 keeps a field in /dataset1/data1/data. The groups `what`, `where` and `how` of any level
describe everything below that level, and the nearest one wins. The same attributes, or those of CF
(`units`, `scale_factor`, `add_offset`, `_FillValue`, `missing_value`), may also stand on the
dataset itself or on its group.

References
----------
EUMETNET OPERA (2021): Weather radar information model for implementation with the HDF5 file format,
version 2.4.
"""

import io
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from nowcastlib.data.feeds.odim_fields import (
    ACCUMULATION,
    Attributes,
    RainField,
    numbers,
    rain_field,
)
from nowcastlib.data.grid import frame
from nowcastlib.data.rain_check import describe_impossible, impossible_rate
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

ROUNDING = 1e-3  # mm/h below 0 that gain and offset in single precision may leave in a dry pixel
MAGIC = b"\x89HDF\r\n\x1a\n"  # the first bytes of an HDF5 file


def decode(file: str | Path | bytes, name: str = "", pixel: float | None = None) -> xr.DataArray:
    """Read the rain rate of an HDF5 file.

    A rate stays as it is, an accumulation is divided by its hours, and reflectivity follows
    Z = 200 R^1.6 or the file's own `zr_a` and `zr_b`. `undetect` is 0 mm/h and `nodata` is NaN. As
    in ODIM, `gain` is 1 and `offset` is 0 where they are missing, and rows run from north to south
    unless a coordinate of the file rises along them.

    Parameters
    ----------
    file
        The file's path or its content.
    name
        What error messages call the file; by default its path.
    pixel
        Width of a pixel in metres, for files that do not describe their grid: such a frame is
        centred at 0 and has no projection.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up; NaN where not observed. Rates down to -1 mm/h stay: `ingest`
        counts them and sets them to 0.

    Raises
    ------
    NowcastError
        If the file is not HDF5, broken, polar, too large or not in metres; if it has no field of
        rain, or several of the same kind; if attributes are missing or do not fit the data. The
        message names the file and what it holds.
    """
    name = name or ("the HDF5 content" if isinstance(file, bytes) else str(file))
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream:
            return _decode(stream, pixel)
    except NowcastError as error:
        raise NowcastError(f"{name} {error}") from None
    except Exception as error:  # a broken file makes h5py raise many kinds of errors
        raise NowcastError(
            f"{name} cannot be read ({type(error).__name__}: {error}): fetch it again"
        ) from error


def _decode(stream: BinaryIO, pixel: float | None) -> xr.DataArray:
    """The frame of an open file; errors do not name the file."""
    head = stream.read(len(MAGIC))
    if head != MAGIC:
        content = f"it begins with {head!r}" if head else "it is empty"
        raise NowcastError(f"is not an HDF5 file ({content}): fetch it again")

    with h5py.File(stream, "r") as content:
        field = rain_field(content)
        rate = _rate(field)
        x, y, crs = _grid(rate.shape, field.attributes, pixel)
    return frame(rate, x, y, crs)


def _rate(field: RainField) -> np.ndarray:
    """Rain rate, (y, x) in mm/h, north up."""
    raw = field.data[()].reshape(field.data.shape[-2:])
    gain, offset, zr = _decoding(field)

    with np.errstate(over="ignore", invalid="ignore"):  # overflows are reported below
        value = raw.astype("f8") * gain + offset
        if field.is_reflectivity:
            rate = RainScale(**zr).from_dbz(value)
        elif field.rank == ACCUMULATION:
            rate = value * field.factor / _hours(field.attributes)
        else:
            rate = value * field.factor

        # marks are compared with the raw values, before gain and offset
        for mark in numbers(field.attributes, "undetect"):
            rate[raw == mark] = 0
        for mark in numbers(field.attributes, "nodata", "_fillvalue", "missing_value"):
            rate[raw == mark] = np.nan

    if value := impossible_rate(rate):
        raise NowcastError(
            f"has {describe_impossible(value)}: its gain, offset, undetect or nodata do not fit "
            "its data"
        )
    rate[(rate < 0) & (rate >= -ROUNDING)] = 0  # other small negatives: see ``RainCheck``
    return rate[::-1] if _is_south_up(field.data) else rate


def _decoding(field: RainField) -> tuple[float, float, dict[str, float]]:
    """Gain, offset and, for a reflectivity, the file's Z-R relation."""
    gain, *_ = [*numbers(field.attributes, "gain", "scale_factor"), 1.0]
    offset, *_ = [*numbers(field.attributes, "offset", "add_offset"), 0.0]
    zr = {}
    if field.is_reflectivity:
        for key in ("zr_a", "zr_b"):
            for value in numbers(field.attributes, key):
                zr[key] = value

    parameters = {"gain": gain, "offset": offset, **zr}
    is_finite = np.isfinite(list(parameters.values())).all()
    if not is_finite or gain == 0 or min(zr.values(), default=1) <= 0:
        listed = ", ".join(f"{key} {value:g}" for key, value in parameters.items())
        raise NowcastError(
            f"has {listed}: with these the data cannot be decoded; ask its publisher"
        )
    return gain, offset, zr


def _is_south_up(data: h5py.Dataset) -> bool:
    """Whether a netCDF coordinate of the rows rises."""
    scales = data.dims[data.ndim - 2]
    if not len(scales) or scales[0].shape != (data.shape[-2],):
        return False
    return bool(scales[0][0] < scales[0][-1])


def _hours(attributes: Attributes) -> float:
    """How many hours an accumulation lasted."""
    try:
        start, end = (_time(attributes, edge) for edge in ("start", "end"))
        hours = (end - start) / pd.Timedelta(hours=1)
    except (KeyError, ValueError):
        hours = 0
    if not hours > 0:
        raise NowcastError(
            "has an accumulation, but its startdate, starttime, enddate and endtime do not say how "
            "many hours it lasted"
        )
    return hours


def _time(attributes: Attributes, edge: str) -> pd.Timestamp:
    """The `start` or `end` of an accumulation."""
    text = f"{attributes[edge + 'date']}{attributes[edge + 'time']}"
    return pd.to_datetime(text, format="%Y%m%d%H%M%S")


def _grid(
    shape: tuple[int, ...], attributes: Attributes, pixel: float | None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Pixel centres x and y in metres (y falls), and the projection."""
    rows, columns = shape
    _check_size(rows, columns, attributes)

    needed = ("projdef", "LL_lon", "LL_lat", "xscale", "yscale")
    missing = [key for key in needed if key.lower() not in attributes]
    if not missing:
        crs = str(attributes["projdef"])
        west, south, dx, dy = _extent(rows, columns, attributes, crs)
    elif pixel is not None:
        crs, dx, dy = "", pixel, pixel
        west, south = -columns * pixel / 2, -rows * pixel / 2
    else:
        raise NowcastError(
            f"does not describe its grid (no {', '.join(missing)}): give pixel, the width of a "
            "pixel in metres"
        )

    x = west + dx * (np.arange(columns) + 0.5)
    y = south + dy * (rows - 0.5 - np.arange(rows))
    return x, y, crs


def _check_size(rows: int, columns: int, attributes: Attributes) -> None:
    """Compare the data's shape with that in the attributes."""
    if not {"xsize", "ysize"} <= attributes.keys():
        return
    if numbers(attributes, "ysize", "xsize") != [rows, columns]:
        raise NowcastError(
            f"says {attributes['ysize']}×{attributes['xsize']} px, but holds {rows}×{columns}: "
            "ask its publisher"
        )


def _extent(
    rows: int, columns: int, attributes: Attributes, crs: str
) -> tuple[float, float, float, float]:
    """West and south edge, width and height of a pixel, all in metres, from ODIM's `where`.

    ODIM's corners are those of the outermost pixels, not their centres.
    """
    unit = pyproj.CRS(crs).axis_info[0].unit_name
    if unit != "metre":
        raise NowcastError(f"has a grid in {unit}s ({crs}): project it to metres first")

    project = pyproj.Proj(crs)
    lon, lat = numbers(attributes, "ll_lon", "ll_lat")
    west, south = project(lon, lat)
    dx, dy = numbers(attributes, "xscale", "yscale")
    width, height = columns * dx, rows * dy
    east, north = west + width, south + height
    if "ur_lon" in attributes:
        lon, lat = numbers(attributes, "ur_lon", "ur_lat")
        east, north = project(lon, lat)

    fits = np.allclose([east - west, north - south], [width, height], rtol=0.1)
    if not (dx > 0 and dy > 0 and fits):
        raise NowcastError(
            "has corners that contradict its projdef, xscale and yscale: ask its publisher"
        )
    return west, south, dx, dy
