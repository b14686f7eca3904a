"""Axes of a CF data set: which dimension is time, y or x, in which order and unit; map projections.

See the CF conventions, cfconventions.org: chapters 4 (coordinates), 5.6 (grid mappings) and 7
(bounds and cell methods).
"""

import re
from contextlib import suppress

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.coordinates import (
    from_two_dimensional,
    has_known_units,
    in_direction,
    with_known_unit,
)
from nowcastlib.data.times import usual_step
from nowcastlib.errors import NowcastError

AXES = {  # words by which an axis is recognised: standard names, units, axis letters, usual names
    "time": {"time", "t"},
    "y": {
        "y",
        "latitude",
        "lat",
        "projection_y_coordinate",
        "grid_latitude",
        "degrees_north",
        "northing",
    },
    "x": {
        "x",
        "longitude",
        "lon",
        "projection_x_coordinate",
        "grid_longitude",
        "degrees_east",
        "easting",
    },
}

SPAN_IN_NAME = r"(?<![a-z\d.])(\d+)[ _-]*(mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z\d])"


def to_time_y_x(variable: xr.DataArray, path: str) -> xr.DataArray:
    """Bring a variable of any axes into the order (time, y, x): ascending time, north up.

    Parameters
    ----------
    variable : xarray.DataArray
        A variable with a time and two horizontal axes of any name and order; further axes of
        length 1 are dropped.
    path : str
        What error messages call the store.

    Returns
    -------
    xarray.DataArray (time, y, x)
        Lazy; each time once, y falling, x rising, coordinates in metres or degrees.

    Raises
    ------
    NowcastError
        If an axis is missing or ambiguous, or if the times are empty or not dates.
    """
    latitude, longitude = _two_dimensional(variable)
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
    frames = _ascending_times(frames, path)
    for axis in ("y", "x"):
        if axis in frames.indexes:
            frames = in_direction(frames, axis, f"{path} has a coordinate {dimensions[axis]}")
    return frames


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
    variable: xr.DataArray,
) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """Two-dimensional latitudes and longitudes among the coordinates of a variable, or None."""
    coordinates: dict[str, xr.DataArray] = {}
    for coordinate in variable.coords.values():
        if coordinate.ndim == 2:
            coordinates.setdefault(axis_of(coordinate), coordinate.reset_coords(drop=True))
    return coordinates.get("y"), coordinates.get("x")


def axis_of(coordinate: xr.DataArray) -> str:
    """The axis of a coordinate: "time", "y" or "x"; its own name if it is none of these."""
    attributes = (coordinate.attrs.get(key) for key in ("standard_name", "units", "axis"))
    words = {str(word).lower() for word in (coordinate.name, *attributes)}
    for axis, usual in AXES.items():
        if words & usual:
            return axis
    return str(coordinate.name)


def _ascending_times(frames: xr.DataArray, path: str) -> xr.DataArray:
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
        try:
            times = pd.to_datetime([t.isoformat() for t in times], format="ISO8601")
        except (AttributeError, ValueError) as error:
            raise NowcastError(
                f"{path} has no dates, but times such as {times[0]}: its time needs units"
            ) from error

    times = times.round("s").as_unit("ns")  # hours and days as floating-point numbers are inexact
    frames["time"] = ("time", times, frames.time.attrs)
    if not times.is_monotonic_increasing:
        frames = frames.sortby("time")
    return frames.drop_duplicates("time") if times.has_duplicates else frames


def accumulation_hours(frames: xr.DataArray, bounds: xr.DataArray | None, path: str) -> float:
    """Hours in which the amount of rain in a frame fell.

    The store states it by the first of: bounds of the times, accumulation_period, cell_methods.
    Else it is the step of the times, if that is regular and no name states another time.

    Raises
    ------
    NowcastError
        If the store does not state it, if it contradicts itself, or if its times have no regular
        step.
    """
    lengths = _hours_of_bounds(bounds)
    period = _hours(frames.attrs.get("accumulation_period"))
    if len(lengths) == 1 and period and not np.isclose(lengths[0], period):
        raise NowcastError(
            f"the bounds of the times in {path} say that a sum lasted {60 * lengths[0]:g} minutes, "
            f"its accumulation_period says {60 * period:g} minutes: remove the wrong one"
        )

    if len(lengths) <= 1:  # frames of different lengths have no common one
        stated = [*lengths, period] if lengths or period else [_hours_of_interval_or_step(frames)]
        for hours in stated:
            if hours:
                return hours
    raise NowcastError(
        f"{path} does not say in which time the {frames.attrs.get('units')} of its frames fell: "
        "its variable needs an attribute accumulation_period such as '5 minutes', or its times "
        "need bounds of one length"
    )


def _hours_of_bounds(bounds: xr.DataArray | None) -> list[float]:
    """The different lengths (hours) of the bounds of the times."""
    if bounds is None:
        return []
    lengths = pd.to_timedelta(np.diff(bounds.values, axis=-1).ravel()).round("s").unique()
    return [hours for hours in lengths / pd.Timedelta("1h") if hours > 0]


def _hours(span: object) -> float:
    """A time span such as "5 minutes" or "PT1H" in hours; 0 if it is not understood."""
    with suppress(ValueError):
        hours = pd.Timedelta(span) / pd.Timedelta("1h")
        if hours > 0.001:
            return hours
    return 0.0


def _hours_of_interval_or_step(frames: xr.DataArray) -> float:
    """The interval of cell_methods, else the step of the times, in hours; 0 if neither tells.

    By CF the interval is that of the samples that were added. It is the length of the sum only if
    the step of the frames is no longer.
    """
    cell_methods = str(frames.attrs.get("cell_methods"))
    interval = re.search(r"interval: *([\d.]+ *[a-z]+)", cell_methods, re.IGNORECASE)
    if not interval:
        return _hours_of_step(frames)

    hours = _hours(interval[1])
    step = usual_step(frames.indexes["time"]) / pd.Timedelta("1h")
    return 0.0 if step > 1.01 * hours else hours


def _hours_of_step(frames: xr.DataArray) -> float:
    """The usual step of the times in hours; 0 if it need not be the length of the sums.

    Missing frames are allowed: single gaps of several steps. Several such gaps in a row are times
    at which sums may have been longer, and a name may state another length.
    """
    gaps = pd.Series(np.diff(frames.time.values))
    if gaps.empty:
        return 0.0

    step = gaps.mode()[0]
    is_long = gaps != step
    has_longer_steps = (is_long & (gaps == gaps.shift())).any()
    hours = step / pd.Timedelta("1h")
    named = _hours_in_names(frames)
    is_named = not named or any(np.isclose(hours, other) for other in named)
    return 0.0 if (gaps % step).any() or has_longer_steps or not is_named else hours


def _hours_in_names(frames: xr.DataArray) -> list[float]:
    """Time spans in the names of a variable, such as 1 h, 5min or hourly, in hours."""
    names = f"{frames.name} {frames.attrs.get('long_name', '')}".lower()
    spans = re.findall(SPAN_IN_NAME, names)
    hours = [_hours(f"{number} {'min' if unit[0] == 'm' else unit[0]}") for number, unit in spans]
    return hours + [h for word, h in {"hourly": 1.0, "daily": 24.0}.items() if word in names]


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
