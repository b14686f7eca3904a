"""Where frames lie on the Earth: coastlines and borders in their pixels, degrees of latitude and longitude, km.

The lines are those of Natural Earth, 1:10m, in the public domain, from the npm package world-atlas 2.0.2 (ISC licence,
© 2013-2019 Michael Bostock), thinned to about 1 km: ``recipes/borders.sh`` makes ``borders.xz``. Of borders that are
disputed they show who holds the land.
"""

import lzma
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pyproj
import xarray as xr

EARTH = pyproj.Geod(ellps="WGS84")


def degrees(frames: xr.DataArray, n: int = 17) -> np.ndarray | None:
    """Longitude and latitude, (2, n, n), of pixels evenly spaced from the first to the last row and column.

    ``frames`` are (…, y, x), in degrees, or in metres with the attribute ``crs``; None where neither is the case.
    """
    if min(frames.sizes["y"], frames.sizes["x"]) < 2:
        return None
    x, y = np.meshgrid(*(np.linspace(float(frames[d][0]), float(frames[d][-1]), n) for d in "xy"))
    if str(frames.y.attrs.get("units", "")).startswith("degree"):
        return np.stack([(x + 180) % 360 - 180, y])
    if crs := frames.attrs.get("crs"):
        return np.stack(_projection(crs).transform(x, y, direction="INVERSE"))
    return None


def pixel_width(frames: xr.DataArray) -> float | None:
    """Width in km, on the ground, of a pixel in the middle of frames (…, y, x); None where it is not known."""
    if (known := degrees(frames)) is not None:
        (lon, lat), middle = known, known.shape[1] // 2
        metres = EARTH.inv(*(v[middle, k] for k in (middle, middle + 1) for v in (lon, lat)))[2]
        return metres / 1000 * (known.shape[1] - 1) / (frames.sizes["x"] - 1)
    if frames.sizes["x"] > 1 and frames.x.attrs.get("units") == "m":
        return abs(float(frames.x[1] - frames.x[0])) / 1000
    return None


def lines(frames: xr.DataArray) -> list[np.ndarray]:
    """Coastlines and borders around frames (…, y, x): arrays (n, 2) of x and y in px, pixel centres whole numbers.

    They reach beyond the frame. There are none where it is not known where the frames lie (see ``degrees``).
    """
    known = degrees(frames)
    if known is None:
        return []
    middle = known[:, known.shape[1] // 2, known.shape[2] // 2]
    here, world = _direction(middle), _world()
    reach = np.arccos(np.clip(here @ _direction(known.reshape(2, -1)), -1, 1)).max() + np.radians(1)
    near = here @ _direction(world) > np.cos(min(reach, np.pi))  # False of NaN, which ends a line
    ends = np.flatnonzero(np.diff(near, prepend=False, append=False)).reshape(-1, 2)
    lon, lat = (
        np.concatenate([world[:, a:b] for a, b in ends], axis=1) if len(ends) else np.empty((2, 0))
    )
    lon = middle[0] + (lon - middle[0] + 180) % 360 - 180  # frames may lie across 180°
    if "crs" in frames.attrs and frames.y.attrs.get("units") == "m":
        x, y = _projection(frames.attrs["crs"]).transform(lon, lat)
    else:
        x, y = lon + np.rint((float(frames.x.mean()) - middle[0]) / 360) * 360, lat
    pixels = [
        (v - float(frames[d][0])) / float(frames[d][1] - frames[d][0])
        for v, d in ((x, "x"), (y, "y"))
    ]
    pixels = np.stack(pixels, axis=1)
    found = []
    for line in np.split(pixels, np.cumsum([b - a for a, b in ends])[:-1]):
        if len(line) < 2 or not np.isfinite(line).all():
            continue
        line = cv2.approxPolyDP(line.astype("f4")[:, None], 0.25, False)[:, 0]
        if (line.max(axis=0) > 0).all() and (
            line.min(axis=0) < [frames.sizes["x"], frames.sizes["y"]]
        ).all():
            found.append(line)
    return found


@lru_cache(8)
def _projection(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _direction(degrees: np.ndarray) -> np.ndarray:
    """Unit vectors, (3, …), that point from the middle of the Earth to longitudes and latitudes, (2, …)."""
    lon, lat = np.radians(degrees)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


@lru_cache(1)
def _world() -> np.ndarray:
    """Longitude and latitude, (2, n), of all lines, NaN between them; no step is longer than a quarter of a degree."""
    with lzma.open(Path(__file__).parent / "borders.xz") as file:
        points = np.cumsum(np.load(file), axis=1, dtype="i2")  # wraps around, as the steps do
    points = np.where(points == -32768, np.nan, points * (180 / 32767))
    step = np.diff(points, axis=1)
    parts = np.nan_to_num(np.ceil(np.abs(step).max(axis=0) / 0.25), nan=1).clip(1).astype(int)
    start = np.repeat(np.arange(len(parts)), parts)
    share = (np.arange(len(start)) - np.repeat(np.cumsum(parts) - parts, parts)) / np.repeat(
        parts, parts
    )
    return np.where(share > 0, points[:, start] + share * step[:, start], points[:, start])
