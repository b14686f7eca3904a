"""Diagram of a ConvLSTM cell at one time step: inputs, kernels, gates and states as maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

if TYPE_CHECKING:
    from nowcastlib.networks import ConvLSTMCell

GATES = {"i": "input gate i", "f": "forget gate f", "g": "new content g", "o": "output gate o"}

# Lower edges of the gates' rows and height of a map, as shares of the figure's height.
ROWS = {"i": 0.80, "f": 0.565, "g": 0.33, "o": 0.095}
MAP_HEIGHT = 0.155
KERNEL_HEIGHT = 0.62 * MAP_HEIGHT
KERNEL_RAISE = 0.03  # a kernel stands higher than its row, to be centred on it

GREY = ("gray", (0.0, 1.0))
SIGNED = ("RdBu_r", (-1.0, 1.0))  # blue below 0, red above
GATE = ("Greens", (0.0, 1.0))
Shades = tuple[str, tuple[float, float]]  # colour map and its limits

BLACK, PALE, BLUE, RED = "#444444", "#999999", "#4477aa", "#cc6677"


class Place(NamedTuple):
    """Lower left corner and height of a map, as shares of the figure."""

    left: float
    low: float
    height: float = MAP_HEIGHT


class Box(NamedTuple):
    """Edges of a map, as shares of the figure."""

    left: float
    low: float
    right: float
    high: float

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.low + self.high) / 2


def draw_cell(
    cell: ConvLSTMCell, x: np.ndarray, trace: Mapping[str, np.ndarray], step: int, channel: int
) -> Figure:
    """Draw one time step of a ConvLSTM cell, from left to right, for one hidden channel.

    Parameters
    ----------
    cell : ConvLSTMCell
        The cell that was run.
    x : array, shape (T, H, W)
        Its input, in 0…1.
    trace : mapping of str to array, shape (1, T, hidden, H', W')
        Gates and states, as ``cell.trace`` returns them.
    step : int
        Time step, from 1 on (step 0 has no states before it).
    channel : int
        Hidden channel.

    Returns
    -------
    matplotlib.figure.Figure
        Kernels are those from the first input channel, and from the hidden channel to itself.
        Gates are green (0 to 1); states and kernels are blue (below 0) to red.

    Raises
    ------
    IndexError
        If the step or the channel does not exist.

    References
    ----------
    Shi et al. (2015), "Convolutional LSTM Network: A Machine Learning Approach for Precipitation
    Nowcasting", equations (3).
    """
    if not 0 < step < len(x) or not 0 <= channel < cell.hidden:
        raise IndexError(
            f"no step {step} or channel {channel}: there are steps 1 to {len(x) - 1} "
            f"and {cell.hidden} channels, from 0 on"
        )
    maps = {name: np.asarray(values)[0, :, channel] for name, values in trace.items()}  # (T, H, W)
    figure = plt.figure(figsize=(11, 6.6))

    boxes = _draw_states(figure, x[step], maps, step)
    for gate in GATES:
        boxes |= _draw_kernels(figure, cell, gate, channel)
        shades = SIGNED if gate == "g" else GATE
        boxes[gate] = _draw_map(
            figure, Place(0.47, ROWS[gate]), maps[gate][step], shades, GATES[gate]
        )

    _draw_arrows(figure, boxes)
    if cell.peephole is not None:
        _draw_peepholes(figure, boxes)

    figure.text(0.30, 0.965, "W$_x$ ∗ X$_t$ + W$_h$ ∗ H$_{t-1}$ + b", fontsize=10, ha="center")
    figure.text(0.72, 0.02, "green: 0 to 1; blue −1, white 0, red +1", fontsize=9)
    return figure


def _draw_states(
    figure: Figure, x: np.ndarray, maps: Mapping[str, np.ndarray], step: int
) -> dict[str, Box]:
    """Input and states before the step at the left, states after it at the right."""
    before, after = step - 1, step
    hidden, memory = maps["H"], maps["C"]
    return {
        "X": _draw_map(figure, Place(0.02, 0.68), x, GREY, "input X$_t$"),
        "H0": _draw_map(
            figure, Place(0.02, 0.40), hidden[before], SIGNED, "hidden state H$_{t-1}$"
        ),
        "C0": _draw_map(figure, Place(0.02, 0.10), memory[before], SIGNED, "memory C$_{t-1}$"),
        "C": _draw_map(figure, Place(0.72, 0.52), memory[after], SIGNED, "memory C$_t$"),
        "H": _draw_map(figure, Place(0.89, 0.24), hidden[after], SIGNED, "hidden state H$_t$"),
    }


def _draw_kernels(figure: Figure, cell: ConvLSTMCell, gate: str, channel: int) -> dict[str, Box]:
    """Kernels of a gate: from the input (box "x" + gate) and from the hidden state ("h" + gate)."""
    parameters = dict(cell.named_parameters())
    weights = {
        "x": parameters["from_x.weight"][:, 0],  # (4·hidden, k, k), from the first input channel
        "h": parameters["from_h.weight"][:, channel],
    }
    row = list(GATES).index(gate) * cell.hidden + channel
    subscript = "c" if gate == "g" else gate  # the paper calls the kernels of g W_xc and W_hc
    low = ROWS[gate] + KERNEL_RAISE

    boxes = {}
    for source, left in (("x", 0.225), ("h", 0.335)):
        kernel = weights[source][row].detach().cpu().numpy()
        largest = float(np.abs(kernel).max())
        shades = ("RdBu_r", (-largest, largest))
        title = f"W$_{{{source}{subscript}}}$"
        place = Place(left, low, KERNEL_HEIGHT)
        boxes[source + gate] = _draw_map(figure, place, kernel, shades, title)

    figure.text(0.309, low + KERNEL_HEIGHT / 2, "+", fontsize=13, ha="center", va="center")
    return boxes


def _draw_arrows(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """Arrows from the inputs over kernels and gates to the new states."""
    for gate in GATES:
        activation = "tanh" if gate == "g" else "σ"
        _draw_arrow(figure, boxes["X"], boxes["x" + gate], PALE)
        arrow = _draw_arrow(figure, boxes["H0"], boxes["h" + gate], BLUE)
        arrow.set_connectionstyle("arc3", rad=0.08)
        _draw_arrow(figure, boxes["h" + gate], boxes[gate], BLACK, activation)

    _draw_arrow(figure, boxes["i"], boxes["C"], BLACK, "i ∘ g")
    _draw_arrow(figure, boxes["f"], boxes["C"], BLACK, "f ∘ C$_{t-1}$")
    _draw_arrow(figure, boxes["g"], boxes["C"], BLACK)
    _draw_arrow(figure, boxes["o"], boxes["H"], BLACK, "o ∘ tanh C$_t$")
    _draw_arrow(figure, boxes["C"], boxes["H"], BLACK)


def _draw_peepholes(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """Dashed arrows from the memory to the gates that see it."""
    for memory, gate in (("C0", "i"), ("C0", "f"), ("C", "o")):
        arrow = _draw_arrow(figure, boxes[memory], boxes[gate], RED)
        arrow.set_connectionstyle("arc3", rad=-0.12)
        arrow.set_linestyle("dashed")
    figure.text(0.72, 0.06, "dashed: peepholes W$_c$ ∘ C", color=RED, fontsize=9)


def _draw_map(figure: Figure, place: Place, values: np.ndarray, shades: Shades, title: str) -> Box:
    """One square map; returns its edges."""
    left, low, height = place
    width = height * figure.get_figheight() / figure.get_figwidth()
    cmap, (vmin, vmax) = shades

    ax = figure.add_axes((left, low, width, height))
    ax.imshow(values, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9, pad=3)
    return Box(left, low, left + width, low + height)


def _draw_arrow(
    figure: Figure, source: Box, target: Box, colour: str, text: str = ""
) -> FancyArrowPatch:
    """Arrow from the right edge of a box to the left edge of another, with a text at its middle.

    If the target lies further left, the arrow runs from below the source to its right edge.
    """
    start = source.right + 0.004, source.middle[1]
    end = target.left - 0.004, target.middle[1]
    if end[0] < start[0]:
        start = source.middle[0], source.low - 0.01
        end = target.right + 0.004, target.middle[1]

    arrow = FancyArrowPatch(
        start,
        end,
        transform=figure.transFigure,
        arrowstyle="-|>",
        mutation_scale=9,
        lw=1,
        color=colour,
    )
    figure.add_artist(arrow)

    if text:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.012
        background = {"fc": "white", "ec": "none", "pad": 0.5}
        figure.text(x, y, text, fontsize=9, ha="center", bbox=background)
    return arrow
