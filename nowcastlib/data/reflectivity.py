"""Reflectivity as rain rate, with a cap for hail."""

import logging

import numpy as np
import xarray as xr

from nowcastlib.data.lazy_values import LazyValues
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

log = logging.getLogger("nowcastlib")

# dBZ; a stronger echo comes from hail or clutter. Services cap rain at 53 dBZ (Fulton et al. 1998)
# to 55 dBZ. By Z = 200 R^1.6 the cap is 100 mm/h.
HAIL_CAP = 55.0
# dBZ, the lower end excluded; other values, such as -99, mark missing pixels or are of another kind
POSSIBLE = -90.0, 100.0


def rain_of_dbz(dbz: np.ndarray, scale: RainScale = RainScale()) -> tuple[np.ndarray, int]:  # noqa: B008 (frozen)
    """Convert reflectivity to rain.

    Parameters
    ----------
    dbz : array
        Reflectivity in dBZ; NaN = not observed, -inf = no echo.
    scale : RainScale
        The Z-R relation.

    Returns
    -------
    array
        Rain rate in mm/h, of the same shape.
    int
        Number of pixels above ``HAIL_CAP``, which have the rain rate of the cap.

    Raises
    ------
    NowcastError
        For reflectivities outside ``POSSIBLE``; the message does not name the file.

    References
    ----------
    Fulton, R. A. et al. (1998): The WSR-88D rainfall algorithm. Weather and Forecasting 13,
    377–395.
    """
    lowest, highest = POSSIBLE
    is_impossible = (dbz > highest) | ((dbz <= lowest) & (dbz != -np.inf))
    if is_impossible.any():
        value = dbz[is_impossible].flat[0]
        raise NowcastError(
            f"holds a reflectivity of {value:g} dBZ (possible: above {lowest:g}, to {highest:g}): "
            "declare it as _FillValue or nodata if it marks missing pixels, else check the units "
            "and the scale, or give --units"
        )
    is_capped = dbz > HAIL_CAP
    rate = scale.from_dbz(np.where(is_capped, np.asarray(HAIL_CAP, dbz.dtype), dbz))
    return rate, int(is_capped.sum())


def describe_cap(pixels: int) -> str:
    """What the cap changed, in words."""
    number = "1 pixel" if pixels == 1 else f"{pixels:,} pixels"
    return f"{number} above {HAIL_CAP:g} dBZ (hail or clutter) set to {HAIL_CAP:g} dBZ"


class _LazyRain(LazyValues):
    """Reflectivity (time, y, x) of a store that becomes rain in mm/h whenever it is read."""

    def __init__(self, frames: xr.DataArray, where: str):
        super().__init__(frames)
        self.where = where
        self.has_warned = False

    def _read(self, key: tuple) -> np.ndarray:
        dbz = np.asarray(self.variable[key].values, self.dtype)
        try:
            rate, capped = rain_of_dbz(dbz)
        except NowcastError as error:
            raise NowcastError(f"{self.where} {error}") from None
        if capped and not self.has_warned:
            self.has_warned = True
            log.warning("%s: %s, now and in all other frames", self.where, describe_cap(capped))
        return rate


def lazy_rain(frames: xr.DataArray, where: str) -> xr.DataArray:
    """Frames (time, y, x) of reflectivity in dBZ as lazy rain rates in mm/h."""
    rain = _LazyRain(frames, where).variable_with(frames.dims, frames.attrs)
    return xr.DataArray(rain, frames.coords)
