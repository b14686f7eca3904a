"""Moving MNIST: exact paths, disjoint digits in the splits, missing and broken files."""

import itertools
import struct

import numpy as np
import pytest
import torch

from nowcastlib.data import TrainingStores, WindowOptions, training_data, training_films
from nowcastlib.data.moving_mnist import (
    DigitScene,
    MovingMNIST,
    OfficialMovingMNIST,
    OfficialWindows,
)
from nowcastlib.data.splits import SPLITS
from nowcastlib.errors import NowcastError


def write_idx(folder, name, array):
    """Write MNIST's file format: zeros, type (8: uint8), dimensions, sizes (32 bit), bytes."""
    path = folder / "MNIST" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        + array.astype("u1").tobytes()
    )


@pytest.fixture
def mnist(tmp_path):
    """torchvision's folder with 60 training and 10 test digits; digit k is grey of value k + 1."""
    grey = np.broadcast_to(np.arange(1, 71).reshape(-1, 1, 1), (70, 28, 28))
    for part, digits in (("train", grey[:60]), ("t10k", grey[60:])):
        write_idx(tmp_path, f"{part}-images-idx3-ubyte", digits)
        write_idx(tmp_path, f"{part}-labels-idx1-ubyte", np.zeros(len(digits)))
    return tmp_path


@pytest.fixture
def official(tmp_path):
    """A folder with three films of noise as the official ones, and the films (T, film, y, x)."""
    films = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64), dtype="u1")
    (tmp_path / "MovingMNIST").mkdir()
    np.save(tmp_path / "MovingMNIST" / "mnist_test_seq.npy", films)
    return tmp_path, films


@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_digits_are_at_their_corners_and_the_brighter_pixel_wins(n_digits):
    data = MovingMNIST("test", n_frames=6, scene=DigitScene(n_digits))
    which, corners = data.draw(3)
    expected = np.zeros((6, n_digits, 64, 64), "f4")
    for t, k in np.ndindex(6, n_digits):
        y, x = np.rint(corners[t, k]).astype(int)
        expected[t, k, y : y + 28, x : x + 28] = data.digits[which[k]] / np.float32(255)
    assert data[3].shape == (6, 1, 64, 64)
    assert data[3].dtype == torch.float32
    np.testing.assert_array_equal(data[3][:, 0], expected.max(axis=1))
    assert data[3].max() > 0.9
    if n_digits > 1:
        assert ((expected > 0).sum(axis=1) > 1).any()  # some do overlap


def reflected(position, velocity, room):
    """Position and velocity one frame later; beyond a wall the digit is turned back."""
    position = position + velocity
    while position < 0 or position > room:
        position = -position if position < 0 else 2 * room - position
        velocity = -velocity
    return position, velocity


@pytest.mark.parametrize(("size", "speed"), [(64, 3.0), (40, 5.0), (29, 0.7)])
def test_digits_bounce_exactly_at_constant_speed(size, speed):
    room = size - 28
    scene = DigitScene(n_digits=1, size=size, speed=(speed, speed))
    data = MovingMNIST(n_frames=60, scene=scene)
    films = bounces = 0
    for i in range(40):
        path = data.corners(i)[:, 0]  # (T, 2)
        assert path.min() >= 0
        assert path.max() <= room
        first_velocity = path[1] - path[0]
        if np.hypot(*first_velocity) < speed - 1e-9:
            continue  # it met a wall at once: its velocity is not known

        films += 1
        for positions, velocity in zip(path.T, first_velocity, strict=True):  # rows, columns
            expected = positions[0]
            for position in positions:
                np.testing.assert_allclose(position, expected, atol=1e-9)
                before = velocity
                expected, velocity = reflected(expected, velocity, room)
                bounces += velocity != before
    assert films >= 5
    assert bounces > 50


def test_all_speeds_and_directions_occur():
    data = MovingMNIST(n_frames=2, scene=DigitScene(n_digits=1, size=1000))  # hardly a wall
    velocity = np.array([np.diff(data.corners(i)[:, 0], axis=0)[0] for i in range(500)])
    speed = np.hypot(*velocity.T)
    assert (speed <= 5 + 1e-9).all()
    assert speed.max() > 4.9
    assert np.quantile(speed, 0.05) > 2
    assert np.histogram(np.arctan2(*velocity.T), 8, (-np.pi, np.pi))[0].min() > 35


@pytest.mark.parametrize(("size", "n_frames", "n_digits"), [(29, 1, 1), (64, 20, 2), (100, 33, 3)])
def test_films_of_any_size_and_length_hold_whole_digits(size, n_frames, n_digits):
    data = MovingMNIST("validation", 5, n_frames, scene=DigitScene(n_digits, size))
    for i in range(5):
        film = data[i]
        which, corners = data.draw(i)
        assert film.shape == (n_frames, 1, size, size)
        assert corners.shape == (n_frames, n_digits, 2)
        ink = data.digits[which].sum(dtype="f4") / 255
        assert (film.sum(dim=(1, 2, 3)) <= ink + 1e-2).all()
        if n_digits == 1:
            np.testing.assert_allclose(film.sum(dim=(1, 2, 3)), ink, rtol=1e-5)


