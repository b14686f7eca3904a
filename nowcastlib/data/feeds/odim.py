"""Radar images in HDF5, decoded by what the file says of itself, never by guess.

ODIM_H5 (EUMETNET OPERA, "Weather radar information model for implementation with the HDF5 file format", version 2.4,
2021) keeps a field in /dataset1/data1/data; the groups ``what``, ``where`` and ``how`` of any level tell about all that
lies below, and the nearest wins. The same attributes, or those of CF (``units``, ``scale_factor``, ``add_offset``,
``_FillValue``, ``missing_value``), may also stand on the dataset itself or on its group.
"""

import io
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from nowcastlib.data.feeds import frame
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale, amount_of_water

# ODIM's quantities: 0 a rate (mm/h), 1 an accumulation (mm), from 2 on reflectivity (dBZ); of a file's fields the first
# in this order is read
RANK = {"rate": 0, "acrr": 1, "dbzh": 2, "dbz": 2, "dbzv": 3, "th": 4}
NO_MAP = dict.fromkeys(["PVOL", "SCAN", "RAY", "AZIM", "ELEV"], "polar volume")  # ODIM's objects
NO_MAP |= {"XSEC": "vertical section", "VP": "vertical profile", "PIC": "picture"}
LARGEST = 100_000_000  # pixels; a header can claim any number
ROUNDING = (
    1e-3  # mm/h below 0 that gain and offset, often in single precision, may leave of a dry pixel
)
MAGIC = b"\x89HDF\r\n\x1a\n"


def decode(file: str | Path | bytes, name: str = "", pixel: float | None = None) -> xr.DataArray:
    """An HDF5 file (its path or its content) as a frame, (y, x) in mm/h; ``name`` is what errors call it.

    A rate stays as it is, an accumulation is divided by its hours, reflectivity follows Z = 200 R^1.6 or the file's own
    ``zr_a`` and ``zr_b``. ``undetect`` is 0 mm/h, ``nodata`` NaN; without ``gain`` and ``offset`` they are 1 and 0, as
    ODIM has it. Rows run from north to south, as ODIM has it, unless a coordinate of the file's own rises along them.
    A file that does not say where it lies is put around 0, without a projection, if ``pixel`` (m) is given.

    Raises NowcastError, naming the file and what was found: no HDF5, cut or corrupt, polar, too large, not in metres;
    no field of rain, or several alike; attributes that lack something or do not fit the data, such as rain below 0.
    """
    name = name or ("the HDF5 content" if isinstance(file, bytes) else str(file))
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream:
            if (head := stream.read(len(MAGIC))) != MAGIC:
                raise NowcastError(
                    f"is no HDF5 file ({f'it begins with {head}' if head else 'empty'}): fetch it again"
                )
            with h5py.File(stream, "r") as content:
                data, known, meaning = _choose(content)
                rate = _rate(data, known, *meaning)
                return frame(rate, *_place(rate.shape, known, pixel))
    except NowcastError as error:
        raise NowcastError(f"{name} {error}") from None
    except Exception as error:  # h5py has no error of its own: a broken file makes it raise many
        raise NowcastError(
            f"{name} cannot be read ({type(error).__name__}: {error}): fetch it again"
        ) from error


def _choose(content: h5py.File) -> tuple[h5py.Dataset, dict, tuple[int, float]]:
    """The field of rain of a file, the attributes that hold for it, its rank and how many of RANK's unit one is."""
    datasets, fields, rain = [], [], []
    content.visititems(
        lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None
    )
    for data in datasets:
        own, known, shape = _plain(data), _known(data), data.shape or ()
        if (what := str(known.get("object"))) in NO_MAP:
            raise NowcastError(
                f"is a {NO_MAP[what]} (object {what}); a Cartesian image or composite is needed"
            )
        told = (
            own if own.keys() & {"quantity", "units"} else known
        )  # a field of heights inherits no quantity
        quantity, unit = (str(told.get(key, "")) for key in ("quantity", "units"))
        meaning = _meaning(quantity) or _meaning(unit)
        fields.append(
            f"{data.name} {'×'.join(map(str, shape))} [{quantity or unit or 'no quantity, no units'}]"
        )
        image = (
            data.dtype.kind in "iuf" and len(shape) > 1 and 0 < data.size == shape[-2] * shape[-1]
        )
        if meaning and image and "/quality" not in data.name.lower():
            rain.append((meaning, fields[-1], data, known))
    if not rain:
        has = ", ".join(fields[:9]) + (f" and {len(fields) - 9} more" if len(fields) > 9 else "")
        wanted = "a quantity (RATE, ACRR, DBZH) or units (mm h-1, dBZ) of rain"
        raise NowcastError(f"has no 2-D field with {wanted}; it has: {has or 'nothing'}")
    first = min(meaning[0] for meaning, *_ in rain)
    (meaning, field, data, known), *others = [one for one in rain if one[0][0] == first]
    if others:
        raise NowcastError(
            f"has {1 + len(others)} fields alike and no way to choose: {field}, {others[0][1]}, …"
        )
    if data.size > LARGEST:
        raise NowcastError(
            f"claims {data.size:,} pixels in {field}; no radar image has above {LARGEST:,}"
        )
    return data, known, meaning


def _meaning(word: str) -> tuple[int, float] | None:
    """Rank of a quantity or unit, and how many mm/h, mm or dBZ one is; None if it is not of rain."""
    kind, factor = amount_of_water(word)
    if kind == "amount" and factor != 1:  # m and cm: heights, more likely
        return None
    rank = {"rate": 0, "amount": 1}.get(kind, RANK.get(word.lower()))
    return None if rank is None else (rank, factor)


