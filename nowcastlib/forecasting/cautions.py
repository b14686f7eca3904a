"""What to know before a forecast or a score of a network is believed."""

import re

import pandas as pd
import xarray as xr

from nowcastlib.data import pixel_size, time_step
from nowcastlib.forecasting.forecasters import Forecaster, Network

# Shipped networks, and the shortest and longest time step (minutes) that they were trained at
TIME_STEPS = {"radar": (4, 12), "radar-members": (4, 12), "convedlstm": (5, 6)}
PIXELS = (0.7, 1.5)  # km; all of them were trained at about 1 km

# A part of the description of training data, such as "train: 9 windows of SOURCE, TIME to TIME"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
PART = re.compile(rf"(?:train|validation): \d+ windows of (.*?), ({TIME}) to ({TIME})(?:; |$)")


def trained_on(run: Forecaster, frames: xr.DataArray) -> str:
    """Warn of frames that a network was trained on: it cannot be judged on them.

    Parameters
    ----------
    run : Forecaster
        A forecaster; one without training data never gets a warning.
    frames : xr.DataArray
        Rain rate (time, y, x) with the attribute ``source``.

    Returns
    -------
    str
        The source and the span of the training data; "" if no time of the frames is in them.
    """
    description = run.training_data if isinstance(run, Network) else ""
    times = frames.indexes["time"]
    for source, first, last in PART.findall(description):
        is_within = (times >= pd.Timestamp(first)) & (times <= pd.Timestamp(last))
        if source == frames.attrs.get("source") and is_within.any():
            return (
                f"was trained on these frames ({source}, {first} to {last}): its scores are not "
                "those of unseen rain"
            )
    return ""


def untested(name: str, frames: xr.DataArray) -> str:
    """Warn of a time step or pixel size for which a shipped network was not trained.

    Parameters
    ----------
    name : str
        Name of the forecaster.
    frames : xr.DataArray
        Rain rate (time, y, x).

    Returns
    -------
    str
        What the network was trained for, and what the frames have; "" if the frames suit it.
    """
    if name not in TIME_STEPS:
        return ""
    shortest, longest = TIME_STEPS[name]
    step, size = time_step(frames), pixel_size(frames)
    is_wrong_step = step < shortest or step > longest
    is_right_size = size is not None and all(PIXELS[0] <= side <= PIXELS[1] for side in size)
    if is_right_size and not is_wrong_step:
        return ""
    pixel = f"{size.mean:.3g} km" if size else "pixels of unknown size"
    return (
        f"was trained for pixels of about 1 km every {shortest} to {longest} minutes; these frames "
        f"have {pixel} every {step:g} minutes, where it is untested"
    )
