"""Reading stores: any CF-Zarr of rain, on disk, on S3 or behind another URL, as frames in mm/h."""

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray as xr
import zarr

from nowcastlib.data import cf_axes
from nowcastlib.data.grid import RAIN_RATE
from nowcastlib.data.public_archives import ARCHIVES, PublicArchive
from nowcastlib.data.rain_check import lazy_rates
from nowcastlib.data.times import time_step
from nowcastlib.errors import NowcastError
from nowcastlib.units import DRY, amount_of_water, exceeds, is_rain

SLAB = 64 << 20  # bytes of whole frames that are held in memory together

# An S3 server that does not exist is reported within seconds, and a silent one within a minute:
# s3fs and botocore would ask ten times.
S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 5, "retries": {"max_attempts": 1}}

MAKER_ATTRIBUTES = (  # of a data set, the first that it has names its maker
    "attribution",
    "institution",
    "institute",
    "copyright",
    "source",
    "references",
    "title",
)


def open_frames(path: str | Path, endpoint: str = "", variable: str = "") -> xr.DataArray:
    """Open the rain rate of a CF-Zarr store; frames are read and checked when they are used.

    The axes are recognised by standard name, units, ``axis`` or usual name, the variable by its
    units. An amount of rain is divided by the time in which it fell: that of the bounds of the
    times, of accumulation_period, of cell_methods, or else the regular step of the times. Whenever
    frames are read, rates from -1 to 0 mm/h become 0 with one warning, and rates below -1 or above
    1000 mm/h raise a NowcastError with their time and value: see ``data.rain_check``.

    Parameters
    ----------
    path : str or Path
        A folder, a URL that fsspec understands, or the name of an archive in ``ARCHIVES``, such as
        "de-dwd". S3 is read anonymously.
    endpoint : str
        Address of the S3 server, if it is not Amazon's.
    variable : str
        Name of the variable, needed only where several hold rain.

    Returns
    -------
    xarray.DataArray
        ``rainfall_rate`` (time, y, x) in mm/h: ascending time (UTC), north up, coordinates in
        metres or degrees, NaN = not observed. Attributes: ``source``, the maker of the data;
        ``license``, "" if unknown; ``crs``, the map projection as WKT, and ``comment``, if known.

    Raises
    ------
    NowcastError
        If there is no such store, or if its variable, its axes or the time in which an amount fell
        are missing or ambiguous.

    Examples
    --------
    >>> frames = open_frames("frames.zarr")  # doctest: +SKIP
    >>> frames.sel(time="2015-05-15").max()  # doctest: +SKIP
    """
    archive = ARCHIVES.get(str(path), PublicArchive(str(path), endpoint))
    return lazy_frames(archive, variable)


def lazy_frames(
    archive: PublicArchive, variable: str = "", is_checked: bool = True
) -> xr.DataArray:
    """``open_frames`` of an archive; a feed leaves the check of the rates to ``ingest``."""
    dataset = _open(archive)
    rain = _rain_variable(_with_auxiliary_coordinates(dataset), archive.path, variable)
    if "lead_time" in rain.dims:
        raise NowcastError(
            f"{archive.path} is a forecast, not observed frames: give the store it was made from"
        )
    attributes = _attributes(dataset, rain, archive)

    frames = cf_axes.to_time_y_x(rain, archive.path)
    kind, mm = amount_of_water(rain.attrs.get("units", ""))
    if kind == "amount":
        bounds = dataset.get(frames.time.attrs.get("bounds"))
        mm /= cf_axes.accumulation_hours(frames, bounds, archive.path)

    frames = lazy_rates(_without_encoding(frames), mm, archive.path, is_checked)
    return frames.drop_attrs(deep=False).rename("rainfall_rate").assign_attrs(attributes)


def _open(archive: PublicArchive) -> xr.Dataset:
    """The data set of an address, its metadata only."""
    path, endpoint = archive.path, archive.endpoint
    if "://" not in path:
        _check_folder(Path(path))
    options = {}
    if path.startswith("s3:"):
        options = {"anon": True, "endpoint_url": endpoint or None, "config_kwargs": S3_PATIENCE}

    try:
        how: dict[str, Any] = {"chunks": None, "storage_options": options or None}
        how["consolidated"] = _is_consolidated(path, options)
        return _with_zeros(xr.open_zarr(path, **how), path, how)
    except Exception as error:  # zarr, fsspec, botocore and xarray each have errors of their own
        where = f"{path} at {endpoint}" if endpoint else path
        remedy = "and the network" if "://" in path else f"or give one of {', '.join(ARCHIVES)}"
        raise NowcastError(
            f"{where} is not a Zarr store that can be read ({type(error).__name__}: {error}): "
            f"check the address {remedy}"
        ) from error


def _check_folder(path: Path) -> None:
    """NowcastError for a path that is missing, or that is a folder of stores."""
    if not path.exists():
        raise NowcastError(
            f"{path} does not exist: make it with nowcast ingest, or give another store, or a "
            f"public archive ({', '.join(ARCHIVES)})"
        )
    is_store = any((path / name).exists() for name in (".zgroup", ".zmetadata", "zarr.json"))
    stores = [] if is_store else sorted(store.name for store in path.glob("*.zarr"))
    if stores:
        raise NowcastError(f"{path} is a folder of stores: name one of them ({', '.join(stores)})")


