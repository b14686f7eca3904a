"""A ConvLSTM cell drawn from the tensors of a run: what enters, its kernels, its gates, its states."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from nowcastlib.networks import ConvLSTMCell

GATES = {"i": "input gate i", "f": "forget gate f", "g": "new content g", "o": "output gate o"}
ROWS = dict(
    zip(GATES, (0.80, 0.565, 0.33, 0.095), strict=True)
)  # lower edge of each gate's row, share of the figure
SIZE = 0.155  # height of a map, share of the figure


def draw_cell(
    cell: ConvLSTMCell, x: np.ndarray, trace: Mapping[str, np.ndarray], step: int, channel: int
) -> Figure:
    """One step of a cell as equations (3) of Shi et al. 2015 have it, from left to right, for one hidden channel.

    ``x`` is the input (T, H, W) in 0…1, ``trace`` what ``cell.trace`` gave for it: (1, T, hidden, H', W') each.
    Kernels are those from the first input channel and from the hidden channel to itself. Gates are green (0 to 1),
    states and kernels blue (below 0) to red. Raises IndexError if there is no such step (from 1 on) or channel.
    """
    if not 0 < step < len(x) or not 0 <= channel < cell.hidden:
        raise IndexError(
            f"step {step} and channel {channel}: there are steps 1 to {len(x) - 1} and {cell.hidden} channels"
        )
    maps = {name: np.asarray(t)[0, :, channel] for name, t in trace.items()}
    figure = plt.figure(figsize=(11, 6.6))
    place = {
        "X": _map(figure, 0.02, 0.68, x[step], "gray", (0, 1), "input X$_t$"),
        "H0": _map(
            figure, 0.02, 0.40, maps["H"][step - 1], "RdBu_r", (-1, 1), "hidden state H$_{t-1}$"
        ),
        "C0": _map(figure, 0.02, 0.10, maps["C"][step - 1], "RdBu_r", (-1, 1), "memory C$_{t-1}$"),
        "C": _map(figure, 0.72, 0.52, maps["C"][step], "RdBu_r", (-1, 1), "memory C$_t$"),
        "H": _map(figure, 0.89, 0.24, maps["H"][step], "RdBu_r", (-1, 1), "hidden state H$_t$"),
    }
    weights = {"x": cell.from_x.weight[:, 0], "h": cell.from_h.weight[:, channel]}
    for k, (gate, title) in enumerate(GATES.items()):
        for source, left in (("x", 0.225), ("h", 0.335)):
            kernel = weights[source][k * cell.hidden + channel].detach().cpu().numpy()
            box = _map(figure, left, ROWS[gate] + 0.03, kernel, "RdBu_r", np.abs(kernel).max() * np.array([-1, 1]),
                       f"W$_{{{source}{'c' if gate == 'g' else gate}}}$", SIZE * 0.62)  # fmt: skip
            place[source + gate] = box
        colours = ("RdBu_r", (-1, 1)) if gate == "g" else ("Greens", (0, 1))
        place[gate] = _map(figure, 0.47, ROWS[gate], maps[gate][step], *colours, title)
        _arrow(figure, place["X"], place["x" + gate], "#999999")
        _arrow(figure, place["H0"], place["h" + gate], "#4477aa", rad=0.08)
        _arrow(figure, place["h" + gate], place[gate], "#444444", "σ" if gate != "g" else "tanh")
        figure.text(
            0.309, ROWS[gate] + 0.03 + SIZE * 0.31, "+", fontsize=13, ha="center", va="center"
        )
    for gate in ("i", "f", "g"):
        _arrow(
            figure,
            place[gate],
            place["C"],
            "#444444",
            {"i": "i ∘ g", "f": "f ∘ C$_{t-1}$", "g": ""}[gate],
        )
    _arrow(figure, place["o"], place["H"], "#444444", "o ∘ tanh C$_t$")
    _arrow(figure, place["C"], place["H"], "#444444")
    if cell.peephole is not None:
        for source, gate in (("C0", "i"), ("C0", "f"), ("C", "o")):
            _arrow(figure, place[source], place[gate], "#cc6677", style="dashed", rad=-0.12)
        figure.text(0.72, 0.06, "dashed: peepholes W$_c$ ∘ C", color="#cc6677", fontsize=9)
    figure.text(0.30, 0.965, "W$_x$ ∗ X$_t$ + W$_h$ ∗ H$_{t-1}$ + b", fontsize=10, ha="center")
    figure.text(0.72, 0.02, "green: 0 to 1; blue −1, white 0, red +1", fontsize=9)
    return figure


def _map(
    figure: Figure,
    left: float,
    low: float,
    values,
    cmap: str,
    limits,
    title: str,
    size: float = SIZE,
):
    """One map in the figure; returns where it stands: (left, low, right, high)."""
    width = size * figure.get_figheight() / figure.get_figwidth()
    ax = figure.add_axes((left, low, width, size))
    ax.imshow(
        values, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest", aspect="auto"
    )
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9, pad=3)
    return left, low, left + width, low + size


def _arrow(
    figure: Figure, a, b, colour: str, text: str = "", style: str = "solid", rad: float = 0.0
) -> None:
    """From the right edge of one box to the left edge of another (or, where that lies behind, to its nearest side)."""
    start = (a[2] + 0.004, (a[1] + a[3]) / 2)
    end = (b[0] - 0.004, (b[1] + b[3]) / 2)
    if end[0] < start[0]:
        start, end = ((a[0] + a[2]) / 2, a[1] - 0.01), (b[2] + 0.004, (b[1] + b[3]) / 2)
    arrow = FancyArrowPatch(start, end, transform=figure.transFigure, arrowstyle="-|>", mutation_scale=9, lw=1,
                            color=colour, linestyle=style, connectionstyle=f"arc3,rad={rad}")  # fmt: skip
    figure.add_artist(arrow)
    if text:
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.012
        figure.text(
            *middle, text, fontsize=9, ha="center", bbox={"fc": "white", "ec": "none", "pad": 0.5}
        )
