"""Reading stores: any CF-Zarr or NetCDF of rain, on disk, on S3 or behind a URL, in mm/h."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray as xr

from nowcastlib.data import cf_axes
from nowcastlib.data.accumulation import accumulation_hours, bounds_of_times
from nowcastlib.data.colours import COLOUR, NOT_RAIN
from nowcastlib.data.feeds.file_limits import (
    MAX_COMPOSITE_PIXELS,
    check_netcdf,
    check_pixels,
    named,
)
from nowcastlib.data.grid import RAIN_RATE
from nowcastlib.data.missing_marks import lazy_marked, with_default_fill
from nowcastlib.data.netcdf_check import check_opens
from nowcastlib.data.overrides import with_pixel_size
from nowcastlib.data.place import with_rotated_units
from nowcastlib.data.public_archives import ARCHIVES, PublicArchive
from nowcastlib.data.rain_check import lazy_rates
from nowcastlib.data.rain_variable import rain_variable
from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.data.reflectivity import lazy_rain
from nowcastlib.data.time_units import check_time_units
from nowcastlib.data.times import time_step
from nowcastlib.data.zarr_check import check_zarr
from nowcastlib.data.zarr_files import check_local_files, metadata_files
from nowcastlib.data.zarr_fill import with_fill_values
from nowcastlib.errors import NowcastError, printable
from nowcastlib.units import DRY, exceeds, kind_of_rain

LONGEST_ATTRIBUTE = 10_000  # characters that are kept of an attribute
SLAB = 64 << 20  # bytes of whole frames that are held in memory together

MAKER_ATTRIBUTES = (  # of a data set, the first that it has names its maker
    "attribution",
    "institution",
    "institute",
    "copyright",
    "source",
    "references",
    "title",
)


def open_frames(
    path: str | Path,
    endpoint: str = "",
    variable: str = "",
    options: ReadOptions = AS_STATED,
) -> xr.DataArray:
    """Open the rain rate of a CF-Zarr store or NetCDF file; frames are read when they are used.

    The axes are recognised by standard name, units, ``axis`` or usual name, the variable by its
    units. An amount of rain is divided by the time in which it fell: that of the bounds of the
    times, of accumulation_period, of cell_methods, or else the regular step of the times. Whenever
    frames are read, rates from -1 to 0 mm/h become 0 with one warning, and rates below -1 or above
    1000 mm/h raise a NowcastError with their time and value: see ``data.rain_check``.

    Parameters
    ----------
    path : str or Path
        A folder, a NetCDF file, a URL that fsspec understands, or the name of an archive in
        ``ARCHIVES``, such as "de-dwd". S3 is read anonymously.
    endpoint : str
        Address of the S3 server, if it is not Amazon's.
    variable : str
        Name of the variable, needed only where several hold rain: short for
        ``ReadOptions(variable=…)``.
    options : ReadOptions
        What the store does not say, or says wrongly: variable, units, minutes of a sum, size of a
        pixel, north.

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
        are missing or ambiguous; the message names the option that settles it.

    Examples
    --------
    >>> frames = open_frames("frames.zarr")  # doctest: +SKIP
    >>> frames.sel(time="2015-05-15").max()  # doctest: +SKIP
    """
    archive = ARCHIVES.get(str(path), PublicArchive(str(path), endpoint))
    return lazy_frames(archive, replace(options, variable=variable or options.variable))


def lazy_frames(
    archive: PublicArchive,
    options: ReadOptions = AS_STATED,
    is_checked: bool = True,
) -> xr.DataArray:
    """``open_frames`` of an archive; a feed leaves the check of the rates to ``ingest``."""
    path, dataset = archive.path, open_dataset(archive)
    if COLOUR in dataset and "channel" in dataset[COLOUR].dims and not options.variable:
        raise NowcastError(f"{path} {NOT_RAIN}")
    rain = rain_variable(_with_auxiliary_coordinates(dataset), path, options)
    nameless = [dimension for dimension in rain.dims if not isinstance(dimension, str)]
    if nameless:
        raise NowcastError(f"{path} has dimensions without a name: {printable(nameless)}")
    if "lead_time" in rain.dims:
        raise NowcastError(
            f"{path} is a forecast, not observed frames: give the store it was made from"
        )
    check_time_units(rain, path)
    attributes = _attributes(dataset, rain, archive)

    frames = _without_encoding(cf_axes.to_time_y_x(lazy_marked(rain, path), path, options.north_up))
    with named(path):
        check_pixels(frames.shape[2], frames.shape[1], MAX_COMPOSITE_PIXELS)
    frames = _rates(frames, bounds_of_times(dataset, frames), path, options, is_checked)
    frames = frames.drop_attrs(deep=False).rename("rainfall_rate").assign_attrs(attributes)
    frames = with_rotated_units(frames)
    if options.pixel_km:
        frames = with_pixel_size(frames, options.pixel_km, path)
    frames.encoding = {"preferred_chunks": {"time": _frames_of_a_chunk(rain)}}
    return frames


def _frames_of_a_chunk(rain: xr.DataArray) -> int:
    """Number of frames that a store keeps together."""
    chunks = rain.encoding.get("preferred_chunks") or {}
    return next((n for name, n in chunks.items() if cf_axes.axis_of(rain[name]) == "time"), 1)


def _rates(
    frames: xr.DataArray,
    bounds: xr.DataArray | None,
    path: str,
    options: ReadOptions,
    is_checked: bool,
) -> xr.DataArray:
    """Lazy rain rates (time, y, x) in mm/h of frames of any unit of rain."""
    units, minutes = frames.attrs["units"], options.accumulation_minutes
    kind, factor = kind_of_rain(units)
    if kind == "amount":
        factor /= accumulation_hours(frames, bounds, path, minutes)
    elif minutes:
        raise NowcastError(
            f"{path} holds no amount of rain, but {units}: leave out --accumulation-minutes, or "
            "give --units mm too"
        )
    if kind == "reflectivity":
        frames = lazy_rain(frames, path)
    return lazy_rates(frames, factor, path, is_checked)


def open_dataset(archive: PublicArchive) -> xr.Dataset:
    """The data set of an address, its metadata only."""
    path, endpoint = archive.path, archive.endpoint
    if "://" not in path:
        _check_folder(Path(path))
        if Path(path).is_file():
            return _open_netcdf(path)
        options = {}
    else:
        from nowcastlib.data.remote_limits import storage_options  # only for servers

        options = storage_options(path, endpoint)

    try:
        how: dict[str, Any] = {"chunks": None, "storage_options": options or None}
        disk, root = fsspec.url_to_fs(path, **options)
        disk.retries = 1  # s3fs would ask a silent server 50 times for its first file
        check_local_files(disk, root)
        how["consolidated"] = _is_consolidated(disk, root)
        check_zarr(disk, root, how["consolidated"])
        address = path if "://" in path else os.path.abspath(path)  # for processes elsewhere
        return with_fill_values(xr.open_zarr(address, **how), address, how)
    except NowcastError as error:
        raise NowcastError(f"{path} {error}") from error
    except Exception as error:  # zarr, fsspec, botocore and xarray each have errors of their own
        where = f"{path} at {endpoint}" if endpoint else path
        remedy = "and the network" if "://" in path else f"or give one of {', '.join(ARCHIVES)}"
        raise NowcastError(
            f"{where} is not a Zarr store that can be read ({type(error).__name__}: {error}): "
            f"check the address {remedy}"
        ) from error


def _open_netcdf(path: str) -> xr.Dataset:
    """The data set of a NetCDF file."""
    try:
        with named(path):
            check_netcdf(path)
            check_opens(path)
        return with_default_fill(xr.open_dataset(path, engine="netcdf4"))
    except NowcastError:
        raise
    except Exception as error:  # netCDF4 and xarray each have errors of their own
        raise NowcastError(
            f"{path} is not a NetCDF file that can be read ({type(error).__name__}: {error}): give "
            "a CF-Zarr store or a NetCDF file, or read it by nowcast ingest"
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


def _with_auxiliary_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    """Make coordinates of two-dimensional latitudes and longitudes that are plain variables."""
    is_flat = (n for n, v in dataset.data_vars.items() if v.ndim in (2, 3))
    return dataset.set_coords([n for n in is_flat if cf_axes.axis_of(dataset[n]) in ("y", "x")])


def _is_consolidated(disk: Any, root: str) -> bool:
    """Whether the metadata of a store are in one file: xarray warns if it has to find out."""
    path = f"{root}/zarr.json"
    if (content := metadata_files(disk, [path]).get(path)) is not None:
        return bool(json.loads(content).get("consolidated_metadata"))
    if disk.exists(f"{root}/.zmetadata"):  # format 2, or not a store
        return True
    disk.cat_file(f"{root}/.zgroup")  # raises an error if this is not a store
    return False


def _attributes(dataset: xr.Dataset, rain: xr.DataArray, archive: PublicArchive) -> dict:
    """Unit, maker, licence and, if known, map projection of the frames."""
    stated = {key.lower(): printable(v, LONGEST_ATTRIBUTE) for key, v in dataset.attrs.items()}
    given = {key: text for key, text in stated.items() if text.strip()}
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
