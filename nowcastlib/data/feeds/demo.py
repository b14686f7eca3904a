"""Synthetic rain from a radar that does not exist: the feed that needs no network and no files."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import storms
from nowcastlib.data.feeds.protocol import Feed, TimeLike
from nowcastlib.data.grid import frame
from nowcastlib.data.storm_kinds import draw
from nowcastlib.data.times import within

FIRST_TIME = pd.Timestamp("2024-06-01T12:00")  # of the first storm, UTC
STEP = 5  # minutes between frames
DAY = 1440  # minutes
KINDS_IN_ORDER = (
    "squall line",
    "convective day",
    "widespread rain with cells",
    "showers in streets",
)


@dataclass(frozen=True)
class Demo(Feed):
    """Synthetic storms, one a day from 2024-06-01 12:00 UTC, with a frame every 5 minutes.

    Squall lines, convective days, widespread rain with embedded cells and showers in streets take
    turns.

    As with a real radar, some frames are missing: every third storm has a hole of 10 to 40 minutes,
    and every third day has no frame at all.

    Parameters
    ----------
    events
        Number of storms.
    frames
        Frames in each storm.
    size
        Height and width of a frame in pixels of 1 km.
    seed
        Seed of the random numbers; each seed gives other storms.
    attribution, licence
        Who made the data, and the licence under which others may use them.
    """

    events: int = 6
    frames: int = 36
    size: int = 128
    seed: int = 0
    attribution: str = "synthetic rain (nowcastlib)"
    licence: str = "CC0 1.0"

    @property
    def is_local(self) -> bool:
        """True: no server is asked."""
        return True

    @property
    def source(self) -> str:
        """The feed's name and seed, which decides the storms."""
        return f"demo seed {self.seed}"

    def storm(self, event: int) -> storms.Storm:
        """Draw the parameters of a storm, among them its motion.

        Parameters
        ----------
        event
            Number of the storm, from 0.

        Returns
        -------
        Storm
            The storm, of the kinds in turn. It moves by 1 to 3 px per frame, in any direction.
        """
        kind = KINDS_IN_ORDER[event % len(KINDS_IN_ORDER)]
        return draw(kind, np.random.default_rng([self.seed, event]), self.size)

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the frames in [start, end).

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC), `event` and `number` of the frame within the event.
        """
        rows = pd.MultiIndex.from_product(
            [range(self.events), range(self.frames)], names=["event", "number"]
        )
        table = rows.to_frame(index=False)

        # two days with a storm, then a day without
        day = table.event + table.event // 2
        minutes = day * DAY + table.number * STEP
        table.insert(0, "time", FIRST_TIME + pd.to_timedelta(minutes, unit="min"))

        # a hole a third of the way through every third storm
        missing = np.random.default_rng([self.seed, 3]).integers(1, 8, size=self.events)
        since_hole = table.number - (self.frames // 3 + 1)
        in_hole = (table.event % 3 == 2) & since_hole.between(0, missing[table.event] - 1)

        return table[~in_hole & within(table.time, start, end)].reset_index(drop=True)

    def read(self, row: Any) -> xr.DataArray:
        """Read one frame.

        Parameters
        ----------
        row
            A row of `list`, as `itertuples` gives it.

        Returns
        -------
        xarray.DataArray
            (y, x) in mm/h.
        """
        rain = _rain(self.storm(row.event), self.frames)
        metres = (np.arange(self.size) - (self.size - 1) / 2) * 1000.0
        return frame(rain[row.number], metres, -metres)


@lru_cache(maxsize=2)
def _rain(storm: storms.Storm, frames: int) -> np.ndarray:
    """All frames of a storm, (time, y, x) in mm/h."""
    return storms.rain(storm, frames)
