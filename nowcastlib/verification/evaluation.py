"""Evaluation: several forecasters on the same cases, each case counted separately."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data import (
    centre,
    check_same_grid,
    checked_frames,
    mark_complete,
    nearest_frames,
    pixel_size,
    time_step,
)
from nowcastlib.devices import GPUS
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import Forecaster, Network, Rescaled, at_trained_scale
from nowcastlib.units import exceeds
from nowcastlib.verification.case_sums import Counting, Sums, counted
from nowcastlib.verification.case_times import count_missing, event_starts, issue_times
from nowcastlib.verification.counts import SCALES, check_thresholds

PIXELS_AT_ONCE = 2**20  # on a GPU: 16 cases of 256 × 256 px

log = logging.getLogger("nowcastlib")


@dataclass(frozen=True)
class EvaluationOptions:
    """Protocol of an evaluation: which forecasts are made, and which pixels are compared.

    Raises
    ------
    NowcastError
        If a number is too small, or a threshold is below ``DRY``.
    """

    leads: int = 12  # steps to forecast
    thresholds: Sequence[float] = (0.5, 2.0, 5.0)  # mm/h; an event is a higher rain rate
    size: int = 256  # px; forecasts are made from the central square of this side; 0: whole grid
    margin: int = 0  # px along the edge of that square that are not scored
    every: int = 1  # use every N-th possible case
    common: bool = False  # score only pixels for which every forecaster has a forecast
    # px; compare the highest rates in squares of this side, as in the SEVIR benchmark: a near miss
    # counts as a hit; 1: compare pixels
    pool: int = 1
    scales: Sequence[int] = SCALES  # px; window sides of the fractions skill score
    # cases that a network forecasts at once; 0: several on a GPU, the more the smaller the grid
    batch: int = 0
    # add the sums of the cases of an event: less memory, and intervals over the events
    by_event: bool = False
    # folder in which the sums of each case are kept: an interrupted evaluation carries on there
    counts: Path | None = None

    def __post_init__(self):
        smallest = {"leads": 1, "every": 1, "pool": 1, "size": 0, "margin": 0, "batch": 0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise NowcastError(f"{name} is {getattr(self, name)}: it must be {least} or more")
        if not self.scales:
            raise NowcastError("scales is empty: name at least one window side, in px")
        check_thresholds(self.thresholds)


def observed_at(predicted: xr.DataArray, frames: xr.DataArray) -> np.ndarray:
    """Observations at the valid times of a forecast.

    Parameters
    ----------
    predicted : xr.DataArray
        Forecast (lead_time, y, x) with ``valid_time``; an ensemble works as well.
    frames : xr.DataArray
        Observed rain rate (time, y, x) in mm/h.

    Returns
    -------
    np.ndarray
        Observed rain rate (lead_time, y, x) in mm/h.

    Raises
    ------
    NowcastError
        If the frames lie on another grid, or none has been observed at one of the times.
    """
    check_same_grid(predicted, frames)
    valid = pd.DatetimeIndex(predicted.valid_time.values)
    numbers = nearest_frames(frames.indexes["time"], valid)
    missing = valid[numbers < 0]
    if len(missing):
        raise NowcastError(f"the forecast for {missing[0]} cannot be verified: there is no frame")
    return frames.isel(time=numbers).values


def evaluate(
    frames: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    options: EvaluationOptions | None = None,
    progress: bool = True,
    client: Any = None,
) -> xr.Dataset:
    """Compare forecasters with what was observed, on the same cases.

    Parameters
    ----------
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h, of ``open_frames`` or of your own; checked as for
        ``forecast``.
    forecasters : Mapping[str, Forecaster]
        The forecasters by their names.
    options : EvaluationOptions | None
        The protocol; None for the defaults of ``EvaluationOptions``.
    progress : bool
        Whether to show a progress bar.
    client : distributed.Client | None
        Its workers make and compare the forecasts, a case each, one at a time in each process, and
        give back the sums. They need the frames of ``open_frames`` and the files below them.

    Returns
    -------
    xr.Dataset
        The sums of ``count``, for ``scores``, with the dimensions forecaster, case, lead_time, ….
        ``lead_time`` is in minutes. Lead time 0 is the last observation, compared with itself. Each
        case has the time at which it was ``issued`` and its ``event``, the time of the first frame
        of that event. The attributes ``incomplete_frames``, ``cases_left_out`` because of
        incomplete or absent frames and ``cases_with_missing_frames`` count what is missing;
        ``cases`` counts the cases, also where ``by_event`` adds those of an event.

    Raises
    ------
    NowcastError
        If there is no complete case, no rain above the lowest threshold, or if the folder of
        ``options.counts`` holds the sums of another evaluation.
    """
    options = options or EvaluationOptions()
    frames = checked_frames(frames)
    frames = centre(frames, options.size) if options.size else frames
    frames = mark_complete(frames, client)
    forecasters = {name: at_trained_scale(r, frames, name) for name, r in forecasters.items()}
    n_in = {run.n_in for run in forecasters.values()}
    times = all_times = issue_times(frames, n_in, options.leads, options.every)
    _check_frames(frames, times, options)

    counting = Counting(
        frames, forecasters, options, options.pool * _pixel_km(frames), time_step(frames)
    )
    batch = options.batch or suitable_batch(forecasters.values(), frames)
    batches = [times[first : first + batch] for first in range(0, len(times), batch)]
    cases = counted(counting, batches, client)
    total = len(times) * len(forecasters)
    with tqdm(total=total, unit="forecast", disable=not progress) as bar, closing(cases):
        parts = _collected(cases, event_starts(frames, times), options.by_event, bar)

    if options.by_event:
        times = times[~pd.Index(event_starts(frames, times)).duplicated()]
    joined = _joined(parts, frames, times, options.leads)
    missing = count_missing(frames, n_in, all_times, options.leads, options.every)
    return joined.assign_attrs(missing | {"cases": len(all_times)})


def _collected(
    cases: Iterable[Sums], events: pd.DatetimeIndex, by_event: bool, bar: tqdm
) -> dict[str, list[xr.Dataset]]:
    """The sums of each case, or with ``by_event`` of each event, by the forecaster's name."""
    parts: dict[str, list[xr.Dataset]] = {}
    before = None
    for event, case in zip(events, cases, strict=True):
        for name, sums in case.items():
            of_forecaster = parts.setdefault(name, [])
            if by_event and event == before:
                of_forecaster[-1] = of_forecaster[-1] + sums
            else:
                of_forecaster.append(sums)
        before = event
        bar.update(len(case))
    return parts


