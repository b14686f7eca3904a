"""What to know before a forecast or a score of a network is believed."""

import re

import pandas as pd
import xarray as xr

from nowcastlib.forecasting.forecasters import Forecaster
from nowcastlib.forecasting.network import Network

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
    # until version 0.2, stores of some services named the licence with the source
    own_source = str(frames.attrs.get("source")).removesuffix(" (CC BY 4.0)")
    for source, first, last in PART.findall(description):
        is_within = (times >= pd.Timestamp(first)) & (times <= pd.Timestamp(last))
        if source == own_source and is_within.any():
            return (
                f"was trained on these frames ({source}, {first} to {last}): its scores are not "
                "those of unseen rain"
            )
    return ""
