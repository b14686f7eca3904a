"""Motion on tensors: found as it is, followed as it goes; and the network that is given it."""

import numpy as np
import pytest
import torch

from nowcastlib import motion, synthetic
from nowcastlib.forecast import Network
from nowcastlib.models import ModelConfig, build
from nowcastlib.train_config import TrainConfig
from nowcastlib.units import RainScale

CONFIG = ModelConfig((6, 4), (3, 3), stride=1, patch=4, kind="guided", norm="layer")


@pytest.fixture(scope="module")
def rain():
    """Six frames of 96 px, (1, 6, 1, 96, 96) in model units, that move 3 px to the right and 2 px up a step."""
    storm = synthetic.Storm(seed=5, size=160, wet_fraction=0.5, lifetime=1e9)
    still = RainScale().to_model(torch.from_numpy(synthetic.rain(storm, 1)[0]))
    moved = [still.roll((-2 * t, 3 * t), (0, 1))[32:128, 32:128] for t in range(6)]
    return torch.stack(moved)[None, :, None]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(CONFIG)


def test_motion_is_found_where_there_is_rain(rain):
    found = motion.flow(rain[:, :, 0])
    assert found.shape == (1, 2, 96, 96)
    inner = found[0, :, 16:-16, 16:-16]
    np.testing.assert_allclose(inner.mean((1, 2)), [3, -2], atol=0.25)
    assert inner.std((1, 2)).max() < 0.5


@pytest.mark.parametrize("right", [-21, 0.0, 14])
def test_fast_rain_is_found_too(right):
    y, x = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    frames = [torch.exp(-((x - 80 - right * t) ** 2 + (y - 80) ** 2) / 200) for t in (-1, 0)]
    found = motion.flow(torch.stack(frames)[None])
    np.testing.assert_allclose(found[0, :, 80, 80], [right, 0], atol=0.5)


def test_what_is_dry_stands_still():
    assert motion.flow(torch.zeros(2, 3, 40, 30)).abs().max() == 0


def test_a_rotation_is_followed_along_its_circle():
    y, x = torch.meshgrid(torch.arange(81.0) - 40, torch.arange(81.0) - 40, indexing="ij")
    angle = 0.1  # radians a step
    path = motion.follow(torch.stack([-y, x])[None] * angle, 5)[0, 4]
    back = np.cos(5 * angle), np.sin(5 * angle)
    expected = torch.stack([x * back[0] + y * back[1] - x, y * back[0] - x * back[1] - y])
    near = x**2 + y**2 < 25**2
    assert (path - expected).abs()[:, near].max() < 0.05


def test_sampling_moves_a_pixel_and_asks_the_border_beyond_it():
    field = torch.zeros(1, 1, 9, 9)
    field[0, 0, 4, 6], field[0, 0, 0] = 1.0, 0.5
    to_the_right = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    assert motion.sample(field, to_the_right)[0, 0, 4].argmax() == 4
    up = torch.tensor([0.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    assert (motion.sample(field, up)[0, 0, :4] == 0.5).all()
    assert (motion.sample(field, up, "zeros")[0, 0, :3] == 0).all()


def test_blurring_keeps_what_there_is():
    field = torch.zeros(1, 2, 61, 61)
    field[0, 1, 30, 30] = 1.0
    soft = motion.blur(field, 4.0)
    x = np.indices((61, 61))[1] - 30
    assert soft[0, 0].max() == 0 and float(soft[0, 1].sum()) == pytest.approx(1, abs=1e-5)
    assert float((soft[0, 1] * torch.from_numpy(x**2)).sum()) == pytest.approx(16, rel=0.05)


def test_untrained_it_is_extrapolation(rain, network):
    with torch.no_grad():
        forecast = torch.sigmoid(network(rain[:, :4], 2))
    for lead in (1, 2):
        truth = rain[0, 3 + lead, 0, 16:-16, 16:-16]
        error, still = (forecast[0, lead - 1, 0], rain[0, 3, 0])
        error, still = ((field[16:-16, 16:-16] - truth).abs().mean() for field in (error, still))
        assert error < 0.35 * still
    path = motion.follow(motion.flow(rain[:, :4, 0]), 2)
    carried = motion.sample(rain[:, 3], path[:, 1])
    wet = carried > 0.02
    torch.testing.assert_close(forecast[:, 1][wet], carried[wet].clamp(max=0.999), atol=1e-5, rtol=1e-4)


def test_a_cluster_moves_and_the_dry_stays_dry(network):
    run = Network.__new__(Network)
    run.config, run.n_in, run.model = TrainConfig(CONFIG, n_in=4), 4, network.eval()
    observed = np.zeros((4, 50, 70))
    for t in range(4):
        observed[t, 20:24, 10 + 4 * t : 14 + 4 * t] = 8.0
    for lead, field in enumerate(run(observed, 3), 1):
        middle = np.average(np.indices(field.shape)[1], weights=field)
        assert middle == pytest.approx(23.5 + 4 * lead, abs=1) and 4 < field.max() < 9
    assert (run(np.zeros((4, 37, 50)), 3) == 0).all()


def test_every_parameter_learns_and_the_dry_can_become_wet(rain, network):
    torch.nn.init.normal_(network.head.weight, std=0.1)
    network(rain[:, :4], 2).sigmoid().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    network.zero_grad()
    torch.sigmoid(network(torch.zeros(1, 3, 1, 16, 16), 1)).sum().backward()
    assert network.head.bias.grad.abs().max() > 0.1


def test_what_it_cannot_do_is_told(network):
    with pytest.raises(ValueError, match="one frame has no motion"):
        network(torch.zeros(1, 1, 1, 16, 16), 2)
    with pytest.raises(ValueError, match="nothing to sample"):
        network(torch.zeros(1, 2, 1, 16, 16), 2, torch.zeros(1, 2, 1, 16, 16), torch.zeros(1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="one channel, not 3"):
        build(CONFIG, 3)
