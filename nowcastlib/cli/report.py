"""What ``nowcast evaluate`` prints and writes: a summary for the eye, a report as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import MAX_MISSING, MIN_OBSERVED, pixel_size, time_step
from nowcastlib.files import write_atomically
from nowcastlib.units import DRY
from nowcastlib.verification import (
    COUNTS,
    effective_resolution,
    interval,
    mean_csi,
    score,
    table,
)

if TYPE_CHECKING:
    from nowcastlib.cli.evaluate import Evaluate

TITLE = "CSI pooled over cases, averaged over leads, by threshold in mm/h"
INTERVAL = " (in brackets the 90 % interval of a bootstrap over the {})"
MISSING = ("incomplete_frames", "cases_left_out", "cases_with_missing_frames")
MANY = 10  # cases from which an interval is shown without a warning


def summary(counts: xr.Dataset, frames: xr.DataArray, options: "Evaluate") -> str:
    """What the terminal shows: the extent of the evaluation, its scores, and how to read them."""
    lines = [_extent(counts, frames, options), _scores(counts, options.by_event)]
    lines.append(_unknown(options.common))
    lines.append(_missing(counts))
    return "\n".join(filter(None, [*lines, _few_cases(counts.attrs["cases"])]))


def _extent(counts: xr.Dataset, frames: xr.DataArray, options: "Evaluate") -> str:
    """Number of cases, events and leads, and which pixels were scored."""
    rows, columns = frames.sizes["y"], frames.sizes["x"]
    area = "whole grid, "
    if 0 < options.size < max(rows, columns):
        rows, columns = min(rows, options.size), min(columns, options.size)
        area = "central "
    if options.margin:
        rows, columns = rows - 2 * options.margin, columns - 2 * options.margin
        area = f"inside a margin of {options.margin} px: "

    parts = [
        _number(counts.attrs["cases"], "case"),
        _number(len(np.unique(counts.event)), "event"),
        f"{area}{rows} × {columns} px",
        _number(counts.sizes["lead_time"] - 1, "lead"),  # lead time 0 is the observation
    ]
    return ", ".join(parts)


def _number(n: int, name: str) -> str:
    return f"{n} {name}" if n == 1 else f"{n} {name}s"


def _unknown(common: bool) -> str:
    """How pixels without a forecast are counted."""
    if common:
        return "Only pixels that every forecaster has a forecast for are scored."
    return (
        "Pixels without a forecast count as dry. Networks fill all observed pixels; the other "
        "methods lose the edge where rain comes in, which lowers their scores (compare with "
        "--common)."
    )


def _missing(counts: xr.Dataset) -> str:
    """How many frames are missing, and what that means for the cases; empty if none is."""
    if not any(counts.attrs[name] for name in MISSING):
        return ""
    return (
        f"{_number(counts.attrs['incomplete_frames'], 'frame')} incomplete (less than "
        f"{MIN_OBSERVED:.0%} of the usual pixels observed). Because of these and of times "
        f"without a frame {_number(counts.attrs['cases_left_out'], 'case')} left out; "
        f"{counts.attrs['cases_with_missing_frames']} of the cases above have a missing frame."
    )


def _few_cases(cases: int) -> str:
    """A warning if there are too few cases to compare forecasters."""
    if cases >= MANY:
        return ""
    number = "One case" if cases == 1 else f"Only {cases} cases"
    return f"{number}: other rain may give another order of the forecasters."


def _scores(counts: xr.Dataset, by_event: bool) -> str:
    """The mean CSI and, from two cases on, its interval: a row for each forecaster."""
    has_interval = counts.sizes["case"] > 1
    csi, bounds = mean_csi(counts.sum("case")), interval(counts[[*COUNTS]])
    low, high = bounds.sel(bound="low"), bounds.sel(bound="high")

    rows = {}
    for name in counts.forecaster.values:
        cells = zip(
            *(values.sel(forecaster=name).values for values in (csi, low, high)), strict=True
        )
        rows[name] = [
            f"{mean:.3f} ({low:.2f}–{high:.2f})" if has_interval else f"{mean:.3f}"
            for mean, low, high in cells
        ]
    columns = [float(threshold) for threshold in counts.threshold.values]
    resampled = "events" if by_event else "cases"
    title = TITLE + (INTERVAL.format(resampled) if has_interval else "")
    return f"{title}\n{pd.DataFrame.from_dict(rows, 'index', columns=columns)}"


def full(counts: xr.Dataset, protocol: dict, common: bool) -> dict:
    """The whole report: protocol, mean CSI with intervals and by event, resolution, scores, FSS."""
    pooled = counts.sum("case")
    events = counts.groupby("event").sum()
    by_event = {
        f"{pd.Timestamp(event):%Y-%m-%d %H:%M}": by_threshold(mean_csi(events.sel(event=event)))
        for event in events.event.values
    }
    report = {
        "protocol": protocol,
        "mean_csi": by_threshold(mean_csi(pooled)),
        "mean_csi_interval": by_threshold(interval(counts[[*COUNTS]])),
        "mean_csi_by_event": by_event,
    }

    # a mask of common pixels has sharp edges, whose fine detail nobody has forecast
    if not common and protocol["pixel_km"]:
        resolution = effective_resolution(pooled).to_pandas().T
        report["effective_resolution_km"] = resolution.to_dict("list")

    fss = score(pooled, "fss").to_dataframe().reset_index()
    return report | {"scores": table(counts).to_dict("records"), "fss": fss.to_dict("records")}


def protocol(frames: xr.DataArray, counts: xr.Dataset, options: "Evaluate") -> dict:
    """How the scores were computed: the data, the cases, and a definition of each term."""
    size = pixel_size(frames)
    unit = "events" if options.by_event else "cases"
    unknown = "nor is NaN in any forecast" if options.common else "NaN in a forecast counts as dry"
    return {
        "data": str(options.data),
        "source": frames.attrs["source"],
        "cases": counts.attrs["cases"],
        "events": len(np.unique(counts.event)),
        "step_minutes": time_step(frames),
        "pixel_km": round(size.mean, 4) if size else None,
        "size": options.size,
        "margin": options.margin,
        "event": "rain rate > threshold (mm/h)",
        "dry": f"rates up to {DRY:g} mm/h count as 0 in forecast and observation",
        "csi": "hits / (hits + misses + false alarms), pooled over cases; "
        "mean_csi: averaged over lead times > 0",
        "csi_averaged": f"mean of the CSI of the csi_defined {unit} in which it is defined",
        "interval": "90 % interval of 1,000 bootstrap samples of the "
        + (unit if options.by_event else f"{unit}; cases are not independent"),
        "unknown": f"NaN in the observation is not scored; {unknown}",
        "missing": f"a frame that shows less than {MIN_OBSERVED} of the usual pixels is missing; "
        "in a case, the first and the last frame of input and of verification are there, and at "
        f"most {MAX_MISSING:.2f} of each is missing",
        **{name: counts.attrs[name] for name in MISSING},
        "undefined": "null",
        "fss": "fractions skill score, windows of scale px, outside the domain is dry",
        "effective_resolution_km": "wavelength below which the forecast has less than half of the "
        "observed power, by lead time",
        "ensemble": "scores use the mean of the members; crps and brier use the members",
    }


def write(path: Path, report: dict) -> None:
    """Write a report as JSON, all or nothing."""
    write_atomically(path, json.dumps(plain(report), indent=1).encode())


def by_threshold(values: xr.DataArray) -> dict[str, dict[str, Any]]:
    """Values (forecaster, threshold, …) as {forecaster: {threshold: number or list}}."""
    return {
        str(name): {
            str(threshold): values.sel(forecaster=name, threshold=threshold).values.tolist()
            for threshold in values.threshold.values
        }
        for name in values.forecaster.values
    }


def plain(value: Any) -> Any:
    """The same value for JSON: NumPy numbers as Python numbers, NaN as None, keys as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
