"""A player of frames."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.display.player.levels import rain_levels
from nowcastlib.display.player.opening import first_with_rain
from nowcastlib.display.player.packing import MOST_FRAMES, pack_shades
from nowcastlib.display.player.rain_panels import (
    LEVEL_VALUES,
    RAIN_LEGEND,
    Film,
    map_of,
    rain_panels,
)
from nowcastlib.display.player.scene import Chart, Legend, Map, Panel, Rain, Scene
from nowcastlib.display.player.shades import GREY
from nowcastlib.display.player.widget import SPEED, SPEEDS, Player
from nowcastlib.display.rain_scale import credit
from nowcastlib.errors import NowcastError

COLOURS = ("rain", "grey")
GREY_LEGEND = Legend("", swatches=[(GREY[0], "0"), (GREY[128], "0.5"), (GREY[255], "1")])


class FramePlayer(Player):
    """Scrub through frames with a slider (arrow keys step), or play them.

    Several films stand side by side and move together. A player of rain opens on the first frame
    that has half as many rain pixels as the frame with most of them.

    Parameters
    ----------
    films : array or xarray.DataArray, dimensions (time, y, x), or mapping of str to these
        One film, or several by name, of one shape. Rain rate in mm/h, or grey values in 0…1.
    colours : {"rain", "grey"}
        The rain scale, or grey: 0 is black and 1 is white, values beyond are clipped.
    labels : sequence of str, optional
        Text above each frame; by default the time, or the number of the frame if the films differ
        in their times or have none.

    Raises
    ------
    NowcastError
        If there is no film, if the films differ in shape, if dimensions are not in the order (time,
        y, x), if there are more than 65,535 frames, if the times are not datetimes, if there is not
        one label for each frame, or if the colours are unknown.

    Examples
    --------
    >>> from nowcastlib.data import as_frames, storms
    >>> frames = as_frames(storms.rain(storms.Storm(size=16), 3))
    >>> player = FramePlayer(frames)
    >>> player.frame = 2  # shows the third frame
    >>> player = FramePlayer({"forwards": frames, "backwards": frames[::-1]})
    >>> player = FramePlayer(frames.values / 100, colours="grey", labels=["now", "then", "later"])
    """

    def __init__(
        self,
        films: xr.DataArray | np.ndarray | Mapping[str, xr.DataArray | np.ndarray],
        colours: str = "rain",
        labels: Sequence[str] | None = None,
    ):
        if not isinstance(films, Mapping):
            films = {"rain rate" if colours == "rain" else "frame": films}
        _check(films, colours, labels)

        first = next(iter(films.values()))
        times = _times(films)
        texts = list(labels) if labels is not None else _labels(times, len(first))
        traits: dict = {
            "labels": texts,
            "size": tuple(first.shape[1:]),
            "controls": [SPEED],
            "intervals": list(SPEEDS.values()),
        }
        if colours == "grey":
            super().__init__(*_grey(films, traits))
            return

        levels = {name: rain_levels(np.asarray(film)) for name, film in films.items()}
        traits |= {"chart": _chart(times, len(first))}
        start = first_with_rain(list(levels.values()))
        super().__init__(*_rain(levels, first, traits), frame=start)


def _check(films: Mapping, colours: str, labels: Sequence[str] | None) -> None:
    """Raise NowcastError for bad arguments of a FramePlayer."""
    if colours not in COLOURS:
        raise NowcastError(f"unknown colours {colours!r}: choose among {', '.join(COLOURS)}")
    if not films:
        raise NowcastError("the player has no film: give at least one")

    shapes = {name: tuple(film.shape) for name, film in films.items()}
    shape = next(iter(shapes.values()))
    for name, other in shapes.items():
        if len(other) != 3 or 0 in other:
            raise NowcastError(f"the film {name!r} is {other}; a player needs (time, y, x)")
        if other != shape:
            raise NowcastError(f"the film {name!r} is {other}, the first one {shape}")
    if shape[0] > MOST_FRAMES:
        every = -(-shape[0] // MOST_FRAMES)  # rounded up
        raise NowcastError(
            f"a player shows at most {MOST_FRAMES:,} frames, not {shape[0]:,}: give a part of the "
            f"film, or every {every}. frame (film[::{every}])"
        )
    for name, film in films.items():
        if isinstance(film, xr.DataArray):
            _check_dimensions(name, film)
    if labels is not None and len(labels) != shape[0]:
        raise NowcastError(f"the player has {len(labels)} labels for {shape[0]} frames")


def _check_dimensions(name: str, film: xr.DataArray) -> None:
    """NowcastError for dimensions in another order than (time, y, x), and times that are none."""
    is_late = any(dimension in film.dims[1:] for dimension in ("time", "lead_time"))
    has_grid = {"y", "x"} <= set(film.dims)
    if is_late or (has_grid and film.dims[1:] != ("y", "x")):
        raise NowcastError(
            f"the film {name!r} has the dimensions {film.dims}: transpose it to (time, y, x)"
        )
    times = film.indexes.get("time")
    if times is not None and (not isinstance(times, pd.DatetimeIndex) or times.hasnans):
        what = "is missing in places" if times.hasnans else f"is {times.dtype}"
        raise NowcastError(
            f"the time of the film {name!r} {what}: give it times (datetime64), or none with "
            "film.drop_vars('time')"
        )


def _times(films: Mapping) -> pd.DatetimeIndex | None:
    """Times of the frames; None if a film has no times, or others than the first."""
    indexes = [
        film.indexes.get("time") if hasattr(film, "indexes") else None for film in films.values()
    ]
    if any(index is None or not index.equals(indexes[0]) for index in indexes):
        return None
    return indexes[0]


def _labels(times: pd.DatetimeIndex | None, n_frames: int) -> list[str]:
    if times is None:
        return [f"frame {k + 1} of {n_frames}" for k in range(n_frames)]
    return [f"{time:%Y-%m-%d %H:%M} UTC" for time in times]


def _chart(times: pd.DatetimeIndex | None, n_frames: int) -> Chart:
    if times is None:
        numbers = list(range(1, n_frames + 1))
        return Chart([float(k) for k in numbers], [str(k) for k in numbers], "frame")
    minutes = [abs(time - times[0]) / pd.Timedelta(minutes=1) for time in times]
    return Chart(minutes, [f"{time:%H:%M}" for time in times], "time (UTC)")


def _grey(films: Mapping, traits: dict) -> tuple[Scene, list[bytes]]:
    """Scene and sequences of films of grey values."""
    panels = [Panel(name, [k], GREY) for k, name in enumerate(films)]
    sequences = [pack_shades(np.asarray(film)) for film in films.values()]
    return Scene(panels=panels, legends=[GREY_LEGEND], **traits), sequences


def _rain(
    levels: Mapping[str, np.ndarray], first: xr.DataArray | np.ndarray, traits: dict
) -> tuple[Scene, list[bytes]]:
    """Scene and sequences of films of rain, on the map of the first film."""
    panels, sequences = rain_panels([Film(name, film) for name, film in levels.items()])
    scene = Scene(
        panels=panels,
        legends=[RAIN_LEGEND],
        credit=credit(first),
        rain=Rain(LEVEL_VALUES, thresholds=[], errors=[]),
        map=map_of(first) if isinstance(first, xr.DataArray) else Map([], [], 0.0),
        **traits,
    )
    return scene, sequences
