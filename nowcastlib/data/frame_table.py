"""The table of frames: time, rain and sequence of each frame; windows of frames."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.completeness import complete
from nowcastlib.data.gate import checked_in_order
from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.data.slabs import by_slabs
from nowcastlib.data.store import open_frames
from nowcastlib.data.times import nearest_frames
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.units import DRY, exceeds

MEASURED = ["time", "valid", "wet", "mean", "max"]  # columns that need the pixels
CATEGORY_QUANTILES = [0.25, 0.5, 0.75, 0.95]  # of the wet share
MAX_GAP = 10.0  # minutes within a sequence


def frames_table(
    frames: xr.DataArray | str | Path,
    wet: float = DRY,
    max_gap: float | None = None,
    options: ReadOptions = AS_STATED,
    client: Any = None,
) -> pd.DataFrame:
    """Make the table of frames: one row for each frame, in ascending time.

    The measurements of a store on disk are kept beside it, as ``STORE.csv``, until it changes.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x), str or Path
        Rain rate in mm/h, or the path of a store.
    wet : float
        Rain rate in mm/h above which a pixel is wet.
    max_gap : float, optional
        Minutes between two frames of a sequence, at most. By default 10, or 1.5 times the usual
        step where that is more.
    options : ReadOptions
        What a store does not say, or says wrongly; frames themselves need none.
    client : distributed.Client, optional
        Its workers read and measure the frames.

    Returns
    -------
    pandas.DataFrame
        Index: the number of the frame. Columns: ``time`` (UTC); ``gap``, minutes since the last
        complete frame before; ``valid``, observed share of the pixels; ``complete``, whether that
        is enough (see ``data.completeness``: other frames count as missing); ``wet``, wet share of
        the observed pixels; ``mean`` and ``max`` in mm/h; ``category``, from 0 (driest) to 4
        (wettest), separated by the 25, 50, 75 and 95 % quantiles of ``wet`` (in Zampar's table, 10,
        25, 50 and 75 %: here the wettest is rare); ``sequence``, its
        number, a new one after each long gap. In a frame without observations ``wet``, ``mean`` and
        ``max`` are NaN and the category is 0.

    Raises
    ------
    NowcastError
        If the store cannot be read, if its times do not ascend without duplicates, or if an array
        is no rain: see ``data.checked_frames``.
    """
    if isinstance(frames, xr.DataArray):
        return arrange(measure(checked_in_order(frames), wet, client), max_gap)
    if not Path(frames).is_dir():  # in the cloud: there is no place beside it
        opened = open_frames(frames, options=options)
        return arrange(measure(opened, wet, client), max_gap)
    return arrange(_measured_store(Path(frames), wet, options, client), max_gap)


def _measured_store(store: Path, wet: float, options: ReadOptions, client: Any) -> pd.DataFrame:
    """``measure`` of a store on disk, from the table beside it if that is up to date."""
    csv = Path(f"{store}.csv")
    read = f", read with {options.described()}" if options.given() else ""
    wet_part = f"wet above {wet:g} mm/h of observed"
    stamp = f"# {store.name}, written {_written(store)}, {wet_part}{read}\n"
    with suppress(OSError, ValueError, KeyError):  # missing or broken: measure again
        if csv.read_text().startswith(stamp):
            table = pd.read_csv(csv, comment="#")
            return table.astype({"time": "datetime64[ns]"})[MEASURED]

    table = measure(open_frames(store, options=options), wet, client)
    with suppress(NowcastError):  # the folder is not writable: measure each time
        write_atomically(csv, (stamp + table.to_csv(index=False)).encode())
    return table


def _written(store: Path) -> str:
    """Number of files of a store, and when the newest was written: a change of values shows."""
    times = [path.stat().st_mtime_ns for path in (store, *store.rglob("*"))]
    return f"{max(times)} in {len(times)} files"


def measure(frames: xr.DataArray, wet: float = DRY, client: Any = None) -> pd.DataFrame:
    """Measure the rain of frames (time, y, x): those columns of ``frames_table`` that need pixels.

    Returns
    -------
    pandas.DataFrame
        Columns ``time``, ``valid``, ``wet``, ``mean`` and ``max``.
    """
    parts = by_slabs(partial(_measure, wet=wet), frames, client, "measure")
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "time", frames.indexes["time"])
    return table


def _measure(frames: np.ndarray, wet: float) -> pd.DataFrame:
    """Observed share, wet share, mean and maximum of frames (time, y, x); NaN where unobserved."""
    rate = frames.reshape(len(frames), -1)  # (time, pixel)
    observed = np.isfinite(rate).sum(axis=1)
    pixels = np.where(observed > 0, observed, np.nan)
    largest = np.fmax.reduce(rate, axis=1, initial=-np.inf).astype("f8")
    return pd.DataFrame(
        {
            "valid": observed / rate.shape[1],
            "wet": exceeds(rate, wet).sum(axis=1) / pixels,
            "mean": np.nansum(rate, axis=1, dtype="f8") / pixels,
            "max": np.where(observed > 0, largest, np.nan),
        }
    )


def arrange(table: pd.DataFrame, max_gap: float | None = None) -> pd.DataFrame:
    """Add ``complete``, ``gap``, ``category`` and ``sequence`` to a table of ``measure``.

    See ``frames_table`` for these columns and for ``max_gap``.

    Raises
    ------
    NowcastError
        If the times do not ascend without duplicates.
    """
    if not table.time.is_monotonic_increasing or not table.time.is_unique:
        raise NowcastError("frame times must ascend without duplicates: use data.open_frames")

    table = table.assign(complete=complete(table.valid.to_numpy()) if "valid" in table else True)
    table["gap"] = _minutes_since_the_frame_before(table)
    limits = table.wet[table.complete].quantile(CATEGORY_QUANTILES)
    table["category"] = np.searchsorted(limits, table.wet.fillna(0), side="left")

    if max_gap is None:
        usual_step = table.gap.mode().max() if len(table) > 1 else 0.0
        max_gap = max(MAX_GAP, 1.5 * usual_step)
    table["sequence"] = (table.gap > max_gap).cumsum()
    return table


def _minutes_since_the_frame_before(table: pd.DataFrame) -> pd.Series:
    """Minutes since the last complete frame before each frame; NaN for the first."""
    before = table.time.where(_is_complete(table)).ffill().shift()
    return (table.time - before).dt.total_seconds() / 60


def _is_complete(table: pd.DataFrame) -> np.ndarray:
    """The column ``complete`` of a table; True for all frames of a table without it."""
    return table.complete.to_numpy() if "complete" in table else np.ones(len(table), bool)


def drop(table: pd.DataFrame, shortest: int = 10, driest: float = 0.5) -> pd.DataFrame:
    """Drop short and dry sequences.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of frames.
    shortest : int
        Frames of a sequence, at least.
    driest : float
        Mean category that a sequence must exceed.

    Returns
    -------
    pandas.DataFrame
        The other rows with their index, since it numbers the frames of the store; ``gap`` is
        computed again.

    Raises
    ------
    NowcastError
        If no sequence is left.
    """
    sequences = table.groupby("sequence")
    is_long = sequences.time.transform("size") >= shortest
    is_wet = sequences.category.transform("mean") > driest
    kept = table[is_long & is_wet]
    if kept.empty:
        raise NowcastError(
            f"none of {sequences.ngroups} sequences has {shortest} frames and a mean category "
            f"above {driest:g}: lower shortest or driest"
        )
    return kept.assign(gap=_minutes_since_the_frame_before(kept))


def find_windows(
    table: pd.DataFrame,
    length: int,
    step: float,
    split: str | None = None,
    wetter_than: float | None = None,
) -> np.ndarray:
    """Find all windows of frames at a regular step.

    A window never crosses a gap, the end of a sequence or the border of a split, and it never holds
    a frame that is not ``complete``.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of frames.
    length : int
        Frames of a window.
    step : float
        Minutes between its frames; see ``times.nearest_frames`` for how much a frame may be off.
    split : str, optional
        Only windows of this split.
    wetter_than : float, optional
        Only windows whose mean category exceeds this number: 3 selects the wettest.

    Returns
    -------
    array (window, length)
        Numbers of the frames: the index of the table.

    Raises
    ------
    NowcastError
        If there is no such window.
    """
    times, gap = pd.DatetimeIndex(table.time), pd.Timedelta(minutes=step)
    rows = np.stack([nearest_frames(times, times + k * gap, gap) for k in range(length)], axis=1)
    # rows: (start, length)
    fits = (rows >= 0).all(axis=1) & _is_complete(table)[rows].all(axis=1)

    for column in {"sequence", "split"} & set(table.columns):
        values = table[column].to_numpy()
        fits &= (values[rows] == values[:, None]).all(axis=1)
    if split is not None:
        fits &= (table.split == split).to_numpy()
    if wetter_than is not None:
        fits &= table.category.to_numpy()[rows].mean(axis=1) > wetter_than

    if not fits.any():
        where = f"in the {split} split" if split else "here"
        incomplete = (~_is_complete(table)).sum()
        lost = f", {incomplete} of them incomplete," if incomplete else ""
        raise NowcastError(
            f"no window of {length} frames, {step:g} minutes apart, {where}: there are "
            f"{len(table)} frames{lost} in {table.sequence.nunique()} sequences; ask for shorter "
            "windows"
        )
    return table.index.to_numpy()[rows[fits]]
