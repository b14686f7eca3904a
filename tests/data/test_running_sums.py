"""Sums of rain that run on from a start are told from sums of single steps."""

import numpy as np
import pytest
import xarray as xr

from nowcastlib.data.grid import as_frames
from nowcastlib.data.rain_check import LazyRates
from nowcastlib.data.read_options import ReadOptions
from nowcastlib.data.store import open_frames
from nowcastlib.errors import NowcastError

REFUSED = r"sums\.zarr .*running sums .*differences .*--accumulation-minutes"


def moving_storm(frames=24) -> np.ndarray:
    """Rain (mm in 5 minutes) of a storm that grows fivefold while it crosses the domain."""
    y, x = np.mgrid[:24, :48]
    distance = [(y - 12) ** 2 + (x - 8 - 30 * k / frames) ** 2 for k in range(frames)]
    storm = np.exp(-np.array(distance) / 30) * np.linspace(0.2, 1, frames)[:, None, None]
    return np.where(storm < 0.01, 0, storm).astype("f4")


def opened(sums, folder, options=None) -> xr.DataArray:
    path = folder / "sums.zarr"
    frames = as_frames(sums)
    frames.attrs = {"units": "mm", "standard_name": "precipitation_amount"}
    encoding = {"rain": {"chunks": (1, *frames.shape[1:])}}
    frames.rename("rain").to_dataset().to_zarr(path, zarr_format=2, encoding=encoding)
    return open_frames(path, options=options or ReadOptions())


def started_again(sums: np.ndarray) -> np.ndarray:
    """Running sums of rain that start again at half of the frames."""
    half = len(sums) // 2
    return np.concatenate([np.cumsum(sums[:half], 0), np.cumsum(sums[half:], 0)])


def with_a_lost_frame(sums: np.ndarray) -> np.ndarray:
    lost = np.cumsum(sums, axis=0)
    lost[3] = np.nan
    return lost


@pytest.mark.parametrize(
    "sums",
    [
        np.cumsum(moving_storm(), axis=0),
        started_again(moving_storm()),
        with_a_lost_frame(moving_storm()),
        np.cumsum(moving_storm(100), axis=0),
        np.cumsum(np.concatenate([np.zeros((60, 24, 48), "f4"), moving_storm(60)]), axis=0),
    ],
    ids=["from the first frame", "started again", "a lost frame", "long", "dry at first"],
)
def test_a_running_sum_is_refused(tmp_path, sums):
    with pytest.raises(NowcastError, match=REFUSED):
        opened(sums, tmp_path)


@pytest.mark.parametrize(
    "sums",
    [
        moving_storm(),
        moving_storm(100),
        np.zeros((24, 8, 8), "f4"),
        np.full((24, 8, 8), np.nan, "f4"),
        np.cumsum(moving_storm()[:2], axis=0),
    ],
    ids=["growing storm", "long", "dry", "not observed", "two frames"],
)
def test_sums_of_single_steps_are_read(tmp_path, sums):
    np.testing.assert_allclose(opened(sums, tmp_path), sums * 12, rtol=1e-6)


def test_a_stated_time_of_the_sums_is_believed(tmp_path):
    sums = np.cumsum(moving_storm(), axis=0)
    frames = opened(sums, tmp_path, ReadOptions(accumulation_minutes=60))
    np.testing.assert_allclose(frames, sums, rtol=1e-6)


def test_few_frames_of_a_long_store_are_read(tmp_path, monkeypatch):
    read = []
    original = LazyRates._read
    monkeypatch.setattr(LazyRates, "_read", lambda *key: read.append(key) or original(*key))
    path = tmp_path / "sums.zarr"
    frames = as_frames(moving_storm(100)).rename("rain").assign_attrs(units="mm")
    frames.to_dataset().to_zarr(path, zarr_format=2)
    assert len(open_frames(path)) == 100
    assert 5 <= len(read) <= 15


def test_an_ordinary_store_with_an_unreadable_frame_is_opened(tmp_path):
    opened(moving_storm(), tmp_path)
    break_frames(tmp_path, [3])
    assert len(open_frames(tmp_path / "sums.zarr")) == 24


def test_a_running_sum_with_an_unreadable_frame_is_refused(tmp_path):
    options = ReadOptions(accumulation_minutes=5)
    opened(np.cumsum(moving_storm(), axis=0), tmp_path, options)
    break_frames(tmp_path, [3])
    with pytest.raises(NowcastError, match=REFUSED):
        open_frames(str(tmp_path / "sums.zarr"))


def break_frames(folder, numbers) -> None:
    for number in numbers:
        (folder / f"sums.zarr/rain/{number}.0.0").write_bytes(b"broken")
