"""The course of the rain around a forecast: the frames before it, and the truth beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import Place, nearest_frames
from nowcastlib.display.player.levels import rain_levels
from nowcastlib.display.player.rain_panels import map_of
from nowcastlib.display.player.scene import Chart
from nowcastlib.display.player.widget import SPEEDS
from nowcastlib.display.rain_scale import credit


@dataclass(frozen=True)
class Course:
    """Observed frames before a forecast, and at its valid times.

    Attributes
    ----------
    observed : xarray.DataArray, dimensions (time, y, x)
        All observed frames, rain rate in mm/h.
    before : xarray.DataArray, dimensions (time, y, x)
        Those up to the time of issue that are shown.
    truth : xarray.DataArray, dimensions (time, y, x)
        The observation at the valid times; NaN where there is no frame.
    valid, issued : times
        Valid times of the forecast, and its time of issue.
    """

    observed: xr.DataArray
    before: xr.DataArray
    truth: xr.DataArray
    valid: np.ndarray
    issued: np.datetime64

    @classmethod
    def of(cls, observed: xr.DataArray, forecast: xr.DataArray, past: int) -> "Course":
        """The course of the rain around a forecast, with at most ``past`` frames before it."""
        issued, valid = forecast.issued.values, forecast.valid_time.values
        before = observed.sel(time=slice(None, issued))
        before = before.isel(time=slice(max(0, before.sizes["time"] - past), None))
        return cls(observed, before, _observed_at(observed, valid), valid, issued)

    @property
    def n_past(self) -> int:
        """Number of frames before the forecast."""
        return self.before.sizes["time"]

    @property
    def times(self) -> list[np.datetime64]:
        """Times of all frames that are shown."""
        return [*self.before.time.values, *self.valid]

    @property
    def minutes(self) -> list[float]:
        """Minutes of all frames after the time of issue."""
        return [float((time - self.issued) / np.timedelta64(1, "m")) for time in self.times]

    def after_past(self, levels: np.ndarray) -> np.ndarray:
        """Levels (time, y, x) at the valid times, after those of the frames before."""
        return np.concatenate([rain_levels(self.before.values), levels])

    def scene_parts(self, places: Sequence[Place] = ()) -> dict[str, Any]:
        """What a scene says about times and map; ``places`` are marked on the map."""
        ticks = [f"{m:+.0f}".replace("+0", "now").replace("-", "−") for m in self.minutes]
        return {
            "labels": [_label(*pair) for pair in zip(self.times, self.minutes, strict=True)],
            "size": self.observed.shape[1:],
            "intervals": list(SPEEDS.values()),
            "past": self.n_past,
            "credit": credit(self.observed),
            "chart": Chart(self.minutes, ticks, "lead time (minutes)"),
            "map": map_of(self.observed, places),
        }


def _observed_at(observed: xr.DataArray, valid: np.ndarray) -> xr.DataArray:
    """The observation (time, y, x) at the valid times; NaN where there is no frame."""
    numbers = nearest_frames(observed.indexes["time"], pd.DatetimeIndex(valid))
    has_frame = xr.DataArray(numbers >= 0, dims="time")
    return observed.isel(time=numbers).drop_vars("time").where(has_frame)


def _label(time: np.datetime64, lead: float) -> str:
    """Lead time and valid time of a frame."""
    if lead > 0:
        what = f"forecast +{lead:.0f} min"
    elif lead < 0:
        what = f"observed {lead:+.0f} min"
    else:
        what = "observed, now"
    return f"{what} · valid {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"
