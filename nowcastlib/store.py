"""The store: frames of any feed as one CF-Zarr ``rainfall_rate(time, y, x)`` in mm/h, NaN = not observed, 0 = dry."""

import contextlib
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import xarray as xr
import zarr
from tqdm.auto import tqdm

from . import NowcastError
from .sources import RAIN_RATE, Source, frame
from .sources.cloud import open_frames

log = logging.getLogger("nowcastlib")

TITLE = "rain rate"  # tells the stores that ingest made, and may add to, from others
TIME = {
    "units": "seconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "standard_name": "time",
    "axis": "T",
}


def ingest(source: Source, out: str | Path, start=None, end=None, progress: bool = True) -> Path:
    """Write the frames of ``source`` in [start, end) to the store ``out`` and return its path.

    The store grows in ``out + ".partial"``, a frame at a time (its time is written last), and takes its name when
    all frames are in: what is called ``out`` is always whole, and a rerun after an interruption carries on. A store
    that exists is completed with the frames that it lacks. A frame that cannot be read is skipped with a warning
    that names it; its time stays a gap.

    Raises NowcastError if the source has no readable frame, if a frame has another grid than the store, and if
    ``out`` cannot be written.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    rows = source.list(start, end).drop_duplicates("time").sort_values("time")
    if rows.empty:
        raise NowcastError(f"there are no frames from {start or 'the first'} to {end or 'the last'}: ask for others")
    whole, fresh = out.exists(), not partial.exists()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if whole:
            done = open_frames(out).time.values
            if np.isin(rows.time.values, done).all():
                return out
            group = zarr.open_group(str(out), mode="r")
            if group.attrs.get("title") != TITLE or "rainfall_rate" not in group:
                raise NowcastError(f"{out} was not made by ingest: choose another name")
            out.rename(partial)
        elif fresh and not os.access(out.parent, os.W_OK):
            raise PermissionError(13, "the folder is not writable", str(out.parent))
        try:
            _append(source, rows, partial, progress)
        except NowcastError:
            if whole:  # back to its name, with the frames that could be added
                zarr.consolidate_metadata(str(partial))
                partial.rename(out)
            elif fresh:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        zarr.consolidate_metadata(str(partial))  # one read opens it, from a remote disk too
        partial.rename(out)
    except OSError as error:
        raise NowcastError(
            f"cannot write {out}: {error.strerror or error}; free the place or choose another"
        ) from error
    return out


def _append(source: Source, rows: pd.DataFrame, partial: Path, progress: bool) -> None:
    """Add to the store ``partial`` those frames of ``rows`` that it does not hold yet."""
    group, skipped = _resume(partial), []
    seen = set() if group is None else set(np.asarray(group["time"][:]).tolist())
    for row in tqdm(list(rows.itertuples()), desc=f"→ {partial.stem}", unit="frame", disable=not progress):
        seconds = int(row.time.timestamp())
        if seconds in seen:
            continue
        try:
            rate = source.read(row)
        except NowcastError as error:
            log.warning("skipped the frame of %s: %s", row.time, error)
            skipped.append(str(error))
            continue
        if group is None:
            group = _create(partial, rate, source.attribution)
        if rate.shape != group["rainfall_rate"].shape[1:]:
            ours, theirs = group["rainfall_rate"].shape[1:], rate.shape
            raise NowcastError(f"the frame of {row.time} is {theirs} px, the store {partial} {ours}: use another store")
        if not all(np.array_equal(group[d][:], rate[d]) for d in "yx"):
            raise NowcastError(f"the frame of {row.time} lies elsewhere than those of {partial}: use another store")
        n = group["time"].shape[0]
        group["rainfall_rate"].resize((n + 1, *rate.shape))
        group["rainfall_rate"][n] = rate.values
        group["time"].resize((n + 1,))  # last: a frame without its time does not count, and is written again
        group["time"][n] = seconds
    if group is None:
        why = f"; the first: {skipped[0]}" if skipped else ""
        raise NowcastError(f"not one of {len(rows)} frames could be read{why}")


def _resume(partial: Path):
    """The store that an interrupted ingest left, cut to its whole frames; None if there is none."""
    if not partial.exists():
        return None
    (partial / ".zmetadata").unlink(missing_ok=True)  # it would go stale
    with contextlib.suppress(Exception):  # killed before its first frame was whole, it may be anything: start again
        group = zarr.open_group(str(partial), mode="r+")
        rate, times = group["rainfall_rate"], np.asarray(group["time"][:])
        whole = len(times) if (times > 0).all() else int(np.argmax(times <= 0))  # resized, its time not yet written
        group["time"].resize((whole,))
        rate.resize((whole, *rate.shape[1:]))
        return group
    shutil.rmtree(partial)
    return None


def _create(partial: Path, rate: xr.DataArray, attribution: str):
    """An empty store for frames like ``rate``."""
    crs = rate.attrs.get("crs")
    data = rate.drop_attrs(deep=False).assign_attrs(RAIN_RATE | ({"grid_mapping": "crs"} if crs else {}))
    dataset = data.expand_dims(time=np.array([], "datetime64[s]")).astype("f4").to_dataset(name="rainfall_rate")
    if crs:
        dataset["crs"] = ((), 0, {"crs_wkt": pyproj.CRS(crs).to_wkt()})
    dataset["time"].attrs = {k: v for k, v in TIME.items() if k not in ("units", "calendar")}
    dataset.attrs = {"Conventions": "CF-1.8", "title": TITLE, "source": attribution}
    encoding = {
        "rainfall_rate": {"chunks": (1, *rate.shape), "_FillValue": np.float32(np.nan)},
        "time": {"chunks": (4096,), "dtype": "i8", "units": TIME["units"], "calendar": TIME["calendar"]},
    }
    dataset.to_zarr(partial, encoding=encoding, consolidated=False, zarr_format=2)
    return zarr.open_group(str(partial), mode="r+")


def time_step(frames: xr.DataArray) -> float:
    """Minutes between frames: the most frequent gap (of a single frame: NaN)."""
    gaps = np.diff(frames.time.values) / np.timedelta64(1, "m")
    return float(pd.Series(gaps).mode().iloc[0]) if gaps.size else float("nan")


def pixel_km(frames: xr.DataArray) -> float:
    """Width of a pixel in km, from the coordinates (degrees at their mean latitude)."""
    dy = abs(float(frames.y[1] - frames.y[0]))
    degrees = str(frames.y.attrs.get("units", "")).startswith("degree")
    return dy * (111.2 if degrees else 0.001)


def centre(frames: xr.DataArray, size: int) -> xr.DataArray:
    """The central ``size`` × ``size`` px of frames (…, y, x); all of them along an axis that is no longer."""
    cut = {
        d: slice(max(0, (n - size) // 2), max(0, (n - size) // 2) + size) for d, n in frames.sizes.items() if d in "yx"
    }
    return frames.isel(cut)


def as_frames(rate: np.ndarray, start="2024-06-01", step: float = 5.0) -> xr.DataArray:
    """Frames (time, y, x) in memory from an array in mm/h, 1 km and ``step`` minutes apart; for tests and notebooks."""
    km = np.arange(max(rate.shape[1:])) * 1000.0
    grid = frame(rate[0], km[: rate.shape[2]], -km[: rate.shape[1]])
    times = pd.Timestamp(start) + pd.to_timedelta(np.arange(len(rate)) * step, unit="min")
    return xr.DataArray(rate, {"time": times, "y": grid.y, "x": grid.x}, ("time", "y", "x"), "rainfall_rate", RAIN_RATE)


def describe(frames: xr.DataArray) -> str:
    """One line about frames (time, y, x): how many, how large, when, how wet. NaN counts as dry."""
    rows = [(float(np.nanmax(r, initial=0)), float((r > 0.1).mean())) for r in (f.values for f in frames)]
    first, last = frames.indexes["time"][[0, -1]]
    return (
        f"{len(rows)} frames of {frames.sizes['y']}×{frames.sizes['x']} px, {first} to {last} UTC, mostly every "
        f"{time_step(frames):g} minutes; maximum {max(m for m, _ in rows):.1f} mm/h, share above 0.1 mm/h "
        f"{np.mean([w for _, w in rows]):.3f}"
    )


def save(predicted: xr.DataArray, out: str | Path) -> None:
    """Write a forecast as CF-Zarr, all or nothing; an older forecast of that name is replaced.

    Raises NowcastError if ``out`` exists and is no forecast, or cannot be written.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    try:
        if out.exists() and "lead_time" not in (xr.open_zarr(out, decode_timedelta=False).dims if out.is_dir() else ()):
            raise NowcastError(f"{out} exists and is not a forecast: choose another name")
        shutil.rmtree(partial, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        attrs = {
            "Conventions": "CF-1.8",
            "title": "rain forecast",
            "source": predicted.attrs.get("source", ""),
        }
        dataset = predicted.to_dataset(name="rainfall_rate").assign_attrs(attrs)
        encoding = {"valid_time": {"units": TIME["units"], "dtype": "i8"}}
        dataset.to_zarr(partial, encoding=encoding, zarr_format=2)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise NowcastError(
            f"cannot write {out}: {error.strerror or error}; free the place or choose another"
        ) from error


def write(path: str | Path, content: bytes) -> None:
    """Write a file, all or nothing: a reader, or a process killed meanwhile, finds the old content or the new.

    Raises NowcastError if that is not possible.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise NowcastError(
            f"cannot write {path}: {error.strerror or error}; free the place or choose another"
        ) from error
