"""Drawings of networks: every label is true of the network that is drawn."""

import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch

from nowcastlib.display.diagram_shapes import RED
from nowcastlib.display.network_diagram import draw_network, draw_unrolled, size_text
from nowcastlib.networks import (
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    build,
)
from nowcastlib.networks.anatomy import dissect

CONFIGS = [
    ConvEDLSTMConfig(hidden=(4, 6, 5, 3)),
    ConvEDLSTMConfig(hidden=(4,), kernel=(3,), stride=1, skip=False),
    EncoderForecasterConfig(hidden=(4, 6), kernel=(3, 5)),
    FCLSTMConfig(hidden=(7, 5), size=8),
    GuidedConfig(hidden=(4, 3), kernel=(3, 3)),
]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def arrows(ax, colour=None) -> int:
    found = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    return sum(colour in (None, to_hex(arrow.get_edgecolor())) for arrow in found)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_each_layer_is_named_with_its_real_size(config):
    network = build(config)
    anatomy = dissect(network)
    shown = "\n".join(texts(draw_network(network)))
    for layers in anatomy.stacks.values():
        for number, layer in enumerate(layers, start=1):
            kernel = f", kernel {layer.kernel}" if layer.kernel else ""
            assert f"{layer.kind} {number} ↻" in shown
            assert size_text(layer.shape) + kernel in shown
    for shape in (anatomy.frame, anatomy.entry, anatomy.head[1], anatomy.output):
        assert size_text(shape) in shown
    assert ("fed back" in shown) == config.feeds_back
    assert ("skip" in shown) == getattr(config, "skip", False)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_letters_stay_inside_the_figure_and_apart(config):
    ax = draw_network(build(config))
    figure = ax.figure
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    width, height = figure.canvas.get_width_height()
    for k, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        for other in boxes[:k]:
            assert not box.padded(-1).overlaps(other.padded(-1))


def test_a_forecast_is_fed_back_once_for_each_later_lead():
    ax = draw_unrolled(build(CONFIGS[0]), n_in=2, n_out=3)
    shown = texts(ax)
    assert [f"$\\hat{{X}}_{{+{lead}}}$" for lead in (1, 2, 3)] == [
        text for text in dict.fromkeys(shown) if "hat" in text
    ]
    # Leads 1 and 2 enter again; an arrow leads to each and one from each to the lowest cell
    assert arrows(ax, RED) == 4
    assert shown.count("1") == 2 + 3 - 1


def test_without_feedback_the_forecaster_follows_the_encoder():
    ax = draw_unrolled(build(CONFIGS[2]), n_in=3, n_out=2)
    assert arrows(ax, RED) == 0
    assert texts(ax).count("2") == 3 + 2
    assert {"encoder", "forecaster", "$X_{\\mathrm{now}}$"} <= set(texts(ax))


def test_many_time_steps_are_left_out():
    ax = draw_unrolled(build(CONFIGS[0]), n_in=6, n_out=12)
    shown = texts(ax)
    assert shown.count("…") == 2
    assert "$X_{\\mathrm{−5}}$" in shown
    assert "$\\hat{X}_{+12}$" in shown


def test_the_axes_can_be_given():
    ax = plt.subplots()[1]
    assert draw_network(build(CONFIGS[3]), ax=ax) is ax
    assert draw_unrolled(build(CONFIGS[3]), 2, 2, ax) is ax
