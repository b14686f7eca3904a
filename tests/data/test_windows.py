"""Windows of rain: shapes, gaps, determinism, and nothing of one split in another."""

import itertools

import numpy as np
import pytest
import torch

from nowcastlib.data import as_frames, ingest, windows
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.windows import RadarWindows, training_data
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

ROWS = np.array([[0, 1, 2], [1, 2, 3], [3, 4, 5]])


@pytest.fixture(scope="module")
def frames():
    """Rain of 12 × 16 px with a pixel that is never observed."""
    rate = np.random.default_rng(0).gamma(0.3, 5, (6, 12, 16))
    rate[:, 6, 8] = np.nan
    return as_frames(rate)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores of four synthetic storms each, 14 frames of 32 px a storm."""
    folder = tmp_path_factory.mktemp("stores")
    demos = [Demo(4, frames=14, size=32, seed=s) for s in (0, 1)]
    return [ingest(demo, folder / f"{k}.zarr", progress=False) for k, demo in enumerate(demos)]


def test_window_is_the_frames_in_model_units_with_gaps(frames):
    windows = RadarWindows(frames, ROWS)
    assert (
        len(windows) == 3
        and windows[2].shape == (3, 1, 12, 16)
        and windows[2].dtype == torch.float32
    )
    np.testing.assert_allclose(
        RainScale().from_model(windows[2])[:, 0], frames[3:6], rtol=1e-4, atol=1e-6
    )
    assert torch.isnan(windows[2][:, 0, 6, 8]).all() and torch.isnan(windows[2]).sum() == 3


def test_central_crop_is_the_centre_always(frames):
    windows = RadarWindows(frames, ROWS, crop=8)
    before, windows.epoch = windows[0], 5
    np.testing.assert_allclose(
        RainScale().from_model(before)[:, 0], frames[:3, 2:10, 4:12], rtol=1e-4, atol=1e-6
    )
    assert torch.equal(before.nan_to_num(), windows[0].nan_to_num())


def test_random_crop_depends_on_seed_epoch_and_number_alone(frames):
    def sample(seed, epoch, i):
        windows = RadarWindows(frames, np.array([[0, 1, 2]] * 3), crop=8, random=True, seed=seed)
        windows.epoch = epoch
        return windows[i].nan_to_num()

    keys = list(itertools.product((0, 1), (0, 1), (0, 1, 2)))
    first, second = ([sample(*key) for key in keys] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(first, 2))


def test_random_window_moves_all_frames_alike_and_changes_no_value():
    rate = np.arange(1.0, 26).reshape(5, 5)
    windows = RadarWindows(as_frames(np.stack([rate, rate + 100])), np.array([[0, 1]]), random=True)
    seen = set()
    for windows.epoch in range(60):
        first, second = RainScale().from_model(windows[0])[:, 0].round().int()
        assert (second - first == 100).all() and sorted(first.flatten().tolist()) == list(
            range(1, 26)
        )
        seen.add(tuple(first.flatten().tolist()))
    assert len(seen) == 8  # four turns, each mirrored or not


def test_all_rates_of_a_window_are_varied_by_one_factor(frames):
    plain, varied = (RadarWindows(frames, ROWS, random=True, seed=3, vary=v) for v in (0.0, 0.5))
    factors = []
    for i in range(3):
        a, b = (RainScale().from_model(windows[i]) for windows in (plain, varied))
        known = a > 0.01
        factors.append(float((b / a)[known].mean()))
        torch.testing.assert_close(b, a * factors[-1], equal_nan=True, rtol=1e-4, atol=1e-5)
    assert len(set(factors)) == 3 and 0.2 < min(factors) < max(factors) < 5
    still = RadarWindows(frames, ROWS, vary=0.5)
    torch.testing.assert_close(still[0], RadarWindows(frames, ROWS)[0], equal_nan=True)


def test_random_crop_prefers_rain():
    rate = np.zeros((1, 40, 40))
    rate[:, :8, :8] = 5.0
    windows = RadarWindows(as_frames(rate), np.array([[0]] * 200), crop=8, random=True)
    share = np.mean([float((windows[i] > 0).float().mean()) for i in range(200)])
    by_chance = (sum(range(1, 9)) / 8 / 33) ** 2  # mean over all 33 × 33 corners
    assert share > 3 * by_chance


def test_a_large_store_is_read_window_by_window_and_gives_the_same(monkeypatch):
    rate = np.random.default_rng(0).gamma(1, 3, (6, 30, 40)).astype("f4")
    rate[2, 4:9] = np.nan
    rows, options = np.array([[0, 1, 2], [3, 4, 5]]), {"crop": 16, "random": True, "seed": 5}
    small = RadarWindows(as_frames(rate), rows, **options)
    monkeypatch.setattr(windows, "MEMORY", 0)
    large = RadarWindows(as_frames(rate), rows, **options)
    assert small.known is not None and large.known is None
    for small.epoch in range(5):
        large.epoch = small.epoch
        for k in range(2):
            torch.testing.assert_close(small[k], large[k], equal_nan=True)


def test_crop_larger_than_the_frame_is_refused(frames):
    with pytest.raises(NowcastError, match=r"\(12, 16\) px are smaller than the crop of 13"):
        RadarWindows(frames, ROWS, crop=13)


def test_training_data_splits_each_store_by_event(stores):
    train, validation, words = training_data(stores, 4, 16)
    assert train[0].shape == validation[0].shape == (4, 1, 16, 16)
    for ours, theirs in zip(train.datasets, validation.datasets, strict=True):
        assert not set(ours.windows.ravel()) & set(theirs.windows.ravel())
        assert ours.random and not theirs.random
    assert words.count("train:") == words.count("validation:") == 2 and "synthetic rain" in words


def test_training_data_with_stores_for_validation_uses_all_of_each(stores):
    train, validation, _ = training_data(stores[:1], 4, 16, validation=stores[1:])
    assert (
        len(train) == len(validation) == 3 * 11 + 2
    )  # the third storm has a hole after 5 of 14 frames
    assert (validation.datasets[0].frames.values[:9] != train.datasets[0].frames.values[:9]).any()


def test_training_windows_take_every_second_frame_as_often_as_each(stores):
    train, validation, _ = training_data(stores[:1], 4, 16, validation=stores[1:], strides=(1, 2))
    steps = np.diff(train.datasets[0].windows, axis=1)
    assert ((steps == 1).all(1) | (steps == 2).all(1)).all() and (steps[:, 0] == 1).mean() == 0.5
    assert len(train) == 2 * 35 and len(validation) == 35
    many, _, _ = training_data(stores[:1], 4, 16, validation=stores[1:], strides=(1, 2), least=200)
    rows = many.datasets[0].windows
    assert len(many) == 200 and len(np.unique(rows, axis=0)) == len(
        np.unique(train.datasets[0].windows, axis=0)
    )
    twins = np.flatnonzero((rows == rows[0]).all(1))
    assert len(twins) > 2 and len({many[i].sum().item() for i in twins}) > 1, (
        "each time another square"
    )
    only, _, _ = training_data(stores[:1], 4, 16, validation=stores[1:], strides=(3,))
    assert (np.diff(only.datasets[0].windows, axis=1) == 3).all()
    with pytest.raises(NowcastError, match="no window of 9 frames, 10 minutes apart"):
        training_data(stores[:1], 9, 16, validation=stores[1:], strides=(2,))
    long, _, _ = training_data(
        stores[:1], 9, 16, validation=stores[1:], strides=(1, 2)
    )  # 17 frames there are not
    assert (np.diff(long.datasets[0].windows, axis=1) == 1).all()


def test_training_data_mistakes_are_told(stores, tmp_path):
    class Dry(Demo):
        def read(self, row):
            return super().read(row) * 0

    dry = ingest(Dry(3, frames=14, size=16), tmp_path / "dry.zarr", progress=False)
    with pytest.raises(NowcastError, match=r"dry\.zarr holds no rain"):
        training_data([dry], 4, 16)
    with pytest.raises(
        NowcastError, match="no window of 15 frames, 5 minutes apart, in the train split"
    ):
        training_data(stores, 15, 16)
    with pytest.raises(NowcastError, match="lower the crop"):
        training_data(stores, 4, 64)
    with pytest.raises(NowcastError, match="nothing to train or to validate on"):
        training_data(stores, 4, 16, shares=(0.8, 0, 0.2))
    with pytest.raises(NowcastError, match="nowhere"):
        training_data([tmp_path / "nowhere"], 4, 16)
