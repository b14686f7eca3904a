"""The chart of a place on the live page: rain rate and chance of rain over time, as SVG.

The chart is as wide as a phone, so that its letters have about the size of the text around it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nowcastlib.display import rain_scale
from nowcastlib.display.player import rain_panels
from nowcastlib.forecasting import PlaceForecast, main_forecaster
from nowcastlib.units import RATES

LEFT, RIGHT = 40, 338  # px; where the axis of time begins and ends; the picture has 360
RATE_TOP, RATE_BOTTOM = 22, 104  # px; of the rain rates
CHANCE_TOP, CHANCE_BOTTOM = 138, 188  # px; of the chances
MOST_LINES = 4  # the observation among them
CHANCES = (0.1, 1.0, 5.0)  # mm/h; more rain than this is shown with its chance
SMALLEST_TOP = 0.5  # mm/h; the axis reaches at least so far, so that drizzle looks like drizzle
TICKS = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)  # minutes between labels of the time axis
MOST_TICKS = 6
MINUTE = pd.Timedelta("1min")


@dataclass(frozen=True)
class Line:
    """A rain rate over time."""

    name: str
    colour: str
    path: str  # of the SVG; a gap where the rate is not known


@dataclass(frozen=True)
class Bar:
    """The chance of more rain than a threshold at one lead."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class PlaceChart:
    """Everything that the template draws; places are in px of the picture."""

    lines: list[Line]
    bars: list[Bar]  # empty if there are no probabilities
    now: float  # x of the time of issue
    times: list[tuple[float, str]]  # x and clock time
    rates: list[tuple[float, str]]  # y and rain rate
    chances: list[tuple[float, str]]  # y and per cent
    legend: list[tuple[str, str]]  # colour and threshold of the bars

    @property
    def height(self) -> int:
        """Height of the picture in its own units."""
        return (CHANCE_BOTTOM if self.bars else RATE_BOTTOM) + 26


def place_chart(forecasts: Mapping[str, PlaceForecast]) -> PlaceChart:
    """Lay out the chart of one place.

    Parameters
    ----------
    forecasts : mapping of str to PlaceForecast
        Forecasts of the same place by name of the forecaster. At most three are drawn, the main
        one first.
    """
    main = main_forecaster({name: [forecast] for name, forecast in forecasts.items()})
    names = [main, *(name for name in forecasts if name != main)][: MOST_LINES - 1]
    observed = max((each.observed for each in forecasts.values()), key=len)
    first = forecasts[main]
    axis = _Axis(observed.index[0], first.rate.index[-1])

    series = {"observed": observed}
    for name in names:  # a forecast starts from the last observation
        series[name] = pd.concat([observed.iloc[-1:], forecasts[name].rate])
    highest = max([SMALLEST_TOP, *(rate.max() for rate in series.values() if rate.notna().any())])
    rates = _steps(highest)

    colours = dict(zip(forecasts, rain_panels.line_colours(list(forecasts)), strict=True))
    colours["observed"] = rain_panels.OBSERVED_COLOUR
    lines = [
        Line(name, colours[name], _path(rate, axis, rates[-1])) for name, rate in series.items()
    ]
    bars = _bars(first, axis)
    return PlaceChart(
        lines=lines,
        bars=bars,
        now=axis.x(first.issued),
        times=axis.ticks(),
        rates=[(_y_of_rate(rate, rates[-1]), f"{rate:g}") for rate in rates],
        chances=[(_y_of_chance(share), f"{100 * share:g} %") for share in (0, 0.5, 1)],
        legend=[(_chance_colour(above), f"{above:g} mm/h") for above in CHANCES] if bars else [],
    )


@dataclass(frozen=True)
class _Axis:
    """The axis of time."""

    start: pd.Timestamp
    end: pd.Timestamp

    def x(self, time: pd.Timestamp) -> float:
        share = (time - self.start) / (self.end - self.start)
        return round(LEFT + (RIGHT - LEFT) * share, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Whole hours, quarters or the like."""
        span = (self.end - self.start) / MINUTE
        step = next((n for n in TICKS if span / n <= MOST_TICKS), TICKS[-1])
        times = pd.date_range(self.start.ceil(f"{step}min"), self.end, freq=f"{step}min")
        return [(self.x(time), f"{time:%H:%M}") for time in times]


def _steps(highest: float) -> list[float]:
    """Round rain rates from 0 to at least the highest, in two to five steps."""
    power = 10 ** np.floor(np.log10(highest / 2.5))
    step = next(n * power for n in (1, 2, 5, 10) if n * power * 5 >= highest)
    return [round(float(k * step), 6) for k in range(int(np.ceil(highest / step - 1e-9)) + 1)]


def _y_of_rate(rate: float, top: float) -> float:
    return round(RATE_BOTTOM - (RATE_BOTTOM - RATE_TOP) * rate / top, 1)


def _y_of_chance(chance: float) -> float:
    return round(CHANCE_BOTTOM - (CHANCE_BOTTOM - CHANCE_TOP) * chance, 1)


def _path(rate: pd.Series, axis: _Axis, top: float) -> str:
    """Rain rates as the path of an SVG."""
    parts, pen = [], "M"
    for time, value in rate.items():
        if np.isnan(value):
            pen = "M"
            continue
        parts.append(f"{pen}{axis.x(time)} {_y_of_rate(value, top)}")
        pen = "L"
    return "".join(parts)


def _bars(forecast: PlaceForecast, axis: _Axis) -> list[Bar]:
    """Bars of the chances; those of more rain stand before those of less."""
    if forecast.chances is None:
        return []
    times = forecast.rate.index
    width = round(0.8 * (axis.x(times[0]) - axis.x(forecast.issued)), 1)
    bars = []
    for above in CHANCES:
        for time, chance in zip(times, forecast.chances[:, RATES.index(above)], strict=True):
            if np.isfinite(chance):
                y = _y_of_chance(chance)
                x = axis.x(time) - width / 2
                height = round(CHANCE_BOTTOM - y, 1)
                bars.append(Bar(round(x, 1), y, width, height, _chance_colour(above)))
    return bars


def _chance_colour(above: float) -> str:
    """The colour of the rain scale for rates above a threshold."""
    return rain_scale.COLOURS[rain_scale.LEVELS.index(above) + 1]


def table(forecast: PlaceForecast) -> Sequence[Sequence[str]]:
    """Rows of the table of a place: clock time, rain rate, and chances of the thresholds."""
    rows = []
    for k, (time, rate) in enumerate(forecast.rate.items()):
        cells = [f"{time:%H:%M}", "–" if np.isnan(rate) else f"{rate:.1f}"]
        if forecast.chances is not None:
            chances = [forecast.chances[k, RATES.index(above)] for above in CHANCES]
            cells += ["–" if np.isnan(chance) else f"{chance:.0%}" for chance in chances]
        rows.append(cells)
    return rows
