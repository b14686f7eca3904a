"""Nowcasts: frames up to a time → the rain of the next hour, with its valid times."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import (
    COLOUR,
    NEIGHBOURS,
    RAIN_RATE,
    are_colours,
    checked_frames,
    frames_at,
    has_enough,
    mark_last,
    nearest_frames,
    on_own_grid,
    pixel_size,
    time_text,
    usual_step,
    utc,
)
from nowcastlib.errors import NowcastError
from nowcastlib.files import written_folder
from nowcastlib.forecasting.colours import ColourNetwork, forecast_colours
from nowcastlib.forecasting.forecasters import Forecaster
from nowcastlib.forecasting.network import Network
from nowcastlib.forecasting.rescaling import Rescaled, at_trained_scale

USUAL_STEP = pd.Timedelta(minutes=5)  # time step of a store that holds a single frame


def observed_until(
    frames: xr.DataArray, at: str | datetime | np.datetime64 | None, n: int
) -> xr.DataArray:
    """The last ``n`` frames up to a time, at the time step of the store.

    No frame after that time is read, and few before it.

    Parameters
    ----------
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h.
    at : str | datetime | np.datetime64 | None
        Time of the last frame, UTC; None for the last complete frame of the store.
    n : int
        Number of frames.

    Returns
    -------
    xr.DataArray
        Rain rate (time, y, x) in mm/h, ``n`` frames, NaN where one is missing; ``is_complete``
        (time) tells which are complete. Each may be off its time by a third of a step and at most
        half a minute.

    Raises
    ------
    NowcastError
        If too many of the frames are missing or incomplete: see ``data.has_enough``.
    """
    available, step = frames.indexes["time"], step_of(frames)
    wanted = _last_complete_time(frames) if at is None else utc(at)

    # count back from the frame itself, which may be some seconds off
    newest = nearest_frames(available, pd.DatetimeIndex([wanted]), step)[0]
    last = available[newest] if newest >= 0 else wanted
    times = pd.DatetimeIndex([last - k * step for k in range(n - 1, -1, -1)])

    end = available.searchsorted(last, "right")
    begin = available.searchsorted(times[0] - step)
    recent = mark_last(frames, max(end - begin, 1), max(end, 1))
    observed = frames_at(recent, times, step)
    if not has_enough(observed.is_complete.values):
        raise _not_enough(frames, observed, step)
    return observed


def _last_complete_time(frames: xr.DataArray) -> pd.Timestamp:
    """Time of the last complete frame, if one of the last dozen is; else of the last frame."""
    last = mark_last(frames, 1)
    if not last.is_complete.item():
        last = mark_last(frames, NEIGHBOURS)
        last = last[last.is_complete.values] if last.is_complete.any() else last
    return last.indexes["time"][-1]


def _not_enough(frames: xr.DataArray, observed: xr.DataArray, step: pd.Timedelta) -> NowcastError:
    """The error about ``observed`` frames (time, y, x) of which too many are missing."""
    available, times = frames.indexes["time"], observed.indexes["time"]
    missing = times[~observed.is_complete.values]
    if missing[0] in available:
        share = float(np.isfinite(observed.sel(time=missing[0]).values).mean())
        what = f"the one at {time_text(missing[0])} shows only {share:.0%} of its pixels"
    else:
        what = f"there is none at {time_text(missing[0])}"

    n, minutes = len(times), step / pd.Timedelta(minutes=1)
    possible = _nearest_possible(available.difference(missing), times[-1], step, n)
    return NowcastError(
        f"a forecast at {time_text(times[-1])} needs {n} frames, {minutes:g} minutes apart, but "
        f"{what} (the store holds {time_text(available[0])} to {time_text(available[-1])}): "
        f"{possible}"
    )


def step_of(frames: xr.DataArray) -> pd.Timedelta:
    """Time between frames (time, …); USUAL_STEP for a single frame."""
    available = frames.indexes["time"]
    return usual_step(available) if len(available) > 1 else USUAL_STEP


def _nearest_possible(
    available: pd.DatetimeIndex, wanted: pd.Timestamp, step: pd.Timedelta, n: int
) -> str:
    """The time nearest to the one wanted that has enough of ``n`` frames, in words."""
    there = [nearest_frames(available, available - k * step, step) >= 0 for k in range(n)]
    possible = available[has_enough(np.stack(there))]
    if possible.empty:
        return "no time in it has enough frames"
    if wanted < possible[0]:
        return f"the first possible time is {time_text(possible[0])}"
    nearest = possible[possible.get_indexer([wanted], method="nearest")[0]]
    return f"the nearest possible time is {time_text(nearest)}"


def forecast(
    run: Forecaster,
    frames: xr.DataArray,
    at: str | datetime | np.datetime64 | None = None,
    leads: int = 12,
) -> xr.DataArray:
    """Forecast of the steps after a time. It uses no frame after that time.

    Frames of other pixels or time steps than a network was trained at are brought to its scale and
    the forecast is brought back; the attribute ``nowcast_scale`` says so. See ``at_trained_scale``.

    Parameters
    ----------
    run : Forecaster
        The forecaster, see ``forecaster``.
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h, of ``open_frames`` or of your own. Your own is checked as a
        store is: see ``data.checked_frames``.
    at : str | datetime | np.datetime64 | None
        Time of the last frame to use, UTC; None for the last complete frame of the store.
    leads : int
        Number of steps to forecast.

    Returns
    -------
    xr.DataArray
        Rain rate (lead_time, y, x) in mm/h; an ensemble has (member, lead_time, y, x). Rows and
        columns have the direction and the coordinates of ``frames``.
        ``lead_time`` is in minutes, ``valid_time`` (UTC) is the time that each field is a forecast
        for, ``issued`` (UTC) the time of the last frame used. The attribute ``missing_frames``
        names frames before it that are missing or incomplete; it is there only if some are.
        Networks for colours: see ``forecast_colours``.

    Raises
    ------
    NowcastError
        If too many of the frames that the forecaster needs are missing (see ``data.has_enough``),
        or if the check refuses the frames.
    """
    if isinstance(run, ColourNetwork):
        return forecast_colours(run, frames, at, leads)
    return forecasts(run, frames, [at], leads)[0]


def forecasts(
    run: Forecaster,
    frames: xr.DataArray,
    times: Sequence[str | datetime | np.datetime64 | None],
    leads: int = 12,
) -> list[xr.DataArray]:
    """Forecasts after several times; a network makes them at once. See ``forecast``.

    Parameters
    ----------
    run : Forecaster
        The forecaster, see ``forecaster``.
    frames : xr.DataArray
        Rain rate (time, y, x) in mm/h.
    times : sequence of str, datetime, np.datetime64 or None
        Times of the last frames to use, UTC.
    leads : int
        Number of steps to forecast.

    Returns
    -------
    list of xr.DataArray
        Rain rate (lead_time, y, x) in mm/h for each time; of an ensemble
        (member, lead_time, y, x).

    Raises
    ------
    NowcastError
        As ``forecast``.
    """
    if leads < 1:
        raise NowcastError(f"a forecast needs leads, not {leads}: ask for at least 1")
    if are_colours(frames):
        raise NowcastError(
            "this forecaster is for rain, and these frames are colours: train a network on them "
            "with --config.channels 3"
        )
    given, frames = frames, checked_frames(frames)
    run = at_trained_scale(run, frames)
    cases = [observed_until(frames, at, run.n_in) for at in times]

    if isinstance(run, Network | Rescaled) and len(cases) > 1:
        rates = list(run.of_cases(np.stack([case.values.astype("f8") for case in cases]), leads))
    else:
        rates = [run(case.values.astype("f8"), leads) for case in cases]

    step = step_of(frames)
    predicted = [
        as_forecast(rate, case, step, run) for rate, case in zip(rates, cases, strict=True)
    ]
    return predicted if given is frames else [on_own_grid(each, given) for each in predicted]


def as_forecast(
    rate: np.ndarray, observed: xr.DataArray, step: pd.Timedelta, run: Forecaster
) -> xr.DataArray:
    """Rain rate (…, lead_time, y, x) in mm/h with its times, its grid and its origin."""
    steps = pd.TimedeltaIndex(step * np.arange(1, rate.shape[-3] + 1))
    return xr.DataArray(
        rate.astype("f4"),
        coords=_times(observed, steps) | {"y": observed.y, "x": observed.x},
        dims=("member", "lead_time", "y", "x")[-rate.ndim :],
        name="rainfall_rate",
        attrs=_attributes(observed) | _scale_attribute(run),
    )


def _times(observed: xr.DataArray, leads: pd.TimedeltaIndex) -> dict:
    """Coordinates of a forecast: lead times (minutes), valid times and the time of issue (UTC)."""
    issued = pd.Timestamp(observed.time.values[-1])
    lead_time = leads / pd.Timedelta(minutes=1)
    lead_attributes = {"units": "minutes", "standard_name": "forecast_period"}
    return {
        "lead_time": ("lead_time", lead_time, lead_attributes),
        "valid_time": ("lead_time", issued + leads, {"standard_name": "time"}),
        "issued": ((), issued, {"standard_name": "forecast_reference_time"}),
    }


def _attributes(observed: xr.DataArray) -> dict:
    """Units of a forecast, origin and licence of the frames, and, if known, the pixel's size."""
    size = pixel_size(observed)
    origin = {name: observed.attrs.get(name, "") for name in ("source", "license")}
    if "comment" in observed.attrs:
        origin["comment"] = observed.attrs["comment"]
    missing = observed.indexes["time"][~observed.is_complete.values]
    if len(missing):
        origin["missing_frames"] = ", ".join(time_text(time) for time in missing)
    return RAIN_RATE | origin | ({"pixel_km": size.mean} if size else {})