def test_embedded_digits_of_the_splits_are_disjoint():
    sets = [{d.tobytes() for d in MovingMNIST(split).digits} for split in SPLITS]
    assert [len(s) for s in sets] == [4000, 500, 500]
    assert len(set.union(*sets)) == 5000


def test_training_digits_of_a_folder_are_divided_five_to_one(mnist):
    scene = DigitScene(source=mnist)
    sets = [MovingMNIST(split, scene=scene).digits[:, 0, 0].tolist() for split in SPLITS]
    assert [len(s) for s in sets] == [50, 10, 10]
    assert sorted(sets[0] + sets[1]) == list(range(1, 61))
    assert sets[0] != sorted(sets[0])
    assert sets[2] == list(range(61, 71))


def test_test_films_show_the_test_digits_of_the_folder(mnist):
    film = MovingMNIST("test", n_frames=3, scene=DigitScene(source=str(mnist)))[0]
    assert film.shape == (3, 1, 64, 64)
    greys = set((255 * film.unique()).round().int().tolist())
    assert greys <= {0, *range(61, 71)}


def test_digits_and_their_paths_depend_on_seed_split_and_number_alone():
    keys = list(itertools.product((0, 1), SPLITS, (0, 1)))
    first, second = (
        [MovingMNIST(split, n_frames=2, seed=seed)[i] for seed, split, i in keys] for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(first, 2))
    paths = [MovingMNIST(split, n_frames=2, seed=seed).corners(i) for seed, split, i in keys]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(paths, 2))


def test_a_dataset_ends_after_its_films():
    data = MovingMNIST(n_samples=3, n_frames=2)
    assert len(data) == 3
    assert len(list(itertools.islice(data, 9))) == 3
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.parametrize("size", [0, 28])
def test_a_box_without_room_is_refused(size):
    with pytest.raises(NowcastError, match="no room to move: take 32 or more"):
        DigitScene(size=size)


def test_empty_films_are_refused():
    with pytest.raises(NowcastError, match="0 frames is empty: take at least 1"):
        MovingMNIST(n_frames=0)
    with pytest.raises(NowcastError, match="0 digits is empty: take at least 1"):
        DigitScene(n_digits=0)


def test_an_unknown_split_is_refused():
    with pytest.raises(
        NowcastError, match="no split 'training': take one of train, validation, test"
    ):
        MovingMNIST("training")