def _with_zeros(dataset: xr.Dataset, path: str, how: dict[str, Any]) -> xr.Dataset:
    """Undo that xarray takes each 0 for missing where 0 is only the fill value of Zarr 2.

    A 0 is missing only if the attribute _FillValue says so, or if an offset makes it another number
    than 0. Coordinates are never missing.
    """
    filled = []
    for name, variable in dataset.variables.items():
        is_zero = name in dataset.coords or not variable.encoding.get("add_offset")
        if is_zero and variable.encoding.get("_FillValue") == 0:
            filled.append(name)
    if not filled:
        return dataset

    raw = xr.open_zarr(path, **how, decode_cf=False)
    group = zarr.open_group(path, mode="r", storage_options=how["storage_options"])
    for name in filled:
        declared = group[str(name)].attrs.get("_FillValue")
        raw[name].attrs.pop("_FillValue")
        if declared is not None and name not in dataset.coords:
            raw[name].attrs["_FillValue"] = declared
    return xr.decode_cf(raw)


def _with_auxiliary_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    """Make coordinates of two-dimensional latitudes and longitudes that are plain variables."""
    is_flat = (n for n, v in dataset.data_vars.items() if v.ndim == 2)
    return dataset.set_coords([n for n in is_flat if cf_axes.axis_of(dataset[n]) in ("y", "x")])


def _is_consolidated(path: str, options: dict) -> bool:
    """Whether the metadata of a store are in one file: xarray warns if it has to find out."""
    disk, root = fsspec.url_to_fs(path, **options)
    try:
        about = json.loads(disk.cat_file(f"{root}/zarr.json"))
        return bool(about.get("consolidated_metadata"))
    except FileNotFoundError:  # format 2, or not a store
        if disk.exists(f"{root}/.zmetadata"):
            return True
        disk.cat_file(f"{root}/.zgroup")  # raises an error if this is not a store
        return False


def _rain_variable(dataset: xr.Dataset, path: str, variable: str) -> xr.DataArray:
    """The variable of that name, else the only one of rain, else the only one of a rain rate."""
    names = {}  # of the variables of rain: their standard names
    for name, candidate in dataset.data_vars.items():
        is_wanted = name == variable if variable else _is_rain(candidate)
        if is_wanted and amount_of_water(candidate.attrs.get("units", ""))[0]:
            names[name] = candidate.attrs.get("standard_name", "")

    if len(names) > 1:
        names = {n: s for n, s in names.items() if s.endswith(("_rate", "_flux"))}
    if len(names) == 1:
        return dataset[next(iter(names))]

    has = [f"{n} [{v.attrs.get('units', 'no units')}]" for n, v in dataset.data_vars.items()]
    wanted = "one rain rate or amount, or be asked for one by name"
    raise NowcastError(
        f"{path} should hold {f'rain called {variable}' if variable else wanted} "
        f"(units such as mm h-1 or mm); it has: {', '.join(has) or 'nothing'}"
    )


def _is_rain(candidate: xr.DataArray) -> bool:
    """Whether a variable with a unit of water is rain on a grid, by its names."""
    units, attributes = candidate.attrs.get("units", ""), candidate.attrs
    if names := attributes.get("standard_name", ""):
        return candidate.ndim >= 3 and is_rain(units, names)
    names = f"{attributes.get('long_name', '')} {candidate.name}"
    return candidate.ndim >= 3 and (is_rain(units, "") or is_rain(units, names))


def _attributes(dataset: xr.Dataset, rain: xr.DataArray, archive: PublicArchive) -> dict:
    """Unit, maker, licence and, if known, map projection of the frames."""
    given = {key.lower(): str(value) for key, value in dataset.attrs.items() if value}
    makers = [given[key] for key in MAKER_ATTRIBUTES if key in given]
    licence = given.get("license", given.get("licence", archive.licence))
    attributes = RAIN_RATE | {
        "source": archive.maker or (makers[0] if makers else archive.path),
        "license": licence,
    }

    if "comment" in given:
        attributes["comment"] = given["comment"]

    name = str((rain.attrs | rain.encoding).get("grid_mapping", "")).split(":")[0]
    mapping = dataset.get(name)
    if mapping is not None and (wkt := cf_axes.projection_wkt(mapping.attrs)):
        attributes["crs"] = wkt
    return attributes


def _without_encoding(frames: xr.DataArray) -> xr.DataArray:
    """Drop the encoding of the store, so that frames are not written in the same way again.

    xarray's ``drop_encoding`` does the same, but older versions of it read all frames.
    """
    for variable in (frames.variable, *(c.variable for c in frames.coords.values())):
        variable.encoding = {}
    return frames


def describe(frames: xr.DataArray) -> str:
    """Describe frames (time, y, x) in one line: number, size, times and rain.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Rain rate in mm/h; NaN (not observed) does not count.
    """
    largest = 0.0
    wet = observed = 0  # pixels of all frames
    for one in frames:  # one frame in memory at a time
        rate = one.values
        largest = max(largest, float(np.nanmax(rate, initial=0)))
        wet += int(exceeds(rate, DRY).sum())
        observed += int(np.isfinite(rate).sum())

    first, last = frames.indexes["time"][[0, -1]]
    n, height, width = frames.shape
    return (
        f"{n} frames of {height}×{width} px, {first} to {last} UTC, mostly every "
        f"{time_step(frames):g} minutes; maximum {largest:.1f} mm/h, "
        f"share above {DRY:g} mm/h {wet / max(observed, 1):.3f} of the observed pixels"
    )
