"""Datasets and batches of a training run."""

import zlib
from collections.abc import Iterator, Mapping, Sized
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from nowcastlib.errors import NowcastError
from nowcastlib.networks import network_input
from nowcastlib.training import schedules
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.prefetch import Batch, Sample, copied_ahead, moved


def check_datasets(config: TrainConfig, datasets: Mapping[str, Dataset | None]) -> dict[str, str]:
    """A fingerprint of each dataset, by which a resumed run recognises its data.

    Raises
    ------
    NowcastError
        If a dataset is empty, or if its samples are too short or do not fit the network.
    """
    needed, what = config.windows.n_frames, "n_in + n_out"
    if config.model.classifies:
        needed, what = config.windows.n_in, "n_in"
    fingerprints = {}
    for name, dataset in datasets.items():
        if dataset is None:
            continue
        if not _length(dataset):
            raise NowcastError(f"the {name} set is empty: give it data, or lower n_in and n_out")

        _set_epoch(dataset, 0)
        first, label = _frames_and_label(dataset[0], name, config)  # (T, C, H, W)
        if len(first) < needed:
            raise NowcastError(
                f"the {name} set has samples of {len(first)} frames, but {what} = {needed}: "
                "lower them, or cut longer windows"
            )
        _check_shape(config, name, tuple(first.shape))
        checksum = zlib.crc32(first.contiguous().numpy().tobytes())
        fingerprints[name] = (
            f"{_length(dataset)} samples of {tuple(first.shape)}, the first {checksum:08x}{label}"
        )
    return fingerprints


def _frames_and_label(sample, name: str, config: TrainConfig) -> tuple[Tensor, str]:
    """The frames of a sample (T, C, H, W), and its label in words.

    Raises NowcastError if there is a label and the network forecasts frames, or the reverse.
    """
    has_label = isinstance(sample, tuple)
    if has_label != config.model.classifies:
        found, wanted = ("clips with labels", "frames") if has_label else ("frames", "labels")
        raise NowcastError(
            f"the {name} set has {found}, and a {config.model.kind} network is trained on {wanted}"
        )
    if not has_label:
        return torch.as_tensor(sample), ""
    clip, label = sample
    return torch.as_tensor(clip), f", with the label {float(label):g}"


def _check_shape(config: TrainConfig, name: str, shape: tuple[int, ...]) -> None:
    """NowcastError if samples are not (T, C, H, W), or not of the only size of the network."""
    if len(shape) != 4:
        wanted = f"(T, {config.windows.channels}, H, W)"
        raise NowcastError(f"the {name} set has samples of {shape}: make them {wanted}")

    _, channels, height, width = shape
    if channels != config.windows.channels:
        raise NowcastError(
            f"the {name} set has frames of {channels} channels, and channels is "
            f"{config.windows.channels}: set channels to 3 for colours, or reduce frames to one "
            "channel, for example by their mean"
        )
    size = config.model.fixed_size
    if size and (height, width) != (size, size):
        raise NowcastError(
            f"the {name} set has frames of {height}×{width} px, and this network works on "
            f"{size}×{size} px only: set crop to {size}, or another size of the network"
        )


def batches(
    config: TrainConfig,
    dataset: Dataset,
    epoch: int,
    accelerator: Accelerator,
    workers: int,
) -> Iterator[Batch]:
    """The batches of an epoch on this process.

    They depend on nothing but seed and epoch, so that resuming is exact. All processes draw the
    same numbers, and each takes its part of them.

    Yields
    ------
    time : float
        In epochs.
    samples : Tensor or list of Tensor
        Frames (B, T, C, H, W); of a classifier, clips (B, T, C, H, W) and labels (B,).
    coins : Tensor or None
        Scheduled sampling, (B, n_out - 1); None if no true frame is fed back any more.
    """
    _set_epoch(dataset, epoch)
    rng = np.random.default_rng([config.run.seed, epoch])
    steps, batch = config.run.steps, config.run.batch
    whole_batch = batch * accelerator.num_processes

    rows = rng.choice(_length(dataset), (steps, whole_batch), p=_sample_weights(dataset))
    draws = rng.random((steps, whole_batch, config.windows.n_out - 1), dtype="f4")
    first = accelerator.process_index * batch
    mine = slice(first, first + batch)
    rows = rows[:, mine]
    numbers = torch.from_numpy(draws)[:, mine]

    loader = DataLoader(
        dataset,
        batch_sampler=rows.tolist(),
        num_workers=workers,
        pin_memory=accelerator.device.type == "cuda",
    )
    times = epoch + np.arange(steps) / steps
    loaded = (
        (time, samples, _coins(config, time, numbers[k]))
        for k, (time, samples) in enumerate(zip(times.tolist(), loader, strict=True))
    )
    return copied_ahead(loaded, accelerator.device)


def _coins(config: TrainConfig, time: float, numbers: Tensor) -> Tensor | None:
    """Coins (B, n_out - 1) from random numbers; None if no true frame is fed back any more."""
    probability = schedules.truth_probability(config, time)
    return numbers < probability if probability else None


def split_samples(
    config: TrainConfig, samples: Sample, seen: int, length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Input, see ``network_input``, and target of samples, on a device.

    Parameters
    ----------
    config : TrainConfig
    samples : Tensor or list of Tensor
        Frames (B, n_in + n_out, C, H, W); of a classifier, clips (B, n_in, C, H, W) and labels
        (B,).
    seen, length : int
        Number of input frames, and of frames to forecast.
    device : torch.device

    Returns
    -------
    x : Tensor
        (B, seen, C, H, W).
    target : Tensor
        (B, length, C, H, W); of a classifier (B, 1).
    """
    n_in = config.windows.n_in
    there = moved(samples, device)
    if isinstance(there, Tensor):
        x = network_input(there[:, n_in - seen : n_in], config.model)
        return x, there[:, n_in : n_in + length]

    clips, labels = there
    return network_input(clips[:, :n_in], config.model), labels.float()[:, None]  # (B, 1)


def part_of_process(dataset: Dataset, accelerator: Accelerator) -> Subset:
    """The samples of a dataset that this process validates."""
    rows = range(accelerator.process_index, _length(dataset), accelerator.num_processes)
    return Subset(dataset, rows)


def _length(dataset: Dataset) -> int:
    """Number of samples; torch declares it for some datasets only."""
    return len(cast(Sized, dataset))


def _sample_weights(dataset: Dataset) -> np.ndarray | None:
    """Probability of each sample: every store has the same weight, however long it is.

    Within a store all samples have the same weight, unless it has ``sample_weights``, (sample,).
    """
    if not isinstance(dataset, ConcatDataset):
        weights = getattr(dataset, "sample_weights", None)
        return None if weights is None else weights / weights.sum()
    stores: list = dataset.datasets
    shares = [_sample_weights(store) for store in stores]
    uniform = [np.full(len(store), 1 / len(store)) for store in stores]
    parts = [u if share is None else share for u, share in zip(uniform, shares, strict=True)]
    return np.concatenate(parts) / len(stores)


def _set_epoch(dataset: Dataset, epoch: int) -> None:
    """Tell the data the epoch: their random crops and turns depend on it."""
    parts: list = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    for part in parts:
        part.epoch = epoch
