"""Reading stores of colours, which ``ingest`` makes of pictures or videos."""

from pathlib import Path

import pandas as pd
import xarray as xr

from nowcastlib.data.cf_axes import ascending_times
from nowcastlib.data.colours import CHANNELS, COLOUR
from nowcastlib.data.public_archives import PublicArchive
from nowcastlib.data.store import open_dataset
from nowcastlib.data.times import time_step
from nowcastlib.errors import NowcastError

MAKE = "make a store with nowcast ingest --source images --colours"


def open_colours(path: str | Path) -> xr.DataArray:
    """Open a store of colours; frames are read when they are used.

    Parameters
    ----------
    path : str or Path
        A store that ``ingest`` made of the feed ``images`` with ``colours``.

    Returns
    -------
    xarray.DataArray
        ``colour`` (time, channel, y, x): red, green and blue from 0 to 1 in ascending time (UTC),
        NaN = not observed. Attributes: ``source`` and ``license``.

    Raises
    ------
    NowcastError
        If there is no such store, or if it holds no colours, such as a store of rain.
    """
    dataset = open_dataset(PublicArchive(str(path)))
    films = dataset.get(COLOUR)
    if films is None:
        raise NowcastError(f"{path} holds no colours: {MAKE}, or leave out --config.channels")
    if films.dims != ("time", "channel", "y", "x") or films.sizes["channel"] != CHANNELS:
        raise NowcastError(
            f"{path} has colours of {dict(films.sizes)}, not (time, channel, y, x) with "
            f"{CHANNELS} channels: {MAKE}"
        )
    if not isinstance(films.indexes.get("time"), pd.DatetimeIndex):
        raise NowcastError(f"{path} has colours without times: {MAKE}")

    origin = {name: str(dataset.attrs.get(name, "")) for name in ("source", "license")}
    for variable in (films.variable, *(c.variable for c in films.coords.values())):
        variable.encoding = {}  # else a forecast would be written as the store is
    films = ascending_times(films.drop_duplicates("time"), str(path))
    return films.assign_attrs(origin)


def describe_colours(films: xr.DataArray) -> str:
    """Describe colour films (time, channel, y, x) in one line: number, size and times."""
    first, last = films.indexes["time"][[0, -1]]
    n, _, height, width = films.shape
    return (
        f"{n} colour frames of {height}×{width} px, {first} to {last} UTC, mostly every "
        f"{time_step(films):g} minutes"
    )
