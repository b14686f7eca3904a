"""A player of forecasts beside the observation."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps, colors

from nowcastlib.data import nearest_frames
from nowcastlib.display.player.levels import STEPS, quantile_levels, rain_levels
from nowcastlib.display.player.rain_panels import (
    LEVEL_VALUES,
    RAIN_LEGEND,
    Film,
    map_of,
    rain_panels,
)
from nowcastlib.display.player.scene import Chart, Control, Legend, Rain, Scene
from nowcastlib.display.player.widget import SPEED, SPEEDS, Player
from nowcastlib.display.rain_scale import DRY, LEVELS, UNKNOWN, credit
from nowcastlib.errors import NowcastError

# view.js knows the order of both.
LAYOUTS = ["all side by side", "one beside it", "swipe"]
VIEWS = ["rain rate", "outline of observed", "error", "hits and misses"]

THRESHOLDS = LEVELS[:-1]  # mm/h
FIRST_THRESHOLD = LEVELS.index(1)

# Edges of the classes of forecast − observed in mm/h, and their colours, from brown over white to
# green, which can be told apart without seeing red and green.
ERRORS = (-20, -10, -5, -2, -0.5, 0.5, 2, 5, 10, 20)
ERROR_COLOURS = [
    colors.to_hex(c) for c in colormaps["BrBG"](np.linspace(0.04, 0.96, len(ERRORS) + 1))
]
ERROR_COLOURS[len(ERRORS) // 2] = DRY

# Colours of pixels in the view "hits and misses"; comparison.js knows their order.
EVENT_COLOURS = {
    "hit": "#0072b2",
    "miss": "#d55e00",
    "false alarm": "#f0c000",
    "dry in both": DRY,
    "not observed": UNKNOWN,
}


class ForecastPlayer(Player):
    """Scrub through forecasts beside the observation, and compare them in several ways.

    It starts with the observed frames up to the time of issue, the same in all panels. Where the
    observation of a valid time is missing, it is grey. Counts and scores below a panel are those
    of ``verification.count`` for its frame and the chosen threshold. Up to three forecasts stand
    side by side at first; of more, one.

    Parameters
    ----------
    observed : xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h.
    forecasts : mapping of str to xarray.DataArray, dimensions ([member,] lead_time, y, x)
        Forecasts by name, all for the same times, as ``forecasting.forecast`` makes them. For an
        ensemble, panels show the mean, and the chart the range from its 10 % to its 90 % quantile.
    past : int
        Largest number of observed frames before the forecast.

    Raises
    ------
    NowcastError
        If there is no forecast, or if they differ in times or grid.

    Examples
    --------
    >>> from nowcastlib.data import as_frames, storms
    >>> from nowcastlib.forecasting import forecast, forecaster
    >>> frames = as_frames(storms.rain(storms.Storm(size=16), 6))
    >>> rain = forecast(forecaster("persistence"), frames, frames.time.values[3], leads=2)
    >>> player = ForecastPlayer(frames, {"persistence": rain})
    >>> player.frame = 4  # shows the second lead
    """

    def __init__(
        self, observed: xr.DataArray, forecasts: Mapping[str, xr.DataArray], past: int = 3
    ):
        means = {name: _mean(forecast) for name, forecast in forecasts.items()}
        _check(observed, means)
        first = next(iter(means.values()))
        issued, valid = first.issued.values, first.valid_time.values

        before = observed.sel(time=slice(None, issued))
        before = before.isel(time=slice(max(0, before.sizes["time"] - past), None))
        films = _films(before, _observed_at(observed, valid), forecasts, means)
        panels, sequences = rain_panels(films)

        times = [*before.time.values, *valid]
        scene = Scene(
            labels=[_label(time, issued) for time in times],
            size=(first.sizes["y"], first.sizes["x"]),
            panels=panels,
            controls=_controls(list(forecasts)),
            legends=_legends(),
            intervals=list(SPEEDS.values()),
            past=before.sizes["time"],
            credit=credit(observed),
            rain=_rain(),
            chart=_chart(times, issued),
            map=map_of(observed),
        )
        arrangement = 0 if len(forecasts) <= 3 else 1
        state = {"arrangement": arrangement, "threshold": FIRST_THRESHOLD, "frame": scene.past}
        super().__init__(scene, sequences, **state)


def _observed_at(observed: xr.DataArray, valid: np.ndarray) -> xr.DataArray:
    """The observation (time, y, x) at the valid times; NaN where there is no frame."""
    numbers = nearest_frames(observed.indexes["time"], pd.DatetimeIndex(valid))
    has_frame = xr.DataArray(numbers >= 0, dims="time")
    return observed.isel(time=numbers).drop_vars("time").where(has_frame)


def _mean(forecast: xr.DataArray) -> xr.DataArray:
    """Mean of the members that know a pixel, or the forecast itself."""
    return forecast.astype("f8").mean("member") if "member" in forecast.dims else forecast


def _check(observed: xr.DataArray, means: Mapping[str, xr.DataArray]) -> None:
    """Raise NowcastError unless all forecasts (lead_time, y, x) have the same times and grid."""
    if not means:
        raise NowcastError("the player has no forecast: give at least one")
    first = next(iter(means.values()))
    for name, other in means.items():
        same_times = np.array_equal(other.valid_time.values, first.valid_time.values)
        if other.shape != first.shape or not same_times:
            raise NowcastError(
                f"the forecast {name!r} has other times or another grid than the first forecast"
            )
    if observed.shape[1:] != first.shape[1:]:
        raise NowcastError(
            f"the forecasts have a grid of {first.shape[1:]} px, "
            f"the observation one of {observed.shape[1:]} px"
        )


def _films(
    before: xr.DataArray,
    truth: xr.DataArray,
    forecasts: Mapping[str, xr.DataArray],
    means: Mapping[str, xr.DataArray],
) -> list[Film]:
    """The observation and all forecasts, each after the frames before the forecast."""
    past = rain_levels(before.values)

    def after_past(levels: np.ndarray) -> np.ndarray:
        return np.concatenate([past, levels])

    films = [Film("observed", after_past(rain_levels(truth.values)))]
    for name, mean in means.items():
        ensemble = "member" in forecasts[name].dims
        quantiles = quantile_levels(forecasts[name].values) if ensemble else []
        levels = after_past(rain_levels(mean.values))
        films.append(Film(name, levels, [after_past(quantile) for quantile in quantiles]))
    return films


def _controls(names: list[str]) -> list[Control]:
    return [
        Control("choice", "forecast", names, "1–9"),
        Control("arrangement", "layout", LAYOUTS, "l"),
        Control("view", "view", VIEWS, "v"),
        Control("threshold", "rain above", [f"{rate:g} mm/h" for rate in THRESHOLDS], "t"),
        SPEED,
    ]


def _legends() -> list[Legend]:
    """One legend per view."""
    edges = ["", *(f"{edge:g}".replace("-", "−") for edge in ERRORS)]
    return [
        RAIN_LEGEND,
        Legend("black outline: observed rain above the threshold"),
        Legend(
            "forecast − observed (mm/h): brown too dry, green too wet",
            bar=list(zip(ERROR_COLOURS, edges, strict=True)),
            swatches=[(UNKNOWN, "not observed")],
        ),
        Legend(
            "rain above the threshold",
            swatches=[(colour, text) for text, colour in EVENT_COLOURS.items()],
        ),
    ]


def _rain() -> Rain:
    thresholds = [(rate, STEPS * k) for k, rate in enumerate(THRESHOLDS)]
    return Rain(LEVEL_VALUES, thresholds, list(ERRORS))


def _chart(times: list[np.datetime64], issued: np.datetime64) -> Chart:
    minutes = [_minutes(time, issued) for time in times]
    ticks = [f"{m:+.0f}".replace("+0", "now").replace("-", "−") for m in minutes]
    return Chart(minutes, ticks, "lead time (minutes)")


def _label(time: np.datetime64, issued: np.datetime64) -> str:
    """Lead time and valid time of a frame."""
    lead = _minutes(time, issued)
    if lead > 0:
        what = f"forecast +{lead:.0f} min"
    elif lead < 0:
        what = f"observed {lead:+.0f} min"
    else:
        what = "observed, now"
    return f"{what} · valid {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _minutes(time: np.datetime64, issued: np.datetime64) -> float:
    return float((time - issued) / np.timedelta64(1, "m"))
