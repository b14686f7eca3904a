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
import xarray as xr

from nowcastlib.data.feeds.file_limits import check_hdf5, check_regular
from nowcastlib.data.feeds.hdf5_heaps import check_heaps
from nowcastlib.data.feeds.odim_fields import (
    ACCUMULATION,
    RainField,
    numbers,
    rain_field,
)
from nowcastlib.data.feeds.odim_grid import placed
from nowcastlib.data.feeds.odim_times import ListedTime, check_time, stated_time
from nowcastlib.data.overrides import with_pixel_size
from nowcastlib.data.rain_check import describe_impossible, impossible_rate
from nowcastlib.data.read_options import AS_STATED, ReadOptions, warn_of_contradiction
from nowcastlib.data.reflectivity import rain_of_dbz
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

ROUNDING = 1e-3  # mm/h below 0 that gain and offset in single precision may leave in a dry pixel
MAGIC = b"\x89HDF\r\n\x1a\n"  # the first bytes of an HDF5 file


def decode(
    file: str | Path | bytes,
    name: str = "",
    pixel: float | None = None,
    options: ReadOptions = AS_STATED,
    listed: ListedTime | None = None,
) -> xr.DataArray:
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
    options
        What the file does not say, or says wrongly; an option wins over the file with a warning.
    listed
        The time under which a server lists the file, or of its name; a file that states another is
        refused.

    Returns
    -------
    xarray.DataArray
        (y, x) in mm/h, north up; NaN where not observed. Rates down to -1 mm/h stay: `ingest`
        counts them and sets them to 0. The attribute `capped_pixels` counts those whose
        reflectivity was above `reflectivity.HAIL_CAP`, if there are any.

    Raises
    ------
    NowcastError
        If the file is not HDF5, broken, polar, too large or not in metres; if it has no field of
        rain, or several of the same kind; if attributes are missing or do not fit the data. The
        message names the file and what it holds.
    """
    name = name or ("the HDF5 content" if isinstance(file, bytes) else str(file))
    try:
        if not isinstance(file, bytes):
            check_regular(file)
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream:
            rate = _decode(stream, name, pixel, options, listed)
    except NowcastError as error:
        raise NowcastError(f"{name} {error}") from None
    except Exception as error:  # a broken file makes h5py raise many kinds of errors
        raise NowcastError(
            f"{name} cannot be read ({type(error).__name__}: {error}): fetch it again"
        ) from error
    return with_pixel_size(rate, options.pixel_km, name) if options.pixel_km else rate


def _decode(
    stream: BinaryIO,
    name: str,
    pixel: float | None,
    options: ReadOptions,
    listed: ListedTime | None,
) -> xr.DataArray:
    """The frame of an open file; errors do not name the file, warnings do."""
    head = stream.read(len(MAGIC))
    if head != MAGIC:
        content = f"it begins with {head!r}" if head else "it is empty"
        raise NowcastError(f"is not an HDF5 file ({content}): fetch it again")
    check_heaps(head + stream.read())

    with h5py.File(stream, "r") as content:
        check_hdf5(content)
        field = rain_field(content, options, name)
        if listed is not None:
            check_time(field.attributes, listed)
        hours = _hours(field, options.accumulation_minutes, name)
        rate, capped = _rate(field, hours)
        is_south_up = _is_south_up(field.data, options.north_up, name)
        if is_south_up:
            rate = rate[::-1]
        if options.pixel_km:
            pixel = 1000 * options.pixel_km
        placed_rate = placed(rate, field, pixel, is_south_up)
    return placed_rate.assign_attrs(capped_pixels=capped) if capped else placed_rate


def _rate(field: RainField, hours: float) -> tuple[np.ndarray, int]:
    """Rain rate, (y, x) in mm/h, as the rows are stored, and the number of pixels capped."""
    raw = field.data[()].reshape(field.data.shape[-2:])
    gain, offset, zr = _decoding(field)
    capped = 0

    with np.errstate(over="ignore", invalid="ignore"):  # overflows are reported below
        value = raw.astype("f8") * gain + offset

        # marks are compared with the raw values, before gain and offset
        for mark in numbers(field.attributes, "undetect"):
            value[raw == mark] = -np.inf if field.is_reflectivity else 0
        for mark in numbers(field.attributes, "nodata", "_fillvalue", "missing_value"):
            value[raw == mark] = np.nan

        if field.is_reflectivity:
            rate, capped = rain_of_dbz(value, RainScale(**zr))
        else:
            rate = value * field.factor / hours

    if value := impossible_rate(rate):
        raise NowcastError(
            f"has {describe_impossible(value)}: its gain, offset, undetect or nodata do not fit "
            "its data"
        )
    rate[(rate < 0) & (rate >= -ROUNDING)] = 0  # other small negatives: see ``RainCheck``
    return rate, capped


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


def _is_south_up(data: h5py.Dataset, first_row_is_north: bool | None, name: str) -> bool:
    """Whether the first row is in the south: as the option says, else a netCDF coordinate."""
    scales = data.dims[data.ndim - 2]
    is_stated = len(scales) > 0 and scales[0].shape == (data.shape[-2],)
    rises = is_stated and bool(scales[0][0] < scales[0][-1])
    if first_row_is_north is None:
        return rises

    if is_stated and rises == first_row_is_north:
        stated, option = ("south", "--north-up") if rises else ("north", "--south-up")
        warn_of_contradiction(name, f"that its first row is in the {stated}", option)
    return not first_row_is_north


def _hours(field: RainField, minutes: float, name: str) -> float:
    """How many hours an accumulation lasted; 1 for a rate. The option ``minutes`` decides."""
    if field.rank != ACCUMULATION:
        if minutes:
            raise NowcastError(
                "holds no amount of rain: leave out --accumulation-minutes, or give --units mm too"
            )
        return 1.0

    start, end = (stated_time(field.attributes, edge) for edge in ("start", "end"))
    hours = (end - start) / pd.Timedelta(hours=1)  # NaN if one of them is not stated
    if minutes:
        if hours > 0 and not np.isclose(60 * hours, minutes):
            stated = f"that its accumulation lasted {60 * hours:g} minutes"
            warn_of_contradiction(name, stated, f"--accumulation-minutes {minutes:g}")
        return minutes / 60
    if not hours > 0:
        raise NowcastError(
            "has an accumulation, but its startdate, starttime, enddate and endtime do not say how "
            "many hours it lasted: give --accumulation-minutes"
        )
    return hours
