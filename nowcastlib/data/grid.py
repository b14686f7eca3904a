"""The grid of frames (…, y, x): making frames, the size and place of a pixel, cropping, regridding, radar coverage."""

import warnings
from functools import lru_cache

import cv2
import numpy as np
import pandas as pd
import pyproj
import xarray as xr
from scipy import ndimage

from nowcastlib.errors import NowcastError

RAIN_RATE = {"standard_name": "rainfall_rate", "long_name": "rain rate", "units": "mm h-1"}
KM_PER_DEGREE = 111.2  # of latitude
EARTH = pyproj.Geod(ellps="WGS84")


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
        ``rainfall_rate`` (y, x), float32, in mm/h.
    """
    axis_y = {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}
    axis_x = {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}
    return xr.DataArray(
        np.asarray(rate, "f4"),
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
    times = pd.Timestamp(start) + pd.to_timedelta(np.arange(len(rate)) * step, unit="min")
    return xr.DataArray(
        rate,
        {"time": times, "y": one.y, "x": one.x},
        ("time", "y", "x"),
        "rainfall_rate",
        RAIN_RATE,
    )


def pixel_km(frames: xr.DataArray) -> float:
    """Spacing of the rows of frames (…, y, x) in km, from their coordinates in metres or degrees.

    Raises
    ------
    NowcastError
        If there are fewer than two rows.
    """
    if frames.sizes["y"] < 2:
        raise NowcastError("one row of pixels does not tell how large a pixel is: give 2 or more")
    spacing = abs(float(frames.y[1] - frames.y[0]))
    return spacing * KM_PER_DEGREE if _in_degrees(frames) else spacing / 1000


def pixel_width_km(frames: xr.DataArray) -> float | None:
    """Return the width of the middle pixel on the ground.

    Unlike ``pixel_km``, it corrects for the distortion of the map projection.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames with coordinates in degrees or metres.

    Returns
    -------
    float or None
        Width in km; None if it is unknown.
    """
    points = degrees(frames)
    if points is not None:
        middle = points.shape[1] // 2
        (lon, next_lon), (lat, next_lat) = points[:, middle, middle : middle + 2]
        metres = EARTH.inv(lon, lat, next_lon, next_lat)[2]
        pixels = (frames.sizes["x"] - 1) / (points.shape[2] - 1)  # between the two points
        return metres / 1000 / pixels
    if frames.sizes["x"] > 1 and frames.x.attrs.get("units") == "m":
        return abs(float(frames.x[1] - frames.x[0])) / 1000
    return None


def degrees(frames: xr.DataArray, n: int = 17) -> np.ndarray | None:
    """Return longitudes and latitudes of some pixels, evenly spaced from corner to corner.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames with coordinates in degrees, or in metres with the attribute ``crs``.
    n : int
        Number of pixels along each axis.

    Returns
    -------
    array, shape (2, n, n), or None
        Longitude and latitude in degrees; None if the place of the frames is unknown.
    """
    if min(frames.sizes["y"], frames.sizes["x"]) < 2:
        return None
    columns = np.linspace(float(frames.x[0]), float(frames.x[-1]), n)
    rows = np.linspace(float(frames.y[0]), float(frames.y[-1]), n)
    x, y = np.meshgrid(columns, rows)  # (n, n)

    if _in_degrees(frames):
        return np.stack([(x + 180) % 360 - 180, y])
    if crs := frames.attrs.get("crs"):
        return np.stack(projection(crs).transform(x, y, direction="INVERSE"))
    return None


def _in_degrees(frames: xr.DataArray) -> bool:
    return str(frames.y.attrs.get("units", "")).startswith("degree")


@lru_cache(8)
def projection(crs: str) -> pyproj.Transformer:
    """Transformer from longitude and latitude (degrees) to x and y (m) of a map projection."""
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def centre(frames: xr.DataArray, size: int) -> xr.DataArray:
    """The central ``size`` × ``size`` px of frames (…, y, x); all of them along an axis that is no longer."""
    cut = {
        d: slice(max(0, (n - size) // 2), max(0, (n - size) // 2) + size)
        for d, n in frames.sizes.items()
        if d in "yx"
    }
    return frames.isel(cut)


def cut(rate: xr.DataArray, crop: tuple[int, int, int, int] | None) -> xr.DataArray:
    """The rectangle (x, y, width, height), in px from the upper left, of frames (…, y, x); None: all of them.

    Raises NowcastError if it reaches beyond the frame.
    """
    if not crop:
        return rate
    x, y, width, height = crop
    if (
        min(x, y) < 0
        or min(width, height) < 1
        or x + width > rate.sizes["x"]
        or y + height > rate.sizes["y"]
    ):
        raise NowcastError(
            f"the crop {crop} reaches beyond frames of {rate.sizes['y']}×{rate.sizes['x']} px"
        )
    return rate.isel(y=slice(y, y + height), x=slice(x, x + width))


def coarser(rate: xr.DataArray, columns: int) -> xr.DataArray:
    """A frame (y, x) in mm/h on a coarser grid of ``columns`` columns (0: as it is) and as many rows as keep its shape.

    The values are their ``area_mean``. Raises NowcastError if the grid would become finer.
    """
    if not columns:
        return rate
    values, centres = area_mean(rate.values, columns), {}
    for axis, n in zip(("y", "x"), values.shape, strict=True):
        old = rate[axis].values
        edge, pixel = (
            old[0] - (old[1] - old[0]) / 2,
            (old[-1] - old[0]) / (len(old) - 1) * len(old) / n,
        )
        centres[axis] = (axis, edge + pixel * (np.arange(n) + 0.5), rate[axis].attrs)
    return xr.DataArray(values, centres, ("y", "x"), rate.name, rate.attrs)


def area_mean(values: np.ndarray, columns: int) -> np.ndarray:
    """A field (y, x) in ``columns`` columns (0: as it is), the rows in proportion.

    Each new pixel is the mean of what it covers, fractions of pixels included; what is not observed (NaN) does not
    count, and where that is more than half of the pixel the mean is not known either. Raises NowcastError if the
    field has fewer columns.
    """
    if not columns or columns == values.shape[1]:
        return values
    if not 0 < columns < values.shape[1]:
        raise NowcastError(
            f"frames of {values.shape[1]} columns cannot be regridded to {columns}: ask for fewer"
        )
    size = columns, max(1, round(values.shape[0] * columns / values.shape[1]))
    seen = np.isfinite(values)
    if seen.all():
        return cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(seen.astype("f4"), size, interpolation=cv2.INTER_AREA)
    amount = cv2.resize(np.where(seen, values, 0), size, interpolation=cv2.INTER_AREA)
    return np.where(share >= 0.5, amount / np.maximum(share, 0.5), np.nan)


def mapping(crs: str) -> dict:
    """CF's attributes of a map projection (anything that pyproj understands), ``crs_wkt`` among them."""
    with (
        warnings.catch_warnings()
    ):  # that CF's numbers cannot tell all of Switzerland's; its WKT does
        warnings.filterwarnings("ignore", "angle from rectified to skew grid")
        told = {k: v for k, v in pyproj.CRS(crs).to_cf().items() if v is not None}
    if told.get("grid_mapping_name") == "polar_stereographic":  # CF wants the pole named, too
        told.setdefault(
            "latitude_of_projection_origin",
            float(np.copysign(90, told.get("standard_parallel", 90))),
        )
    return told


