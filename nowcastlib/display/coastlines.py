"""Coastlines and borders in the pixels of frames.

The lines are those of Natural Earth, 1:10m, in the public domain, from the npm package
world-atlas 2.0.2 (ISC licence, © 2013-2019 Michael Bostock), simplified to about 1 km:
``recipes/borders.sh`` makes ``borders.xz``. Where a border is disputed, they show who controls the
land.
"""

import lzma
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import xarray as xr

from nowcastlib.data import place

MARGIN = np.radians(1)  # lines are kept so far beyond the frame
LONGEST_STEP = 0.25  # degrees between neighbouring points of a line
TOLERANCE = 0.25  # px by which a simplified line may differ
BREAK = -32768  # marks the end of a line in the file
DEGREE = 32767 / 180  # units of the file


def lines(frames: xr.DataArray) -> list[np.ndarray]:
    """Return the coastlines and borders that cross the frames.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (…, y, x)
        Frames with coordinates in degrees, or in metres or degrees of a rotated pole with the
        attribute ``crs``.

    Returns
    -------
    list of array, shape (points, 2)
        x and y in px; pixel centres are whole numbers. Lines reach beyond the frame. The list is
        empty if the place of the frames is unknown.
    """
    points = place.degrees(frames)
    if points is None:
        return []
    middle = points[:, points.shape[1] // 2, points.shape[2] // 2]
    corner = np.array([frames.sizes["x"], frames.sizes["y"]])

    parts = _parts_near(points, middle)
    if not parts:
        return []
    pixels = place.pixels(frames, *np.concatenate(parts, axis=1))  # (n, 2), all at once
    ends = np.cumsum([part.shape[1] for part in parts])

    crossing = []
    for line in np.split(pixels, ends[:-1]):
        if len(line) < 2 or not np.isfinite(line).all():
            continue
        line = cv2.approxPolyDP(line.astype("f4")[:, None], TOLERANCE, False)[:, 0]
        if (line.max(axis=0) > 0).all() and (line.min(axis=0) < corner).all():
            crossing.append(line)
    return crossing


def _parts_near(points: np.ndarray, middle: np.ndarray) -> list[np.ndarray]:
    """Parts (2, n) of the lines of the world, in degrees, that lie in or near the frame."""
    world = _world()
    centre = _unit_vector(middle)
    cosines = np.clip(centre @ _unit_vector(points.reshape(2, -1)), -1, 1)
    radius = min(np.arccos(cosines).max() + MARGIN, np.pi)

    near = centre @ _unit_vector(world) > np.cos(radius)  # False at NaN, the end of a line
    edges = np.flatnonzero(np.diff(near, prepend=False, append=False))
    return [world[:, start:end] for start, end in edges.reshape(-1, 2)]


def _unit_vector(degrees: np.ndarray) -> np.ndarray:
    """Unit vectors (3, …) from the Earth's centre to longitudes and latitudes (2, …)."""
    lon, lat = np.radians(degrees)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


@lru_cache(1)
def _world() -> np.ndarray:
    """Longitudes and latitudes (2, n) of all lines, in degrees; NaN separates lines."""
    with lzma.open(Path(__file__).parent / "borders.xz") as file:
        steps = np.load(file)
    units = np.cumsum(steps, axis=1, dtype="i2")  # wraps around, as the steps in the file do
    points = np.where(units == BREAK, np.nan, units / DEGREE)
    return _refine(points)


def _refine(points: np.ndarray) -> np.ndarray:
    """Insert points (2, n) until no step is longer than LONGEST_STEP, for curved projections."""
    step = np.diff(points, axis=1)
    parts = np.ceil(np.abs(step).max(axis=0) / LONGEST_STEP)
    parts = np.nan_to_num(parts, nan=1).clip(1).astype(int)  # parts of each step

    start = np.repeat(np.arange(len(parts)), parts)  # point before each new point
    first = np.repeat(np.cumsum(parts) - parts, parts)
    share = (np.arange(len(start)) - first) / np.repeat(parts, parts)  # of the step, 0…1
    between = points[:, start] + share * step[:, start]
    return np.where(share > 0, between, points[:, start])
