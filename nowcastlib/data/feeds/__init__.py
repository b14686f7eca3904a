"""Radar feeds: one module each, all with the same two verbs.

``list(start, end)`` answers a table, one row a frame, ascending ``time`` (UTC) first; ``read(row)`` answers that
frame as a DataArray ``rainfall_rate(y, x)`` in mm/h, north up, NaN = not observed, 0 = dry.
"""

from dataclasses import MISSING, fields
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError

RAIN_RATE = {"standard_name": "rainfall_rate", "long_name": "rain rate", "units": "mm h-1"}


class NoAnswer(NowcastError):
    """A feed does not answer at all; asking it for the next frame is of no use either."""


class Source(Protocol):
    """What ``store.ingest`` asks of a feed. ``licence`` ("") and ``concurrency`` (1) may be left out."""

    attribution: str  # who made the data; written into the store, shown below its pictures
    licence: str  # under which others may use them
    concurrency: int  # frames that may be read at the same time

    def list(self, start=None, end=None) -> pd.DataFrame: ...

    def read(self, row: NamedTuple) -> xr.DataArray: ...


def frame(
    rate: np.ndarray, x: np.ndarray, y: np.ndarray, crs: str = "", **attributes
) -> xr.DataArray:
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


def feed(name: str, **options) -> Source:
    """A feed by its name (demo, archive, fvg, cloud or images), with the options of its class; those that are empty
    ("" or None) keep their defaults. Raises NowcastError for another name, or an option that the feed does not know.
    """
    from nowcastlib.data.feeds import (  # here: pysteps takes a second to import
        archive,
        cf_zarr,
        demo,
        fvg,
        images,
    )

    feeds = {
        "demo": demo.Demo,
        "archive": archive.Archive,
        "fvg": fvg.Fvg,
        "cloud": cf_zarr.Cloud,
        "images": images.Images,
    }
    if name not in feeds:
        raise NowcastError(f"unknown source {name!r}: choose one of {', '.join(feeds)}")
    given = {key: value for key, value in options.items() if value not in ("", None)}
    known = {field.name: field.default for field in fields(feeds[name])}
    if unknown := [key for key in given if key not in known]:
        raise NowcastError(
            f"the source {name} has no option {unknown[0]!r}: it knows {', '.join(known)}"
        )
    if missing := [
        key for key, default in known.items() if default is MISSING and key not in given
    ]:
        raise NowcastError(f"the source {name} needs a {missing[0]}")
    return feeds[name](**given)
