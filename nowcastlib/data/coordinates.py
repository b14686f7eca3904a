"""Coordinates of rows and columns: in metres or degrees where known, without jumps, north up."""

import logging

import numpy as np
import xarray as xr

from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

METRES = dict.fromkeys(["m", "metre", "metres", "meter", "meters"], 1.0)
METRES |= dict.fromkeys(["km", "kilometre", "kilometres", "kilometer", "kilometers"], 1000.0)
DEGREES = {"y": "degrees_north", "x": "degrees_east"}
LARGEST = {"y": 90.0, "x": 360.0}  # degrees
KM_PER_DEGREE = 111.2  # of latitude
FINEST = 10.0  # m; no weather radar has smaller pixels
UNEVEN = 0.01  # share by which steps of a coordinate may differ without a warning
GAP = 0.5  # share by which a step is so much longer than others that rows are missing


def with_known_unit(frames: xr.DataArray, name: str, axis: str) -> xr.DataArray:
    """Bring the coordinate of a dimension into metres or degrees; one of unknown unit stays.

    The unit is that of its attribute ``units``, in any case and common spelling. A coordinate
    without units is in metres if its standard name is that of a map projection and its steps are
    those of a radar in metres, and in degrees if it is called latitude or longitude.
    """
    coordinate = frames[name]
    unit = str(coordinate.attrs.get("units", "")).strip().lower()
    standard_name = str(coordinate.attrs.get("standard_name", ""))
    if not unit and "projection" in standard_name and _can_be_metres(coordinate.values):
        unit = "m"

    if unit in METRES:
        attributes = coordinate.attrs | {"units": "m"}
        frames[name] = (name, coordinate.values * METRES[unit], attributes)
    elif unit.startswith(("deg", "°")) or (not unit and _is_named_in_degrees(coordinate, axis)):
        # a rotated pole has degrees, but not those of the Earth
        degrees = "degrees" if standard_name.startswith("grid_") else DEGREES[axis]
        values = np.asarray(coordinate.values, "f8")
        if axis == "x":
            values = np.unwrap(values, period=360)  # 359, 0, 1 becomes 359, 360, 361
        frames[name] = (name, values, coordinate.attrs | {"units": degrees})
    return frames


def _can_be_metres(values: np.ndarray) -> bool:
    """Whether numbers without units can be metres: kilometres and radians have smaller steps."""
    return values.dtype.kind in "fiu" and bool((np.abs(np.diff(values)) >= FINEST).all())


def _is_named_in_degrees(coordinate: xr.DataArray, axis: str) -> bool:
    """Whether a coordinate is called latitude or longitude, and its values can be degrees."""
    usual = ("lat",) if axis == "y" else ("lon",)
    names = (str(coordinate.name).lower(), str(coordinate.attrs.get("standard_name", "")))
    return any(n.startswith(usual) for n in names) and bool(
        (np.abs(coordinate.values) <= LARGEST[axis]).all()
    )


def has_known_units(frames: xr.DataArray) -> bool:
    """Whether both coordinates of frames (…, y, x) are in metres or degrees."""
    return all(
        axis in frames.indexes and _is_known(frames[axis].attrs.get("units", ""))
        for axis in ("y", "x")
    )


def _is_known(unit: str) -> bool:
    return unit == "m" or str(unit).startswith("degree")


def warn_of_unknown_north(frames: xr.DataArray, where: str) -> None:
    """Warn if rows have no coordinate, or mere numbers, which do not tell where north is."""
    if "y" not in frames.indexes:
        taken = "the first row of each frame is taken for the north"
        other = "--south-up"
    else:
        is_known = _is_known(frames.y.attrs.get("units", ""))
        numbers = np.arange(frames.sizes["y"])
        y = np.asarray(frames.y.values, "f8")
        if is_known or len(y) < 2 or not np.array_equal(y - y[0], numbers) or y[0] not in (0, 1):
            return
        taken = f"row {y[-1]:g} is taken for the north"
        other = "--north-up"
    log.warning("%s does not say where north is: %s; give %s if it is not", where, taken, other)


def in_direction(frames: xr.DataArray, axis: str, where: str) -> xr.DataArray:
    """Turn an axis round where it runs the wrong way: y falls, x rises.

    Raises
    ------
    NowcastError
        If the axis neither rises nor falls all along, or holds no numbers.
    """
    values = frames[axis].values
    if values.dtype.kind not in "fiu":  # a unit such as "days since 2000" makes dates of it
        raise NowcastError(f"{where} of {values.dtype} in place of numbers: correct its units")
    if np.isinf(values).any():
        raise NowcastError(f"{where} that is infinite: correct it")
    if values.size < 2:
        return frames
    steps = np.diff(values)
    rises, falls = bool((steps > 0).all()), bool((steps < 0).all())
    if not rises and not falls:
        wrong = int(np.argmax(np.sign(steps) != np.sign(steps[0])))
        raise NowcastError(
            f"{where} that neither rises nor falls all along (… {values[wrong]:g}, "
            f"{values[wrong + 1]:g} …): sort the store along it"
        )
    return frames if rises == (axis == "x") else frames.isel({axis: slice(None, None, -1)})


