"""Films of Moving MNIST to train on, in place of stores of rain."""

from torch.utils.data import Dataset, Subset

from nowcastlib.data.moving_mnist import MovingMNIST, OfficialWindows
from nowcastlib.data.splits import SPLITS
from nowcastlib.data.window_options import Shares, TrainingStores, WindowOptions
from nowcastlib.errors import NowcastError

SIZE = 64  # px, height and width of the films
N_FILMS = {"train": 1_000_000, "validation": 256}  # generated films, or windows of official ones


def films_to_train_on(
    stores: TrainingStores, windows: WindowOptions, seed: int
) -> tuple[Dataset, Dataset, str]:
    """Training set, validation set and description; see ``windows.training_data``."""
    _check_options(windows)
    if stores.official_folder:
        return _official_films(stores.official_folder, windows.n_frames, stores.shares)
    return _generated_films(windows.n_frames, seed)


def _check_options(windows: WindowOptions) -> None:
    """Refuse options that only windows of rain have."""
    for name in ("strides", "vary", "min_windows", "channels"):
        if getattr(windows, name) != getattr(WindowOptions, name):
            raise NowcastError(f"moving-mnist has no {name}: leave out this option")
    if windows.crop not in (WindowOptions.crop, 0, SIZE):
        raise NowcastError(
            f"moving-mnist has films of {SIZE} px, which are not cropped: leave out "
            f"the crop of {windows.crop}"
        )


def _generated_films(n_frames: int, seed: int) -> tuple[Dataset, Dataset, str]:
    """Generated films of Moving MNIST as training and validation set."""
    train = MovingMNIST("train", N_FILMS["train"], n_frames, seed=seed)
    validation = MovingMNIST("validation", N_FILMS["validation"], n_frames)
    films, digits = len(train), len(train.digits)
    return train, validation, f"Moving MNIST: {films:,} films of {digits:,} training digits"


def _official_films(folder: str, n_frames: int, shares: Shares) -> tuple[Dataset, Dataset, str]:
    """The official films of Moving MNIST: all windows to train on, some of others to validate."""
    train, validation, test = (OfficialWindows(folder, split, n_frames, shares) for split in SPLITS)
    every = -(-len(validation) // N_FILMS["validation"])  # rounded up
    some = Subset(validation, range(0, len(validation), every))
    description = (
        f"Moving MNIST, the official films: train: {len(train):,} windows of the first "
        f"{train.n_films:,} films; validation: {len(some):,} windows of the next "
        f"{validation.n_films:,}; test: the last {test.n_films:,}, which are not used"
    )
    return train, some, description
