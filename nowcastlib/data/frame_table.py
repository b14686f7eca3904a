"""The table of frames: what was observed when, how wet it was, which frames belong together, and who may see them."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from nowcastlib.data.store import SLAB, open_frames
from nowcastlib.data.times import TOLERANCE
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.units import DRY

SPLITS = ("train", "validation", "test")
Shares = tuple[float, float, float]  # of training, validation and test


def frames_table(
    frames: xr.DataArray | str | Path,
    wet: float = DRY,
    max_gap: float | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """One row a frame of ``frames`` (time, y, x; mm/h), or of the store of that path, in ascending time.

    Columns: ``time``; ``gap`` (minutes since the frame before); ``valid`` (observed share of the pixels); ``wet``
    (share above ``wet`` mm/h); ``mean`` and ``max`` (mm/h); ``category`` (0 driest … 4 wettest, cut at the 25, 50,
    75 and 95 % quantiles of ``wet``); ``sequence`` (a new one where the gap exceeds ``max_gap`` minutes: 10, or half as
    much again as the usual step where that is more). The index is the frame's number. What is measured of a store is
    kept beside it, as ``STORE.csv``, until the store changes.
    """
    if isinstance(frames, xr.DataArray):
        return arrange(measure(frames, wet, progress), max_gap)
    path, kept = Path(frames), Path(f"{Path(frames)}.csv")
    if not path.is_dir():  # in the cloud
        return arrange(measure(open_frames(frames), wet, progress), max_gap)
    stamp = f"# {path.name}, written {path.stat().st_mtime_ns}, wet above {wet:g} mm/h\n"
    columns = ["time", "valid", "wet", "mean", "max"]
    with contextlib.suppress(
        OSError, ValueError, KeyError
    ):  # there is none, or a broken one: measure again
        if kept.read_text().startswith(stamp):
            return arrange(
                pd.read_csv(kept, comment="#").astype({"time": "datetime64[ns]"})[columns], max_gap
            )
    table = measure(open_frames(path), wet, progress)
    with contextlib.suppress(NowcastError):  # where nothing can be written: measure each time
        write_atomically(kept, (stamp + table.to_csv(index=False)).encode())
    return arrange(table, max_gap)


def measure(frames: xr.DataArray, wet: float = DRY, progress: bool = False) -> pd.DataFrame:
    """Columns ``time``, ``valid``, ``wet``, ``mean`` and ``max`` of ``frames_table``: all that needs the pixels."""
    times, some = frames.indexes["time"], max(1, SLAB // (4 * frames[0].size))
    found = []
    with tqdm(total=len(times), desc="catalogue", unit="frame", disable=not progress) as bar:
        for k in range(0, len(times), some):
            rate = frames.isel(time=slice(k, k + some)).values.reshape(-1, frames[0].size)
            seen = np.isfinite(rate).sum(axis=1)
            amount = np.nansum(rate, axis=1, dtype="f8")
            mean = np.divide(amount, seen, out=np.full(len(rate), np.nan), where=seen > 0)
            top = np.where(seen > 0, np.nan_to_num(rate, nan=-np.inf).max(axis=1), np.nan)
            found.append(np.stack([seen / rate.shape[1], (rate > wet).mean(axis=1), mean, top]))
            bar.update(len(rate))
    table = pd.DataFrame(np.concatenate(found, axis=1).T, columns=["valid", "wet", "mean", "max"])
    table.insert(0, "time", times)
    return table


def arrange(table: pd.DataFrame, max_gap: float | None = None) -> pd.DataFrame:
    """Add ``gap``, ``category`` and ``sequence`` (see ``frames_table``) to a table with ``time`` and ``wet``.

    Raises NowcastError if its times do not ascend without duplicates.
    """
    if not table.time.is_monotonic_increasing or not table.time.is_unique:
        raise NowcastError(
            "frame times must ascend without duplicates: open the store with store.open_frames"
        )
    table = table.assign(gap=table.time.diff().dt.total_seconds() / 60)
    table["category"] = np.searchsorted(
        table.wet.quantile([0.25, 0.5, 0.75, 0.95]), table.wet, side="left"
    )
    usual = table.gap.mode().max() if len(table) > 1 else 0.0
    table["sequence"] = (
        table.gap > (max(10.0, 1.5 * usual) if max_gap is None else max_gap)
    ).cumsum()
    return table


def drop(table: pd.DataFrame, shortest: int = 10, driest: float = 0.5) -> pd.DataFrame:
    """Leave out sequences of fewer than ``shortest`` frames, and those whose mean category is at most ``driest``.

    The index, by which ``find_windows`` names frames, stays; ``gap`` is counted anew. Raises NowcastError if none is left.
    """
    groups = table.groupby("sequence")
    kept = table[
        (groups.time.transform("size") >= shortest) & (groups.category.transform("mean") > driest)
    ]
    if kept.empty:
        raise NowcastError(
            f"none of {groups.ngroups} sequences has {shortest} frames and a mean category above {driest:g}: "
            "ask for less"
        )
    return kept.assign(gap=kept.time.diff().dt.total_seconds() / 60)


def split_by_event(
    table: pd.DataFrame, shares=(0.7, 0.15, 0.15), new_event: float = 60.0, pause: float = 30.0
) -> pd.DataFrame:
    """Add a column ``split``: train, validation or test; all frames of an event in the same one.

    An event ends where no frame comes for more than ``new_event`` minutes; a shorter hole ends a sequence, but it is
    still the same storm. Greedy and deterministic: event by event, the one with most rain first, to the split that
    lacks most of its share of frames and of rain. With two events the wetter one tests (scores need rain) and the
    other is cut in time into training and validation; with one, all three come from it. Such blocks are of equal
    length, since each has to hold whole windows, and between them ``pause`` minutes stay unused (split ""), so that
    no forecast is made of rain whose next minutes were trained on. A share of 0 leaves a split out.
    """
    names, table = (
        [n for n, share in zip(SPLITS, shares, strict=True) if share],
        table.assign(split=""),
    )
    share, event_of = pd.Series(shares, SPLITS), (table.gap > new_event).cumsum()
    events = (
        table.groupby(event_of)["mean"]
        .agg(["size", "sum"])
        .sort_values(["sum", "size"], ascending=False)
    )
    if len(events) < len(names):
        groups = [names[-1:], names[:-1]] if len(events) == 2 else [names]
        for event, group in zip(events.index, groups, strict=True):
            rows = table.index[event_of == event]
            unused = int(np.ceil(pause / table.gap.loc[rows[1:]].median())) if len(rows) > 1 else 0
            block = max(len(rows) - unused * (len(group) - 1), 0) // len(group)
            for k, name in enumerate(group):
                table.loc[rows[k * (block + unused) :][:block], "split"] = name
        return table
    have = pd.DataFrame(0.0, index=names, columns=["size", "sum"])
    total = events.sum().replace(0, 1)
    for left, (event, amount) in zip(range(len(events), 0, -1), events.iterrows(), strict=True):
        empty = [s for s in names if have.loc[s, "size"] == 0]
        lack = share[names] - (have / total).mean(axis=1)
        name = lack[empty if left <= len(empty) else names].idxmax()
        have.loc[name] += amount
        table.loc[event_of == event, "split"] = name
    return table


def find_windows(
    table: pd.DataFrame,
    length: int,
    step: float,
    split: str | None = None,
    tolerance: float = TOLERANCE,
    wetter_than: float | None = None,
) -> np.ndarray:
    """Frame numbers (the table's index) of all windows of ``length`` frames ``step`` minutes apart: (window, length).

    A window never crosses a gap, a sequence or a split. With ``wetter_than`` its mean category exceeds that number (3
    takes only the wettest). Raises NowcastError if not one fits.
    """
    minutes = (table.time - table.time.iloc[0]).dt.total_seconds().to_numpy() / 60
    wanted = minutes[:, None] + step * np.arange(length)
    rows = np.clip(np.searchsorted(minutes, wanted - tolerance), 0, len(minutes) - 1)
    fits = np.abs(minutes[rows] - wanted) <= tolerance
    for column in {"sequence", "split"} & set(table.columns):
        values = table[column].to_numpy()
        fits &= values[rows] == values[:, None]
    if split is not None:
        fits &= (table.split == split).to_numpy()[:, None]
    if wetter_than is not None:
        fits &= (table.category.to_numpy()[rows].mean(axis=1) > wetter_than)[:, None]
    found = table.index.to_numpy()[rows[fits.all(axis=1)]]
    if not len(found):
        where = f" in the {split} split" if split else ""
        raise NowcastError(
            f"no window of {length} frames, {step:g} minutes apart,{where or ' here'}: "
            f"there are {len(table)} frames in {table.sequence.nunique()} sequences; ask for shorter windows"
        )
    return found


def check_leakage(
    table: pd.DataFrame, seen: np.ndarray, unseen: np.ndarray, pause: float = 30.0
) -> None:
    """Raise NowcastError if windows to be judged on (``unseen``) share a frame with the training windows (``seen``), or
    have one within ``pause`` minutes of them."""
    times = table.time.astype("datetime64[s]")
    judged, ours = times.loc[np.unique(unseen)].to_numpy(), times.loc[np.unique(seen)].to_numpy()
    near = np.timedelta64(round(60 * pause), "s")
    leaks = np.searchsorted(ours, judged + near, side="right") > np.searchsorted(
        ours, judged - near, side="left"
    )
    if leaks.any():
        raise NowcastError(
            f"{leaks.sum()} frames to be judged on are in, or next to, the training data, "
            f"from {pd.Timestamp(judged[leaks][0])}"
        )
