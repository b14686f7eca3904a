"""Axes of a CF data set: which dimension is time, y or x, in which order and unit; map projections.

See the CF conventions, cfconventions.org: chapters 4 (coordinates) and 5.6 (grid mappings).
"""

from contextlib import suppress

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.coordinates import (
    check_grid,
    from_two_dimensional,
    has_known_units,
    in_direction,
    warn_of_unknown_north,
    with_known_unit,
)
from nowcastlib.data.overrides import with_north
from nowcastlib.data.repeated_times import without_repeated_times
from nowcastlib.errors import NowcastError

NORTH = {f"degree{s}{n}" for s in ("", "s") for n in ("_north", "_n", "n")}  # in CF's spellings
EAST = {f"degree{s}{e}" for s in ("", "s") for e in ("_east", "_e", "e")}
AXES = {  # words by which an axis is recognised: standard names, units, axis letters, usual names
    "time": {"time", "t", "valid_time", "datetime"},
    "y": {
        "y",
        "latitude",
        "lat",
        "projection_y_coordinate",
        "grid_latitude",
        *NORTH,
        "northing",
        "row",
        "rows",
        "nj",
        "ny",
        "south_north",
    },
    "x": {
        "x",
        "longitude",
        "lon",
        "projection_x_coordinate",
        "grid_longitude",
        *EAST,
        "easting",
        "col",
        "cols",
        "column",
        "columns",
        "ni",
        "nx",
        "west_east",
    },
}


def to_time_y_x(
    variable: xr.DataArray, path: str, first_row_is_north: bool | None = None
) -> xr.DataArray:
    """Bring a variable of any axes into the order (time, y, x): ascending time, north up.

    Parameters
    ----------
    variable : xarray.DataArray
        A variable with a time and two horizontal axes of any name and order; further axes of
        length 1 are dropped.
    path : str
        What error messages call the store.
    first_row_is_north : bool, optional
        By default the coordinates decide. Without any the first row is taken for the north, with a
        warning.

    Returns
    -------
    xarray.DataArray (time, y, x)
        Lazy; each time once, y falling, x rising, coordinates in metres or degrees.

    Raises
    ------
    NowcastError
        If an axis is missing or ambiguous, or if the times are empty or not dates.
    """
    latitude, longitude = _two_dimensional(variable, path)
    frames = variable.reset_coords(drop=True)  # 2-D latitudes would be read with every frame
    single = [d for d, n in frames.sizes.items() if n == 1 and axis_of(frames[d]) not in AXES]
    frames = frames.squeeze(single, drop=True)

    dimensions = _dimensions(frames, latitude)
    complete = set(dimensions) == set(AXES) and frames.ndim == len(AXES)
    if not complete or dimensions["time"] not in frames.indexes:
        raise NowcastError(
            f"{path} has the axes {variable.dims}; a time and two horizontal ones are needed"
        )
    for axis in ("y", "x"):
        if dimensions[axis] in frames.indexes:
            frames = with_known_unit(frames, dimensions[axis], axis)
    frames = _renamed(frames, dimensions).transpose(*AXES)

    if latitude is not None and longitude is not None and not has_known_units(frames):
        places = (_renamed(latitude, dimensions), _renamed(longitude, dimensions))
        frames = from_two_dimensional(frames, *places)
    frames = ascending_times(frames, path)

    if first_row_is_north is None:
        warn_of_unknown_north(frames, path)
    for axis in ("y", "x"):
        if axis in frames.indexes:
            where = f"{path} has a coordinate {dimensions[axis]}"
            turned = in_direction(frames, axis, where)  # refuses disorder, too
            is_decided = axis == "y" and first_row_is_north is not None
            frames = frames if is_decided else turned
    check_grid(frames, path)
    return frames if first_row_is_north is None else with_north(frames, first_row_is_north, path)


def _renamed(values: xr.DataArray, dimensions: dict[str, str]) -> xr.DataArray:
    """Values whose dimensions have the names of their axes."""
    return values.rename({d: a for a, d in dimensions.items() if d in values.dims and d != a})


def _dimensions(frames: xr.DataArray, latitude: xr.DataArray | None) -> dict[str, str]:
    """The dimension of each axis; where no word tells rows from columns, latitudes do."""
    dimensions = {axis_of(frames[d]): str(d) for d in frames.dims}
    if latitude is None or not {*latitude.dims} <= {*dimensions} - {*AXES}:
        return dimensions

    first, second = (str(d) for d in latitude.dims)
    values = np.asarray(latitude.values, "f8")
    along_first = np.abs(values[-1] - values[0]).max()
    along_second = np.abs(values[:, -1] - values[:, 0]).max()
    rows, columns = (first, second) if along_first > along_second else (second, first)
    for dimension in (first, second):
        del dimensions[dimension]
    return dimensions | {"y": rows, "x": columns}


