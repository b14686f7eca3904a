"""Colour films: their windows, what is lost in them, and values that are no colours."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from nowcastlib.data import ColourWindows, check_colours, colour_windows, open_colours
from nowcastlib.data.feeds.picture_colours import colours
from nowcastlib.errors import NowcastError
from nowcastlib.networks import ConvEDLSTMConfig, network_input

ROWS = np.arange(4)[:, None] + np.arange(3)  # (window, T)


@pytest.fixture
def films() -> xr.DataArray:
    """Six random frames of 8 × 10 px."""
    values = np.random.default_rng(0).random((6, 3, 8, 10), "f4")
    times = pd.date_range("2024-06-01", periods=6, freq="5min")
    return xr.DataArray(values, {"time": times}, ["time", "channel", "y", "x"], "colour")


@pytest.mark.parametrize("memory", [1e9, 0], ids=["in memory", "from the store"])
def test_windows_hold_the_middle_of_their_frames(films, monkeypatch, memory):
    monkeypatch.setattr(colour_windows, "MEMORY", memory)
    windows = ColourWindows(films, ROWS, crop=4)
    assert len(windows) == 4
    np.testing.assert_array_equal(windows[1], films[1:4, :, 2:6, 3:7])
    np.testing.assert_array_equal(ColourWindows(films, ROWS)[3], films[3:6])


def test_random_squares_differ_by_epoch_and_can_be_repeated(films):
    windows, again = (ColourWindows(films, ROWS, crop=4, seed=1) for _ in range(2))
    first = torch.stack([windows[i] for i in range(4)])
    windows.epoch = 1
    assert not torch.equal(first, torch.stack([windows[i] for i in range(4)]))
    assert torch.equal(first, torch.stack([again[i] for i in range(4)]))


def test_windows_refuse_small_frames_and_values_that_are_no_colours(films):
    with pytest.raises(NowcastError, match=r"\(8, 10\) px are smaller than the crop of 9"):
        ColourWindows(films, ROWS, crop=9)
    with pytest.raises(NowcastError, match=r"from 0\.\d+ to 254\.\d+, not from 0 to 1: scale them"):
        ColourWindows(films * 255, ROWS)
    assert np.isnan(check_colours(np.full(3, np.nan), "nothing")).all()


def test_frames_of_a_store_stand_in_ascending_time(films, tmp_path):
    films[[3, 0, 1, 2]].to_dataset().to_zarr(tmp_path / "films.zarr", zarr_format=2)
    opened = open_colours(tmp_path / "films.zarr")
    np.testing.assert_array_equal(opened, films[:4])
    films[:, :2].to_dataset().to_zarr(tmp_path / "two.zarr", zarr_format=2)
    with pytest.raises(NowcastError, match=r"two\.zarr has colours of .*with 3 channels: make a"):
        open_colours(tmp_path / "two.zarr")


def test_a_lost_pixel_is_filled_from_its_own_channel():
    frames = torch.tensor([0.2, 0.5, 0.8])[:, None, None].expand(1, 3, 3, 8, 8).clone()
    frames[0, 1, 2, 3:5, 3:5] = torch.nan  # blue, in the middle frame
    filled = network_input(frames, ConvEDLSTMConfig())
    torch.testing.assert_close(filled[0, :, 2], torch.full((3, 8, 8), 0.8))
    torch.testing.assert_close(filled[0, :, 0], torch.full((3, 8, 8), 0.2))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (np.full((2, 2), 65_535, "u2"), [1, 1, 1]),
        (np.full((2, 2, 3), (255, 0, 51), "u1"), [1, 0, 0.2]),
        (np.full((2, 2, 4), (255, 0, 51, 255), "u1"), [1, 0, 0.2]),
        (np.full((2, 2, 4), (255, 0, 51, 0), "u1"), [np.nan] * 3),
    ],
    ids=["16 bits", "RGB", "opaque", "transparent"],
)
def test_pictures_of_all_kinds_have_three_channels(picture, expected):
    values = colours(picture)
    assert values.shape == (3, 2, 2)
    np.testing.assert_allclose(values[:, 1, 0], expected, rtol=1e-6)
