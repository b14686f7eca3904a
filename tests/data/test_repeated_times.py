"""Frames of one time: a lost copy gives way, and frames that differ are reported."""

import numpy as np
import pandas as pd
import pytest

from nowcastlib.data.grid import as_frames
from nowcastlib.data.store import open_frames
from nowcastlib.errors import NowcastError

WET = np.arange(1, 17, dtype="f4").reshape(4, 4)
LOST = np.full((4, 4), np.nan, "f4")
PARTLY = np.where(WET > 4, WET, np.nan)


def store(folder, *second) -> str:
    """A store of three times whose second time has several frames."""
    rate = np.stack([WET, *second, WET])
    steps = [0, *[5] * len(second), 10]
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(steps, unit="min")
    path = folder / "twice.zarr"
    frames = as_frames(rate).assign_coords(time=times)
    encoding = {"rainfall_rate": {"chunks": (1, 4, 4)}}  # one for each frame
    frames.rename("rainfall_rate").to_dataset().to_zarr(path, zarr_format=2, encoding=encoding)
    return str(path)


@pytest.mark.parametrize(
    "second",
    [(WET, WET), (LOST, WET), (WET, LOST), (PARTLY, WET), (LOST, PARTLY, WET), (WET, PARTLY)],
    ids=["equal", "lost, whole", "whole, lost", "partly, whole", "three", "whole, partly"],
)
def test_of_frames_that_agree_the_fullest_is_used(tmp_path, caplog, second):
    frames = open_frames(store(tmp_path, *second))
    np.testing.assert_array_equal(frames, [WET, WET, WET])
    assert not caplog.messages


def test_of_frames_that_differ_the_first_is_used_with_a_warning(tmp_path, caplog):
    path = store(tmp_path, PARTLY + 1, WET)
    np.testing.assert_array_equal(open_frames(path), [WET, PARTLY + 1, WET])
    (message,) = caplog.messages
    assert path in message
    assert "such times: 1, from 2024-01-01T00:05:00 on" in message


def test_frames_that_are_lost_twice_stay_lost(tmp_path):
    assert np.isnan(open_frames(store(tmp_path, LOST, LOST))[1]).all()


def test_only_frames_of_repeated_times_are_read(tmp_path):
    path = store(tmp_path, LOST, WET)
    (tmp_path / "twice.zarr/rainfall_rate/0.0.0").write_bytes(b"broken")
    frames = open_frames(path)
    np.testing.assert_array_equal(frames[1], WET)
    with pytest.raises(NowcastError, match="cannot be read"):
        frames[0].load()


def test_an_unreadable_frame_of_a_repeated_time_is_named(tmp_path):
    path = store(tmp_path, LOST, WET)
    (tmp_path / "twice.zarr/rainfall_rate/2.0.0").write_bytes(b"broken")
    with pytest.raises(NowcastError, match=r"twice\.zarr.* 2024-01-01 00:05:00 .*cannot be read"):
        open_frames(path)
