"""Motion on tensors, and the guided network."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from nowcastlib.data import storms
from nowcastlib.forecasting import Network
from nowcastlib.forecasting.probabilities import quantile
from nowcastlib.networks import GuidedConfig, build, correlation, motion
from nowcastlib.networks.smoothing import blur
from nowcastlib.training import default_config
from nowcastlib.units import RATES, ModelScale, RainScale

CONFIG = GuidedConfig((6, 4), (3, 3))


@pytest.fixture(scope="module")
def rain():
    """Six frames (1, 6, 1, 96, 96) in model units; rain moves 3 px right and 2 px up per step."""
    storm = storms.Storm(seed=5, size=160, wet_fraction=0.5, lifetime=1e9)
    still = RainScale().to_model(torch.from_numpy(storms.rain(storm, 1)[0]))
    moved = [still.roll((-2 * t, 3 * t), (0, 1))[32:128, 32:128] for t in range(6)]
    return torch.stack(moved)[None, :, None]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(CONFIG)


def guided(network, members=0):
    """A network as a forecaster."""
    return Network(network, default_config("guided").changed(model=CONFIG, n_in=4), members)


def test_flow_recovers_the_motion_of_rain(rain):
    velocity = motion.flow(rain[:, :, 0])
    assert velocity.shape == (1, 2, 96, 96)
    inner = velocity[0, :, 16:-16, 16:-16]
    np.testing.assert_allclose(inner.mean((1, 2)), [3, -2], atol=0.25)
    assert inner.std((1, 2)).max() < 0.5


@pytest.mark.parametrize("right", [-21, 0.0, 14])
def test_flow_recovers_fast_motion(right):
    y, x = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    frames = [torch.exp(-((x - 80 - right * t) ** 2 + (y - 80) ** 2) / 200) for t in (-1, 0)]
    velocity = motion.flow(torch.stack(frames)[None])
    np.testing.assert_allclose(velocity[0, :, 80, 80], [right, 0], atol=0.5)


def moved(plane, right, down, frames=3, size=128):
    """Frames (1, T, size, size) cut from a larger plane, so that real rain enters."""
    margin = (len(plane) - size) // 2
    steps = range(-(frames // 2), frames - frames // 2)
    cuts = [plane.roll((t * down, t * right), (0, 1)) for t in steps]
    return torch.stack(cuts)[None, :, margin : margin + size, margin : margin + size]


def errors(velocity, right, down, margin=16):
    """Distances, px per step, between a motion and the true one, away from the edge."""
    true = torch.tensor([right, down], dtype=velocity.dtype).view(2, 1, 1)
    return (velocity[0] - true).norm(dim=0)[margin:-margin, margin:-margin]


@pytest.fixture(scope="module")
def widespread():
    """Widespread rain (288, 288) in model units, periodic."""
    storm = storms.Storm(seed=2, size=288, wet_fraction=0.8, intensity=2.0, velocity=(0, 0))
    return RainScale().to_model(torch.from_numpy(storms.rain(storm, 1)[0]))


@pytest.mark.parametrize(("right", "down"), [(7, -2), (15, -4), (-37, 16), (0, 40)])
def test_widespread_rain_moves_as_fast_as_it_does(widespread, right, down):
    velocity = motion.flow(moved(widespread, right, down))
    assert errors(velocity, right, down).median() < 0.1
    assert errors(velocity, right, down).mean() < 0.2


def test_rotation_of_five_degrees_a_step():
    angle = np.deg2rad(5)
    storm = storms.Storm(5, 160, velocity=(0, 0), rotation=angle, wet_fraction=0.6, lifetime=1e9)
    frames = RainScale().to_model(torch.from_numpy(storms.rain(storm, 3)))[None]
    error = np.hypot(*(motion.flow(frames)[0].numpy() - storms.motion(storm)))
    assert np.median(error[16:-16, 16:-16]) < 0.25


@pytest.mark.parametrize("lost", ["left", "top", "alternating"])
def test_unobserved_halves_do_not_slow_the_motion(widespread, lost):
    frames = moved(widespread, 7, -2)
    observed = torch.ones_like(frames, dtype=torch.bool)
    if lost == "left":
        observed[..., :64] = False
    elif lost == "top":
        observed[..., :64, :] = False
    else:  # frames show different parts
        observed[:, 0, :, :50] = False
        observed[:, 1, :50] = False
        observed[:, 2, :, 90:] = False
    for value in (0.0, 0.9, torch.nan):
        velocity = motion.flow(frames.masked_fill(~observed, value), observed)
        assert errors(velocity, 7, -2).median() < 0.1
        assert errors(velocity, 7, -2).mean() < 0.3


def test_lost_frames_add_nothing(widespread):
    frames = moved(widespread, 9, 4, frames=5)
    observed = torch.ones_like(frames, dtype=torch.bool)
    observed[:, 0] = observed[:, 3] = False  # the pair of frames 1 and 2 is left
    broken = frames.masked_fill(~observed, 0.5)
    left = motion.flow(frames[:, 1:3])
    torch.testing.assert_close(motion.flow(broken, observed), left, rtol=0, atol=1e-3)
    assert errors(motion.flow(broken, observed), 9, 4).median() < 0.1
    observed[:, 1] = False
    assert motion.flow(broken, observed).abs().max() == 0


def test_motion_of_dry_frames_is_0():
    assert motion.flow(torch.zeros(2, 3, 40, 30)).abs().max() == 0


def test_motion_of_a_shower_carries_over_to_dry_surroundings():
    frames = torch.zeros(1, 3, 192, 192)
    for t in range(3):
        frames[0, t, 40:52, 30 + 6 * t : 42 + 6 * t] = 0.5
    velocity = motion.flow(frames)[0, :, 150, 150]
    np.testing.assert_allclose(velocity, [6, 0], atol=0.3)


@pytest.mark.parametrize("mirror", ["left-right", "upside down", "transposed", "backwards"])
def test_mirrored_frames_have_the_mirrored_motion(rain, mirror):
    frames = rain[:, :3, 0]
    velocity = motion.flow(frames)
    if mirror == "left-right":
        expected = velocity.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
        frames = frames.flip(-1)
    elif mirror == "upside down":
        expected = velocity.flip(-2) * torch.tensor([1.0, -1.0]).view(2, 1, 1)
        frames = frames.flip(-2)
    elif mirror == "transposed":
        expected = velocity.mT.flip(1)
        frames = frames.mT
    else:
        expected = -velocity
        frames = frames.flip(1)
    torch.testing.assert_close(motion.flow(frames), expected, rtol=0, atol=0.02)


def test_rain_beyond_the_reach_is_warned_about_once(widespread, caplog):
    correlation.warn_beyond_reach.cache_clear()
    motion.flow(moved(widespread, 40, 0))
    assert not caplog.records
    for _ in range(3):
        motion.flow(moved(widespread, 58, 0, frames=2))
    assert len(caplog.records) == 1
    assert "48 px" in caplog.text
    assert "--regrid" in caplog.text


def test_a_little_rain_does_not_show_whether_it_moves_beyond_the_reach(caplog):
    correlation.warn_beyond_reach.cache_clear()
    unrelated = torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    motion.flow(0.2 * unrelated)
    assert not caplog.records
    motion.flow(0.4 * unrelated)
    assert len(caplog.records) == 1


def test_trajectories_in_a_rotation_are_circles():
    y, x = torch.meshgrid(torch.arange(81.0) - 40, torch.arange(81.0) - 40, indexing="ij")
    angle = 0.1  # radians a step
    path = motion.follow(torch.stack([-y, x])[None] * angle, 5)[0, 4]
    back = np.cos(5 * angle), np.sin(5 * angle)
    expected = torch.stack([x * back[0] + y * back[1] - x, y * back[0] - x * back[1] - y])
    near = x**2 + y**2 < 25**2
    assert (path - expected).abs()[:, near].max() < 0.05


def test_sample_moves_a_pixel_and_extends_the_border():
    field = torch.zeros(1, 1, 9, 9)
    field[0, 0, 4, 6], field[0, 0, 0] = 1.0, 0.5
    to_the_right = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    assert motion.sample(field, to_the_right)[0, 0, 4].argmax() == 4
    up = torch.tensor([0.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    assert (motion.sample(field, up)[0, 0, :4] == 0.5).all()
    assert (motion.sample(field, up, "zeros")[0, 0, :3] == 0).all()


def test_blur_conserves_mass_and_has_its_standard_deviation():
    field = torch.zeros(1, 2, 61, 61)
    field[0, 1, 30, 30] = 1.0
    soft = blur(field, 4.0)
    x = np.indices((61, 61))[1] - 30
    assert soft[0, 0].max() == 0
    assert float(soft[0, 1].sum()) == pytest.approx(1, abs=1e-5)
    assert float((soft[0, 1] * torch.from_numpy(x**2)).sum()) == pytest.approx(16, rel=0.05)


def test_windows_on_a_high_grid_need_only_the_pixels_near_them(monkeypatch):
    """Without the pixels that have no weight, the motion is that from all pixels."""
    rain = torch.rand(1, 2, 600, 100, generator=torch.Generator().manual_seed(0)) ** 4
    rain[:, 1] = rain[:, 0].roll((5, 2), (0, 1))
    near = correlation.correlation_motion(rain, torch.ones_like(rain))
    monkeypatch.setattr(correlation, "SEEN", 1e6)
    torch.testing.assert_close(
        near, correlation.correlation_motion(rain, torch.ones_like(rain)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("shape", [(2, 3, 9, 30), (1, 1, 300, 150)])
@pytest.mark.parametrize("sigma", [1.5, 24.0])
def test_blur_equals_a_convolution_with_the_border_continued(shape, sigma):
    """The larger field is smoothed in several blocks."""
    field = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = gaussian_filter1d(field.numpy(), sigma, 2, mode="nearest", radius=int(3 * sigma))
    expected = gaussian_filter1d(expected, sigma, 3, mode="nearest", radius=int(3 * sigma))
    torch.testing.assert_close(blur(field, sigma), torch.from_numpy(expected))


def test_untrained_median_is_the_advected_rain(rain, network):
    with torch.no_grad():
        median = quantile(network(rain[:, :4], 2)[0], torch.zeros(1, 1, 1), RainScale())
    median = RainScale().to_model(median)[..., 16:-16, 16:-16]
    for lead in (1, 2):
        truth, now = (rain[0, 3 + k, 0, 16:-16, 16:-16] for k in (lead, 0))
        assert (median[lead - 1] - truth).abs().mean() < 0.35 * (now - truth).abs().mean()


@pytest.mark.parametrize("scale", [ModelScale(), ModelScale(rate0=0.5, rate_max=60.0)])
def test_untrained_probabilities_belong_to_the_rates_with_every_scale(scale):
    frames = scale.to_model(torch.full((1, 3, 1, 32, 32), 3.0))  # mm/h
    network = build(CONFIG, scale=scale)
    with torch.no_grad():
        probability = network(frames, 1).sigmoid()[0, 0, :, 16, 16]
    assert [p > 0.5 for p in probability] == [rate < 3 for rate in RATES]


def test_short_lived_rain_fades_and_becomes_uncertain(rain, network):
    torch.manual_seed(0)
    noise = 0.2 * torch.randn_like(rain) + 0.05 * torch.randn_like(rain).cumsum(1)
    restless = rain + noise * (rain > 0)
    with torch.no_grad():
        (_, sure, logits), (_, faded, doubted) = (
            network.parcels(x[:, :4], 6) for x in (rain, restless)
        )
    wet = rain[:, 3] > 0.3
    fine = [
        (field - blur(field, 1.5))[wet].std()
        for field in (restless[:, 3], faded[:, 0], faded[:, 5])
    ]
    assert fine[2] < fine[1] < 0.3 * fine[0]
    fine = [(field - blur(field, 1.5))[wet].std() for field in (rain[:, 3], sure[:, 0])]
    assert fine[1] > 0.7 * fine[0]
    assert (doubted[:, 5, 1][wet[:, 0]]).mean() < 0.7 * (logits[:, 5, 1][wet[:, 0]]).mean()


def test_motion_false_gives_no_displacement(rain, network):
    still = build(replace(CONFIG, motion=False))
    with torch.no_grad():
        paths = [net.parcels(rain[:, :4], 2)[0].abs().mean() for net in (still, network)]
    assert paths[0] == 0
    assert paths[1] > 1


def test_shower_moves_and_dry_frames_stay_dry(network):
    run = guided(network)
    observed = np.zeros((4, 50, 70))
    for t in range(4):
        observed[t, 20:24, 10 + 4 * t : 14 + 4 * t] = 8.0
    for lead, field in enumerate(run(observed, 3), 1):
        middle = np.average(np.indices(field.shape)[1], weights=field)
        assert middle == pytest.approx(23.5 + 4 * lead, abs=1)
        assert 4 < field.max() < 14
    assert (run(np.zeros((4, 37, 50)), 3) == 0).all()
    network.head.bias.data += 1.0  # as if it had learned rain everywhere
    assert (run(observed, 1) > 0).sum() > 100
    assert (run(np.zeros((4, 37, 50)), 3) == 0).all()


def test_members_differ_and_are_reproducible(network, rain):
    rate = RainScale().from_model(rain[0, :4, 0].double()).numpy()
    members = guided(network, 6)(rate, 2)
    assert members.shape == (6, 2, 96, 96)
    assert (members == guided(network, 6)(rate, 2)).all()
    assert all((a != b).mean() > 0.2 for a, b in combinations(members, 2))
    moved = guided(network, 6)(rate.astype("f4"), 2)
    assert (guided(network, 6)(np.zeros((4, 37, 50)), 3) == 0).all()
    assert moved.shape == members.shape


def test_every_parameter_gets_a_gradient_also_without_rain(rain, network):
    torch.nn.init.normal_(network.head.weight, std=0.1)
    network(rain[:, :4], 2).sigmoid().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    network.zero_grad()
    torch.sigmoid(network(torch.zeros(1, 3, 1, 16, 16), 1)).sum().backward()
    assert network.head.bias.grad.abs().max() > 0.1


def test_probability_decays_with_the_distance_beyond_the_edge(network):
    x = torch.zeros(1, 3, 1, 32, 64)
    for t in range(3):
        x[0, t, 0, :, : 8 * t + 20] = 0.6  # a front from the left, whose end is not seen
    with torch.no_grad():
        chance = network(x, 6).sigmoid()[0, 5, 1, 16]
        network.beyond[0] = -9.0
        sure = network(x, 6).sigmoid()[0, 5, 1, 16]
    assert (chance[:40].diff() > 0).all()
    assert chance[0] < 0.97 * sure[0]
    assert chance[55] == pytest.approx(float(sure[55]))


def test_distance_outside_by_hand():
    field = torch.zeros(1, 2, 5, 9)
    field[:, 0], field[:, 1] = 3.0, -4.0
    distance = motion.distance_outside(field)
    assert distance.shape == (1, 1, 5, 9)
    np.testing.assert_allclose(distance[0, 0, 0], np.hypot(np.maximum(np.arange(9) + 3 - 8, 0), 4))
    assert distance[0, 0, 4, :6].max() == 0
    assert distance[0, 0, 4, 8] == 3


def test_sample_wraps_around():
    field = torch.arange(12.0).view(1, 1, 3, 4)
    by = torch.tensor([5.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    torch.testing.assert_close(motion.sample(field, by, "wrap"), field.roll((1, -5), (2, 3)))
    half = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    assert motion.sample(field, half, "wrap")[0, 0, 0, 3] == 1.5


def test_unsuitable_input_is_refused(network):
    with pytest.raises(ValueError, match="one frame has no motion"):
        network(torch.zeros(1, 1, 1, 16, 16), 2)
    with pytest.raises(ValueError, match="nothing to sample"):
        network(
            torch.zeros(1, 2, 1, 16, 16),
            2,
            torch.zeros(1, 2, 1, 16, 16),
            torch.zeros(1, 1, dtype=torch.bool),
        )
    with pytest.raises(ValueError, match="one channel, not 3"):
        build(CONFIG, 3)
