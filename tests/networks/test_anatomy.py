"""The anatomy of a network: shapes and options of what really runs."""

import pytest
import torch

from nowcastlib.networks import (
    ConvEDLSTMConfig,
    EncoderForecasterConfig,
    FCLSTMConfig,
    GuidedConfig,
    build,
    stacks,
)
from nowcastlib.networks.anatomy import dissect
from nowcastlib.networks.packing import pack


def states_of(cells, x) -> list[tuple]:
    _, states = stacks.read(cells, x)
    return [tuple(state[0].shape[1:]) for state in states]


def test_sizes_of_a_conv_ed_lstm_are_those_of_its_states():
    network = build(ConvEDLSTMConfig(hidden=(4, 6, 5, 3), kernel=(5, 3, 3, 3), norm="layer"))
    anatomy = dissect(network, (1, 24, 40))
    packed = pack(torch.zeros(1, 2, 1, 24, 40), 2, network.config.size_multiple)
    layers = anatomy.stacks["cells"]
    assert anatomy.entry == tuple(packed.shape[2:])
    assert [layer.shape for layer in layers] == states_of(network.cells, packed)
    assert [layer.size for layer in layers] == ["halves", "halves", "doubles", "doubles"]
    assert [layer.kernel for layer in layers] == [5, 3, 3, 3]
    assert {layer.norm for layer in layers} == {"layer norm"}
    assert anatomy.head == ((3 + 4, 12, 20), (4, 12, 20))
    assert anatomy.output == (1, 24, 40)
    assert anatomy.feeds_back
    assert anatomy.skip


def test_sizes_of_an_encoder_forecaster_are_those_of_its_states():
    network = build(EncoderForecasterConfig(hidden=(4, 6), kernel=(3, 5), patch=4, cell="convgru"))
    anatomy = dissect(network)
    expected = states_of(network.encoder, pack(torch.zeros(1, 2, 1, 64, 64), 4, 4))
    for name in ("encoder", "forecaster"):
        assert [layer.shape for layer in anatomy.stacks[name]] == expected
        assert {layer.kind for layer in anatomy.stacks[name]} == {"ConvGRU"}
    assert [layer.has_input for layer in anatomy.stacks["forecaster"]] == [False, True]
    assert anatomy.head[0] == (10, 16, 16)
    assert not anatomy.feeds_back


def test_a_fully_connected_network_has_its_own_size():
    anatomy = dissect(build(FCLSTMConfig(hidden=(7, 5), size=8)))
    assert anatomy.frame == (1, 8, 8)
    assert anatomy.entry == (64,)
    assert [layer.shape for layer in anatomy.stacks["encoder"]] == [(7,), (5,)]
    assert anatomy.head == ((12,), (64,))


def test_a_guided_network_sees_mask_and_motion_too():
    network = build(GuidedConfig(hidden=(4,), kernel=(3,)))
    anatomy = dissect(network)
    assert anatomy.entry == (2 * 16 + 2, 16, 16)
    assert anatomy.output[1:] == (64, 64)
    assert anatomy.motion


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_as_it_was(training):
    network = build(FCLSTMConfig(hidden=(3,), size=8)).train(training)
    dissect(network)
    assert network.training == training
    assert not any(module._forward_hooks for module in network.modules())
