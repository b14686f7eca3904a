"""A player of frames."""

import pandas as pd
import xarray as xr

from nowcastlib.display.player.levels import rain_levels
from nowcastlib.display.player.rain_panels import (
    LEVEL_VALUES,
    RAIN_LEGEND,
    Film,
    map_of,
    rain_panels,
)
from nowcastlib.display.player.scene import Chart, Rain, Scene
from nowcastlib.display.player.widget import SPEED, SPEEDS, Player
from nowcastlib.display.rain_scale import credit


class FramePlayer(Player):
    """Scrub through frames with a slider (arrow keys step), or play them.

    Parameters
    ----------
    frames : xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h.

    Examples
    --------
    >>> from nowcastlib.data import as_frames, storms
    >>> player = FramePlayer(as_frames(storms.rain(storms.Storm(size=16), 3)))
    >>> player.frame = 2  # shows the third frame
    """

    def __init__(self, frames: xr.DataArray):
        times = frames.indexes["time"]
        panels, sequences = rain_panels([Film("rain rate", rain_levels(frames.values))])
        minutes = [(time - times[0]) / pd.Timedelta(minutes=1) for time in times]
        scene = Scene(
            labels=[f"{time:%Y-%m-%d %H:%M} UTC" for time in times],
            size=(frames.sizes["y"], frames.sizes["x"]),
            panels=panels,
            controls=[SPEED],
            legends=[RAIN_LEGEND],
            intervals=list(SPEEDS.values()),
            credit=credit(frames),
            rain=Rain(LEVEL_VALUES, thresholds=[], errors=[]),
            chart=Chart(minutes, [f"{time:%H:%M}" for time in times], "time (UTC)"),
            map=map_of(frames),
        )
        super().__init__(scene, sequences)