def test_missing_digits_are_not_fetched_but_the_message_says_how(tmp_path):
    with pytest.raises(
        NowcastError, match=r"MNIST.*not found.*torchvision\.datasets\.MNIST\('.*', download=True\)"
    ):
        MovingMNIST(scene=DigitScene(source=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an idx file",
        struct.pack(">HBBIII", 0, 8, 3, 60, 28, 28) + bytes(59 * 28 * 28),
        struct.pack(">HBBIII", 0, 8, 3, 60, 20, 20) + bytes(60 * 20 * 20),
        struct.pack(">HBBIII", 0, 8, 3, 0, 28, 28),
    ],
    ids=["empty", "other", "cut off", "small digits", "no digits"],
)
def test_broken_digits_are_refused(mnist, content):
    (mnist / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(
        NowcastError, match=r"cannot read .*MNIST \(.+\); if it is missing or broken, remove it"
    ):
        MovingMNIST(scene=DigitScene(source=mnist))


def test_official_films_are_those_of_the_file(official):
    folder, films = official
    data = OfficialMovingMNIST(folder)
    assert len(data) == len(list(data)) == 3
    assert data[1].shape == (20, 1, 64, 64)
    assert data[1].dtype == torch.float32
    np.testing.assert_array_equal(data[1][:, 0], films[:, 1] / np.float32(255))
    np.testing.assert_array_equal(OfficialMovingMNIST(folder, 7, first=13)[2], data[2][13:])


@pytest.mark.parametrize(("n_frames", "first"), [(21, 0), (10, 11), (0, 0), (5, -1)])
def test_frames_that_the_official_films_do_not_have_are_refused(official, n_frames, first):
    with pytest.raises(
        NowcastError, match=rf"no {n_frames} frames from {first} on: they end after 20"
    ):
        OfficialMovingMNIST(official[0], n_frames, first)


def test_missing_official_films_are_not_fetched_but_the_message_says_how(tmp_path):
    remedy = r"MovingMNIST.*not found.*torchvision\.datasets\.MovingMNIST\('.*', download=True\)"
    with pytest.raises(NowcastError, match=remedy):
        OfficialMovingMNIST(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("broken", ["empty", "cut off", "float", "small"])
def test_broken_official_films_are_refused(official, broken):
    folder, films = official
    path = folder / "MovingMNIST" / "mnist_test_seq.npy"
    if broken in ("empty", "cut off"):
        path.write_bytes(path.read_bytes()[: 0 if broken == "empty" else 9999])
    else:
        np.save(path, films / 255 if broken == "float" else films[..., :32])
    with pytest.raises(
        NowcastError,
        match=r"cannot read .*mnist_test_seq\.npy \(.+\); if it is missing or broken, remove it",
    ):
        OfficialMovingMNIST(folder)


# ---- official films to train on


@pytest.fixture
def ten_films(tmp_path):
    """A folder with ten official films; frame t of film k is grey of level 20 k + t."""
    (tmp_path / "MovingMNIST").mkdir()
    levels = np.arange(20)[:, None] + 20 * np.arange(10)
    films = np.broadcast_to(levels[:, :, None, None].astype("u1"), (20, 10, 64, 64))
    np.save(tmp_path / "MovingMNIST" / "mnist_test_seq.npy", films)
    return tmp_path


def levels(data):
    """Level of each frame of each window: (window, T)."""
    return np.array([window[:, 0, 5, 7].numpy() * 255 for window in data]).round().astype(int)


def official_data(folder, shares=(0.6, 0.2, 0.2), **options):
    windows = WindowOptions(n_in=4, n_out=3, **options)
    return training_data(TrainingStores([f"moving-mnist:{folder}"], shares=shares), windows)


def test_training_has_all_windows_of_its_films_and_no_film_of_another_split(ten_films):
    train, validation, description = official_data(ten_films)
    starts = np.array([20 * film + first for film in range(6) for first in range(14)])
    np.testing.assert_array_equal(levels(train), starts[:, None] + np.arange(7))
    assert train[0].shape == validation[0].shape == (7, 1, 64, 64)
    assert train[0].dtype == torch.float32

    test = OfficialWindows(ten_films, "test", 7, (0.6, 0.2, 0.2))
    assert set(levels(validation).ravel() // 20) == {6, 7}
    assert set(levels(test).ravel() // 20) == {8, 9}
    for words in ("84 windows of the first 6 films", "28 windows of the next 2", "the last 2"):
        assert words in description


def test_shares_of_films_that_are_no_whole_numbers_lose_and_share_none(ten_films):
    shares = (0.55, 0.31, 0.14)
    parts = [OfficialWindows(ten_films, split, 20, shares) for split in SPLITS]
    films = np.concatenate([levels(part)[:, 0] // 20 for part in parts])
    assert films.tolist() == list(range(10))


def test_validation_on_official_films_is_spread_over_all_of_them(ten_films, monkeypatch):
    monkeypatch.setitem(training_films.N_FILMS, "validation", 10)
    _, validation, description = official_data(ten_films)
    assert len(validation) == 10
    assert set(levels(validation).ravel() // 20) == {6, 7}
    assert "validation: 10 windows of the next 2" in description


def test_official_films_stay_on_disk(ten_films):
    train, _, _ = official_data(ten_films)
    assert isinstance(train.films, np.memmap)
    assert isinstance(OfficialMovingMNIST(ten_films).films, np.memmap)


@pytest.mark.parametrize(
    ("shares", "options", "message"),
    [
        ((0.6, 0.2, 0.2), {"vary": 0.1}, "moving-mnist has no vary"),
        ((0.6, 0.2, 0.2), {"crop": 32}, "films of 64 px"),
        ((0.97, 0.01, 0.02), {}, r"0\.01 of 10 films leaves none for validation: raise it"),
        ((0.01, 0.97, 0.02), {}, r"0\.01 of 10 films leaves none for train: raise it"),
    ],
)
def test_official_films_refuse_what_they_do_not_have(ten_films, shares, options, message):
    with pytest.raises(NowcastError, match=message):
        official_data(ten_films, shares, **options)


def test_windows_longer_than_the_official_films_are_refused(ten_films):
    stores = TrainingStores([f"moving-mnist:{ten_films}"])
    with pytest.raises(NowcastError, match="films have 20 frames, not 21: lower n_in or n_out"):
        training_data(stores, WindowOptions(n_in=11, n_out=10))
    assert len(training_data(stores, WindowOptions(n_in=10, n_out=10))[0]) == 7


def test_missing_official_films_for_training_are_named(tmp_path):
    with pytest.raises(NowcastError, match=r"mnist_test_seq\.npy \(not found\).*download=True"):
        official_data(tmp_path)


@pytest.mark.parametrize("other", ["moving-mnist", "moving-mnist:films"])
def test_moving_mnist_is_not_mixed_with_stores(other):
    for stores in ({"train": [other, "a.zarr"]}, {"train": ["a.zarr"], "validation": [other]}):
        with pytest.raises(NowcastError, match=f"{other} cannot be mixed with other data"):
            TrainingStores(**stores)
