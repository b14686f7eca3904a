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

# From left to right: the memory is multiplied by f, and i ⊙ g is added
GATES = {"f": "forget f", "i": "input i", "g": "new g", "o": "output o"}
ROWS = ("i", "f", "g", "o")  # order of the gates in a cell's weights

# Middles of maps and signs, inches from the lower left corner of the figure
WIDTH, HEIGHT = 4.6, 6.9
COLUMNS = {"f": 0.62, "i": 1.68, "g": 2.74, "o": 3.9}
GATE_HEIGHT, KERNEL_HEIGHT, MEMORY_HEIGHT = 3.55, 2.35, 5.95
SIGNS = {"keep": (1.3, 5.95), "new": (2.21, 4.75), "sum": (2.21, 5.95), "show": (3.78, 4.8)}
MAP, KERNEL = 0.78, 0.4  # sizes, inches
SIGN = 0.13  # radius, inches
TITLE = 0.2  # height of a title, inches

GREY = ("gray", (0.0, 1.0))
SIGNED = ("RdBu_r", (-1.0, 1.0))  # blue below 0, red above
GATE = ("Greens", (0.0, 1.0))
Shades = tuple[str, tuple[float, float]]  # colour map and its limits

BLACK, PALE, BLUE, RED = "#444444", "#999999", "#4477aa", "#cc6677"


class Box(NamedTuple):
    """A map or a sign by its middle and its size, inches."""

    x: float
    y: float
    size: float = MAP
    title: float = 0  # height of a title above it

    def towards(self, other: Box) -> tuple[float, float]:
        """The point at which an arrow to another box starts, a little outside of this one."""
        dx, dy = other.x - self.x, other.y - self.y
        half = self.size / 2 + 0.04
        height = half + self.title if dy > 0 else half
        reach = min(half / max(abs(dx), 1e-9), height / max(abs(dy), 1e-9))
        return self.x + reach * dx, self.y + reach * dy


