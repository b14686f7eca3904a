"""The embedded feed: synthetic rain from a radar that does not exist, with no network and no files."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import xarray as xr

from .. import synthetic
from . import frame, within


@dataclass(frozen=True)
class Demo:
    """Synthetic storms, one a day from 2024-06-01 noon UTC, a frame each 5 minutes; no two storms are alike.

    As with a real radar a frame is missing now and then: every third storm has a hole of 15 minutes.
    """

    events: int = 6  # storms
    frames: int = 36  # frames of each storm
    size: int = 128  # px, which are km
    seed: int = 0
    attribution: str = "synthetic rain (nowcastlib)"

    def storm(self, event: int) -> synthetic.Storm:
        """The numbers behind an event, its motion among them."""
        rng = np.random.default_rng([self.seed, event])
        speed, towards = rng.uniform(1, 4), rng.uniform(0, 2 * np.pi)
        return synthetic.Storm(
            seed=int(rng.integers(2**31)),
            size=self.size,
            velocity=(speed * np.cos(towards), speed * np.sin(towards)),
            rotation=rng.uniform(-0.01, 0.01),
            wet_fraction=rng.uniform(0.12, 0.35),
            intensity=rng.uniform(2.0, 3.2),
            slope=rng.uniform(2.4, 3.0),
            stretch=rng.uniform(1.0, 2.5),
            orientation=rng.uniform(0, np.pi),
        )

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of frames: ``time`` (UTC), ``event`` and ``number`` within it."""
        rows = pd.MultiIndex.from_product([range(self.events), range(self.frames)], names=["event", "number"])
        table = rows.to_frame(index=False)
        noon = pd.Timestamp("2024-06-01T12:00")
        table.insert(0, "time", noon + pd.to_timedelta(table.event * 1440 + table.number * 5, unit="min"))
        hole = (table.event % 3 == 2) & table.number.between(self.frames // 3, self.frames // 3 + 1)
        return table[~hole & within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One frame, (y, x) in mm/h."""
        km = (np.arange(self.size) - (self.size - 1) / 2) * 1000.0
        return frame(_event(self.storm(row.event), self.frames)[row.number], km, -km)


@lru_cache(maxsize=2)
def _event(storm: synthetic.Storm, frames: int) -> np.ndarray:
    return synthetic.rain(storm, frames)
