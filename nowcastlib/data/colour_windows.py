"""Windows of colour films as torch datasets for training. One sample is (T, 3, H, W)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import Dataset

from nowcastlib.data.colours import check_colours
from nowcastlib.data.frame_table import arrange, measure
from nowcastlib.data.splits import split_by_event
from nowcastlib.data.window_options import MEMORY, Shares
from nowcastlib.errors import NowcastError


class ColourWindows(Dataset):
    """Windows of colour films as (T, 3, H, W) float32 from 0 to 1, NaN where not observed.

    Parameters
    ----------
    frames : xarray.DataArray (time, channel, y, x)
        Colours from 0 to 1, from ``open_colours``. A large store is read window by window.
    rows : array (window, T)
        Numbers of the frames of each window, from ``find_windows``.
    crop : int
        Side in px of the square that is cut out of each window: the central square, or a random one
        with ``seed``. 0 keeps whole frames. Windows are not turned or mirrored as those of rain
        are: films have an up and a down.
    seed : int, optional
        Seed of the random squares; None cuts the central ones.

    Attributes
    ----------
    epoch : int
        Set it before each epoch: the random squares are others in each epoch.

    Raises
    ------
    NowcastError
        If the frames are smaller than ``crop``; when they are read, if a value is not within 0 to
        1.
    """

    def __init__(
        self, frames: xr.DataArray, rows: np.ndarray, crop: int = 0, seed: int | None = None
    ):
        if crop and min(frames.shape[2:]) < crop:
            raise NowcastError(
                f"frames of {frames.shape[2:]} px are smaller than the crop of {crop}: "
                "lower the crop"
            )
        self.frames = frames
        self.rows = rows
        self.crop = crop
        self.seed = seed
        self.epoch = 0
        self.values = self._checked(frames) if frames.nbytes < MEMORY else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> torch.Tensor:
        y, x = self._square(i)
        if self.values is not None:
            window = self.values[self.rows[i], :, y, x]  # (T, C, H, W)
        else:
            window = self._checked(self.frames.isel(time=self.rows[i], y=y, x=x))
        return torch.from_numpy(np.ascontiguousarray(window))

    def _square(self, i: int) -> tuple[slice, slice]:
        """Rows and columns of the square of a window."""
        if not self.crop:
            return slice(None), slice(None)
        room = np.array(self.frames.shape[2:]) - self.crop
        top, left = room // 2
        if self.seed is not None:
            top, left = np.random.default_rng([self.seed, self.epoch, i]).integers(0, room + 1)
        return slice(top, top + self.crop), slice(left, left + self.crop)

    def _checked(self, frames: xr.DataArray) -> np.ndarray:
        """Values (time, channel, y, x) of frames, float32."""
        values = np.ascontiguousarray(frames.values, "f4")
        return check_colours(values, str(self.frames.attrs.get("source") or "the store"))


def table_of_colours(path: str | Path, films: xr.DataArray, shares: Shares) -> pd.DataFrame:
    """The table of the frames of a store of colours with its splits, each video in one of them.

    Brightness stands in for rain: events are split so that each split has its share of it.

    Raises
    ------
    NowcastError
        If all frames are black.
    """
    table = split_by_event(arrange(measure(films)), shares)
    if not table["max"].max() > 0:
        raise NowcastError(f"{path} holds black frames only: there is nothing to learn from")
    return table
