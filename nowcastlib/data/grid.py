"""Frames and their grid (…, y, x): the size and the place of a pixel, crops, coarser grids."""

import warnings
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.coordinates import KM_PER_DEGREE
from nowcastlib.data.place import at_index, in_degrees, projection
from nowcastlib.errors import NowcastError

RAIN_RATE = {"standard_name": "rainfall_rate", "long_name": "rain rate", "units": "mm h-1"}


def frame(
    rate: np.ndarray, x: np.ndarray, y: np.ndarray, crs: str = "", **attributes
) -> xr.DataArray:
    """Make a frame of rain rate with coordinates in metres.

    Parameters
    ----------
    rate : array (y, x)
        Rain rate in mm/h; NaN = not observed, 0 = dry.
    x, y : arrays (x,) and (y,)
        Pixel centres in metres; ``y`` falls from row to row, since north is up.
    crs : str
        Map projection, in any form that pyproj understands; "" if it is not known.
    **attributes
        Further attributes of the frame.

    Returns
    -------
    xarray.DataArray
        ``rainfall_rate`` (y, x), float32, in mm/h, contiguous in memory.
    """
    axis_y = {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}
    axis_x = {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}
    return xr.DataArray(
        np.ascontiguousarray(rate, "f4"),  # a flipped array has negative strides
        coords={"y": ("y", y, axis_y), "x": ("x", x, axis_x)},
        dims=("y", "x"),
        name="rainfall_rate",
        attrs=RAIN_RATE | ({"crs": crs} if crs else {}) | attributes,
    )


def as_frames(rate: np.ndarray, start="2024-06-01", step: float = 5.0) -> xr.DataArray:
    """Make frames with times and coordinates from an array, for tests and notebooks.

    Parameters
    ----------
    rate : array (time, y, x)
        Rain rate in mm/h.
    start : str or pandas.Timestamp
        Time of the first frame, UTC.
    step : float
        Minutes between frames.

    Returns
    -------
    xarray.DataArray
        ``rainfall_rate`` (time, y, x) in mm/h, on a grid of 1 km.
    """
    metres = np.arange(max(rate.shape[1:])) * 1000.0
    one = frame(rate[0], metres[: rate.shape[2]], -metres[: rate.shape[1]])
    minutes = pd.to_timedelta(np.arange(len(rate)) * step, unit="min").round("ms")
    times = pd.Timestamp(start) + minutes
    return xr.DataArray(
        rate,
        {"time": times, "y": one.y, "x": one.x},
        ("time", "y", "x"),
        "rainfall_rate",
        RAIN_RATE,
    )


class PixelSize(NamedTuple):
    """Height and width of a pixel in km."""

    y: float
    x: float

    @property
    def mean(self) -> float:
        """Side in km of a square of the same area."""
        return float(np.sqrt(self.y * self.x))


def pixel_size(frames: xr.DataArray) -> PixelSize | None:
    """Size of the middle pixel on the ground.

    Where the place is known, a distortion of more than 1 % by the map projection is corrected.

    Parameters
    ----------
    frames : xarray.DataArray (…, y, x)
        Frames.

    Returns
    -------
    PixelSize or None
        Height and width in km; None if the coordinates are neither metres nor degrees, or if there
        is one row or one column only.
    """
    if min(frames.sizes["y"], frames.sizes["x"]) < 2:
        return None
    middle = frames.sizes["y"] // 2, frames.sizes["x"] // 2
    y, x = (frames[axis].values[n - 1 : n + 1] for axis, n in zip("yx", middle, strict=True))
    x = x[0] + np.array([0, np.median(np.diff(frames.x.values))])
    if not in_degrees(frames):  # the steps of latitudes may change smoothly
        y = y[0] + np.array([0, np.median(np.diff(frames.y.values))])
    height, width = abs(float(y[1] - y[0])), abs(float(x[1] - x[0]))

    if in_degrees(frames):
        if not str(frames.x.attrs.get("units", "")).startswith("degree"):
            return None
        width *= float(np.cos(np.radians(y.mean())))
        return PixelSize(height * KM_PER_DEGREE, width * KM_PER_DEGREE)
    if any(frames[axis].attrs.get("units") != "m" for axis in ("y", "x")):
        return None
    nominal = PixelSize(height / 1000, width / 1000)
    size = _size_on_the_ground(x, y, frames.attrs.get("crs", "")) or nominal
    return nominal if np.allclose(size, nominal, rtol=0.01) else size


def _size_on_the_ground(x: np.ndarray, y: np.ndarray, crs: str) -> PixelSize | None:
    """Size of the pixel between two x and two y (m); None if their place is not known."""
    if not crs:
        return None
    import pyproj  # slow to import, and needed only where frames know their place

    corners = np.array([[x[0], y[0]], [x[1], y[0]], [x[0], y[1]]])  # (corner, x and y)
    lon, lat = projection(crs).transform(corners[:, 0], corners[:, 1], direction="INVERSE")
    if not np.isfinite([lon, lat]).all():
        return None
    origin = ([lon[0]] * 2, [lat[0]] * 2)
    width, height = pyproj.Geod(ellps="WGS84").inv(*origin, lon[1:], lat[1:])[2]
    return PixelSize(height / 1000, width / 1000)


