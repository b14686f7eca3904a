"""The numbers by which a store counts its times: in UTC, and exact enough to tell frames apart."""

import re

import numpy as np
import xarray as xr
from xarray.coding.times import encode_cf_datetime

from nowcastlib.errors import NowcastError, printable

COARSEST = 10.0  # s; times whose numbers are farther apart than that are not known well enough
ZONE = re.compile(r"since\s.*[\d\s]([A-Za-z]{2,5})\s*$")  # a word after the reference time
UTC = ("utc", "gmt")
SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}  # in a unit, by its first letter


def check_time_units(rain: xr.DataArray, path: str) -> None:
    """Check how the times of a variable are counted in its file.

    Parameters
    ----------
    rain : xarray.DataArray
        A variable whose times are decoded and still have their encoding.
    path : str
        What the error calls the store.

    Raises
    ------
    NowcastError
        If the reference time has the name of a zone, which xarray leaves out, or if the times are
        floating-point numbers too short for them: days since 1970 as float32 are 3 minutes apart.
    """
    for coordinate in rain.coords.values():
        units = str(coordinate.encoding.get("units", ""))
        if " since " not in units or coordinate.dims != (coordinate.name,):
            continue
        zone = ZONE.search(units)
        if zone and zone[1].lower() not in UTC:
            raise NowcastError(
                f"{path} counts its times in {printable(units)!r}: write the reference time in "
                "UTC, or with an offset such as +02:00"
            )
        if (gap := _gap(coordinate, units)) > COARSEST:
            raise NowcastError(
                f"{path} has times of {coordinate.encoding['dtype']} in {printable(units)!r}; "
                f"these numbers are {gap:.0f} s apart, and frames have wrong times; write whole "
                "numbers of seconds, or float64"
            )


def _gap(coordinate: xr.DataArray, units: str) -> float:
    """Seconds between the largest time and the next number of its type; 0 for whole numbers."""
    dtype = np.dtype(coordinate.encoding.get("dtype", "i8"))
    if dtype.kind != "f" or not coordinate.size or coordinate.dtype.kind != "M":
        return 0.0
    calendar = coordinate.encoding.get("calendar")
    numbers, _, _ = encode_cf_datetime(coordinate.values, units, calendar, np.dtype("f8"))
    largest = np.nanmax(np.abs(numbers))
    return float(np.spacing(largest.astype(dtype))) * SECONDS.get(units.strip()[0].lower(), 0.0)
