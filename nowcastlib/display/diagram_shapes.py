"""Blocks and arrows for the drawings of networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

WIDTH = 4.6  # inches
BLACK, GREY, RED = "#333333", "#888888", "#cc3311"
FRAME_COLOUR = "#e8e8e8"
COLOURS = {"cells": "#cfe3f5", "encoder": "#cfe3f5", "forecaster": "#fbdcb9"}
Point = tuple[float, float]


class Block(NamedTuple):
    """A rectangle by its middle and its size, in units of the axes."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y - self.height / 2

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y


def empty_axes(ax: Axes | None, height: float) -> Axes:
    """Axes without frame or ticks; a new narrow figure unless ``ax`` is given."""
    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")[1]
    ax.set_axis_off()
    return ax


def draw_block(ax: Axes, block: Block, colour: str) -> None:
    """A rounded rectangle."""
    corner = block.x - block.width / 2, block.y - block.height / 2
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(
            corner, block.width, block.height, boxstyle=style, fc=colour, ec=BLACK, lw=0.8
        )
    )


def draw_arrow(ax: Axes, start: Point, end: Point, colour: str = BLACK) -> None:
    """A straight arrow."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=8,
            lw=1,
            color=colour,
            shrinkA=0,
            shrinkB=0,
        )
    )


def draw_detour(ax: Axes, start: Point, end: Point, x: float, colour: str) -> None:
    """An arrow that leaves sideways, runs along x, and comes back."""
    ax.plot([start[0], x, x], [start[1], start[1], end[1]], color=colour, lw=1.2)
    draw_arrow(ax, (x, end[1]), end, colour)


def draw_chain(ax: Axes, blocks: Sequence[Block]) -> None:
    """Arrows from each block up to the next."""
    for below, above in pairwise(blocks):
        draw_arrow(ax, below.top, above.bottom)
