"""A player of forecasts beside the observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib import colormaps, colors

from nowcastlib.data import Place, check_same_grid
from nowcastlib.display.player.course_of_rain import Course
from nowcastlib.display.player.levels import quantile_levels, rain_levels
from nowcastlib.display.player.opening import Opening, first_with_rain, opening_state
from nowcastlib.display.player.rain_panels import (
    FIRST_THRESHOLD,
    OUTLINE_LEGEND,
    RAIN_LEGEND,
    THRESHOLD,
    THRESHOLDS,
    Film,
    rain_meaning,
    rain_panels,
)
from nowcastlib.display.player.scene import Control, Legend, Scene
from nowcastlib.display.player.widget import SPEED, Player
from nowcastlib.display.rain_scale import DRY, UNKNOWN
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from typing_extensions import Unpack

# view.js knows the order of both.
LAYOUTS = ["all side by side", "one beside it", "swipe"]
VIEWS = ["rain rate", "outline of observed", "error", "hits and misses"]

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
    of ``verification.count`` for its frame and the chosen threshold.

    It opens on the first lead that has half as many rain pixels as the lead with most of them, at
    1 mm/h. Up to three forecasts stand side by side at first; of more, one.

    Parameters
    ----------
    observed : xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h.
    forecasts : mapping of str to xarray.DataArray, dimensions ([member,] lead_time, y, x)
        Forecasts by name, all for the same times, as ``forecasting.forecast`` makes them. For an
        ensemble, panels show the mean, and the chart the range from its 10 % to its 90 % quantile.
    past : int
        Largest number of observed frames before the forecast.
    places : sequence of data.Place
        Places that are marked on the maps.
    **opening
        What it shows when it opens: ``lead`` (minutes; 0 is the newest observed frame),
        ``threshold`` (mm/h: 0.1, 0.5, 1, 2, 5, 10, 20 or 50), ``layout`` ("all side by side",
        "one beside it", "swipe"), ``view`` ("rain rate", "outline of observed", "error", "hits
        and misses"), ``forecast`` (a name).

    Raises
    ------
    NowcastError
        If there is no forecast, if they differ in times or grid, if a place lies outside the
        grid, or if it cannot open as wished.

    Examples
    --------
    >>> from nowcastlib.data import as_frames, storms
    >>> from nowcastlib.forecasting import forecast, forecaster
    >>> frames = as_frames(storms.rain(storms.Storm(size=16), 6))
    >>> rain = forecast(forecaster("persistence"), frames, frames.time.values[3], leads=2)
    >>> player = ForecastPlayer(frames, {"persistence": rain}, lead=10, threshold=0.5)
    >>> player.frame = 4  # shows the first lead
    """

    def __init__(
        self,
        observed: xr.DataArray,
        forecasts: Mapping[str, xr.DataArray],
        past: int = 3,
        places: Sequence[Place] = (),
        **opening: Unpack[Opening],
    ):
        means = {name: _mean(forecast) for name, forecast in forecasts.items()}
        _check(observed, means)
        course = Course.of(observed, next(iter(means.values())), past)
        state = {
            "arrangement": 0 if len(forecasts) <= 3 else 1,
            "threshold": FIRST_THRESHOLD,
            **opening_state(opening, _options(course, list(forecasts))),
        }
        films = _films(course, forecasts, means)
        truth, *forecast_levels = (film.levels for film in films)
        first = first_with_rain([truth[course.n_past :], *forecast_levels])
        state.setdefault("frame", course.n_past + first)

        panels, sequences = rain_panels(films)

        scene = Scene(
            panels=panels,
            controls=_controls(list(forecasts)),
            legends=_legends(),
            rain=rain_meaning(ERRORS),
            comparing=True,
            **course.scene_parts(places),
        )
        super().__init__(scene, sequences, **state)


def _mean(forecast: xr.DataArray) -> xr.DataArray:
    """Mean of the members that know a pixel, or the forecast itself."""
    return forecast.astype("f8").mean("member") if "member" in forecast.dims else forecast


def _check(observed: xr.DataArray, means: Mapping[str, xr.DataArray]) -> None:
    """Raise NowcastError unless all forecasts have the same times, and the observation's grid."""
    if not means:
        raise NowcastError("the player has no forecast: give at least one")
    first = next(iter(means.values()))
    for name, other in means.items():
        same_times = np.array_equal(other.valid_time.values, first.valid_time.values)
        if other.shape != first.shape or not same_times:
            raise NowcastError(
                f"the forecast {name!r} has other times or another grid than the first forecast"
            )
        check_same_grid(other, observed, f"forecast {name!r}")


def _films(
    course: Course,
    forecasts: Mapping[str, xr.DataArray],
    means: Mapping[str, xr.DataArray],
) -> list[Film]:
    """The observation, with the frames before the forecast, and all forecasts."""
    films = [Film("observed", course.after_past(rain_levels(course.truth.values)))]
    for name, mean in means.items():
        ensemble = "member" in forecasts[name].dims
        quantiles = quantile_levels(forecasts[name].values) if ensemble else []
        films.append(Film(name, rain_levels(mean.values), quantiles))
    return films


def _options(course: Course, names: list[str]) -> dict[str, tuple[str, list]]:
    return {
        "lead": ("frame", course.minutes),
        "threshold": ("threshold", list(THRESHOLDS)),
        "layout": ("arrangement", LAYOUTS),
        "view": ("view", VIEWS),
        "forecast": ("choice", names),
    }


def _controls(names: list[str]) -> list[Control]:
    return [
        Control("choice", "forecast", names, "1–9"),
        Control("arrangement", "layout", LAYOUTS, "l"),
        Control("view", "view", VIEWS, "v"),
        THRESHOLD,
        SPEED,
    ]


def _legends() -> list[Legend]:
    """The legend of rain, and one for each other view."""
    edges = ["", *(f"{edge:g}".replace("-", "−") for edge in ERRORS)]
    return [
        RAIN_LEGEND,
        OUTLINE_LEGEND,
        Legend(
            "forecast − observed (mm/h): brown too dry, green too wet",
            bar=list(zip(ERROR_COLOURS, edges, strict=True)),
            swatches=[(UNKNOWN, "not observed")],
            view=2,
        ),
        Legend(
            "rain above the threshold",
            swatches=[(colour, text) for text, colour in EVENT_COLOURS.items()],
            view=3,
        ),
    ]