def suitable_batch(forecasters: Iterable[Forecaster], frames: xr.DataArray) -> int:
    """Number of cases to forecast at once: one on a CPU, which is then as fast."""
    devices = [run.device.type for run in forecasters if isinstance(run, Network | Rescaled)]
    if not any(device in GPUS for device in devices):
        return 1
    return max(1, PIXELS_AT_ONCE // (frames.sizes["y"] * frames.sizes["x"]))


def _pixel_km(frames: xr.DataArray) -> float:
    """Side of a pixel in km; 1 with a warning if it is unknown."""
    if size := pixel_size(frames):
        return size.mean
    log.warning("the size of a pixel is not known: wavelengths are in px instead of km")
    return 1.0


def _check_frames(
    frames: xr.DataArray, times: pd.DatetimeIndex, options: EvaluationOptions
) -> None:
    """NowcastError if the margin leaves no pixel, or if there is no rain to score."""
    if 2 * options.margin >= min(frames.shape[1:]):
        raise NowcastError(
            f"a margin of {options.margin} px leaves no pixel of frames of "
            f"{frames.sizes['y']}×{frames.sizes['x']} px: lower it"
        )
    lowest = min(options.thresholds)
    last = times[-1] + pd.Timedelta(minutes=time_step(frames) * options.leads)
    used = frames.sel(time=slice(times[0], last))
    if not any(exceeds(frame.values, lowest).any() for frame in used):
        raise NowcastError(
            f"no rain above {lowest} mm/h in these frames: there is nothing to score"
        )


def _joined(
    counts: Mapping[str, list[xr.Dataset]],
    frames: xr.DataArray,
    times: pd.DatetimeIndex,
    leads: int,
) -> xr.Dataset:
    """One dataset of all forecasters and cases, with lead times (minutes), times and events."""
    cases = [xr.concat(parts, "case", join="outer") for parts in counts.values()]
    names = xr.DataArray(list(counts), dims="forecaster", name="forecaster")
    joined = xr.concat(cases, names, join="outer").rename(lead="lead_time")

    minutes = time_step(frames) * np.arange(leads + 1)
    joined = joined.assign_coords(
        lead_time=("lead_time", minutes, {"units": "minutes"}),
        issued=("case", times),
        event=("case", event_starts(frames, times)),
    )
    return joined.transpose("forecaster", "case", "lead_time", ...)
