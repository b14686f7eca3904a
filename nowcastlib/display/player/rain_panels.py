"""What all players of rain have in common: panels of rain, their legend, chart and map."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import xarray as xr

from nowcastlib.data import Place, grid, pixel_of, place
from nowcastlib.display import coastlines
from nowcastlib.display.player.levels import STEPS, VALUES
from nowcastlib.display.player.packing import pack
from nowcastlib.display.player.scene import Control, Legend, Map, Panel, Rain
from nowcastlib.display.rain_scale import COLOURS, DRY, FORECASTER_COLOURS, LEVELS, UNKNOWN

OBSERVED_COLOUR = "#222222"  # of the first line in the chart
LINE_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")  # of others

# Colours of the 256 levels.
PALETTE = [DRY, *np.repeat(COLOURS, STEPS).tolist()]
PALETTE += [UNKNOWN] * (256 - len(PALETTE))
LEVEL_VALUES = VALUES.round(3).tolist()  # mm/h

RAIN_LEGEND = Legend(
    "rain rate (mm/h)",
    bar=[(colour, f"{edge:g}") for colour, edge in zip(COLOURS, LEVELS, strict=True)],
    swatches=[(DRY, "dry"), (UNKNOWN, "not known")],
)

OUTLINE_LEGEND = Legend("black outline: observed rain above the threshold", view=1)

THRESHOLDS = LEVELS[:-1]  # mm/h
FIRST_THRESHOLD = LEVELS.index(1)
THRESHOLD = Control("threshold", "rain above", [f"{rate:g} mm/h" for rate in THRESHOLDS], "t")


@dataclass(frozen=True)
class Film:
    """Levels (time, y, x) of an observation or a forecast, and those of its quantiles."""

    title: str
    levels: np.ndarray
    quantiles: Sequence[np.ndarray] = ()


def rain_panels(films: Sequence[Film]) -> tuple[list[Panel], list[bytes]]:
    """Return one panel per film, and the sequences that are sent for them.

    The first film is the observation. A film may lack its first frames: the browser takes them
    from the observation. Forecasters keep the colours that they have in plots.
    """
    sequences = [pack(film.levels) for film in films]
    colours = [OBSERVED_COLOUR, *line_colours([film.title for film in films[1:]])]
    panels = []
    for k, (film, colour) in enumerate(zip(films, colours, strict=True)):
        numbers = range(len(sequences), len(sequences) + len(film.quantiles))
        sequences += [pack(levels) for levels in film.quantiles]
        panels.append(Panel(film.title, [k], PALETTE, colour, list(numbers)))
    return panels, sequences


def rain_meaning(errors: Sequence[float] = ()) -> Rain:
    """Return what the levels mean; ``errors`` are edges of classes of errors in mm/h."""
    thresholds = [(rate, STEPS * k) for k, rate in enumerate(THRESHOLDS)]
    return Rain(LEVEL_VALUES, thresholds, list(errors))


def map_of(frames: xr.DataArray, places: Sequence[Place] = ()) -> Map:
    """Return where frames (…, y, x) lie on the Earth, and the places to mark on them."""
    degrees = place.degrees(frames)
    size = grid.pixel_size(frames)
    return Map(
        borders=[line.round(1).ravel().tolist() for line in coastlines.lines(frames)],
        degrees=[] if degrees is None else degrees.round(4).tolist(),
        pixel_km=size.x if size else 0.0,
        places=[(each.label, *np.round(pixel_of(frames, each), 1)) for each in places],
    )


def line_colours(names: Sequence[str]) -> list[str]:
    """Colours of forecasters in the chart: a forecaster's own, else one that no other has."""
    own = [FORECASTER_COLOURS[name] for name in names if name in FORECASTER_COLOURS]
    free = cycle(colour for colour in LINE_COLOURS if colour not in own)
    return [FORECASTER_COLOURS.get(name) or next(free) for name in names]
