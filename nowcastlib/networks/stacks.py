"""Stacks of recurrent cells: build a stack, let it read frames, and step it in time."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from nowcastlib.networks.cells import CELLS
from nowcastlib.networks.config import ConvStackConfig
from nowcastlib.networks.recurrence import RecurrentCell, State


def make_cell(
    config: ConvStackConfig, in_channels: int, hidden: int, kernel: int, **options
) -> RecurrentCell:
    """A convolutional cell with those options that a network has for all its cells."""
    if config.cell == "convlstm":
        options["peephole"] = config.peephole
    for name in ("state_kernel", "norm", "leaky_slope", "bias"):
        options[name] = getattr(config, name)
    return CELLS[config.cell](in_channels, hidden, kernel, **options)


def make_stack(config: ConvStackConfig, in_channels: int) -> nn.ModuleList:
    """Cells one above the other; the lowest has ``in_channels`` input channels, 0 for none."""
    cells = nn.ModuleList()
    for hidden, kernel in zip(config.hidden, config.kernel, strict=True):
        cells.append(make_cell(config, in_channels, hidden, kernel))
        in_channels = hidden
    return cells


def read(cells: nn.ModuleList, x: Tensor) -> tuple[Tensor, list[State]]:
    """Let a stack read frames that are all known, layer by layer.

    Returns the outputs of the highest cell, (B, T, hidden, H', W'), and the state of each cell.
    """
    states = []
    for cell in _typed(cells):
        x, state = cell.sequence(x)
        states.append(state)
    return x, states


def read_one_by_one(cells: nn.ModuleList, frames: Iterable[Tensor]) -> list[State]:
    """The states that ``read`` returns, after frames (B, C, H, W) that are given one at a time.

    It holds the outputs of one frame only. ``read`` is faster on small frames.
    """
    states: list = [None] * len(cells)
    for frame in frames:
        _, states = step(cells, frame, states)
    return states


def step(cells: nn.ModuleList, x: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
    """One step in time: output of the highest cell (B, hidden, H', W') and new states."""
    new_states = []
    for cell, state in zip(_typed(cells), states, strict=True):
        x, state = cell(x, state)
        new_states.append(state)
    return x, new_states


def unroll(cells: nn.ModuleList, states: list[State], steps: int) -> Tensor:
    """Steps of a stack whose lowest cell has no input.

    Returns the hidden states of all cells side by side, (B, steps, sum of hidden, …).
    """
    x: Tensor | None = None
    hidden = []
    for cell, state in zip(_typed(cells), states, strict=True):
        x, _ = cell.sequence(x, state, steps)
        hidden.append(x)
    return torch.cat(hidden, 2)


def _typed(cells: nn.ModuleList) -> list[RecurrentCell]:
    """The cells of a stack; torch only knows that they are modules."""
    return [cast(RecurrentCell, cell) for cell in cells]
