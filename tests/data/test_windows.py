"""Windows of rain: shapes, gaps, determinism, and no frame of one split in another."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from nowcastlib.data import as_frames, ingest, windows
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.window_options import TrainingStores, WindowOptions
from nowcastlib.data.windows import Augmentation, RadarWindows, training_data
from nowcastlib.errors import NowcastError
from nowcastlib.units import ModelScale

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
    return [ingest(demo, folder / f"{k}.zarr") for k, demo in enumerate(demos)]


def in_mm_per_hour(window):
    """A window (T, 1, H, W) as rain rates (T, H, W)."""
    return ModelScale().from_model(window)[:, 0]


def test_window_holds_its_frames_in_model_units_with_gaps(frames):
    windows = RadarWindows(frames, ROWS)
    last = windows[2]
    assert len(windows) == 3
    assert last.shape == (3, 1, 12, 16)
    assert last.dtype == torch.float32
    np.testing.assert_allclose(in_mm_per_hour(last), frames[3:6], rtol=1e-4, atol=1e-6)
    assert torch.isnan(last[:, 0, 6, 8]).all()
    assert torch.isnan(last).sum() == 3


def test_whole_frames_that_are_not_square_are_mirrored_and_half_turned_only():
    """Quarter turns would give samples of two shapes, which no batch can hold."""
    frames = as_frames(np.random.default_rng(0).gamma(0.5, 5, (6, 12, 16)))
    samples = RadarWindows(frames, ROWS, crop=0, augmentation=Augmentation())
    drawn = []
    for samples.epoch in range(16):
        drawn += [samples[k] for k in range(3)]

    batch = torch.stack(drawn)
    assert batch.shape == (48, 3, 1, 12, 16)
    rates = in_mm_per_hour(batch.flatten(0, 1)).view(16, 3, 3, 12, 16)[:, 0]  # of the first window
    rate = torch.tensor(frames.values[:3], dtype=torch.float32)
    variants = [rate, rate.flip(-1), rate.flip(-2), rate.flip(-1, -2)]
    kinds = {
        k
        for drawn_rate in rates
        for k, variant in enumerate(variants)
        if torch.allclose(drawn_rate, variant, rtol=1e-4, atol=1e-6)
    }
    assert kinds == {0, 1, 2, 3}


def test_whole_frames_of_stores_that_differ_in_size_are_refused(stores, tmp_path):
    wide = ingest(Demo(4, frames=14, size=48, seed=2), tmp_path / "wide.zarr")
    options = WindowOptions(n_in=2, n_out=2, crop=0)
    with pytest.raises(NowcastError, match=r"frames of 32×32 and 48×48 px.*: set a crop"):
        training_data(TrainingStores([*stores, wide]), options)
    training_data(TrainingStores([*stores, wide]), replace(options, crop=32))
    training_data(TrainingStores(stores, validation=[wide]), options)  # not in one batch


def test_crop_without_augmentation_is_the_centre_in_every_epoch(frames):
    windows = RadarWindows(frames, ROWS, crop=8)
    first = windows[0]
    centre = frames[:3, 2:10, 4:12]
    np.testing.assert_allclose(in_mm_per_hour(first), centre, rtol=1e-4, atol=1e-6)
    windows.epoch = 5
    assert torch.equal(first.nan_to_num(), windows[0].nan_to_num())


def test_random_crop_depends_on_seed_epoch_and_number_alone(frames):
    def sample(seed, epoch, i):
        windows = RadarWindows(frames, np.array([[0, 1, 2]] * 3), 8, Augmentation(seed))
        windows.epoch = epoch
        return windows[i].nan_to_num()

    keys = list(itertools.product((0, 1), (0, 1), (0, 1, 2)))
    first, second = ([sample(*key) for key in keys] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(first, 2))


def test_augmentation_turns_all_frames_together_and_keeps_every_value():
    rate = np.arange(1.0, 26).reshape(5, 5)
    frames = as_frames(np.stack([rate, rate + 100]))
    windows = RadarWindows(frames, np.array([[0, 1]]), augmentation=Augmentation())
    seen = set()
    for windows.epoch in range(60):
        first, second = in_mm_per_hour(windows[0]).round().int()
        assert (second - first == 100).all()
        assert sorted(first.flatten().tolist()) == list(range(1, 26))
        seen.add(tuple(first.flatten().tolist()))
    assert len(seen) == 8  # four turns, each mirrored or not


def test_all_rates_of_a_window_are_multiplied_by_one_factor(frames):
    plain = RadarWindows(frames, ROWS, augmentation=Augmentation(seed=3))
    varied = RadarWindows(frames, ROWS, augmentation=Augmentation(seed=3, vary=0.5))
    factors = []
    for i in range(3):
        before, after = (ModelScale().from_model(windows[i]) for windows in (plain, varied))
        wet = before > 0.01
        factors.append(float((after / before)[wet].mean()))
        expected = before * factors[-1]
        torch.testing.assert_close(after, expected, equal_nan=True, rtol=1e-4, atol=1e-5)
    assert len(set(factors)) == 3
    assert 0.2 < min(factors) < max(factors) < 5


def test_random_crop_prefers_rain():
    rate = np.zeros((1, 40, 40))
    rate[:, :8, :8] = 5.0
    windows = RadarWindows(as_frames(rate), np.array([[0]] * 200), 8, Augmentation())
    share = np.mean([float((windows[i] > 0).float().mean()) for i in range(200)])
    by_chance = (sum(range(1, 9)) / 8 / 33) ** 2  # mean over all 33 × 33 corners
    assert share > 3 * by_chance


def test_a_large_store_is_read_window_by_window_with_the_same_result(monkeypatch):
    rate = np.random.default_rng(0).gamma(1, 3, (6, 30, 40)).astype("f4")
    rate[2, 4:9] = np.nan
    rows = np.array([[0, 1, 2], [3, 4, 5]])
    small = RadarWindows(as_frames(rate), rows, 16, Augmentation(seed=5))
    monkeypatch.setattr(windows, "MEMORY", 0)
    large = RadarWindows(as_frames(rate), rows, 16, Augmentation(seed=5))
    assert small.values is not None
    assert large.values is None
    for small.epoch in range(5):
        large.epoch = small.epoch
        for k in range(2):
            torch.testing.assert_close(small[k], large[k], equal_nan=True)


def test_crop_larger_than_the_frame_is_refused(frames):
    with pytest.raises(NowcastError, match=r"\(12, 16\) px are smaller than the crop of 13"):
        RadarWindows(frames, ROWS, crop=13)


def four_frames(**options):
    """Windows of two input and two forecast frames."""
    return WindowOptions(n_in=2, n_out=2, **{"crop": 16} | options)


def test_training_data_splits_each_store_by_event(stores):
    train, validation, description = training_data(TrainingStores(stores), four_frames())
    assert train[0].shape == validation[0].shape == (4, 1, 16, 16)
    for ours, theirs in zip(train.datasets, validation.datasets, strict=True):
        assert not set(ours.rows.ravel()) & set(theirs.rows.ravel())
        assert ours.augmentation is not None
        assert theirs.augmentation is None
    assert description.count("train:") == description.count("validation:") == 2
    assert "synthetic rain" in description


def test_training_data_with_stores_for_validation_uses_all_of_each(stores):
    both = TrainingStores(stores[:1], validation=stores[1:])
    train, validation, _ = training_data(both, four_frames())
    number = 3 * 11 + 2  # the third storm has a hole after 5 of 14 frames
    assert len(train) == len(validation) == number
    assert (validation.datasets[0].frames.values[:9] != train.datasets[0].frames.values[:9]).any()


def test_a_store_from_the_south_gives_the_same_windows(stores, tmp_path):
    turned = xr.open_zarr(stores[0]).isel(y=slice(None, None, -1), x=slice(None, None, -1))
    turned.drop_encoding().to_zarr(tmp_path / "turned.zarr", zarr_format=2)
    ours, theirs = (
        training_data(TrainingStores([path]), four_frames())[0]
        for path in (stores[0], tmp_path / "turned.zarr")
    )
    assert len(ours) == len(theirs) > 10
    for k in range(0, len(ours), 5):
        assert torch.equal(ours[k], theirs[k])


def test_seed_and_variation_reach_the_training_windows(stores):
    train, _, _ = training_data(TrainingStores(stores), four_frames(vary=0.3), seed=7)
    assert train.datasets[0].augmentation == Augmentation(seed=7, vary=0.3)


def test_each_stride_has_an_equal_share_of_the_training_windows(stores):
    both = TrainingStores(stores[:1], validation=stores[1:])
    train, validation, _ = training_data(both, four_frames(strides=(1, 2)))
    steps = np.diff(train.datasets[0].rows, axis=1)
    assert ((steps == 1).all(1) | (steps == 2).all(1)).all()
    assert (steps[:, 0] == 1).mean() == 0.5
    assert len(train) == 2 * 35
    assert len(validation) == 35


def test_windows_are_repeated_with_other_squares_up_to_min_windows(stores):
    both = TrainingStores(stores[:1], validation=stores[1:])
    few, _, _ = training_data(both, four_frames(strides=(1, 2)))
    many, _, _ = training_data(both, four_frames(strides=(1, 2), min_windows=200))
    rows = many.datasets[0].rows
    assert len(many) == 200
    assert len(np.unique(rows, axis=0)) == len(np.unique(few.datasets[0].rows, axis=0))

    twins = np.flatnonzero((rows == rows[0]).all(1))
    assert len(twins) > 2
    assert len({many[i].sum().item() for i in twins}) > 1  # not always the same square


def test_strides_for_which_the_sequences_are_too_short_are_left_out(stores):
    both = TrainingStores(stores[:1], validation=stores[1:])
    only, _, _ = training_data(both, four_frames(strides=(3,)))
    assert (np.diff(only.datasets[0].rows, axis=1) == 3).all()

    nine = WindowOptions(n_in=4, n_out=5, crop=16, strides=(1, 2))
    # stride 2 needs 17 frames, more than a storm has
    train, _, description = training_data(both, nine)
    assert "strides 2: longer than its sequences, left out" in description
    assert "left out" not in training_data(both, replace(nine, strides=(1,)))[2]
    assert (np.diff(train.datasets[0].rows, axis=1) == 1).all()
    with pytest.raises(NowcastError, match="no window of 9 frames, 10 minutes apart"):
        training_data(both, replace(nine, strides=(2,)))


def test_a_dry_store_is_refused(tmp_path):
    class Dry(Demo):
        def read(self, row):
            return super().read(row) * 0

    dry = ingest(Dry(3, frames=14, size=16), tmp_path / "dry.zarr")
    with pytest.raises(NowcastError, match=r"dry\.zarr holds no rain"):
        training_data(TrainingStores([dry]), four_frames())


def test_stores_that_do_not_fit_the_windows_are_refused(stores, tmp_path):
    both = TrainingStores(stores)
    too_long = WindowOptions(n_in=5, n_out=10, crop=16)
    with pytest.raises(
        NowcastError, match="no window of 15 frames, 5 minutes apart, in the train split"
    ):
        training_data(both, too_long)
    with pytest.raises(NowcastError, match="lower the crop"):
        training_data(both, four_frames(crop=64))
    with pytest.raises(NowcastError, match="nowhere"):
        training_data(TrainingStores([tmp_path / "nowhere"]), four_frames())


def test_shares_without_training_or_validation_are_refused(stores):
    for shares in ((0.8, 0, 0.2), (0, 0.8, 0.2)):
        with pytest.raises(NowcastError, match="nothing to train or to validate on"):
            TrainingStores(stores, shares=shares)


@pytest.mark.parametrize(
    "shares", [(0.7, 0.5, -0.2), (0.7, 0.15, 0.1), (70, 15, 15), (float("nan"), 0.5, 0.5)]
)
def test_shares_that_are_negative_or_do_not_sum_to_1_are_refused(stores, shares):
    with pytest.raises(NowcastError, match=r"shares \(.*must be 0 or more and sum to 1"):
        TrainingStores(stores, shares=shares)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": ["a.zarr"], "validation": ["b.zarr"]}, "stores for validation leave no store"),
        ({"train": ["moving-mnist"]}, "moving-mnist is not split"),
    ],
)
def test_shares_without_effect_are_refused(options, message):
    TrainingStores(**options)
    with pytest.raises(NowcastError, match=message):
        TrainingStores(**options, shares=(0.5, 0.25, 0.25))


def test_moving_mnist_stands_in_place_of_a_store():
    stores = TrainingStores(["moving-mnist"])
    train, validation, description = training_data(stores, four_frames(crop=0), seed=3)
    assert train[0].shape == validation[0].shape == (4, 1, 64, 64)
    assert "4,000 training digits" in description
    other, _, _ = training_data(stores, four_frames(crop=64), seed=4)
    assert not torch.equal(train[0], other[0])


@pytest.mark.parametrize("option", [{"strides": (1, 2)}, {"vary": 0.1}, {"min_windows": 9}])
def test_moving_mnist_refuses_options_of_rain_by_name(option):
    (name,) = option
    with pytest.raises(NowcastError, match=f"moving-mnist has no {name}"):
        training_data(TrainingStores(["moving-mnist"]), four_frames(**option))


def test_moving_mnist_refuses_a_crop():
    with pytest.raises(NowcastError, match=r"films of 64 px.* crop of 32"):
        training_data(TrainingStores(["moving-mnist"]), four_frames(crop=32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_in": 0}, "n_in is 0"),
        ({"n_out": 0}, "n_out is 0"),
        ({"crop": -1}, "crop is -1"),
        ({"vary": -0.1}, "vary is -0.1"),
        ({"vary": float("nan")}, "vary is nan"),
        ({"min_windows": -1}, "min_windows is -1"),
        ({"strides": ()}, r"strides \(\)"),
        ({"strides": (1, 0)}, r"strides \(1, 0\)"),
    ],
)
def test_window_options_outside_their_range_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        WindowOptions(**options)
