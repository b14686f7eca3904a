"""Which frames the windows of a split hold: strides, lengths, and no leakage between splits."""

import contextlib

import numpy as np
import pandas as pd

from nowcastlib.data.frame_table import find_windows
from nowcastlib.data.splits import check_leakage
from nowcastlib.data.window_options import Shares, WindowOptions
from nowcastlib.errors import NowcastError


def rows_by_split(
    table: pd.DataFrame, step: float, windows: WindowOptions, shares: Shares
) -> dict[str, np.ndarray]:
    """Windows (window, T) of the training and the validation split, where these have a share."""
    length = windows.n_frames
    rows = {}
    if shares[0]:
        rows["train"] = _strided(table, step, windows)
    if shares[1]:
        rows["validation"] = find_windows(table, length, step, "validation")

    if len(rows) == 2:
        check_leakage(table, rows["train"], rows["validation"])
    return rows


def _strided(table: pd.DataFrame, step: float, windows: WindowOptions) -> np.ndarray:
    """Training windows (window, T): an equal number of each stride that fits into the sequences.

    Raises NowcastError if none fits.
    """
    length = windows.n_frames
    by_stride = []
    for stride in sorted(set(windows.strides)):
        with contextlib.suppress(NowcastError):  # too long for the sequences: leave it out
            by_stride.append(find_windows(table, length, step * stride, "train"))
    if not by_stride:  # raises the error that says what is missing
        return find_windows(table, length, step * min(windows.strides), "train")

    fewest = windows.min_windows // len(by_stride)
    number = max(fewest, *map(len, by_stride))
    return np.concatenate([np.resize(rows, (number, length)) for rows in by_stride])


def strides_left_out(
    table: pd.DataFrame, rows: np.ndarray, step: float, windows: WindowOptions
) -> str:
    """The strides of which there is no training window (window, T), such as "4, 30"."""
    times = table.time.to_numpy("datetime64[s]")
    apart = (times[rows[:, 1]] - times[rows[:, 0]]) / np.timedelta64(60, "s")  # minutes
    present = set(np.round(apart / step).astype(int))
    return ", ".join(str(stride) for stride in windows.strides if stride not in present)
