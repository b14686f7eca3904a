"""Drawing of a forecast unrolled in time: each time step of a network is a column of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.axes import Axes

from nowcastlib.display.diagram_shapes import (
    BLACK,
    COLOURS,
    GREY,
    RED,
    Block,
    draw_arrow,
    draw_block,
    draw_chain,
    empty_axes,
)
from nowcastlib.networks import dissect

if TYPE_CHECKING:
    from nowcastlib.networks import ForecastNetwork

SHOWN = 3  # time steps of the input and of the forecast; if there are more, some are left out
FRAME_HEIGHT = -0.85  # of the input frames, below the cells, units of the axes


class Column(NamedTuple):
    """A time step."""

    stack: str  # "cells", "encoder" or "forecaster"
    time: int  # of the frame that enters; 0: now
    lead: int  # of the frame that it forecasts; 0: none


def draw_unrolled(network: ForecastNetwork, n_in: int, n_out: int, ax: Axes | None = None) -> Axes:
    """Draw a forecast unrolled in time: one column for each time step, from left to right.

    A column holds the cells of the network, the lowest below. Arrows to the right carry the states,
    red arrows carry a forecast back to the input. Of many time steps the first and last are drawn.

    Parameters
    ----------
    network : ForecastNetwork
    n_in, n_out : int
        Number of input frames and of forecast frames.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    anatomy = dissect(network)
    names = list(anatomy.stacks)
    n_cells = len(anatomy.stacks[names[0]])
    columns = _columns(names, n_in, n_out)
    ax = empty_axes(ax, height=0.5 * n_cells + 1.4)
    ax.set(xlim=(-0.6, len(columns) - 0.4), ylim=(-1.75, n_cells + 0.6))

    before: list[Block] = []
    for x, column in enumerate(columns):
        blocks = [Block(x, y, 0.56, 0.5) for y in range(n_cells)]
        for source, target in zip(before, blocks, strict=False):
            draw_arrow(ax, source.right, target.left)
        before = blocks
        if column is None:
            ax.text(x, (n_cells - 1) / 2, "…", fontsize=14, ha="center", va="center")
            continue

        _draw_cells(ax, blocks, COLOURS[column.stack])
        _draw_frames(ax, blocks, column, anatomy.feeds_back)
        if anatomy.feeds_back and column.lead and x + 1 < len(columns) and columns[x + 1]:
            _draw_feedback(ax, x, n_cells)

    _draw_phases(ax, names, columns)
    return ax


def _columns(names: list[str], n_in: int, n_out: int) -> list[Column | None]:
    """The time steps to draw; None stands for some that are left out."""
    if len(names) == 1:  # the last input frame gives the first forecast
        past = [Column(names[0], t, int(t == 0)) for t in range(1 - n_in, 1)]
        future = [Column(names[0], t, t + 1) for t in range(1, n_out)]
    else:
        past = [Column(names[0], t, 0) for t in range(1 - n_in, 1)]
        future = [Column(names[1], t, t) for t in range(1, n_out + 1)]

    columns: list[Column | None] = list(past)
    if len(past) > SHOWN:
        columns = [past[0], None, past[-1]]
    if len(future) > SHOWN:
        return [*columns, *future[:2], None, future[-1]]
    return columns + future


def _draw_cells(ax: Axes, blocks: list[Block], colour: str) -> None:
    for number, block in enumerate(blocks, start=1):
        draw_block(ax, block, colour)
        ax.text(block.x, block.y, f"{number}", fontsize=9, ha="center", va="center")
    draw_chain(ax, blocks)


def _draw_frames(ax: Axes, blocks: list[Block], column: Column, feeds_back: bool) -> None:
    """The frame that enters below, and the forecast that leaves above."""
    x = blocks[0].x
    if column.time <= 0:
        time = "now" if column.time == 0 else f"−{-column.time}"
        _draw_frame(ax, x, FRAME_HEIGHT, f"$X_{{\\mathrm{{{time}}}}}$", BLACK)
        draw_arrow(ax, (x, -0.6), blocks[0].bottom)
    elif feeds_back:
        _draw_frame(ax, x, FRAME_HEIGHT, _forecast(column.time), RED)
        draw_arrow(ax, (x, -0.6), blocks[0].bottom, RED)
    if column.lead:
        _draw_frame(ax, x, len(blocks) + 0.15, _forecast(column.lead), BLACK)
        draw_arrow(ax, blocks[-1].top, (x, len(blocks) - 0.1))


def _draw_frame(ax: Axes, x: float, y: float, name: str, colour: str) -> None:
    ax.text(x, y, name, fontsize=11, ha="center", va="center", color=colour)


def _forecast(lead: int) -> str:
    return f"$\\hat{{X}}_{{+{lead}}}$"


def _draw_feedback(ax: Axes, x: float, n_cells: int) -> None:
    """From the forecast above column x to the input below the next one."""
    above, middle = n_cells + 0.15, x + 0.5
    ax.plot([x + 0.24, middle, middle], [above, above, FRAME_HEIGHT], color=RED, lw=1.2)
    draw_arrow(ax, (middle, FRAME_HEIGHT), (x + 0.78, FRAME_HEIGHT), RED)


def _draw_phases(ax: Axes, names: list[str], columns: list[Column | None]) -> None:
    """The names of the two phases below the columns."""
    last = max(x for x, column in enumerate(columns) if column and column.time <= 0)
    phases = names if len(names) > 1 else ["reads", "forecasts"]
    ends = [(0, last), (last + 1, len(columns) - 1)]
    for phase, (start, end) in zip(phases, ends, strict=True):
        if start <= end:
            ax.plot([start - 0.3, end + 0.3], [-1.25, -1.25], color=GREY, lw=1)
            ax.text((start + end) / 2, -1.55, phase, fontsize=9, ha="center", color=GREY)
