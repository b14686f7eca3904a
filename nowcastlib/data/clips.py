"""Clips with labels, to train a classifier: from stores of rain, or from given arrays.

A sample is a pair: a clip (n_in, 1, H, W) in model units, and a label, 1 (yes) or 0 (no).

Turning and mirroring a clip keep its label, if the centre of the clip is what the label is about.
Two other variations change it, and the label is then taken from the varied frames: cutting the
clip elsewhere (``ClipOptions.shift``), because its centre is another one, and multiplying the rain
rates (``WindowOptions.vary``), because other pixels exceed the rate.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data.clip_options import ClipOptions
from nowcastlib.data.window_options import TrainingStores, WindowOptions
from nowcastlib.data.windows import Augmentation, RadarWindows, windows_by_split
from nowcastlib.errors import NowcastError
from nowcastlib.units import ModelScale

NEW_EVENT = np.timedelta64(60, "m")  # an event ends if no frame comes for longer than this
LEAST_OBSERVED = 0.5  # share of the centre that a frame must show to count for a label


class LabelledClips(Dataset):
    """Clips of rain, labelled by what the frames after them show: see ``ClipOptions``.

    Parameters
    ----------
    windows : RadarWindows
        Windows of clip and following frames. Those without a known label are left out: the centre
        is observed in none of the frames that the label is about.
    n_in : int
        Frames of a clip.
    options : ClipOptions

    Attributes
    ----------
    labels : array (clip,)
        The label of each clip in the middle of the frames, without variation.
    times : array (clip,)
        Time of the last frame of each clip, UTC.
    left_out : int
        Number of windows without a known label.
    """

    def __init__(self, windows: RadarWindows, n_in: int, options: ClipOptions):
        labels = _labels_of_windows(windows, n_in, options)
        known = np.isfinite(labels)
        windows.rows = windows.rows[known]
        self.windows = windows
        self.n_in = n_in
        self.options = options
        self.labels = labels[known].astype("f4")
        self.left_out = int((~known).sum())

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        window = self.windows[i]  # (T, 1, H, W)
        if self.windows.augmentation is None:
            return window[: self.n_in], torch.tensor(self.labels[i])
        first = self.n_in + self.options.first_lead - 1
        label = label_of(window[first:, 0], self.options, self.windows.scale)
        return window[: self.n_in], torch.tensor(label)

    @property
    def epoch(self) -> int:
        """Set it before each epoch: a varied clip is another one in each epoch."""
        return self.windows.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.windows.epoch = epoch

    @property
    def times(self) -> np.ndarray:
        times = self.windows.frames.indexes["time"].to_numpy("datetime64[ns]")
        return times[self.windows.rows[:, self.n_in - 1]]

    @property
    def events(self) -> np.ndarray:
        """Number of the event of each clip, (clip,): a new one after an hour without a frame."""
        gaps = np.diff(self.windows.frames.time.values) > NEW_EVENT
        number = np.r_[0, np.cumsum(gaps)]
        return number[self.windows.rows[:, self.n_in - 1]]

    @property
    def sample_weights(self) -> np.ndarray | None:
        """How often each clip is drawn in training; None: equally often."""
        return balanced_weights(self.labels) if self.options.oversample else None


class GivenClips(Dataset):
    """Clips in memory with given labels.

    Parameters
    ----------
    clips : Tensor (clip, T, C, H, W)
        In model units, 0…1; NaN where not observed.
    labels : array (clip,)
        1 or 0.
    oversample : bool
        Draw clips of both labels equally often in training.

    Raises
    ------
    NowcastError
        If there is not one label for each clip, or if a label is NaN or neither 0 nor 1.
    """

    def __init__(self, clips: Tensor, labels: Sequence | np.ndarray, oversample: bool = False):
        self.clips = clips
        self.labels = np.asarray(labels, "f4")
        self.oversample = oversample
        if clips.ndim != 5 or self.labels.shape != (len(clips),):
            raise NowcastError(
                f"clips of the shape {tuple(clips.shape)} and labels of {self.labels.shape}: give "
                "clips (clip, T, C, H, W) and one label for each"
            )
        if unknown := int(np.isnan(self.labels).sum()):
            raise NowcastError(f"{unknown} of {len(clips)} labels are NaN: leave these clips out")
        if other := set(self.labels.tolist()) - {0.0, 1.0}:
            raise NowcastError(f"labels are 0 (no) or 1 (yes), not {sorted(other)[0]:g}")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.clips[i], torch.tensor(self.labels[i])

    @property
    def sample_weights(self) -> np.ndarray | None:
        """How often each clip is drawn in training; None: equally often."""
        return balanced_weights(self.labels) if self.oversample else None


def label_of(later: Tensor, options: ClipOptions, scale: ModelScale) -> float:
    """The label of a clip, from the frames that it is about.

    Parameters
    ----------
    later : Tensor (lead, H, W)
        Frames ``first_lead`` … ``n_out`` after the clip, in model units, NaN where not observed.
    options : ClipOptions
    scale : ModelScale

    Returns
    -------
    float
        1 or 0; NaN if no frame shows half of the centre.
    """
    rows, columns = (_middle(size, options.centre) for size in later.shape[1:])
    return _label(_shares(later[:, rows, columns], options, scale)).item()


def training_clips(
    stores: TrainingStores,
    windows: WindowOptions,
    clips: ClipOptions = ClipOptions(),  # noqa: B008 (frozen)
    scale: ModelScale = ModelScale(),  # noqa: B008 (frozen)
    seed: int = 0,
) -> tuple[ConcatDataset, ConcatDataset, str]:
    """Make the training and the validation set of one or several stores, split by event.

    A clip and the frames that its label is about are one window, so that neither crosses the
    border of a split.

    Parameters
    ----------
    stores : TrainingStores
        Stores and how they are split.
    windows : WindowOptions
        Length, crop, strides, variation and number of the windows.
    clips : ClipOptions
        What the label means, and how clips are drawn.
    scale : ModelScale
        Conversion from mm/h to model units.
    seed : int
        Seed of the random crops, turns and intensities.

    Returns
    -------
    training, validation : torch.utils.data.ConcatDataset
        Of ``LabelledClips``, one for each store.
    description : str
        The source, the times, the number of clips and the base rate of each part, in words.

    Raises
    ------
    NowcastError
        As by ``training_data``; if the centre is larger than the frames; if all labels of a split
        are the same.
    """
    if stores.is_moving_mnist:
        raise NowcastError("the digits of moving-mnist have no rain rate: use data.DigitClips")
    clips.check(windows)
    augmentation = Augmentation(seed, windows.vary, clips.shift)
    parts, descriptions = windows_by_split(stores, windows, scale, augmentation, thin=False)

    sets: dict[str, ConcatDataset] = {}
    for split, of_split in parts.items():
        labelled = [LabelledClips(part, windows.n_in, clips) for part in of_split]
        sets[split] = ConcatDataset(labelled)
        if left_out := sum(part.left_out for part in labelled):
            descriptions.append(f"{split}: {left_out} windows without a known label, left out")
        rate = check_labels(labels_of(sets[split]), split)
        descriptions.append(f"{split}: base rate {rate:.3f}")
    return sets["train"], sets["validation"], "; ".join(descriptions)


def labels_of(dataset: Dataset) -> np.ndarray:
    """The labels of clips, (clip,); of several sets together, in their order."""
    parts: list = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    return np.concatenate([part.labels for part in parts])


def events_of(dataset: Dataset) -> np.ndarray:
    """The number of the event of each clip, (clip,); those of several stores differ."""
    parts: list = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    pairs = [(k, event) for k, part in enumerate(parts) for event in part.events]
    return np.unique(np.array(pairs), axis=0, return_inverse=True)[1].ravel()


def check_labels(labels: np.ndarray, name: str) -> float:
    """The base rate: the share of the label 1.

    Parameters
    ----------
    labels : array (clip,)
    name : str
        What the clips are, for the message, such as "validation".

    Raises
    ------
    NowcastError
        If there is no clip, if a label is NaN, or if all labels are the same.
    """
    if not len(labels):
        raise NowcastError(f"the {name} set has no clip: give it more data")
    if np.isnan(labels).any():
        raise NowcastError(
            f"{int(np.isnan(labels).sum())} of {len(labels)} labels of the {name} set are NaN: "
            "leave these clips out"
        )
    rate = float(np.mean(labels))
    if rate in (0, 1):
        word = "yes (1)" if rate else "no (0)"
        remedy = "raise" if rate else "lower"
        raise NowcastError(
            f"all {len(labels)} clips of the {name} set have the label {word}: there is nothing to "
            f"tell apart; {remedy} rate or share, or give it other events"
        )
    return rate


def pos_weight(labels: np.ndarray) -> float:
    """The weight of the clips with the label 1 that makes both labels count equally in the loss.

    It is the number of clips with the label 0 for each with the label 1. The network then answers
    as if the base rate were one half: its probabilities are too high where 1 is rare.
    """
    rate = check_labels(labels, "training")
    return (1 - rate) / rate


def balanced_weights(labels: np.ndarray) -> np.ndarray:
    """Weights (clip,) with which clips of both labels are drawn equally often."""
    rate = check_labels(labels, "training")
    return np.where(labels == 1, 0.5 / rate, 0.5 / (1 - rate)).astype("f8")


def _labels_of_windows(windows: RadarWindows, n_in: int, options: ClipOptions) -> np.ndarray:
    """The label of each window in the middle of the frames, (window,); NaN where unknown."""
    first = n_in + options.first_lead - 1
    rows, squares = windows.rows[:, first:], windows.central_square()  # (window, lead)
    size = [len(range(n)[part]) for n, part in zip(windows.frames.shape[1:], squares, strict=True)]
    centre = [_middle(n, options.centre) for n in size]
    y, x = (_within(square, part) for square, part in zip(squares, centre, strict=True))

    used = np.unique(rows)
    shares = np.full(len(windows.frames), np.nan)
    for row in np.array_split(used, max(1, len(used) // 64)):  # a large store is read part by part
        frames = torch.from_numpy(np.ascontiguousarray(windows.read(row, y, x)))
        shares[row] = _shares(frames, options, windows.scale).numpy()
    return _label(torch.from_numpy(shares[rows])).numpy()


def _shares(centre: Tensor, options: ClipOptions, scale: ModelScale) -> Tensor:
    """Share of the observed pixels (…, y, x) above the rate, (…); NaN if too few are observed."""
    limit = scale.to_model(torch.tensor(options.rate)).item()
    observed = torch.isfinite(centre)
    above = (centre > limit).sum((-2, -1)) / observed.sum((-2, -1)).clamp(min=1)
    # A share that is exactly the limit counts: 0.01 of 100 px is one pixel.
    reaches = (above >= options.share - 1e-6).double()
    return torch.where(observed.double().mean((-2, -1)) >= LEAST_OBSERVED, reaches, torch.nan)


def _label(reaches: Tensor) -> Tensor:
    """Whether any of the frames (…, lead) reaches the share: (…); NaN if none is known."""
    known = torch.isfinite(reaches).any(-1)
    return torch.where(known, torch.nan_to_num(reaches).amax(-1), torch.nan)


def _middle(size: int, centre: int) -> slice:
    """The middle of a side. Raises NowcastError if the frames are smaller."""
    if centre > size:
        raise NowcastError(f"frames of {size} px are smaller than the centre of {centre}: lower it")
    first = (size - centre) // 2
    return slice(first, first + centre)


def _within(outer: slice, inner: slice) -> slice:
    """The part ``inner`` of the part ``outer`` of a side."""
    start = outer.start or 0
    return slice(start + cast(int, inner.start), start + cast(int, inner.stop))