def disc(seen: np.ndarray) -> tuple[float, float, float]:
    """The circle (x, y, radius), in px (pixel centres are whole numbers), that a radar observes; ``seen`` is (y, x).

    It has the area and the centre of the largest connected part of ``seen``, holes filled. Raises NowcastError if that
    is no disc.
    """
    parts, n = ndimage.label(seen)
    if not n:
        raise NowcastError("not a pixel is observed: there is no disc")
    part = ndimage.binary_fill_holes(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    (y, x), radius = ndimage.center_of_mass(part), float(np.sqrt(part.sum() / np.pi))
    rows, columns = np.indices(seen.shape, sparse=True)
    circle = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    if (circle & part).sum() < 0.95 * (circle | part).sum():
        raise NowcastError(
            "what is observed is no disc (the coverage of a single radar): give the crop in numbers"
        )
    return float(x), float(y), radius


def inscribed_square(seen: np.ndarray) -> tuple[int, int, int, int]:
    """The largest square (x, y, width, height), in px, of which all pixel centres lie in the disc that is observed.

    For a disc of 250 px in a picture of 500×500 px: (73, 73, 354, 354). Raises NowcastError as ``disc`` does.
    """
    *centre, radius = disc(seen)
    first = [int(np.ceil(c - radius / np.sqrt(2))) for c in centre]
    size = min(
        int(np.floor(c + radius / np.sqrt(2))) - f + 1 for c, f in zip(centre, first, strict=True)
    )
    return *first, size, size
