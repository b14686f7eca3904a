"""Scales add up to the field, and their persistence is measured."""

import pytest
import torch

from nowcastlib.networks import scales


def waves(wavelength, phase=0.0):
    """A field (1, 1, 96, 96) of waves along x."""
    x = torch.arange(96.0)
    return (0.5 + 0.4 * torch.sin(2 * torch.pi * x / wavelength + phase)).expand(1, 1, 96, 96)


def test_scales_add_up_and_separate_wavelengths():
    fine, coarse = waves(4), waves(96)
    field = fine + coarse
    parts = scales.decompose(field)
    assert parts.shape == (1, scales.N_SCALES, 96, 96)
    torch.testing.assert_close(parts.sum(1, keepdim=True), field)
    inner = (..., slice(30, 66), slice(30, 66))
    power = [float(part.var()) for part in parts[inner].unbind(1)]
    assert power[0] > 10 * sum(power[1:4]), "the short waves are in the finest scale"
    assert sum(power[4:]) > 10 * sum(power[1:3]), "the long ones in the coarsest two"


@pytest.mark.parametrize(("once", "step"), [(1.0, 0.8), (0.7, 0.9), (0.6, 1.0)])
def test_persistence_is_recovered_from_synthetic_scales(once, step):
    torch.manual_seed(0)
    now = torch.randn(2, scales.N_SCALES, 64, 64)
    left = [once * step**k for k in (1, 2, 3, 4)]
    past = torch.stack([c * now + (1 - c**2) ** 0.5 * torch.randn_like(now) for c in left], 1)
    intercept, decay = scales.persistence_of_scales(now, past, torch.ones(2, 4, 1, 64, 64))
    for k, c in enumerate(left, 1):
        measured = (intercept * decay**k)[:, :-1]
        torch.testing.assert_close(measured, torch.full_like(measured, c), atol=0.04, rtol=0)
    assert (intercept * decay**9)[:, -1].min() == 1, "the coarsest stays"


def test_persistence_uses_observed_pixels_only():
    torch.manual_seed(0)
    now = torch.randn(1, scales.N_SCALES, 64, 64)
    past, observed = now[:, None].repeat(1, 2, 1, 1, 1), torch.ones(1, 2, 1, 64, 64)
    past[..., :20], observed[..., :20] = torch.randn(20), 0
    intercept, decay = scales.persistence_of_scales(now, past, observed)
    assert (intercept * decay**3).min() > 0.99
    nothing = scales.persistence_of_scales(now * 0, past * 0, observed * 0)
    assert all(torch.isfinite(part).all() for part in nothing)


def test_local_energy_is_local_and_conserved():
    parts = torch.zeros(1, scales.N_SCALES, 200, 200)
    parts[:, :, 100, 100] = 2.0
    measured = scales.local_energy(parts)
    torch.testing.assert_close(
        measured.sum((2, 3)), torch.full((1, scales.N_SCALES), 4.0), atol=1e-2, rtol=0
    )
    assert measured[0, 0, 100, 110] < 1e-6 < measured[0, 4, 100, 110]


@pytest.mark.parametrize("waves", [2, 8, 24])
def test_waves_belong_to_the_scales_as_a_field_of_that_wave_is_divided(waves):
    x = torch.arange(192).double()
    field = torch.cos(2 * torch.pi * waves * x / 192).expand(1, 1, 192, 192)
    middle = scales.decompose(field)[0, :, 96, 88:104]  # far from the edges: (scale, px)
    for scale in range(scales.N_SCALES):
        one = torch.zeros(scales.N_SCALES).double()
        one[scale] = 1.0
        share = scales.of_waves(one, (192, 192))[0, waves]
        torch.testing.assert_close(
            middle[scale], share * field[0, 0, 96, 88:104], atol=0.02, rtol=0
        )


def test_a_correlation_that_rises_with_the_lag_does_not_grow():
    rising = torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1).expand(1, 3, scales.N_SCALES)
    intercept, decay = scales.fit_persistence(rising)
    assert (decay <= 1).all()
    assert (intercept <= 1).all()
    torch.testing.assert_close(
        intercept[:, :-1], torch.full_like(intercept[:, :-1], 0.594), atol=0.01, rtol=0
    )


def test_scales_that_are_lost_at_once_are_lost_by_the_forecast():
    lost = torch.tensor([0.1, 0.1, 0.1]).view(1, 3, 1).expand(1, 3, scales.N_SCALES)
    intercept, decay = scales.fit_persistence(lost)
    left = (intercept * decay)[:, :-1]
    torch.testing.assert_close(left, torch.full_like(left, 0.1), atol=1e-3, rtol=0)