def _two_dimensional(
    variable: xr.DataArray, path: str
) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """Two-dimensional latitudes and longitudes among the coordinates of a variable, or None.

    They may be written for each time, if they do not change.
    """
    coordinates: dict[str, xr.DataArray] = {}
    for coordinate in variable.coords.values():
        if coordinate.ndim == 2:
            coordinates.setdefault(axis_of(coordinate), coordinate.reset_coords(drop=True))
        elif coordinate.ndim == 3 and axis_of(coordinate) in ("y", "x"):
            coordinates.setdefault(axis_of(coordinate), _unchanging(coordinate, path))
    return coordinates.get("y"), coordinates.get("x")


def _unchanging(degrees: xr.DataArray, path: str) -> xr.DataArray:
    """Latitudes or longitudes (y, x) of those of each time. NowcastError if they change."""
    times = [d for d in degrees.dims if axis_of(degrees[d]) == "time"] or [degrees.dims[0]]
    first, last = (degrees.isel({times[0]: k}).reset_coords(drop=True) for k in (0, -1))
    if not np.array_equal(first.values, last.values, equal_nan=True):
        raise NowcastError(
            f"{path} has a {degrees.name} that changes from frame to frame: a grid that moves "
            "cannot be read; bring the frames to one grid"
        )
    return first


def axis_of(coordinate: xr.DataArray) -> str:
    """The axis of a coordinate: "time", "y" or "x"; its own name if it is none of these."""
    attributes = (coordinate.attrs.get(key) for key in ("standard_name", "units", "axis"))
    words = {str(word).lower() for word in (coordinate.name, *attributes)}
    for axis, usual in AXES.items():
        if words & usual:
            return axis
    return str(coordinate.name)


def ascending_times(frames: xr.DataArray, path: str) -> xr.DataArray:
    """Frames in ascending time, each time once, as dates of the usual calendar."""
    times = frames.indexes["time"]
    if times.empty:
        raise NowcastError(f"{path} holds no frames: ingest again")

    if times.hasnans:
        raise NowcastError(
            f"{path}: {times.isna().sum()} of {len(times)} frames have no time (the first is frame "
            f"{times.isna().argmax()}): leave these frames out of the store"
        )
    if not isinstance(times, pd.DatetimeIndex):  # of another calendar, or plain numbers
        calendar = getattr(times[0], "calendar", "")
        if calendar in ("360_day", "julian"):
            raise NowcastError(
                f"{path} has times of the calendar {calendar}, such as {times[0]}: radar frames "
                "need real dates; write its times in the calendar standard"
            )
        try:
            times = pd.to_datetime([t.isoformat() for t in times], format="ISO8601")
        except (AttributeError, ValueError) as error:
            raise NowcastError(
                f"{path} has no dates, but times such as {times[0]}: its time needs units"
            ) from error

    times = _in_nanoseconds(times.round("s"), path)  # hours as floating-point numbers are inexact
    frames["time"] = ("time", times, frames.time.attrs)
    if not times.is_monotonic_increasing:
        frames = frames.sortby("time")
    return without_repeated_times(frames, path) if times.has_duplicates else frames


def _in_nanoseconds(times: pd.DatetimeIndex, path: str) -> pd.DatetimeIndex:
    """Times in nanoseconds. NowcastError outside of the years that these can express."""
    try:
        return times.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise NowcastError(
            f"{path} has times from {times.min()} to {times.max()}; radar frames need years from "
            "1678 to 2261: check the units of its time"
        ) from error


def projection_wkt(mapping: dict) -> str:
    """A CF grid mapping as WKT in metres; "" if it is not understood."""
    import pyproj  # a quarter of a second, and only stores with a projection need it

    without_wkt = {k: v for k, v in mapping.items() if k not in ("crs_wkt", "spatial_ref")}
    for attributes in (mapping, without_wkt):  # the WKT may be broken where CF's numbers are not
        with suppress(pyproj.exceptions.CRSError, KeyError):
            crs = pyproj.CRS.from_cf(attributes)
            if crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1000:
                crs = _kilometres_to_metres(crs)  # as the axes of the frames were converted
            return crs.to_wkt()
    return ""


def _kilometres_to_metres(crs):
    """The same pyproj.CRS with axes in metres."""
    parts = crs.to_json_dict()
    for axis in parts["coordinate_system"]["axis"]:
        axis["unit"] = "metre"
    parts.pop("id", None)
    return type(crs).from_json_dict(parts)
