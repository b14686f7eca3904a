"""Checks of arrays: frames that ``open_frames`` did not open must pass the same checks.

``forecast``, ``evaluate``, ``frames_table`` and ``RadarWindows`` call ``checked_frames`` once;
``ingest`` calls ``checked_field`` for each frame of a feed. Frames of ``open_frames`` pass as they
are: they are checked when they are read. Frames in memory are checked even if they came from a
store, since they may have been changed since; only those that are used are looked at.
"""

import numpy as np
import xarray as xr

from nowcastlib.data.cf_axes import ascending_times, axis_of
from nowcastlib.data.coordinates import in_direction, with_known_unit
from nowcastlib.data.rain_check import are_checked, lazy_rates
from nowcastlib.errors import NowcastError
from nowcastlib.units import kind_of_rain

NAME = "the array of frames"  # in messages


def checked_frames(frames: xr.DataArray) -> xr.DataArray:
    """Frames as ``open_frames`` gives them, from any array of rain rates.

    Parameters
    ----------
    frames : xarray.DataArray
        Rain rate in mm/h with a time and two horizontal axes, in any order.

    Returns
    -------
    xarray.DataArray (time, y, x)
        Ascending time, north up, contiguous. Rates are checked when they are read: small negatives
        become 0 with a warning that counts them.

    Raises
    ------
    NowcastError
        If the array has other units, no numbers, no times, or other axes. Impossible rates raise it
        when they are read.
    """
    if not isinstance(frames, xr.DataArray):
        raise NowcastError(
            f"frames are an xarray.DataArray (time, y, x), not {type(frames).__name__}: "
            "data.as_frames makes one of an array"
        )
    if are_checked(frames):
        return frames
    _check_values(frames, NAME)
    arranged = _turned(_time_y_x(frames), NAME)
    return lazy_rates(arranged, 1.0, NAME).rename("rainfall_rate")


def checked_field(field: xr.DataArray, where: str) -> xr.DataArray:
    """One frame as a feed should give it, from what a feed gives.

    Parameters
    ----------
    field : xarray.DataArray
        Rain rate in mm/h with two horizontal axes of any name and order.
    where : str
        The feed or its file, for messages.

    Returns
    -------
    xarray.DataArray (y, x)
        North up, columns from west to east; its rates are not checked yet.

    Raises
    ------
    NowcastError
        If the frame has other units, no numbers, or other axes.
    """
    if not isinstance(field, xr.DataArray):
        raise NowcastError(
            f"{where} gives a {type(field).__name__} in place of a frame: make it by data.frame"
        )
    _check_values(field, where)
    single = [d for d, n in field.sizes.items() if n == 1 and axis_of(field[d]) not in ("y", "x")]
    field = field.squeeze(single, drop=True).reset_coords(drop=True)
    axes = {axis_of(field[name]): name for name in field.dims}
    if set(axes) != {"y", "x"} or field.ndim != 2:
        raise NowcastError(f"{where} gives a frame with the axes {field.dims}, not (y, x)")
    names = {name: axis for axis, name in axes.items() if name != axis}
    return _turned(field.rename(names).transpose("y", "x"), where)


def _turned(frames: xr.DataArray, where: str) -> xr.DataArray:
    """Frames (…, y, x) with coordinates in metres or degrees, if these are known, north up."""
    for axis in ("y", "x"):
        if axis in frames.indexes:
            frames = with_known_unit(frames, axis, axis)
            frames = in_direction(frames, axis, f"{where} has a coordinate {axis}")
    return frames


def checked_in_order(frames: xr.DataArray) -> xr.DataArray:
    """``checked_frames`` of an array whose frames keep their numbers.

    Raises
    ------
    NowcastError
        If the times do not ascend without duplicates, or as ``checked_frames`` raises it.
    """
    checked = checked_frames(frames)
    name = next(name for name in frames.dims if axis_of(frames[name]) == "time")
    times = frames.indexes[name]
    if not times.is_monotonic_increasing or len(checked) < len(times):
        raise NowcastError("frame times must ascend without duplicates: use data.open_frames")
    return checked


def _check_values(frames: xr.DataArray, where: str) -> None:
    """NowcastError for anything but numbers in mm/h; an array without units is in mm/h."""
    if frames.dtype.kind not in "fiu":
        raise NowcastError(f"{where} holds {frames.dtype} instead of numbers: give rain in mm/h")
    units = str(frames.attrs.get("units", ""))
    if units and kind_of_rain(units) != ("rate", 1.0):
        raise NowcastError(
            f"{where} is in {units}: convert it to mm/h, and set the attribute units to mm/h"
        )


def _time_y_x(frames: xr.DataArray) -> xr.DataArray:
    """The array in the order (time, y, x) and in ascending time."""
    dimensions = {axis_of(frames[name]): name for name in frames.dims}
    if set(dimensions) != {"time", "y", "x"} or dimensions["time"] not in frames.indexes:
        raise NowcastError(
            f"{NAME} has the axes {frames.dims}: it needs a time, with its coordinate, and two "
            "horizontal ones (time, y, x)"
        )
    names = {name: axis for axis, name in dimensions.items() if name != axis}
    ordered = frames.reset_coords(drop=True).rename(names).transpose("time", "y", "x")
    return ascending_times(ordered, NAME)


def on_own_grid(predicted: xr.DataArray, frames: xr.DataArray) -> xr.DataArray:
    """A forecast (…, y, x) with the coordinates and the directions of the array it was made from.

    Parameters
    ----------
    predicted : xarray.DataArray (…, y, x)
        Forecast from ``checked_frames(frames)``.
    frames : xarray.DataArray
        The array as it was given.
    """
    for name in frames.dims:
        axis = axis_of(frames[name])
        if axis not in ("y", "x") or name not in frames.indexes:
            continue
        own = frames[name]
        if _rises(own) != _rises(predicted[axis]):
            predicted = predicted.isel({axis: slice(None, None, -1)})
        predicted = predicted.assign_coords({axis: (axis, own.values, own.attrs)})
    return predicted.copy(data=np.ascontiguousarray(predicted.values))


def _rises(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate rises; a jump from 359 to 0 degrees does not count."""
    steps = np.diff(np.asarray(coordinate.values, "f8"))
    return bool(steps.size == 0 or np.median(steps) > 0)
