"""What a built network consists of: its cells and the shapes that a frame takes on its way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nowcastlib.networks.base import ForecastNetwork
from nowcastlib.networks.config import ConvStackConfig
from nowcastlib.networks.packing import pack
from nowcastlib.networks.recurrence import RecurrentCell

N_OUT = 2  # frames to forecast while shapes are measured
Shape = tuple[int, ...]  # (C, H, W), or (N,) of a vector


@dataclass(frozen=True)
class Layer:
    """A recurrent cell of a network."""

    kind: str  # ConvLSTM, ConvGRU or LSTM
    kernel: int  # size of the input convolution's kernel, or the state's without an input, px; 0
    size: str  # what it does to height and width: "halves", "doubles" or ""
    norm: str  # "layer norm", "group norm", "pixel norm" or ""
    has_input: bool
    shape: Shape  # of its hidden state


@dataclass(frozen=True)
class Anatomy:
    """A network, as it was run once."""

    frame: Shape  # one frame (C, H, W)
    entry: Shape  # what the lowest cell sees: (channels, H/patch, W/patch), or a vector (N,)
    stacks: dict[str, tuple[Layer, ...]]  # "cells", or "encoder" and "forecaster"; the lowest first
    head: tuple[Shape, Shape]  # shapes before and after the output layer
    output: Shape  # of one lead: (C, H, W), or (rate, H, W) of probabilities
    feeds_back: bool  # the forecast is the next input
    skip: bool  # the output layer also sees the frame that entered
    motion: bool  # the motion of the rain is an input


def dissect(network: ForecastNetwork, frame: Shape = (1, 64, 64)) -> Anatomy:
    """Run a network on dry frames, and note the shapes of its states.

    Parameters
    ----------
    network : ForecastNetwork
    frame : tuple of int
        Channels, height and width of a frame, px. A network of fixed size has its own.

    Returns
    -------
    Anatomy
    """
    channels, *size = frame
    fixed = network.config.fixed_size
    frame = (channels, fixed, fixed) if fixed else (channels, *size)

    names = ("cells", "encoder", "forecaster")
    stacks = {name: _cells(network, name) for name in names if hasattr(network, name)}
    modules = [cell.from_h for cells in stacks.values() for cell in cells]
    modules.append(cast(nn.Module, network.head))
    with _shapes_of(modules) as shapes:
        output = _run(network, frame)

    return Anatomy(
        frame=frame,
        entry=_entry(network, next(iter(stacks.values()))[0], frame),
        stacks={
            name: tuple(_layer(cell, shapes[cell.from_h][0]) for cell in cells)
            for name, cells in stacks.items()
        },
        head=shapes[cast(nn.Module, network.head)],
        output=tuple(output.shape[2:]),
        feeds_back=network.config.feeds_back,
        skip=getattr(network.config, "skip", False),
        motion=network.config.kind == "guided",
    )


def _cells(network: nn.Module, name: str) -> list:
    return list(getattr(network, name))


def _entry(network: ForecastNetwork, lowest: RecurrentCell, frame: Shape) -> Shape:
    """Shape of what enters the lowest cell."""
    if isinstance(lowest.from_x, nn.Linear):
        return (lowest.from_x.in_features,)
    config = cast(ConvStackConfig, network.config)
    _, height, width = pack(torch.zeros(frame), config.patch, config.size_multiple).shape
    return cast(nn.Conv2d, lowest.from_x).in_channels, height, width


@contextmanager
def _shapes_of(modules: list[nn.Module]) -> Iterator[dict[nn.Module, tuple[Shape, Shape]]]:
    """Note the shapes, without the batch, of what enters and leaves each module at its last call.

    At its first call a cell sees a state of one pixel, at its last one of full size.
    """
    shapes: dict[nn.Module, tuple[Shape, Shape]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        places = -1 if isinstance(module, nn.Linear) else -3  # (…, N) or (…, C, H, W)
        shapes[module] = tuple(inputs[0].shape[places:]), tuple(output.shape[places:])

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        yield shapes
    finally:
        for hook in hooks:
            hook.remove()


def _run(network: ForecastNetwork, frame: Shape) -> Tensor:
    """Forecast from dry frames: (1, N_OUT, …)."""
    weight = next(network.parameters())
    x = weight.new_zeros(1, max(2, network.config.fewest_frames), *frame)
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return network(x, N_OUT)
    finally:
        network.train(was_training)


def _layer(cell: RecurrentCell, shape: Shape) -> Layer:
    options = getattr(cell, "options", None)  # an LSTMCell has none
    halves, doubles = (options.stride == 2, options.double) if options else (False, "")
    convolution = cell.from_h if cell.from_x is None else cell.from_x
    return Layer(
        kind=type(cell).__name__.removesuffix("Cell"),
        kernel=getattr(convolution, "kernel_size", (0,))[0],
        size="halves" if halves else "doubles" if doubles else "",
        norm=f"{options.norm} norm" if options and options.norm else "",
        has_input=cell.from_x is not None,
        shape=shape,
    )
