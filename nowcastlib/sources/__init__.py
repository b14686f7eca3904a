"""Radar feeds: one module each, all with the same two verbs.

``list(start, end)`` answers a table, one row a frame, ascending ``time`` (UTC) first; ``read(row)`` answers that
frame as a DataArray ``rainfall_rate(y, x)`` in mm/h, north up, NaN = not observed, 0 = dry.
"""

from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from .. import NowcastError

RAIN_RATE = {"standard_name": "rainfall_rate", "long_name": "rain rate", "units": "mm h-1"}


class Source(Protocol):
    """What ``store.ingest`` asks of a feed."""

    attribution: str  # who made the data, and under which licence; written into the store

    def list(self, start=None, end=None) -> pd.DataFrame: ...

    def read(self, row: NamedTuple) -> xr.DataArray: ...


def frame(rate: np.ndarray, x: np.ndarray, y: np.ndarray, crs: str = "", **attributes) -> xr.DataArray:
    """A rain-rate frame (y, x) in mm/h with its coordinates, for a source's ``read``.

    ``x`` and ``y`` are pixel centres in metres (``y`` falls from row to row: north up) and ``crs`` anything that
    pyproj understands, or "" where the map projection is not known.
    """
    metres = {"units": "m"}
    return xr.DataArray(
        np.asarray(rate, "f4"),
        coords={
            "y": ("y", y, metres | {"standard_name": "projection_y_coordinate", "axis": "Y"}),
            "x": ("x", x, metres | {"standard_name": "projection_x_coordinate", "axis": "X"}),
        },
        dims=("y", "x"),
        name="rainfall_rate",
        attrs=RAIN_RATE | ({"crs": crs} if crs else {}) | attributes,
    )


def within(times: pd.Series, start, end) -> pd.Series:
    """Which times lie in [start, end); either may be None; both are UTC."""
    start, end = (None if t is None else utc(t) for t in (start, end))
    return (times >= (start or pd.Timestamp.min)) & (times < (end or pd.Timestamp.max))


def utc(time) -> pd.Timestamp:
    """A time without a zone, which is UTC. Raises NowcastError if it is none."""
    try:
        stamp = pd.Timestamp(time)
    except ValueError as error:
        raise NowcastError(f"{time!r} is no time: write it like 2015-05-15T16:00") from error
    return stamp if stamp.tzinfo is None else stamp.tz_convert("UTC").tz_localize(None)


def feed(name: str, path: str = "", product: str = "mch", events: int = 6, pixels: int = 128) -> Source:
    """A feed by its name: demo (``events`` storms of ``pixels``), archive (``path``, ``product``), cloud or images
    (``path``). Raises NowcastError for another name."""
    from . import archive, cloud, demo, fvg, images  # here: pysteps takes a second to import

    feeds = {
        "demo": lambda: demo.Demo(events, size=pixels),
        "archive": lambda: archive.Archive(product, path),
        "cloud": lambda: cloud.Cloud(path),
        "images": lambda: images.Images(path),
        "fvg": lambda: fvg.Fvg(),
    }
    if name not in feeds:
        raise NowcastError(f"unknown source {name!r}: choose one of {', '.join(feeds)}")
    return feeds[name]()
