"""Radar feeds: one module each, all with the same two verbs.

``list(start, end)`` answers a table, one row a frame, ascending ``time`` (UTC) first; ``read(row)`` answers that
frame as a DataArray ``rainfall_rate(y, x)`` in mm/h, north up, NaN = not observed, 0 = dry.
"""

from dataclasses import MISSING, fields
from typing import NamedTuple, Protocol

import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError


class NoAnswer(NowcastError):
    """A feed does not answer at all; asking it for the next frame is of no use either."""


class Source(Protocol):
    """What ``ingest`` asks of a feed. ``licence`` ("") and ``concurrency`` (1) may be left out."""

    attribution: str  # who made the data; written into the store, shown below its pictures
    licence: str  # under which others may use them
    concurrency: int  # frames that may be read at the same time

    def list(self, start=None, end=None) -> pd.DataFrame: ...

    def read(self, row: NamedTuple) -> xr.DataArray: ...


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
