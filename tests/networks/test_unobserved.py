"""Lost frames and parts of frames are filled along the motion of the rain, never read as dry."""

import numpy as np
import pytest
import torch

from nowcastlib.data import storms
from nowcastlib.forecasting import baselines
from nowcastlib.networks import (
    ConvEDLSTMConfig,
    GuidedConfig,
    build,
    fill_unobserved,
    motion,
    network_input,
    stacks,
)
from nowcastlib.units import DRY, ModelScale

LOST = {  # (time, y, x)
    "the middle frame": np.s_[1],
    "the first frame": np.s_[0],
    "the left half": np.s_[1, :, :64],
    "the upper half": np.s_[1, :64],
    "half of the last frame": np.s_[2, :, 64:],
}
ANY_SIZE = ConvEDLSTMConfig()
every_loss = pytest.mark.parametrize("lost", LOST.values(), ids=LOST)


@pytest.fixture(scope="module")
def rain():
    """Rain rate (3, 128, 128) in mm/h that moves 4 px to the right in a step."""
    return moving_rain(3)


def moving_rain(frames):
    storm = storms.Storm(seed=3, size=128, velocity=(4.0, 0.0), wet_fraction=0.4, lifetime=600)
    return storms.rain(storm, frames).astype("f8")


def with_loss(rain, lost):
    damaged = rain.copy()
    damaged[lost] = np.nan
    return damaged


def in_model_units(rain):
    """Frames (1, T, H, W)."""
    return ModelScale().to_model(torch.from_numpy(rain.astype("f4")))[None]


@every_loss
def test_a_lost_part_gets_the_rain_of_the_other_frames_along_the_motion(rain, lost):
    truth = in_model_units(rain)[0]
    filled = fill_unobserved(in_model_units(with_loss(rain, lost)))[0]
    assert torch.isfinite(filled).all()
    error = (filled - truth)[lost].abs().mean()
    assert error < 0.4 * truth[lost].mean()  # as dry, the error is the rain itself
    is_lost = torch.zeros_like(truth, dtype=torch.bool)
    is_lost[lost] = True
    assert torch.equal(filled[~is_lost], truth[~is_lost])


@every_loss
def test_the_motion_of_baselines_does_not_change_by_a_loss(rain, lost):
    motion_of_rain = baselines.motion(with_loss(rain, lost))
    found = [np.median(v[rain[-1] > DRY]) for v in motion_of_rain]
    np.testing.assert_allclose(found, (4, 0), atol=0.2)


@every_loss
def test_the_motion_of_networks_does_not_change_by_a_loss(rain, lost):
    frames = network_input(in_model_units(with_loss(rain, lost))[:, :, None], ANY_SIZE)[:, :, 0]
    wet = torch.from_numpy(rain[-1] > DRY)
    found = [v[wet].median().item() for v in motion.flow(frames)[0]]
    np.testing.assert_allclose(found, (4, 0), atol=0.2)


def test_two_lost_frames_are_bridged():
    six = moving_rain(6)
    filled = fill_unobserved(in_model_units(with_loss(six, np.s_[[1, 3]])))[0]
    truth = in_model_units(six)[0]
    assert (filled - truth)[[1, 3]].abs().mean() < 0.3 * truth[[1, 3]].mean()


def test_frames_without_a_loss_are_handed_on_as_they_are(rain):
    """Pixels that no frame shows are beyond the range of the radar: nothing is lost."""
    whole = in_model_units(rain)
    assert fill_unobserved(whole) is whole
    ranged = in_model_units(with_loss(rain, np.s_[:, :10]))
    assert fill_unobserved(ranged) is ranged
    dry = network_input(ranged[:, :, None], ConvEDLSTMConfig())[:, :, 0]
    assert torch.equal(dry, torch.nan_to_num(ranged))
    unknown = network_input(ranged[:, :, None], GuidedConfig())[:, :, 0]
    torch.testing.assert_close(unknown, ranged, equal_nan=True, rtol=0, atol=0)
    nothing = whole * torch.nan
    assert fill_unobserved(nothing) is nothing


def test_a_guided_network_does_not_take_the_rim_of_the_range_for_rain_that_stands_still(rain):
    """A small circle of a radar in widespread rain: the rim is where most of the contrast is."""
    y, x = np.mgrid[:128, :128] - 63.5
    circle = np.hypot(y, x) < 40
    frames = in_model_units(np.where(circle, rain + 4, np.nan))
    velocity = build(GuidedConfig()).velocity(frames)[0].numpy()
    inside = np.hypot(y, x) < 30
    np.testing.assert_allclose([np.median(v[inside]) for v in velocity], (4, 0), atol=0.5)

    as_dry = build(GuidedConfig()).velocity(torch.nan_to_num(frames))[0, 0].numpy()
    assert np.median(as_dry[inside]) < 2, "this test could not fail"


def test_a_guided_network_is_told_what_is_not_observed(rain, monkeypatch):
    frames = in_model_units(with_loss(rain, np.s_[:, :, :32]))[:, :, None]
    seen, read = [], stacks.read
    monkeypatch.setattr(stacks, "read", lambda cells, x: seen.append(x) or read(cells, x))
    logits = build(GuidedConfig())(frames, 2)
    assert torch.isfinite(logits).all()
    # of the last frame: after the 16 pixels of each patch its 16 values of the mask
    mask = seen[0][0, -1, 16:32]  # (patch², H/patch, W/patch)
    assert not mask[:, :, :8].any()
    assert mask[:, :, 8:].all()


def test_pixels_beyond_the_range_stay_unknown_and_samples_do_not_mix(rain):
    first = with_loss(with_loss(rain, np.s_[1]), np.s_[:, :10])
    both = torch.cat([in_model_units(first), in_model_units(rain)])
    filled = fill_unobserved(both)
    assert torch.isnan(filled[0, :, :10]).all()
    assert torch.isfinite(filled[0, :, 10:]).all()
    assert torch.equal(filled[1], both[1])
    torch.testing.assert_close(filled[:1], fill_unobserved(both[:1]), equal_nan=True)


def test_a_single_observed_frame_stands_still(rain):
    alone = with_loss(rain, np.s_[:2])
    filled = fill_unobserved(in_model_units(alone))[0]
    torch.testing.assert_close(filled[0], filled[2])
    torch.testing.assert_close(filled[1], filled[2])
