"""Synthetic rain has the motion, the spectrum, the wet share and the lifetimes it should have."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nowcastlib.data import storms
from nowcastlib.data.storms import Storm
from nowcastlib.forecasting import baselines
from nowcastlib.units import DRY


def one_hot(shape, row, column):
    plane = np.zeros(shape)
    plane[row, column] = 1
    return plane


@pytest.mark.parametrize(("velocity", "steps"), [((3, 0), 1), ((0, 2), 3), ((-2, 1), 4)])
def test_a_single_pixel_moves_by_exactly_the_velocity(velocity, steps):
    storm = Storm(size=33, velocity=velocity)
    for start in (12, 20):
        plane = one_hot((65, 65), start + 16, start + 16)  # larger than the frame: a margin of 16
        frame = storms.advect(plane, storm, steps)
        row, column = start + velocity[1] * steps, start + velocity[0] * steps
        np.testing.assert_allclose(frame, one_hot((33, 33), row, column), atol=1e-10)


def test_quarter_turn_moves_east_to_south():
    storm = Storm(size=33, velocity=(0, 0), rotation=np.pi / 2)
    frame = storms.advect(one_hot((33, 33), 16, 26), storm, 1)
    np.testing.assert_allclose(frame, one_hot((33, 33), 26, 16), atol=1e-10)


def test_turn_comes_before_the_shift():
    storm = Storm(size=33, velocity=(2, 0), rotation=np.pi / 4)
    frame = storms.advect(one_hot((33, 33), 16, 24), storm, 2)
    # a quarter turn, then 4 px to the east
    np.testing.assert_allclose(frame, one_hot((33, 33), 24, 20), atol=1e-10)


def test_forward_positions_invert_backward_positions():
    storm = Storm(size=21, velocity=(1.3, -0.4), rotation=0.05)
    back, forth = (storms.positions(storm, 3, inverse) for inverse in (True, False))
    np.testing.assert_allclose(interpolated(forth, back), np.mgrid[:21, :21], atol=1e-9)


def interpolated(field, places):
    """A field (2, y, x) that is linear in space, at other places, also beyond its edge."""
    down = field[:, 1, 0] - field[:, 0, 0]
    right = field[:, 0, 1] - field[:, 0, 0]
    return field[:, :1, :1] + down[:, None, None] * places[0] + right[:, None, None] * places[1]


@pytest.mark.parametrize("step", [0, 5])
def test_motion_is_the_derivative_of_positions(step):
    storm = Storm(size=21, velocity=(1.3, -0.4), rotation=0.05)
    before, now, after = (
        storms.positions(storm, t, inverse=False) for t in (step - 1e-4, step, step + 1e-4)
    )
    down, right = (after - before) / 2e-4
    velocity = storms.motion(storm, step)
    np.testing.assert_allclose(interpolated(velocity, now), [right, down], atol=1e-6)


def test_same_seed_is_the_same_rain():
    rain = storms.rain(Storm(size=32), 3)
    assert rain.shape == (3, 32, 32)
    assert rain.dtype == "f4"
    assert rain.min() == 0
    assert rain.max() > 1
    assert (rain == storms.rain(Storm(size=32), 3)).all()
    assert (rain[:2] == storms.rain(Storm(size=32), 2)).all()
    assert (rain != storms.rain(Storm(size=32, seed=1), 3)).any()


@pytest.mark.parametrize("wet_fraction", [0.1, 0.3])
def test_wet_share_is_near_the_wet_fraction(wet_fraction):
    many = [Storm(seed=s, size=64, wet_fraction=wet_fraction) for s in range(60)]
    shares = [(storms.rain(storm, 1) > DRY).mean() for storm in many]
    assert np.mean(shares) == pytest.approx(wet_fraction, abs=0.04)


@pytest.mark.parametrize("slope", [2.2, 3.0])
def test_spectrum_falls_with_its_slope(slope):
    plane = next(storms._planes(Storm(size=128, slope=slope)))
    n, wave = len(plane), np.fft.fftfreq(len(plane))
    ring = np.rint(np.hypot(wave[:, None], wave) * n).astype(int)
    power = np.bincount(ring.ravel(), (np.abs(np.fft.fft2(plane)) ** 2).ravel())
    small = np.arange(12, 100)  # rings; scales from 21 to 3 px
    assert -np.polyfit(np.log(small), np.log(power[small]), 1)[0] == pytest.approx(slope, abs=0.15)


def test_rain_that_is_followed_decorrelates_more_slowly():
    rain = np.log10(storms.rain(Storm(size=128, velocity=(4, 2)), 6) + 0.1)

    def correlation(t, follow):
        row, column = (2 * t, 4 * t) if follow else (0, 0)
        there, here = rain[t, row:, column:], rain[0, : 128 - row, : 128 - column]
        return np.corrcoef(there.ravel(), here.ravel())[0, 1]

    followed, fixed = ([correlation(t, follow) for t in range(6)] for follow in (True, False))
    assert (np.diff(followed) < 0).all()
    assert followed[0] == pytest.approx(1)
    assert all(a > b + 0.05 for a, b in zip(followed[1:], fixed[1:], strict=True))


def test_small_scales_decorrelate_first():
    planes = storms._planes(Storm(size=64))
    first, later = next(planes), [next(planes) for _ in range(3)][-1]
    large = [ndimage.gaussian_filter(p, 6, mode="wrap") for p in (first, later)]
    small = [first - large[0], later - large[1]]
    assert _correlation(*large) > _correlation(*small) + 0.2


def _correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("velocity", [(2.0, 1.0), (-3.0, 1.5)])
def test_optical_flow_finds_the_velocity(velocity):
    storm = Storm(seed=3, size=128, velocity=velocity, wet_fraction=0.5, lifetime=600)
    rain = storms.rain(storm, 3)
    wet = np.zeros((128, 128), bool)
    wet[24:-24, 24:-24] = rain[-1, 24:-24, 24:-24] > DRY
    flow = baselines.motion(rain)[:, wet]
    truth = storms.motion(storm, 2)[:, wet]
    assert wet.mean() > 0.1
    assert np.abs(flow - truth).max() < 0.5
    still = baselines.motion(storms.rain(replace(storm, velocity=(0, 0)), 3))[:, wet]
    assert np.abs(still).max() < 0.5