def _scale_attribute(run: Forecaster) -> dict:
    """How the frames were brought to the scale of a network, or why they were not, in words."""
    return {"nowcast_scale": run.description} if isinstance(run, Rescaled) else {}


def save(predicted: xr.DataArray, out: str | Path) -> None:
    """Save a forecast as a CF-Zarr store, whole or not at all.

    An older forecast of that name is replaced.

    Parameters
    ----------
    predicted : xr.DataArray
        Rain rate (…, lead_time, y, x) in mm/h, or colours, as ``forecast`` returns it.
    out : str | Path
        The store, such as forecast.zarr.

    Raises
    ------
    NowcastError
        If something else has that name, or the store cannot be written.
    """
    out = Path(out)
    if out.exists() and not _is_forecast(out):
        raise NowcastError(f"{out} exists and is not a forecast: choose another name")
    dataset = as_dataset(predicted).drop_encoding()  # else it would be written as the frames were
    with written_folder(out) as partial:
        dataset.to_zarr(partial, encoding=encoding(dataset), zarr_format=2)


def encoding(dataset: xr.Dataset) -> dict[str, dict]:
    """How each variable is written: NaN stands for pixels without a forecast, 0 is dry.

    Readers of Zarr 2 take the fill value of an array for missing values, so it is explicit.
    """
    frames = {"dtype": "f4", "_FillValue": np.float32(np.nan)}
    encoding: dict[str, dict] = {str(name): dict(frames) for name in dataset.data_vars}
    for name in map(str, dataset.coords):
        is_time = name in ("valid_time", "issued")
        seconds = {"units": "seconds since 1970-01-01", "dtype": "i8"} if is_time else {}
        encoding[name] = {"_FillValue": None} | seconds
    return encoding


def _is_forecast(path: Path) -> bool:
    """Whether this is a Zarr store with lead times."""
    try:
        return path.is_dir() and "lead_time" in xr.open_zarr(path, decode_timedelta=False).dims
    except OSError:  # a folder, but no store
        return False


def as_dataset(predicted: xr.DataArray) -> xr.Dataset:
    """The forecast as a dataset with the global attributes of the CF conventions."""
    attributes = {
        "Conventions": "CF-1.9",
        "title": "forecast of colours" if are_colours(predicted) else "rain forecast",
        "source": predicted.attrs.get("source", ""),
        "license": predicted.attrs.get("license", ""),
    }
    for name in ("forecaster", "history", "comment", "nowcast_scale"):
        if name in predicted.attrs:
            attributes[name] = predicted.attrs[name]
    name = COLOUR if are_colours(predicted) else "rainfall_rate"
    return predicted.to_dataset(name=name).assign_attrs(attributes)