def _plain(item) -> dict:
    """The attributes of a group or dataset, by lower-case name, as numbers and text."""
    plain = {}
    for key, value in item.attrs.items():
        value = (
            value.item()
            if isinstance(value, np.ndarray | np.generic) and value.size == 1
            else value
        )
        plain[key.lower()] = (
            value.decode(errors="replace").strip("\0 ") if isinstance(value, bytes) else value
        )
    return plain


def _known(data: h5py.Dataset) -> dict:
    """All attributes that hold for a dataset: its own, its group's, those of the group above, …; the nearest wins."""
    known, group = _plain(data), data
    while group.name != "/":
        group = group.parent
        for level in (group, *(group[name] for name in ("what", "where", "how") if name in group)):
            known = _plain(level) | known
    return known


def _numbers(known: dict, *keys: str) -> list[float]:
    """The values of those of ``keys`` that are known."""
    try:
        return [float(value) for key in keys if key in known for value in np.atleast_1d(known[key])]
    except (TypeError, ValueError):
        raise NowcastError(f"has a {' or '.join(keys)} that is no number: ask its maker") from None


def _rate(data: h5py.Dataset, known: dict, rank: int, factor: float) -> np.ndarray:
    """Rain rate, (y, x) in mm/h, north up; raw values are compared before gain and offset are used."""
    raw = data[()].reshape(data.shape[-2:])
    gain, *_ = *_numbers(known, "gain", "scale_factor"), 1.0
    offset, *_ = *_numbers(known, "offset", "add_offset"), 0.0
    zr = {key: number for key in ("zr_a", "zr_b") if rank > 1 for number in _numbers(known, key)}
    if (
        gain == 0
        or not np.isfinite([gain, offset, *zr.values()]).all()
        or min(zr.values(), default=1) <= 0
    ):
        numbers = ", ".join(
            f"{key} {number:g}" for key, number in ({"gain": gain, "offset": offset} | zr).items()
        )
        raise NowcastError(f"has {numbers}, by which nothing can be decoded: ask its maker")
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is told below
        value = raw.astype("f8") * gain + offset
        rate = (
            RainScale(**zr).from_dbz(value)
            if rank > 1
            else value * factor / (_hours(known) if rank else 1)
        )
        for marks, meant in (("undetect",), 0), (("nodata", "_fillvalue", "missing_value"), np.nan):
            for mark in _numbers(known, *marks):
                rate[raw == mark] = meant
        if (rate < -ROUNDING).any() or np.isinf(rate.astype("f4")).any():
            span = f"{np.nanmin(rate):g} to {np.nanmax(rate):g} mm/h"
            raise NowcastError(
                f"has rain of {span}: its gain, offset, undetect or nodata do not fit its data"
            )
    along = data.dims[data.ndim - 2]  # netCDF's coordinates of the rows
    rising = len(along) and along[0].shape == rate.shape[:1] and along[0][0] < along[0][-1]
    return np.maximum(rate, 0)[:: -1 if rising else 1]


def _hours(known: dict) -> float:
    """How long an accumulation lasted."""
    try:
        edges = [f"{known[edge + 'date']}{known[edge + 'time']}" for edge in ("start", "end")]
        hours = np.diff(pd.to_datetime(edges, format="%Y%m%d%H%M%S"))[0] / pd.Timedelta(hours=1)
    except (KeyError, ValueError):
        hours = 0
    if not hours > 0:
        raise NowcastError(
            "has an accumulation, but no startdate, starttime, enddate, endtime that tell its hours"
        )
    return hours


def _place(shape: tuple, known: dict, pixel: float | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Pixel centres x and y (m; y falls) and the projection, from ODIM's ``where`` (corners are those of pixels)."""
    rows, columns = shape
    if (
        "xsize" in known
        and "ysize" in known
        and _numbers(known, "ysize", "xsize") != [rows, columns]
    ):
        raise NowcastError(
            f"says {known['ysize']}×{known['xsize']} px, but holds {rows}×{columns}: ask its maker"
        )
    missing = [
        key
        for key in ("projdef", "LL_lon", "LL_lat", "xscale", "yscale")
        if key.lower() not in known
    ]
    if missing and pixel is None:
        raise NowcastError(
            f"does not say where it lies (no {', '.join(missing)}): give pixel, its width in metres"
        )
    if missing:
        crs, dx, dy, west, south = "", pixel, pixel, -columns * pixel / 2, -rows * pixel / 2
    else:
        crs = str(known["projdef"])
        project, unit = pyproj.Proj(crs), pyproj.CRS(crs).axis_info[0].unit_name
        if unit != "metre":
            raise NowcastError(
                f"has a grid in {unit}s ({crs}); one in metres is needed: project it first"
            )
        dx, dy = _numbers(known, "xscale", "yscale")
        west, south = project(*_numbers(known, "ll_lon", "ll_lat"))
        size = columns * dx, rows * dy
        far = (
            project(*_numbers(known, "ur_lon", "ur_lat"))
            if "ur_lon" in known
            else np.add((west, south), size)
        )
        if not (dx > 0 and dy > 0 and np.allclose(np.subtract(far, (west, south)), size, rtol=0.1)):
            raise NowcastError(
                "has corners that contradict its projdef, xscale and yscale: ask its maker"
            )
    return west + dx * (np.arange(columns) + 0.5), south + dy * (rows - 0.5 - np.arange(rows)), crs
