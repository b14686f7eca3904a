"""Batches on their way to the device: on a GPU the next one is copied during the training step."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Sample = Tensor | list[Tensor]  # frames; or clips and their labels
Batch = tuple[float, Sample, Tensor | None]  # time in epochs, samples and coins


def copied_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches on a device, in their order.

    On CUDA each is copied on a stream of its own, one batch ahead of its use. Copies overlap with
    the training only from pinned memory.
    """
    if device.type != "cuda":
        for batch in batches:
            yield _moved(batch, device)
        return

    stream = torch.cuda.Stream(device)
    waiting: tuple[Batch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            following = _moved(batch, device), stream.record_event()
        if waiting is not None:
            yield _arrived(*waiting, device)
        waiting = following
    if waiting is not None:
        yield _arrived(*waiting, device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    """A batch that is on the device, or on its way there."""
    time, samples, coins = batch
    if coins is not None and device.type == "cuda":
        coins = coins.pin_memory()
    return (
        time,
        moved(samples, device),
        None if coins is None else coins.to(device, non_blocking=True),
    )


def moved(samples: Sample, device: torch.device) -> Sample:
    """Samples on a device, or on their way there."""
    if isinstance(samples, Tensor):
        return samples.to(device, non_blocking=True)
    return [tensor.to(device, non_blocking=True) for tensor in samples]


def _arrived(batch: Batch, copied: torch.cuda.Event, device: torch.device) -> Batch:
    """The batch, to be used by the current stream as soon as its copy has ended."""
    current = torch.cuda.current_stream(device)
    current.wait_event(copied)
    _, samples, coins = batch
    for tensor in (*(samples if isinstance(samples, list) else [samples]), coins):
        if tensor is not None:
            tensor.record_stream(current)  # its memory is not reused before that stream is done
    return batch