def check_grid(frames: xr.DataArray, where: str) -> None:
    """Check that rows and columns of frames (…, y, x) are places of one even grid.

    Latitudes may change their step smoothly, as those of Mercator's projection do.

    Raises
    ------
    NowcastError
        If one axis is in degrees and the other in metres, if a latitude is beyond 90 degrees, or
        if rows or columns are missing between others.
    """
    axes = [axis for axis in ("y", "x") if axis in frames.indexes]
    units = {axis: str(frames[axis].attrs.get("units", "")) for axis in axes}
    known = {unit[:6] for unit in units.values() if _is_known(unit)}
    if len(known) > 1:
        raise NowcastError(
            f"{where} has a y in {units['y']} and an x in {units['x']}: give both the same units"
        )
    if units.get("y") == DEGREES["y"] and (beyond := np.abs(frames.y.values).max()) > LARGEST["y"]:
        raise NowcastError(f"{where} has a latitude of ±{beyond:g} degrees: correct its units")
    for axis in axes:
        if _is_known(units[axis]):
            _check_steps(np.asarray(frames[axis].values, "f8"), axis, units[axis], where)


def _check_steps(values: np.ndarray, axis: str, unit: str, where: str) -> None:
    """Refuse a gap in a coordinate, and warn of other steps that differ by more than 1 %."""
    steps = np.abs(np.diff(values))
    if len(steps) < 2:
        return
    usual = np.median(steps)
    if axis == "y" and unit.startswith("degree"):  # compare each step with its neighbours
        usual = np.minimum(np.append(steps[1:], steps[-2]), np.append(steps[1], steps[:-1]))
    excess = steps / usual - 1
    if excess.max() > GAP:
        n = int(excess.argmax())
        raise NowcastError(
            f"{where}: {axis} jumps from {values[n]:g} to {values[n + 1]:g} {unit}, elsewhere by "
            f"{np.median(steps):g}: rows or columns are missing; fill them with NaN"
        )
    if unit == "m" and np.abs(excess).max() > UNEVEN:
        log.warning(
            "%s: %s has uneven steps (%g to %g m): pixels are taken for %g m",
            *(where, axis, steps.min(), steps.max(), usual),
        )


def from_two_dimensional(
    frames: xr.DataArray, latitude: xr.DataArray, longitude: xr.DataArray
) -> xr.DataArray:
    """Give frames (…, y, x) coordinates that follow from two-dimensional latitudes and longitudes.

    Where rows are parallels and columns are meridians, these are the coordinates. Else they are
    metres from the first pixel, with the size of the middle pixel: the place is then unknown, but
    direction and size are right. Frames stay as they are if the latitudes or longitudes do not
    vary.
    """
    if {*latitude.dims} != {"y", "x"} or {*longitude.dims} != {"y", "x"}:
        return frames
    lat = np.asarray(latitude.transpose("y", "x").values, "f8")  # (y, x)
    lon = np.asarray(longitude.transpose("y", "x").values, "f8")
    lon = np.unwrap(np.unwrap(lon, period=360, axis=1), period=360, axis=0)
    if min(lat.shape) < 2 or not np.isfinite(lat).all() or not np.isfinite(lon).all():
        return frames

    step_y, step_x = _middle_step(lat, axis=0), _middle_step(lon, axis=1)  # degrees
    if not step_y or not step_x:
        return frames
    is_regular = np.ptp(lat, axis=1).max() < abs(step_y) / 100
    is_regular &= np.ptp(lon, axis=0).max() < abs(step_x) / 100
    if is_regular:
        return frames.assign_coords(
            y=("y", lat[:, 0], {"units": DEGREES["y"]}), x=("x", lon[0], {"units": DEGREES["x"]})
        )

    across = step_x * np.cos(np.radians(lat[len(lat) // 2, lat.shape[1] // 2]))
    height = np.hypot(step_y, _middle_step(lon, axis=0) * across / step_x) * np.sign(step_y)
    width = np.hypot(across, _middle_step(lat, axis=1)) * np.sign(step_x)
    coords = {}
    for axis, degrees in (("y", height), ("x", width)):
        metres = 1000 * KM_PER_DEGREE * degrees * np.arange(frames.sizes[axis])
        coords[axis] = (axis, metres, {"units": "m"})
    return frames.assign_coords(coords)


def _middle_step(values: np.ndarray, axis: int) -> float:
    """Difference of a field (y, x) from the middle pixel to the next along an axis."""
    y, x = (n // 2 for n in values.shape)
    before = values[y - 1, x] if axis == 0 else values[y, x - 1]
    return float(values[y, x] - before)