def check_same_grid(
    predicted: xr.DataArray, observed: xr.DataArray, name: str = "forecast"
) -> None:
    """Check that a forecast and the observation lie on the same grid.

    Parameters
    ----------
    predicted, observed : xarray.DataArray (…, y, x)
        Forecast and observation.
    name : str
        What the error calls the forecast.

    Raises
    ------
    NowcastError
        If the dimensions come in another order, or the coordinates differ.
    """
    differ = ""
    if predicted.dims[-2:] != observed.dims[-2:]:
        differ = f"dimensions differ: {predicted.dims[-2:]} and {observed.dims[-2:]}"
    for axis in ("y", "x"):
        same_size = predicted.sizes[axis] == observed.sizes[axis]
        if not differ and not (same_size and np.allclose(predicted[axis], observed[axis])):
            differ = f"{axis} differ"
    if differ:
        raise NowcastError(f"{name} and observation are on different grids: their {differ}")


def centre(frames: xr.DataArray, size: int) -> xr.DataArray:
    """Cut the central ``size`` × ``size`` px out of frames (…, y, x); shorter axes stay whole."""
    window = {}
    for axis in ("y", "x"):
        start = max(0, (frames.sizes[axis] - size) // 2)
        window[axis] = slice(start, start + size)
    return frames.isel(window)


def cut(rate: xr.DataArray, crop: tuple[int, int, int, int] | None) -> xr.DataArray:
    """Cut a rectangle out of frames (…, y, x).

    Parameters
    ----------
    rate : xarray.DataArray (…, y, x)
        Frames.
    crop : tuple of int, or None
        x and y of the upper left corner, width and height, in px; None keeps all.

    Raises
    ------
    NowcastError
        If the rectangle reaches beyond the frames.
    """
    if not crop:
        return rate
    x, y, width, height = crop
    is_empty = min(width, height) < 1
    is_left_or_above = min(x, y) < 0
    is_right_or_below = x + width > rate.sizes["x"] or y + height > rate.sizes["y"]
    if is_empty or is_left_or_above or is_right_or_below:
        raise NowcastError(
            f"the crop {crop} reaches beyond frames of {rate.sizes['y']}×{rate.sizes['x']} px"
        )
    return rate.isel(y=slice(y, y + height), x=slice(x, x + width))


def coarser(rate: xr.DataArray, columns: int) -> xr.DataArray:
    """Regrid a frame to fewer columns, and to fewer rows in proportion.

    Parameters
    ----------
    rate : xarray.DataArray (…, y, x)
        Rain rate in mm/h, or colours (channel, y, x).
    columns : int
        Columns of the coarser grid; 0 keeps the grid.

    Returns
    -------
    xarray.DataArray (…, y, x)
        The ``area_mean`` of the frame, with the centres of the new pixels as coordinates.

    Raises
    ------
    NowcastError
        If the grid would become finer.
    """
    if not columns:
        return rate
    values = area_mean(rate.values, columns)

    coords = {}
    for axis, n in zip(("y", "x"), values.shape[-2:], strict=True):
        old = rate[axis].values
        centres = (np.arange(n) + 0.5) * len(old) / n - 0.5  # of the new pixels, in old ones
        coords[axis] = (axis, at_index(old, centres), rate[axis].attrs)
    return xr.DataArray(values, coords, rate.dims, rate.name, rate.attrs)


def area_mean(values: np.ndarray, columns: int) -> np.ndarray:
    """Average a field over the pixels of a coarser grid.

    Parameters
    ----------
    values : array (y, x) or (channel, y, x)
        A field, or several; NaN = not observed.
    columns : int
        Columns of the coarser grid, rows in proportion; 0 keeps the grid.

    Returns
    -------
    array (y, x) or (channel, y, x)
        Each pixel is the mean of the pixels that it covers, fractions included. Unobserved pixels
        do not count; a pixel of which more than half is unobserved becomes NaN.

    Raises
    ------
    NowcastError
        If the field has fewer columns.
    """
    if values.ndim > 2:
        return np.stack([area_mean(field, columns) for field in values])
    height, width = values.shape
    if not columns or columns == width:
        return values
    if not 0 < columns < width:
        raise NowcastError(
            f"frames of {width} columns cannot be regridded to {columns}: ask for fewer"
        )
    size = columns, max(1, round(height * columns / width))
    seen = np.isfinite(values)
    if seen.all():
        return cv2.resize(values, size, interpolation=cv2.INTER_AREA)

    share = cv2.resize(seen.astype("f4"), size, interpolation=cv2.INTER_AREA)
    amount = cv2.resize(np.where(seen, values, 0), size, interpolation=cv2.INTER_AREA)
    return np.where(share >= 0.5, amount / np.maximum(share, 0.5), np.nan)


def mapping(crs: str) -> dict:
    """Attributes of the CF grid mapping of a projection, in any form that pyproj understands."""
    import pyproj

    with warnings.catch_warnings():
        # CF's numbers cannot express the Swiss grid completely; the WKT beside them does.
        warnings.filterwarnings("ignore", "angle from rectified to skew grid")
        attributes = {k: v for k, v in pyproj.CRS(crs).to_cf().items() if v is not None}
    if attributes.get("grid_mapping_name") == "polar_stereographic":  # CF asks for the pole, too
        pole = float(np.copysign(90, attributes.get("standard_parallel", 90)))
        attributes.setdefault("latitude_of_projection_origin", pole)
    return attributes
