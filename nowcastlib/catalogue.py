"""The table of frames: what was observed when, how wet it was, which frames belong together, and who may see them."""

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from . import NowcastError

SPLITS = ("train", "validation", "test")


def frames_table(frames: xr.DataArray, wet: float = 0.1, max_gap: float = 10.0, progress: bool = False) -> pd.DataFrame:
    """One row a frame of ``frames`` (time, y, x; mm/h), in ascending time.

    Columns: ``time``; ``gap`` (minutes since the frame before); ``valid`` (observed share of the pixels); ``wet``
    (share above ``wet`` mm/h); ``mean`` and ``max`` (mm/h); ``category`` (0 driest … 4 wettest, cut at the 25, 50,
    75 and 95 % quantiles of ``wet``); ``sequence`` (a new one where the gap exceeds ``max_gap`` minutes).
    """
    times = frames.indexes["time"]
    if not times.is_monotonic_increasing or times.has_duplicates:
        raise NowcastError("frame times must ascend without duplicates: open the store with store.open_frames")
    rows = []
    for t in tqdm(range(len(times)), desc="catalogue", unit="frame", disable=not progress):
        rate = frames.isel(time=t).values
        valid = np.isfinite(rate)
        some = rate[valid] if valid.any() else np.array([np.nan])
        rows.append((valid.mean(), (rate > wet).mean(), some.mean(), some.max()))
    table = pd.DataFrame(rows, columns=["valid", "wet", "mean", "max"])
    table.insert(0, "time", times)
    table.insert(1, "gap", table.time.diff().dt.total_seconds() / 60)
    table["category"] = np.searchsorted(table.wet.quantile([0.25, 0.5, 0.75, 0.95]), table.wet, side="left")
    table["sequence"] = (table.gap > max_gap).cumsum()
    return table


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
    names, table = [n for n, share in zip(SPLITS, shares, strict=True) if share], table.assign(split="")
    share, event_of = pd.Series(shares, SPLITS), (table.gap > new_event).cumsum()
    events = table.groupby(event_of)["mean"].agg(["size", "sum"]).sort_values(["sum", "size"], ascending=False)
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


def windows(table: pd.DataFrame, length: int, step: float, split: str | None = None, tolerance: float = 0.5):
    """Row numbers of all windows of ``length`` frames ``step`` minutes apart: int array (window, length).

    A window never crosses a gap, a sequence or a split. Raises NowcastError if not one fits.
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
    found = rows[fits.all(axis=1)]
    if not len(found):
        where = f" in the {split} split" if split else ""
        raise NowcastError(
            f"no window of {length} frames, {step:g} minutes apart,{where or ' here'}: "
            f"there are {len(table)} frames in {table.sequence.nunique()} sequences; ask for shorter windows"
        )
    return found


def check_leakage(table: pd.DataFrame, seen: np.ndarray, unseen: np.ndarray, pause: float = 30.0) -> None:
    """Raise NowcastError if windows to be judged on (``unseen``) share a frame with the training windows (``seen``), or
    have one within ``pause`` minutes of them."""
    minutes = table.time.astype("datetime64[s]").astype("int64").to_numpy() / 60
    judged, ours = np.unique(unseen), minutes[np.unique(seen)]
    leaks = (np.abs(ours[:, None] - minutes[judged]) <= pause).any(axis=0)
    if leaks.any():
        first = table.time.iloc[judged[leaks]].min()
        raise NowcastError(f"{leaks.sum()} frames to be judged on are in, or next to, the training data, from {first}")
