"""A player of the members of an ensemble and of what they say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nowcastlib.data import check_same_grid
from nowcastlib.display.player.course_of_rain import Course
from nowcastlib.display.player.levels import MOST, quantile_levels, rain_levels, share_levels
from nowcastlib.display.player.opening import EnsembleOpening, first_with_rain, opening_state
from nowcastlib.display.player.packing import pack
from nowcastlib.display.player.rain_panels import (
    FIRST_THRESHOLD,
    OBSERVED_COLOUR,
    OUTLINE_LEGEND,
    PALETTE,
    RAIN_LEGEND,
    THRESHOLD,
    THRESHOLDS,
    rain_meaning,
)
from nowcastlib.display.player.scene import Control, Legend, Panel, Scene
from nowcastlib.display.player.shades import PROBABILITY
from nowcastlib.display.player.widget import SPEED, Player
from nowcastlib.display.rain_scale import FORECASTER_COLOURS, UNKNOWN
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from typing_extensions import Unpack

VIEWS = ["without outline", "outline of observed"]  # view.js knows the order
COLOUR = FORECASTER_COLOURS["radar-members"]
SHARE_PALETTE = [*PROBABILITY[: MOST + 1], UNKNOWN]
SHARES = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
SHARE_LEGEND = Legend(
    "share of the members with rain above the threshold (%)",
    bar=[(PROBABILITY[round(MOST * (s + 0.05))], f"{100 * s:g}") for s in SHARES],
)


class EnsemblePlayer(Player):
    """Scrub through an ensemble: the observation, one member, and the share above a threshold.

    The chart has the chosen member and the range from the 10 % to the 90 % quantile of all. It
    opens on the first lead that has half as many rain pixels as the lead with most of them, at
    1 mm/h.

    Parameters
    ----------
    observed : xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h.
    members : xarray.DataArray, dimensions (member, lead_time, y, x)
        An ensemble, as ``forecasting.forecast`` makes it.
    past : int
        Largest number of observed frames before the forecast.
    **opening
        What it shows when it opens: ``lead`` (minutes; 0 is the newest observed frame),
        ``threshold`` (mm/h: 0.1, 0.5, 1, 2, 5, 10, 20 or 50), ``view`` ("without outline",
        "outline of observed"), ``member`` (from 1 on).

    Raises
    ------
    NowcastError
        If the forecast has no members, if its grid is not that of the observation, or if the
        player cannot open as wished.

    Examples
    --------
    >>> import xarray as xr
    >>> from nowcastlib.data import as_frames, storms
    >>> from nowcastlib.forecasting import forecast, forecaster
    >>> frames = as_frames(storms.rain(storms.Storm(size=16), 6))
    >>> rain = forecast(forecaster("persistence"), frames, frames.time.values[3], leads=2)
    >>> members = xr.concat([rain, 2 * rain], "member")
    >>> player = EnsemblePlayer(frames, members, lead=10, threshold=0.5, member=2)
    """

    def __init__(
        self,
        observed: xr.DataArray,
        members: xr.DataArray,
        past: int = 3,
        **opening: Unpack[EnsembleOpening],
    ):
        _check(observed, members)
        course = Course.of(observed, members.isel(member=0), past)
        names = [str(k + 1) for k in range(members.sizes["member"])]
        options: dict[str, tuple[str, list]] = {
            "lead": ("frame", course.minutes),
            "threshold": ("threshold", list(THRESHOLDS)),
            "view": ("view", VIEWS),
            "member": ("choice", [int(name) for name in names]),
        }
        state = {"threshold": FIRST_THRESHOLD, "view": 1, **opening_state(opening, options)}
        truth = rain_levels(course.truth.values)
        state.setdefault("frame", course.n_past + first_with_rain([truth]))

        panels, sequences = _panels(course, course.after_past(truth), members.values)
        scene = Scene(
            panels=panels,
            controls=_controls(names),
            legends=[RAIN_LEGEND, OUTLINE_LEGEND, SHARE_LEGEND],
            rain=rain_meaning(),
            **course.scene_parts(),
        )
        super().__init__(scene, sequences, **state)


def _check(observed: xr.DataArray, members: xr.DataArray) -> None:
    """Raise NowcastError unless there are members (member, lead_time, y, x) on the same grid."""
    if members.dims[0] != "member" or not members.sizes["member"]:
        raise NowcastError(
            f"the forecast has the dimensions {members.dims}, but no members: "
            "show a single forecast with ForecastPlayer"
        )
    check_same_grid(members, observed)


def _controls(names: list[str]) -> list[Control]:
    return [
        Control("choice", "member", names, "1–9"),
        Control("view", "view", VIEWS, "v"),
        THRESHOLD,
        SPEED,
    ]


def _panels(
    course: Course, truth: np.ndarray, members: np.ndarray
) -> tuple[list[Panel], list[bytes]]:
    """Panels of the observation, a member and the share of members, and their sequences."""
    sequences = [pack(truth)]

    def numbers(films) -> list[int]:
        first = len(sequences)
        sequences.extend(pack(film) for film in films)
        return list(range(first, len(sequences)))

    each_member = numbers(rain_levels(member) for member in members)
    quantiles = numbers(quantile_levels(members))
    # Before the forecast, every member is the observation.
    before = course.before.values[None]
    everywhere = (
        np.concatenate([share_levels(before, rate), share_levels(members, rate)])
        for rate in THRESHOLDS
    )
    shares = numbers(everywhere)
    return [
        Panel("observed", [0], PALETTE, OBSERVED_COLOUR),
        Panel("member", each_member, PALETTE, COLOUR, quantiles),
        Panel("share of members", shares, SHARE_PALETTE, COLOUR, by="threshold", is_share=True),
    ], sequences
