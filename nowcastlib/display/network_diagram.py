"""Drawings of a built network: its layers, and its forecast unrolled in time.

Both are narrow, with large letters, so that a phone shows them as well as a wide page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from nowcastlib.display.diagram_shapes import (
    COLOURS,
    FRAME_COLOUR,
    GREY,
    RED,
    Block,
    draw_arrow,
    draw_block,
    draw_chain,
    draw_detour,
    empty_axes,
)
from nowcastlib.display.unrolled_diagram import draw_unrolled as draw_unrolled
from nowcastlib.networks import Anatomy, Layer, dissect

if TYPE_CHECKING:
    from nowcastlib.networks import ForecastNetwork

AGAIN = "↻"  # marks layers that keep a state
Shape = tuple[int, ...]


def draw_network(
    network: ForecastNetwork, frame: Shape = (1, 64, 64), ax: Axes | None = None
) -> Axes:
    """Draw the layers of a network, from the input frame below to the forecast frame above.

    The width of a block is the width of its maps. The network is run once on dry frames: sizes and
    channels are those of real tensors.

    Parameters
    ----------
    network : ForecastNetwork
    frame : tuple of int
        Channels, height and width of a frame, px. A network of fixed size has its own.
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    anatomy = dissect(network, frame)
    stacks = anatomy.stacks
    rows = max(map(len, stacks.values())) + 4  # frame, patches; output layer, forecast
    ax = empty_axes(ax, height=0.62 * rows + 0.3)
    ax.set(xlim=(0, 10), ylim=(-1, rows - 0.4))

    if len(stacks) == 1:
        _draw_single_stack(ax, anatomy)
    else:
        _draw_two_stacks(ax, anatomy)
    norms = sorted({layer.norm for layers in stacks.values() for layer in layers if layer.norm})
    note = f"{AGAIN} keeps its state until the next frame"
    ax.text(0.1, -0.85, ", ".join([note, *norms]), fontsize=9, color=GREY)
    return ax


def _draw_single_stack(ax: Axes, anatomy: Anatomy) -> None:
    """One column of blocks, named at the right; feedback at the left, the skip at the right."""
    layers = anatomy.stacks["cells"]
    rows = [("frame", anatomy.frame), ("patches", anatomy.entry)]
    rows += [(_name(layer, k), layer.shape) for k, layer in enumerate(layers, start=1)]
    rows += [("output layer", anatomy.head[1]), ("forecast frame", anatomy.output)]

    blocks = []
    for y, (name, shape) in enumerate(rows):
        is_cell = 2 <= y < 2 + len(layers)
        width = max(0.5, 3.2 * shape[-1] / anatomy.frame[-1])
        blocks.append(Block(2.4, y, width, 0.46))
        draw_block(ax, blocks[-1], COLOURS["cells"] if is_cell else FRAME_COLOUR)
        ax.text(4.9, y + 0.17, name, fontsize=10, va="center", weight="bold")
        details = [size_text(shape), *_details(layers[y - 2])] if is_cell else [size_text(shape)]
        ax.text(4.9, y - 0.2, ", ".join(details), fontsize=9, va="center")
    draw_chain(ax, blocks)

    if anatomy.skip:
        draw_detour(ax, blocks[1].right, blocks[-2].right, 4.45, GREY)
        middle = (blocks[1].y + blocks[-2].y) / 2
        ax.text(4.55, middle, "skip", rotation=90, fontsize=8, color=GREY, va="center")
    if anatomy.feeds_back:
        draw_detour(ax, blocks[-1].left, blocks[0].left, 0.35, RED)
        middle = (blocks[0].y + blocks[-1].y) / 2
        ax.text(0.02, middle, "fed back", rotation=90, fontsize=9, color=RED, va="center")


def _draw_two_stacks(ax: Axes, anatomy: Anatomy) -> None:
    """The encoder at the left, the forecaster at the right, states copied between them."""
    encoder, forecaster = anatomy.stacks["encoder"], anatomy.stacks["forecaster"]
    inputs = [_labelled(ax, 2.4, 0, f"frame\n{size_text(anatomy.frame)}", FRAME_COLOUR)]
    what = "vector" if len(anatomy.entry) == 1 else "patches"
    what += ", mask, motion" if anatomy.motion else ""
    inputs.append(_labelled(ax, 2.4, 1, f"{what}\n{size_text(anatomy.entry)}", FRAME_COLOUR))

    left, right = (
        [
            _labelled(ax, x, y, _label(layer, y - 1), COLOURS[stack])
            for y, layer in enumerate(layers, start=2)
        ]
        for x, stack, layers in ((2.4, "encoder", encoder), (7.6, "forecaster", forecaster))
    )
    draw_chain(ax, [*inputs, *left])
    for source, target in zip(left, right, strict=True):
        draw_arrow(ax, source.right, target.left)
    ax.text(5, 1.05 + len(left), "states", fontsize=8, ha="center")

    y = 2 + len(right)
    outputs = [_labelled(ax, 7.6, y, f"output layer\n{size_text(anatomy.head[1])}", FRAME_COLOUR)]
    last = "forecast frame" if not anatomy.motion else "probabilities"
    text = f"{last}\n{size_text(anatomy.output)}"
    outputs.append(_labelled(ax, 7.6, y + 1, text, FRAME_COLOUR))
    draw_chain(ax, [*right, *outputs])

    sees_all = anatomy.head[0][0] > forecaster[-1].shape[0]
    # the note stands beside what it is about: the output layer, or the way to the probabilities
    note = "sees all hidden states →" if sees_all else "advected along the motion →"
    height = y if sees_all else y + 1
    ax.text(5.3, height, note, fontsize=9, ha="right", va="center", color=GREY)
    ax.text(2.4, y - 0.4, "encoder", fontsize=10, ha="center", weight="bold")
    note = "↑ rain left and motion" if forecaster[0].has_input else "no input"
    ax.text(7.6, 1.45, note, fontsize=9, ha="center", va="center", color=GREY)
    ax.text(7.6, 0.9, "forecaster", fontsize=10, ha="center", weight="bold")


def size_text(shape: Shape) -> str:
    """A shape in words: "32 × 16 × 16", or "512 numbers"."""
    return " × ".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers"


def _name(layer: Layer, number: int) -> str:
    return f"{layer.kind} {number} {AGAIN}"


def _details(layer: Layer) -> list[str]:
    kernel = [f"kernel {layer.kernel}"] if layer.kernel else []
    return kernel + ([layer.size] if layer.size else [])


def _label(layer: Layer, number: int) -> str:
    details = ", ".join([size_text(layer.shape), *_details(layer)])
    return f"{_name(layer, number)}\n{details}"


def _labelled(ax: Axes, x: float, y: float, text: str, colour: str) -> Block:
    block = Block(x, y, 4.2, 0.72)
    draw_block(ax, block, colour)
    ax.text(x, y, text, fontsize=9, ha="center", va="center")
    return block
