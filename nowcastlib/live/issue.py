"""A forecast that is issued, and what the page says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import grid, time_step
from nowcastlib.forecasting import PlaceForecast, outlook_report
from nowcastlib.live.fetching import MINUTE, missing_text
from nowcastlib.units import DRY, exceeds

WET = 0.5  # mm/h; rain above it is counted in the table


@dataclass(frozen=True)
class Issue:
    """Forecasts that start from the same frames."""

    frames: xr.DataArray  # (time, y, x) in mm/h, all complete frames
    past: xr.DataArray  # (time, y, x), those that the forecasts start from
    forecasts: Mapping[str, xr.DataArray]  # (lead_time, y, x) by name
    origin: str  # radar or feed
    written: pd.Timestamp  # when the page is written, UTC
    as_if: pd.Timestamp | None = None  # a look back: the time that it takes for now, UTC
    missing: list[pd.Timestamp] = field(default_factory=list)  # frames before or after its time
    at_places: Mapping[str, list[PlaceForecast]] = field(default_factory=dict)  # by name

    @property
    def time(self) -> pd.Timestamp:
        """Time of the newest frame that is used, UTC."""
        return pd.Timestamp(self.past.time.values[-1])

    @property
    def limit(self) -> float:
        """Age in minutes from which the forecast is too old to be used."""
        return max(30, 3 * time_step(self.past))

    @property
    def note(self) -> str:
        """Which frames are missing, among those used or newer; empty if none is."""
        if not self.missing:
            return ""
        return f"{missing_text(self.missing)}: forecast from {self.time:%H:%M} UTC."

    @property
    def warning(self) -> str:
        """That the forecast is too old; empty if it is not."""
        age = int(((self.as_if or self.written) - self.time) / MINUTE)
        return f"Issued {_age_text(age)} ago: do not use." if age > self.limit else ""

    @property
    def report(self) -> dict:
        """The outlook of the places for JSON; see ``forecasting.outlook_report``."""
        return outlook_report(self.at_places) | {"warning": self.warning, "note": self.note}

    @property
    def resolution(self) -> str:
        """Size and resolution."""
        height, width = self.past.shape[1:]
        size, step = grid.pixel_size(self.past), time_step(self.past)
        pixel = f"{size.mean:.3g} km" if size else "unknown size"
        return f"{height} × {width} px of {pixel}, every {step:g} minutes"

    @property
    def outlook(self) -> str:
        """What is observed now, or that no rain is in sight, in one sentence."""
        now = self.past.values[-1]
        first = next(iter(self.forecasts.values()))
        end = pd.Timestamp(first.valid_time.values[-1])
        fields = (now, *(rate.values for rate in self.forecasts.values()))
        if not any(exceeds(rate, DRY).any() for rate in fields):
            return (
                f"No rain in sight: none observed at {self.time:%H:%M}, "
                f"none forecast until {end:%H:%M} UTC."
            )
        share, largest = share_and_largest(now)
        return (
            f"Observed at {self.time:%H:%M} UTC: rain above {WET:g} mm/h on {share} of the "
            f"observed area, at most {largest} mm/h."
        )


@dataclass(frozen=True)
class TableRow:
    """Rain at one lead time."""

    lead: str  # minutes
    valid: str  # UTC
    cells: list[str]  # for each forecast: share of the area with rain, largest rain rate


def table_rows(forecasts: Mapping[str, xr.DataArray]) -> list[TableRow]:
    """Rows of the table: lead time, valid time, and two cells for each forecast.

    The cells of an ensemble are those of the mean of its members.
    """
    first = next(iter(forecasts.values()))
    rows = []
    for k in range(first.sizes["lead_time"]):
        cells: list[str] = []
        for rate in forecasts.values():
            mean = rate.mean("member") if "member" in rate.dims else rate
            cells += share_and_largest(mean.isel(lead_time=k).values)
        valid = pd.Timestamp(first.valid_time.values[k])
        rows.append(TableRow(f"+{first.lead_time.values[k]:g}", f"{valid:%H:%M}", cells))
    return rows


def share_and_largest(rate: np.ndarray) -> tuple[str, str]:
    """Share of the known pixels with rain above WET, and the largest rain rate, as text."""
    known = rate[np.isfinite(rate)]
    if not known.size:
        return "–", "–"
    return f"{exceeds(known, WET).mean():.1%}", f"{known.max():.1f}"


def _age_text(minutes: int) -> str:
    """An age in words; the script of the page writes the same."""
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} days"
