"""What windows to train on, as plain settings: importing them loads neither NumPy nor torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nowcastlib.errors import NowcastError

MOVING_MNIST = "moving-mnist"  # stands in place of a store for Moving MNIST


@dataclass(frozen=True)
class WindowOptions:
    """Windows of a training run: length, crop, strides and variation.

    Raises
    ------
    ValueError
        If a field is outside its range; the message names the field.
    """

    n_in: int = 6  # input frames
    n_out: int = 6  # frames to forecast
    crop: int = 128  # px; side of the square that is cut out of each window; 0: whole frames
    strides: tuple[int, ...] = (1,)  # windows take every N-th frame; each stride has an equal share
    vary: float = 0.0  # standard deviation of the log-normal factor on a window's rain rates
    min_windows: int = 0  # a store with fewer training windows repeats them, each crop another one

    def __post_init__(self):
        for name in ("n_in", "n_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        for name in ("crop", "vary", "min_windows"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides {self.strides} must be numbers of 1 or more")

    @property
    def n_frames(self) -> int:
        """Frames of a window, input and forecast together."""
        return self.n_in + self.n_out


@dataclass(frozen=True)
class TrainingStores:
    """Stores to train and validate on.

    Each store of ``train`` is split by event into training, validation and test. If there are
    stores for ``validation``, these are the validation set and all of ``train`` is for training.

    Raises
    ------
    NowcastError
        If ``shares`` leave no rain to train or to validate on.
    """

    train: Sequence[str | Path]  # CF-Zarr stores, or ("moving-mnist",)
    validation: Sequence[str | Path] = ()  # CF-Zarr stores
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)  # of training, validation and test

    def __post_init__(self):
        if not self.validation and not all(self.shares[:2]):
            raise NowcastError(
                f"shares {self.shares} leave nothing to train or to validate on: give both a share"
            )

    @property
    def is_moving_mnist(self) -> bool:
        """Whether Moving MNIST stands in place of the stores."""
        return [str(path) for path in self.train] == [MOVING_MNIST] and not self.validation
