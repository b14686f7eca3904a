"""What windows to train on, as plain settings: importing them loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nowcastlib.data.read_options import AS_STATED, ReadOptions
from nowcastlib.errors import NowcastError

Shares = tuple[float, float, float]  # of training, validation and test; their sum is 1
SHARES: Shares = (0.7, 0.15, 0.15)
MEMORY = 1e9  # bytes; a smaller store is read once and kept, a larger one is read window by window
MOVING_MNIST = "moving-mnist"  # in place of a store: generated films
OFFICIAL_FILMS = "moving-mnist:"  # in place of a store, with a folder: the films of papers


def check_shares(shares: Shares) -> None:
    """Raise NowcastError if shares are negative or do not sum to 1."""
    if not min(shares) >= 0 or not abs(sum(shares) - 1) < 1e-6:
        raise NowcastError(f"shares {shares} must be 0 or more and sum to 1")


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
    # if a store has fewer training windows, they are repeated with other random crops
    min_windows: int = 0
    channels: int = 1  # of a frame. 1: rain; 3: red, green and blue of stores of colours

    def __post_init__(self):
        for name in ("n_in", "n_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        for name in ("crop", "vary", "min_windows"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}: 1 for rain, or 3 for colours")
        if self.channels > 1 and self.vary:
            raise ValueError("vary is the variation of rain rates: leave it at 0 for colours")
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
        If ``shares`` are below 0, do not sum to 1, or leave no rain to train or to validate on; if
        they are given although nothing is split; if Moving MNIST is given together with stores or
        with ``options``.
    """

    train: Sequence[str | Path]  # stores, or ("moving-mnist",), or ("moving-mnist:FOLDER",)
    validation: Sequence[str | Path] = ()  # stores
    shares: Shares = SHARES
    options: ReadOptions = AS_STATED  # what the stores do not say, or say wrongly

    def __post_init__(self):
        if len(self.train) + len(self.validation) > 1:
            for path in map(str, (*self.train, *self.validation)):
                if path == MOVING_MNIST or path.startswith(OFFICIAL_FILMS):
                    raise NowcastError(f"{path} cannot be mixed with other data: give it alone")
        if self.is_moving_mnist and not self.official_folder and self.shares != SHARES:
            raise NowcastError("moving-mnist is not split by shares: leave out shares")
        if self.is_moving_mnist:
            self.options.check_known((), "moving-mnist")
        if self.validation and self.shares != SHARES:
            raise NowcastError(
                "stores for validation leave no store to split by shares: give one of the two"
            )
        check_shares(self.shares)
        if not all(self.shares[:2]):
            raise NowcastError(
                f"shares {self.shares} leave nothing to train or to validate on: give both a share"
            )

    @property
    def is_moving_mnist(self) -> bool:
        """Whether Moving MNIST stands in place of the stores: generated or official films."""
        return [str(path) for path in self.train] == [MOVING_MNIST] or bool(self.official_folder)

    @property
    def official_folder(self) -> str:
        """The folder of the official films of Moving MNIST; "" for other data."""
        first = str(self.train[0]) if self.train else ""
        return first.removeprefix(OFFICIAL_FILMS) if first.startswith(OFFICIAL_FILMS) else ""
