"""Windows of rain as torch datasets for training. One sample is (T, 1, H, W)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data.colour_store import open_colours
from nowcastlib.data.colour_windows import ColourWindows, table_of_colours
from nowcastlib.data.frame_table import frames_table
from nowcastlib.data.gate import checked_in_order
from nowcastlib.data.read_options import ReadOptions
from nowcastlib.data.splits import split_by_event
from nowcastlib.data.store import open_frames
from nowcastlib.data.times import time_step
from nowcastlib.data.training_films import films_to_train_on
from nowcastlib.data.window_options import MEMORY, Shares, TrainingStores, WindowOptions
from nowcastlib.data.window_rows import rows_by_split, strides_left_out
from nowcastlib.errors import NowcastError
from nowcastlib.units import DRY, ModelScale, exceeds

MAX_VALIDATION = 48  # windows of a store, evenly spread: enough to see progress after each epoch
CANDIDATES = 8  # random squares of which one is chosen


@dataclass(frozen=True)
class Augmentation:
    """Random variation of training windows; sample i of an epoch is the same for the same seed.

    Each window is cropped to a random square (the wetter of some random squares is the likelier,
    since most of the sky is dry), turned by a multiple of 90° and mirrored or not: rain has no
    preferred direction, and a network should not learn the wind of one day. Whole frames that are
    not square are turned by 180° or not, so that all keep their shape. All rain rates of a window
    are multiplied by one log-normal factor exp(N(0, vary)).
    """

    seed: int = 0
    vary: float = 0.0  # standard deviation of the logarithm of the factor; 0: rates stay
    shift: bool = True  # cut random squares; else the central one


class RadarWindows(Dataset):
    """Windows of frames as (T, 1, H, W) float32 in model units, NaN where not observed.

    Parameters
    ----------
    frames : xarray.DataArray (time, y, x)
        Rain rate in mm/h. A large store is read window by window, so that memory does not grow.
    rows : array (window, T)
        Numbers of the frames of each window, from ``find_windows``.
    crop : int
        Side in px of the square that is cut out of each window: the central square, or a random one
        with ``augmentation``. 0 keeps whole frames.
    augmentation : Augmentation, optional
        Random squares, turns, mirror images and intensities; None leaves the windows as they are.
    scale : ModelScale
        Conversion from mm/h to model units.

    Attributes
    ----------
    epoch : int
        Set it before each epoch: an augmented window is another one in each epoch.

    Raises
    ------
    NowcastError
        If the frames are smaller than ``crop``, or if they are no rain in ascending time: see
        ``data.checked_frames``.
    """

    def __init__(
        self,
        frames: xr.DataArray,
        rows: np.ndarray,
        crop: int = 0,
        augmentation: Augmentation | None = None,
        scale: ModelScale = ModelScale(),  # noqa: B008 (frozen)
    ):
        frames = checked_in_order(frames)
        if crop and min(frames.shape[1:]) < crop:
            raise NowcastError(
                f"frames of {frames.shape[1:]} px are smaller than the crop of {crop}: "
                "lower the crop"
            )
        self.frames = frames
        self.rows = rows
        self.crop = crop
        self.augmentation = augmentation
        self.scale = scale
        self.epoch = 0
        self.values = self._convert(frames) if frames.nbytes < MEMORY else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> torch.Tensor:
        rows = self.rows[i]
        if self.augmentation is None:
            window = self.read(rows, *self.central_square())  # (T, H, W)
            return torch.from_numpy(np.ascontiguousarray(window))[:, None]  # (T, 1, H, W)

        rng = np.random.default_rng([self.augmentation.seed, self.epoch, i])
        window = self.read(rows, *self._random_square(rows[len(rows) // 2], rng))  # (T, H, W)
        window = self._turned(window, int(rng.integers(4)))
        if rng.random() >= 0.5:
            window = window[:, :, ::-1]

        sample = torch.from_numpy(np.ascontiguousarray(window))[:, None]  # (T, 1, H, W)
        if self.augmentation.vary:
            factor = float(np.exp(rng.normal(0, self.augmentation.vary)))
            sample = self.scale.to_model(self.scale.from_model(sample) * factor)
        return sample

    @staticmethod
    def _turned(window: np.ndarray, quarters: int) -> np.ndarray:
        """A window (T, H, W) turned by quarter turns, or by a half turn if it is not square."""
        is_square = window.shape[1] == window.shape[2]
        return np.rot90(window, quarters if is_square else 2 * (quarters // 2), axes=(1, 2))

    def _convert(self, frames: xr.DataArray) -> np.ndarray:
        """Rain rates in model units."""
        rate = torch.from_numpy(np.ascontiguousarray(frames.values, "f4"))
        return self.scale.to_model(rate).numpy()

    def read(self, rows: np.ndarray | int, y: slice, x: slice) -> np.ndarray:
        """Frames (…, y, x) in model units, from memory or from the store."""
        if self.values is not None:
            return self.values[rows, y, x]
        return self._convert(self.frames.isel(time=rows, y=y, x=x))

    def _square(self, top: int, left: int) -> tuple[slice, slice]:
        return slice(top, top + self.crop), slice(left, left + self.crop)

    def central_square(self) -> tuple[slice, slice]:
        """Rows and columns of the square in the middle."""
        if not self.crop:
            return slice(None), slice(None)
        height, width = self.frames.shape[1:]
        return self._square((height - self.crop) // 2, (width - self.crop) // 2)

    def _random_square(self, row: int, rng: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns of a random square, the likelier the more of it is wet in a frame."""
        if not self.crop or not (self.augmentation and self.augmentation.shift):
            return self.central_square()

        room = np.array(self.frames.shape[1:]) - self.crop
        corners = rng.integers(0, room + 1, size=(CANDIDATES, 2))
        squares = [self._square(*corner) for corner in corners]

        dry = dry_limit(self.scale)
        wet = np.array([exceeds(self.read(row, *square), dry).mean() for square in squares])
        weight = wet + 0.01  # a dry square has a chance, too
        return squares[rng.choice(CANDIDATES, p=weight / weight.sum())]


