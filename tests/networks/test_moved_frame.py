"""A Conv-ED-LSTM that compares frames and moves them."""

from dataclasses import replace

import pytest
import torch
from small_networks import seeded

from nowcastlib.networks import ConvEDLSTMConfig, build
from nowcastlib.networks.moved_frame import MovedFrame, misfits

MOVING = ConvEDLSTMConfig((3, 4, 4, 3), (3, 3, 3, 3), compare=2, move=3)  # patch 2


@pytest.mark.parametrize(("down", "right"), [(1, -2), (-2, 0), (0, 0)])
def test_the_displacement_of_the_rain_fits_best(down, right):
    torch.manual_seed(0)
    patch, step = 4, 2
    before = torch.rand(1, 1, 40, 40).repeat_interleave(step, 2).repeat_interleave(step, 3)
    frame = before.roll((down * step, right * step), (2, 3))
    packed = (torch.nn.functional.pixel_unshuffle(f, patch) for f in (frame, before))
    fit = misfits(*packed, replace(MOVING, patch=patch, compare=4))  # (1, 25, 20, 20)
    row, column = divmod(int(fit[0, :, 10, 10].argmax()), 5)
    assert (row - 2, column - 2) == (down, right)
    assert fit[0, :, 10, 10].max() > 0.9


def test_rain_that_does_not_change_and_no_rain_tell_nothing():
    for rain in (0.0, 0.5):
        frame = torch.full((1, 4, 12, 12), rain)
        assert not misfits(frame, frame, MOVING).any()


def test_a_pixel_moves_by_the_displacement_with_all_the_weight():
    moved_frame = MovedFrame(channels=1, reach=3, patch=2)
    with torch.no_grad():
        moved_frame.kernels.weight.zero_()
        moved_frame.kernels.bias.fill_(-50)
        moved_frame.kernels.bias[3 - 1] = 50  # from the row above: moves down by 1
        moved_frame.kernels.bias[7 + 3 + 2] = 50  # from two columns to the right: moves left by 2
    pixel = torch.zeros(1, 1, 12, 12)
    pixel[0, 0, 5, 6] = 0.7

    packed = torch.nn.functional.pixel_unshuffle(pixel, 2)
    moved = torch.nn.functional.pixel_shuffle(moved_frame(packed, torch.zeros(1, 1, 6, 6)), 2)

    torch.testing.assert_close(moved, pixel.roll((1, -2), (2, 3)))


def test_untrained_network_leaves_uniform_rain_as_it_is():
    x = torch.full((2, 3, 1, 32, 32), 0.4, dtype=torch.float64)
    forecast = torch.sigmoid(seeded(lambda: build(MOVING))(x, 4))
    torch.testing.assert_close(forecast, torch.full_like(forecast, 0.4), rtol=1e-5, atol=0)


def test_moved_rain_has_no_values_beyond_those_of_the_frame():
    network = seeded(lambda: build(MOVING))
    x = torch.rand(2, 3, 1, 32, 32, dtype=torch.float64) * 0.5
    forecast = torch.sigmoid(network(x, 6))
    assert forecast.max() <= x[:, -1].max() + 1e-6
    assert forecast[:, 0].std() < x[:, -1].std()


def test_the_frames_are_compared_in_pairs_while_reading_and_while_forecasting():
    network = seeded(lambda: build(MOVING))
    x = torch.rand(1, 4, 1, 16, 16, dtype=torch.float64)
    first = torch.sigmoid(network(x, 1))
    second = network(torch.cat([x, first], 1), 1)
    torch.testing.assert_close(network(x, 2)[:, 1:], second)


def test_one_frame_is_refused_where_frames_are_compared():
    assert MOVING.fewest_frames == 2
    with pytest.raises(ValueError, match="two input frames"):
        build(MOVING)(torch.rand(1, 1, 1, 16, 16), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"move": -1}, "move is -1"),
        ({"compare": -1}, "compare is -1"),
        ({"compare": 3, "patch": 4}, "multiple of 2 px"),
        ({"move": 2, "skip": False}, "move needs skip"),
    ],
)
def test_impossible_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ConvEDLSTMConfig(**changes)
