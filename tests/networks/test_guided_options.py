"""Options of the guided network: lifetimes of the scales, rain beyond the edge, a coarse level."""

from dataclasses import replace

import pytest
import torch

from nowcastlib.networks import GuidedConfig, build, motion, motion_guided, stacks
from nowcastlib.networks.coarse_level import CoarseLevel
from nowcastlib.units import RATES, ModelScale

PLAIN = GuidedConfig((6, 4), (3, 3))
OPTIONS = {"lifetimes": True, "edge": True, "coarse": 5}
FULL = replace(PLAIN, **OPTIONS)


@pytest.fixture
def showers():
    """Five frames (1, 5, 1, 61, 93) in model units: showers move 2 px to the right per step."""
    field = torch.rand(1, 1, 61, 120, generator=torch.Generator().manual_seed(0))
    field = torch.nn.functional.avg_pool2d(field, 9, 1, 4).sub(0.5).clamp(min=0) * 6
    return torch.stack([field[..., 20 - 2 * t : 113 - 2 * t] for t in range(5)], 1)


@pytest.mark.parametrize("option", OPTIONS)
def test_untrained_networks_forecast_the_same_with_and_without_an_option(showers, option):
    plain, other = build(PLAIN), build(replace(PLAIN, **{option: OPTIONS[option]}))
    with torch.no_grad():
        torch.testing.assert_close(other(showers, 3), plain(showers, 3))


def test_every_parameter_of_the_options_gets_a_gradient(showers):
    network = build(FULL)
    for head in (network.head, network.coarse.head):
        torch.nn.init.normal_(head.weight, std=0.1)
    network(showers, 2).sigmoid().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_convergence_is_that_of_a_known_motion():
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(9.0), indexing="ij")
    inwards = torch.stack([-0.1 * x, -0.02 * y])[None]
    turning = torch.stack([-0.3 * y, 0.3 * x])[None]
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(
        motion.convergence(inwards)[inside], torch.full((1, 1, 10, 7), 0.12), atol=1e-5, rtol=0
    )
    assert motion.convergence(turning)[inside].abs().max() < 1e-5


def test_rain_far_beyond_the_edge_is_likelier_if_the_frame_is_wet():
    network = build(replace(PLAIN, edge=True))
    level = ModelScale().to_model(torch.tensor(3.0))  # mm/h
    frames = torch.zeros(2, 1, 40, 40)
    frames[0, :, :, :30] = level  # three quarters are wet
    frames[1, :, :, :4] = level
    unobserved = frames.clone()
    unobserved[..., 20:] = float("nan")
    with torch.no_grad():
        assert (network._far_away(frames) == network.beyond[1].view(-1, 1, 1)).all()
        network.alike.fill_(1.0)
        wet, dry = (network._far_away(frames) - network.beyond[1].view(-1, 1, 1))[:, :, 0, 0]
        half = (network._far_away(unobserved) - network.beyond[1].view(-1, 1, 1))[1, 0, 0, 0]
    below = [rate < 3 for rate in RATES]
    torch.testing.assert_close(wet[below].sigmoid(), torch.full((sum(below),), 0.75))
    torch.testing.assert_close(dry[below].sigmoid(), torch.full((sum(below),), 0.1))
    assert float(half.sigmoid()) == pytest.approx(0.2)


def test_the_coarse_level_answers_for_rain_40_px_away():
    """Averages over 16 px reach the neighbours of their neighbours within three steps."""
    torch.manual_seed(0)
    level = CoarseLevel(FULL, surroundings=1, answers=2)
    torch.nn.init.normal_(level.head.weight, std=0.1)
    around = torch.zeros(1, 1, 24, 24)
    dry = torch.zeros(1, 2, 96, 96)
    shower = dry.clone()
    shower[:, 0, 40:56, 64:80] = 0.8
    with torch.no_grad():
        answers = [
            level.step(frame[:, :1], around, level.read([frame, frame], around))[0]
            for frame in (dry, shower)
        ]
    assert answers[0].shape == (1, 2, 24, 24)
    change = (answers[1] - answers[0]).abs().amax((0, 1, 2))  # by column of patches, 4 px each
    assert change[16:20].max() > 0.01
    assert change[6] > 1e-4  # 24 to 28 px: 40 px from the shower


def test_a_negative_number_of_coarse_channels_is_refused():
    with pytest.raises(ValueError, match="coarse is -1: it must not be below 0"):
        GuidedConfig(coarse=-1)


def test_large_frames_are_read_one_by_one_and_give_the_same_forecast(showers, monkeypatch):
    network = build(PLAIN)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    sizes, read = [], stacks.read_one_by_one

    def noting(cells, frames):
        frames = list(frames)
        sizes.extend(frame.shape[0] for frame in frames)
        return read(cells, frames)

    monkeypatch.setattr(stacks, "read_one_by_one", noting)
    with torch.no_grad():
        together = network(showers, 2)
        assert sizes == []
        monkeypatch.setattr(motion_guided, "LARGE_FRAME", 61 * 93)
        one_by_one = network(showers, 2)
    assert sizes == [1] * 5
    torch.testing.assert_close(one_by_one, together, rtol=1e-4, atol=1e-5)
