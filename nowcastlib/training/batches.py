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
from nowcastlib.training import schedules
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.prefetch import copied_ahead


def check_datasets(config: TrainConfig, datasets: Mapping[str, Dataset | None]) -> dict[str, str]:
    """A fingerprint of each dataset, by which a resumed run recognises its data.

    Raises
    ------
    NowcastError
        If a dataset is empty, or if its samples are too short or do not fit the network.
    """
    needed = config.windows.n_frames
    fingerprints = {}
    for name, dataset in datasets.items():
        if dataset is None:
            continue
        if not _length(dataset):
            raise NowcastError(f"the {name} set is empty: give it data, or lower n_in and n_out")

        _set_epoch(dataset, 0)
        first = torch.as_tensor(dataset[0])  # (T, C, H, W)
        if len(first) < needed:
            raise NowcastError(
                f"the {name} set has samples of {len(first)} frames, but n_in + n_out = {needed}: "
                "lower them, or cut longer windows"
            )
        _check_shape(config, name, tuple(first.shape))
        checksum = zlib.crc32(first.contiguous().numpy().tobytes())
        fingerprints[name] = (
            f"{_length(dataset)} samples of {tuple(first.shape)}, the first {checksum:08x}"
        )
    return fingerprints


def _check_shape(config: TrainConfig, name: str, shape: tuple[int, ...]) -> None:
    """NowcastError if samples are not (T, 1, H, W), or not of the only size of the network."""
    if len(shape) != 4:
        raise NowcastError(f"the {name} set has samples of {shape}: make them (T, 1, H, W)")

    _, channels, height, width = shape
    if channels != 1:
        raise NowcastError(
            f"the {name} set has frames of {channels} channels, and networks are trained on one "
            "channel: reduce colours to one, for example by their mean"
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
) -> Iterator[tuple[float, Tensor, Tensor | None]]:
    """The batches of an epoch on this process.

    They depend on nothing but seed and epoch, so that resuming is exact. All processes draw the
    same numbers, and each takes its part of them.

    Yields
    ------
    time : float
        In epochs.
    frames : Tensor
        (B, T, C, H, W).
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
        (time, frames, _coins(config, time, numbers[k]))
        for k, (time, frames) in enumerate(zip(times.tolist(), loader, strict=True))
    )
    return copied_ahead(loaded, accelerator.device)


def _coins(config: TrainConfig, time: float, numbers: Tensor) -> Tensor | None:
    """Coins (B, n_out - 1) from random numbers; None if no true frame is fed back any more."""
    probability = schedules.truth_probability(config, time)
    return numbers < probability if probability else None


def part_of_process(dataset: Dataset, accelerator: Accelerator) -> Subset:
    """The samples of a dataset that this process validates."""
    rows = range(accelerator.process_index, _length(dataset), accelerator.num_processes)
    return Subset(dataset, rows)


def _length(dataset: Dataset) -> int:
    """Number of samples; torch declares it for some datasets only."""
    return len(cast(Sized, dataset))


def _sample_weights(dataset: Dataset) -> np.ndarray | None:
    """Probability of each sample: every store has the same weight, however long it is."""
    if not isinstance(dataset, ConcatDataset):
        return None
    stores: list = dataset.datasets
    return np.concatenate([np.full(len(store), 1 / len(store) / len(stores)) for store in stores])


def _set_epoch(dataset: Dataset, epoch: int) -> None:
    """Tell the data the epoch: their random crops and turns depend on it."""
    parts: list = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    for part in parts:
        part.epoch = epoch
