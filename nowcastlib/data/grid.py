"""The grid of frames (…, y, x): how large a pixel is, cutting, making coarser, and the disc that a radar covers."""

import warnings

import cv2
import numpy as np
import pyproj
import xarray as xr
from scipy import ndimage

from nowcastlib.errors import NowcastError


def pixel_km(frames: xr.DataArray) -> float:
    """Width of a pixel in km, from the coordinates (degrees at their mean latitude). NowcastError for a single row."""
    if frames.sizes["y"] < 2:
        raise NowcastError("one row of pixels does not tell how large a pixel is: give 2 or more")
    dy = abs(float(frames.y[1] - frames.y[0]))
    degrees = str(frames.y.attrs.get("units", "")).startswith("degree")
    return dy * (111.2 if degrees else 0.001)


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
