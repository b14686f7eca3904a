"""Windows of frames as torch datasets: real or synthetic rain. One sample is (T, C, H, W)."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data.frame_table import (
    check_leakage,
    find_windows,
    frames_table,
    split_by_event,
)
from nowcastlib.data.moving_mnist import MovingMNIST
from nowcastlib.data.store import open_frames
from nowcastlib.data.times import time_step
from nowcastlib.errors import NowcastError
from nowcastlib.units import DRY, RainScale

MEMORY = 1e9  # bytes; a store that is smaller is read once and kept, a larger one window by window
MAX_VALIDATION = 48  # windows of each store, evenly spread: enough to see progress after each epoch
MOVING_MNIST = "moving-mnist"  # its name where a store is expected


class RadarWindows(Dataset):
    """Windows of a store, as (T, 1, H, W) float32 in model units, NaN = not observed.

    ``windows`` is what ``frame_table.find_windows`` found in ``frames`` (time, y, x; mm/h). With ``crop`` a square of that
    many pixels is cut out: of a few random ones the wetter is the likelier (most of the sky is dry), unless
    ``random`` is off: then the central one, always the same. ``random`` also turns and mirrors: rain has no
    preferred direction, and a network should not learn that of one day's wind; and it multiplies all rates of a window
    by one number, e^N(0, ``vary``). Sample i of epoch e of seed s is
    always the same. Raises NowcastError if a frame is smaller than ``crop``.
    """

    def __init__(
        self,
        frames: xr.DataArray,
        windows: np.ndarray,
        crop: int | None = None,
        random: bool = False,
        scale: RainScale = RainScale(),  # noqa: B008 (frozen)
        seed: int = 0,
        vary: float = 0.0,
    ):
        if crop and min(frames.shape[1:]) < crop:
            raise NowcastError(
                f"frames of {frames.shape[1:]} px are smaller than the crop of {crop}: lower the crop"
            )
        self.frames, self.windows, self.crop, self.random = frames, windows, crop, random
        self.scale, self.seed, self.vary, self.epoch = scale, seed, vary, 0
        small = frames.nbytes < MEMORY  # read and converted once
        self.known = (
            scale.to_model(torch.from_numpy(frames.values).float()).numpy() if small else None
        )

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, i: int) -> torch.Tensor:
        rng = np.random.default_rng([self.seed, self.epoch, i])
        rows = self.windows[i]
        frames = self._read(rows, *(self._square(rows[len(rows) // 2], rng) if self.crop else ()))
        if self.random:
            frames = np.rot90(frames, rng.integers(4), axes=(1, 2))
            frames = frames[:, :, :: 1 if rng.random() < 0.5 else -1]
        frames = torch.from_numpy(np.ascontiguousarray(frames))[:, None]
        if self.random and self.vary:
            frames = self.scale.to_model(
                self.scale.from_model(frames) * float(np.exp(rng.normal(0, self.vary)))
            )
        return frames

    def _read(self, rows: np.ndarray, y=slice(None), x=slice(None)) -> np.ndarray:
        """Frames (…, y, x) in model units; those of a large store only now, so that memory does not grow with it."""
        if self.known is not None:
            return self.known[rows, y, x]
        rate = self.frames.isel(time=rows, y=y, x=x).values.astype("f4")
        return self.scale.to_model(torch.from_numpy(rate)).numpy()

    def _square(self, middle: int, rng: np.random.Generator) -> tuple[slice, slice]:
        """Where to cut (rows, columns), judged by the rain in the window's middle frame."""
        room = np.array(self.frames.shape[1:]) - self.crop
        corners = rng.integers(0, room + 1, size=(8, 2)) if self.random else (room // 2)[None]
        squares = [(slice(y, y + self.crop), slice(x, x + self.crop)) for y, x in corners]
        if len(squares) == 1:
            return squares[0]
        wet = (
            np.array([(self._read(middle, *s) > self.scale.to_model(DRY)).mean() for s in squares])
            + 0.01
        )
        return squares[rng.choice(len(squares), p=wet / wet.sum())]


def training_data(
    stores: Sequence[str | Path],
    n_frames: int,
    crop: int,
    scale: RainScale = RainScale(),  # noqa: B008 (frozen)
    shares=(0.7, 0.15, 0.15),
    seed: int = 0,
    validation: Sequence[str | Path] = (),
    strides: Sequence[int] = (1,),
    vary: float = 0.0,
    least: int = 0,
) -> tuple[Dataset, Dataset, str]:
    """Training and validation windows of ``n_frames`` from one or several stores, and in words what they are.

    Each store is split by event; with stores for ``validation`` those are it, and all of the others is training.
    Training windows take every frame, or every second, …, as ``strides`` say, each as often; a store with fewer windows
    than ``least`` repeats them, each time with another square. The
    name ``moving-mnist`` in place of stores stands for the digits that move.
    Raises NowcastError if a store is unreadable, holds no rain, no window of that length, or too small frames.
    """
    if not validation and not all(shares[:2]):
        raise NowcastError(
            f"shares {shares} leave nothing to train or to validate on: give both a share"
        )
    if [str(path) for path in stores] == [MOVING_MNIST] and not validation:
        train = MovingMNIST("train", 1_000_000, n_frames, seed=seed)
        return (
            train,
            MovingMNIST("validation", 256, n_frames),
            "Moving MNIST: 1,000,000 films of 4,000 training digits",
        )
    sets, words = {"train": [], "validation": []}, []
    jobs = [(path, (1, 0, 0) if validation else shares) for path in stores]
    for path, of_store in jobs + [(path, (0, 1, 0)) for path in validation]:
        frames = open_frames(path)
        table = split_by_event(frames_table(path, progress=True), of_store)
        if not table.wet.max() > 0:
            raise NowcastError(
                f"{path} holds no rain above {DRY} mm/h: there is nothing to learn from"
            )
        step = time_step(frames)
        found = {
            s: find_windows(table, n_frames, step, s)
            for s, n in zip(sets, of_store, strict=False)
            if n
        }
        if "train" in found:
            found["train"] = _strided(found["train"], table, step, strides, least)
        if len(found) > 1:
            check_leakage(table, found["train"], found["validation"])
        for split, rows in found.items():
            rows = rows if split == "train" else rows[:: -(-len(rows) // MAX_VALIDATION)]
            sets[split].append(
                RadarWindows(frames, rows, crop, split == "train", scale, seed, vary)
            )
            span = f"{table.time.iloc[0]} to {table.time.iloc[-1]}"
            words.append(f"{split}: {len(rows)} windows of {frames.attrs['source']}, {span}")
    return ConcatDataset(sets["train"]), ConcatDataset(sets["validation"]), "; ".join(words)


def _strided(
    rows: np.ndarray, table, step: float, strides: Sequence[int], least: int
) -> np.ndarray:
    """Training windows of several strides, each as many; of those for which the sequences are long enough.

    Raises NowcastError if they are for none.
    """
    found = [rows] if 1 in strides else []
    for stride in set(strides) - {1}:
        with contextlib.suppress(NowcastError):
            found.append(find_windows(table, rows.shape[1], step * stride, "train"))
    if not found:
        return find_windows(
            table, rows.shape[1], step * min(strides), "train"
        )  # tells what is missing
    longest = max(least // len(found), *map(len, found))
    return np.concatenate([np.resize(r, (longest, rows.shape[1])) for r in found])
