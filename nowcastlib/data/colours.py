"""Colour films: frames of red, green and blue from 0 to 1 in place of rain."""

from pathlib import Path

import numpy as np
import xarray as xr

from nowcastlib.errors import NowcastError

COLOUR = "colour"  # name of the variable
CHANNELS = 3  # red, green and blue
COLOUR_ATTRIBUTES = {"long_name": "red, green and blue, each from 0 to 1", "units": "1"}
TITLE = "colour films"  # of the stores that ingest made of colours
NOT_RAIN = (
    "holds colours, not rain: train on it with --config.channels 3, and give forecast and evaluate "
    "a run that was trained on colours"
)


def colour_frame(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> xr.DataArray:
    """Make a frame of colours with coordinates in metres.

    Parameters
    ----------
    values : array (channel, y, x)
        Red, green and blue from 0 to 1; NaN = not observed.
    x, y : arrays (x,) and (y,)
        Pixel centres in metres; ``y`` falls from row to row.

    Returns
    -------
    xarray.DataArray
        ``colour`` (channel, y, x), float32, contiguous in memory.
    """
    axis_y = {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}
    axis_x = {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}
    return xr.DataArray(
        np.ascontiguousarray(values, "f4"),
        coords={"y": ("y", y, axis_y), "x": ("x", x, axis_x)},
        dims=("channel", "y", "x"),
        name=COLOUR,
        attrs=COLOUR_ATTRIBUTES,
    )


def is_colour_store(path: str | Path) -> bool:
    """Whether a path is a store of colours on this disk, by its name for the variable."""
    return (Path(path) / COLOUR / ".zarray").is_file()


def are_colours(frames: xr.DataArray) -> bool:
    """Whether frames are colours: they have the dimension ``channel``."""
    return isinstance(frames, xr.DataArray) and "channel" in frames.dims


def check_colours(values: np.ndarray, where: str) -> np.ndarray:
    """Return values of colours; NowcastError if one is not within 0 to 1 (NaN = not observed)."""
    low, high = (float(extreme(values, axis=None)) for extreme in (np.fmin.reduce, np.fmax.reduce))
    if low < 0 or high > 1:  # False for NaN: nothing is observed
        raise NowcastError(
            f"{where} holds colours from {low:g} to {high:g}, not from 0 to 1: scale them"
        )
    return values