def draw_cell(
    cell: ConvLSTMCell, x: np.ndarray, trace: Mapping[str, np.ndarray], step: int, channel: int
) -> Figure:
    """Draw one time step of a ConvLSTM cell for one hidden channel.

    The memory's path runs along the top, from C(t-1) to C(t). Input and hidden state stand below,
    the four gates between them. The figure is narrow, so that a phone can show it.

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
        Gates are green (0 to 1); states and kernels are blue (below 0) to red. The memory has
        limits of its own, because it may exceed 1; they are written below.

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
    figure = plt.figure(figsize=(WIDTH, HEIGHT))

    boxes = _draw_states(figure, x[step], maps, step)
    for gate, title in GATES.items():
        boxes |= _draw_kernels(figure, cell, gate, channel)
        box = Box(COLUMNS[gate], GATE_HEIGHT)
        boxes[gate] = _draw_map(
            figure, box, maps[gate][step], SIGNED if gate == "g" else GATE, title
        )
    for name, (x_middle, y_middle) in SIGNS.items():
        sign = "⊕" if name == "sum" else "⊙"
        boxes[name] = _draw_sign(figure, Box(x_middle, y_middle, 2 * SIGN), sign)

    _draw_path_to_gates(figure, boxes)
    _draw_path_of_memory(figure, boxes)
    if cell.peephole is not None:
        _draw_peepholes(figure, boxes)
    limit = _largest_memory(maps, step)
    colours = f"gates: white 0, green 1; memory: blue −{limit:g}, red +{limit:g}"
    colours += "\nothers: blue −1, white 0, red +1"
    _write(figure, 0.1, 0.1, colours)
    return figure


def _draw_states(
    figure: Figure, x: np.ndarray, maps: Mapping[str, np.ndarray], step: int
) -> dict[str, Box]:
    """Input and hidden state below, the memory before and after at the top, the output beside."""
    before, after = step - 1, step
    hidden, memory = maps["H"], maps["C"]
    limit = _largest_memory(maps, step)
    shades = SIGNED[0], (-limit, limit)
    top = MEMORY_HEIGHT
    return {
        "X": _draw_map(figure, Box(1.2, 1.05), x, GREY, "input X$_t$"),
        "H0": _draw_map(figure, Box(3.2, 1.05), hidden[before], SIGNED, "hidden H$_{t-1}$"),
        "C0": _draw_map(figure, Box(0.5, top), memory[before], shades, "memory C$_{t-1}$"),
        "C": _draw_map(figure, Box(2.98, top), memory[after], shades, "memory C$_t$"),
        "H": _draw_map(figure, Box(4.12, top), hidden[after], SIGNED, "hidden H$_t$"),
    }


def _draw_kernels(figure: Figure, cell: ConvLSTMCell, gate: str, channel: int) -> dict[str, Box]:
    """Kernels of a gate: from the input (box "x" + gate) and from the hidden state ("h" + gate)."""
    parameters = dict(cell.named_parameters())
    weights = {
        "x": parameters["from_x.weight"][:, 0],  # (4·hidden, k, k), from the first input channel
        "h": parameters["from_h.weight"][:, channel],
    }
    row = ROWS.index(gate) * cell.hidden + channel
    subscript = "c" if gate == "g" else gate  # the paper calls the kernels of g W_xc and W_hc

    boxes = {}
    for source, shift in (("x", -0.24), ("h", 0.24)):
        kernel = weights[source][row].detach().cpu().numpy()
        largest = float(np.abs(kernel).max())
        box = Box(COLUMNS[gate] + shift, KERNEL_HEIGHT, KERNEL)
        title = f"W$_{{{source}{subscript}}}$"
        shades = ("RdBu_r", (-largest, largest))
        boxes[source + gate] = _draw_map(figure, box, kernel, shades, title)
    return boxes


def _largest_memory(maps: Mapping[str, np.ndarray], step: int) -> float:
    """Largest absolute value of the memory before and after a step, rounded up; at least 1."""
    return max(1.0, float(np.ceil(np.abs(maps["C"][step - 1 : step + 1]).max())))


def _draw_path_to_gates(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """Input and hidden state are convolved with kernels, summed and squeezed."""
    for gate in GATES:
        _draw_arrow(figure, boxes["X"], boxes["x" + gate], PALE)
        _draw_arrow(figure, boxes["H0"], boxes["h" + gate], BLUE)
        below = Box(COLUMNS[gate], KERNEL_HEIGHT + 0.32, KERNEL)
        _draw_arrow(figure, below, boxes[gate], BLACK)
        activation = "tanh" if gate == "g" else "σ"
        _write(figure, COLUMNS[gate] + 0.1, KERNEL_HEIGHT + 0.58, activation)


def _draw_path_of_memory(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """C(t) = f ⊙ C(t-1) + i ⊙ g along the top, and H(t) = o ⊙ tanh C(t) at the right."""
    path = [("C0", "keep"), ("keep", "sum"), ("sum", "C")]
    for source, target in path:
        _draw_arrow(figure, boxes[source], boxes[target], BLACK, width=2.2)
    others = [("f", "keep"), ("i", "new"), ("g", "new"), ("new", "sum")]
    others += [("o", "show"), ("C", "show"), ("show", "H")]
    for source, target in others:
        _draw_arrow(figure, boxes[source], boxes[target], BLACK)
    _write(figure, 3.46, 5.3, "tanh")


def _draw_peepholes(figure: Figure, boxes: Mapping[str, Box]) -> None:
    """Dashed arrows from the memory to the gates that see it."""
    for memory, gate in (("C0", "f"), ("C0", "i"), ("C", "o")):
        arrow = _draw_arrow(figure, boxes[memory], boxes[gate], RED)
        arrow.set_linestyle("dashed")
    _write(figure, 2.6, 0.1, "dashed: peepholes W$_c$ ⊙ C", RED)


def _draw_map(figure: Figure, box: Box, values: np.ndarray, shades: Shades, title: str) -> Box:
    """One square map with its title above; returns its box."""
    half = box.size / 2
    edges = ((box.x - half) / WIDTH, (box.y - half) / HEIGHT, box.size / WIDTH, box.size / HEIGHT)
    cmap, (vmin, vmax) = shades

    ax = figure.add_axes(edges)
    ax.imshow(values, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9, pad=3)
    return box._replace(title=TITLE)


def _draw_sign(figure: Figure, box: Box, sign: str) -> Box:
    """A product ⊙ or a sum ⊕ of maps, pixel by pixel."""
    figure.text(
        box.x / WIDTH, box.y / HEIGHT, sign, fontsize=19, ha="center", va="center", color=BLACK
    )
    return box


def _draw_arrow(
    figure: Figure, source: Box, target: Box, colour: str, width: float = 1
) -> FancyArrowPatch:
    """Arrow from the edge of a box to the edge of another."""
    ends = [(x / WIDTH, y / HEIGHT) for x, y in (source.towards(target), target.towards(source))]
    arrow = FancyArrowPatch(
        *ends,
        transform=figure.transFigure,
        arrowstyle="-|>",
        mutation_scale=10,
        lw=width,
        color=colour,
        shrinkA=0,
        shrinkB=0,
    )
    figure.add_artist(arrow)
    return arrow


def _write(figure: Figure, x: float, y: float, text: str, colour: str = BLACK) -> None:
    figure.text(x / WIDTH, y / HEIGHT, text, fontsize=9, color=colour)