def dry_limit(scale: ModelScale) -> float:
    """DRY in model units, computed in float32 by torch as the pixels of windows are."""
    return scale.to_model(torch.tensor(DRY)).item()


def training_data(
    stores: TrainingStores,
    windows: WindowOptions,
    scale: ModelScale = ModelScale(),  # noqa: B008 (frozen)
    seed: int = 0,
) -> tuple[Dataset, Dataset, str]:
    """Make the training and the validation set of one or several stores.

    Parameters
    ----------
    stores : TrainingStores
        Stores and how they are split. Moving MNIST takes only the length from ``windows``: its
        films always have 64 px.
    windows : WindowOptions
        Length, crop, strides, variation and number of the windows.
    scale : ModelScale
        Conversion from mm/h to model units.
    seed : int
        Seed of the random crops, turns and intensities.

    Returns
    -------
    training, validation : torch.utils.data.Dataset
        Samples of (T, 1, H, W) in model units; of colours (T, 3, H, W) from 0 to 1.
    description : str
        The source, the times and the number of windows of each part, in words.

    Raises
    ------
    NowcastError
        If a store cannot be read, or has no rain (with ``channels`` 3: no colours), no window of
        that length or frames smaller than the crop; for whole frames of several sizes; if Moving
        MNIST is asked for a crop, strides, variation, channels or repeated windows, or if its
        official films are missing or too few.
    """
    if stores.is_moving_mnist:
        return films_to_train_on(stores, windows, seed)
    augmentation = Augmentation(seed, windows.vary)
    sets, descriptions = windows_by_split(stores, windows, scale, augmentation)
    return (
        ConcatDataset(sets["train"]),
        ConcatDataset(sets["validation"]),
        "; ".join(descriptions),
    )


def windows_by_split(
    stores: TrainingStores,
    windows: WindowOptions,
    scale: ModelScale,
    augmentation: Augmentation,
    thin: bool = True,
) -> tuple[dict[str, list], list[str]]:
    """The windows of one or several stores for training and validation; see ``training_data``.

    Parameters
    ----------
    stores, windows, scale
        As for ``training_data``.
    augmentation : Augmentation
        How training windows are varied.
    thin : bool
        Validate on at most ``MAX_VALIDATION`` windows of a store; else on all.

    Returns
    -------
    sets : dict
        One ``RadarWindows`` or ``ColourWindows`` for each store, by the name of the split.
    descriptions : list of str
        What they hold, in words.
    """
    jobs = [(path, (1, 0, 0) if stores.validation else stores.shares) for path in stores.train]
    jobs += [(path, (0, 1, 0)) for path in stores.validation]

    sets: dict[str, list] = {"train": [], "validation": []}
    descriptions = []
    for path, shares in jobs:
        frames, table = _frames_and_table(path, shares, stores.options, windows.channels)
        first, last = table.time.iloc[[0, -1]]
        step = time_step(frames)
        if incomplete := int((~table.complete).sum()):
            descriptions.append(f"{incomplete} incomplete frames of {path}: left out")

        try:
            by_split = rows_by_split(table, step, windows, shares)
        except NowcastError as error:
            raise NowcastError(f"{path}: {error}") from error
        for split, rows in by_split.items():
            if thin and split == "validation":
                rows = rows[:: -(-len(rows) // MAX_VALIDATION)]  # every n-th, n rounded up
            varied = augmentation if split == "train" else None
            if windows.channels > 1:
                seed = varied.seed if varied else None
                sets[split].append(ColourWindows(frames, rows, windows.crop, seed))
            else:
                sets[split].append(RadarWindows(frames, rows, windows.crop, varied, scale))
            source = frames.attrs["source"]
            descriptions.append(f"{split}: {len(rows)} windows of {source}, {first} to {last}")
            if split == "train" and (left_out := strides_left_out(table, rows, step, windows)):
                descriptions.append(f"strides {left_out}: longer than its sequences, left out")
    for parts in sets.values():
        _check_sizes(parts)
    return sets, descriptions


def _frames_and_table(
    path, shares: Shares, options: ReadOptions, channels: int
) -> tuple[xr.DataArray, pd.DataFrame]:
    """The frames of a store, of rain or of colours, and their table with its splits."""
    if channels > 1:
        options.check_known((), "colours")
        films = open_colours(path)
        return films, table_of_colours(path, films, shares)
    frames = open_frames(path, options=options)
    return frames, _table_of_rain(path, frames, shares, options)


def _check_sizes(sets: list) -> None:
    """NowcastError if whole frames of several stores differ in size: a batch holds one size."""
    sizes = {f"{part.frames.sizes['y']}×{part.frames.sizes['x']}" for part in sets}
    if len(sizes) > 1 and not sets[0].crop:
        raise NowcastError(
            f"the stores have frames of {' and '.join(sorted(sizes))} px, and crop 0 takes whole "
            "frames: set a crop that fits into all of them"
        )


def _table_of_rain(
    path, frames: xr.DataArray, shares: Shares, options: ReadOptions
) -> pd.DataFrame:
    """The table of the frames of a store with its splits; refused if all of it is dry."""
    table = frames_table(path, options=options)
    if not np.array_equal(table.time, frames.time):  # the store has grown since it was opened
        table = frames_table(frames)
    table = split_by_event(table, shares)
    if not table.wet.max() > 0:
        raise NowcastError(f"{path} holds no rain above {DRY} mm/h: there is nothing to learn from")
    return table
