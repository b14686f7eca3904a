"""Batches on their way to the device: on a GPU the next one is copied during the training step."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Batch = tuple[float, Tensor, Tensor | None]  # time in epochs, frames and coins


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
    time, frames, coins = batch
    if coins is not None and device.type == "cuda":
        coins = coins.pin_memory()
    return (
        time,
        frames.to(device, non_blocking=True),
        None if coins is None else coins.to(device, non_blocking=True),
    )


def _arrived(batch: Batch, copied: torch.cuda.Event, device: torch.device) -> Batch:
    """The batch, to be used by the current stream as soon as its copy has ended."""
    current = torch.cuda.current_stream(device)
    current.wait_event(copied)
    for tensor in batch[1:]:
        if isinstance(tensor, Tensor):
            tensor.record_stream(current)  # its memory is not reused before that stream is done
    return batch
