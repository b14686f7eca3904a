"""Labelled clips: labels by hand, variations that keep or change them, splits, bad labels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from nowcastlib.data import (
    ClipOptions,
    DigitClips,
    DigitScene,
    GivenClips,
    LabelledClips,
    TouchOptions,
    TrainingStores,
    WindowOptions,
    as_frames,
    check_labels,
    ingest,
    labels_of,
    pos_weight,
    training_clips,
)
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.windows import Augmentation, RadarWindows
from nowcastlib.errors import NowcastError

OPTIONS = ClipOptions(rate=5.0, share=0.25, centre=4, first_lead=2)
N_IN, N_OUT = 2, 3


def one_spot(at, place=(4, 4), rate=9.0, pixels=(2, 2), frames=5, size=10):
    """Frames in which one frame has a spot of rain, (T, y, x) in mm/h."""
    rain = np.zeros((frames, size, size), "f4")
    y, x = place
    rain[at, y : y + pixels[0], x : x + pixels[1]] = rate
    return rain


def clips_of(rain, options=OPTIONS, augmentation=None, crop=0):
    frames = as_frames(rain)
    rows = np.arange(len(rain) - N_IN - N_OUT + 1)[:, None] + np.arange(N_IN + N_OUT)
    return LabelledClips(RadarWindows(frames, rows, crop, augmentation), N_IN, options)


@pytest.mark.parametrize(
    ("rain", "expected"),
    [
        (one_spot(at=3), 1),  # the first frame that counts: 2 input frames, then leads 2 and 3
        (one_spot(at=4), 1),
        (one_spot(at=2), 0),  # lead 1 does not count
        (one_spot(at=1), 0),  # nor does the clip itself
        (one_spot(at=3, rate=5.0), 0),  # not above the rate
        (one_spot(at=3, rate=5.01), 1),
        (one_spot(at=3, pixels=(1, 3)), 0),  # 3 of 16 px are less than a quarter
        (one_spot(at=3, place=(0, 0)), 0),  # outside the centre, rows and columns 3 to 6
        (one_spot(at=3, place=(6, 6)), 0),  # one pixel of it inside
    ],
)
def test_label_by_hand(rain, expected):
    clips = clips_of(rain)
    clip, found = clips[0]
    assert clip.shape == (N_IN, 1, 10, 10)
    assert clips.labels.tolist() == [expected] == [found.item()]


def test_a_share_of_the_observed_pixels_and_no_label_without_observations():
    rain = one_spot(at=3, pixels=(1, 2))  # 2 of 16 px
    rain[3, 5:7] = np.nan  # half of the centre, rows 3 to 6, is not observed: 2 of 8
    assert clips_of(rain).labels.tolist() == [1]

    rain = np.concatenate([one_spot(at=3), one_spot(at=4)])
    rain[3:5, 3:7, 3:7] = np.nan
    clips = clips_of(rain)
    assert clips.left_out == 1
    assert len(clips) == 5
    assert np.isfinite(clips.labels).all()


def test_times_are_those_of_the_last_frame_of_each_clip():
    clips = clips_of(np.concatenate([one_spot(at=3), one_spot(at=4)]))
    assert (clips.times == clips.windows.frames.time.values[N_IN - 1 :][: len(clips)]).all()


def random_rain(seed=0, size=16, frames=12):
    rng = np.random.default_rng(seed)
    rain = np.zeros((frames, size, size), "f4")
    for t in range(frames):
        y, x = rng.integers(0, size - 4, 2)
        rain[t, y : y + 4, x : x + 4] = 8.0
    return rain


def drawn(clips, epochs=12):
    """Labels of all clips in some epochs: (epoch, clip)."""
    labels = []
    for epoch in range(epochs):
        clips.epoch = epoch
        labels.append([clips[i][1].item() for i in range(len(clips))])
    return np.array(labels)


def test_turning_and_mirroring_keep_the_label():
    clips = clips_of(random_rain(), augmentation=Augmentation(shift=False), crop=12)
    assert 0 < clips.labels.mean() < 1
    assert (drawn(clips) == clips.labels).all()
    plain = clips_of(random_rain(), crop=12)
    assert any(not torch.equal(clips[i][0], plain[i][0]) for i in range(len(clips)))


@pytest.mark.parametrize(
    "augmentation", [Augmentation(shift=True), Augmentation(shift=False, vary=1.0)]
)
def test_another_place_and_other_rates_change_the_label(augmentation):
    """The label of a varied clip is that of the varied frames after it."""
    clips = clips_of(random_rain(), augmentation=augmentation, crop=8)
    assert (drawn(clips) != clips.labels).any()
    for i in range(len(clips)):
        window = clips.windows.scale.from_model(clips.windows[i][N_IN + 1 :, 0])
        above = (window[:, 2:6, 2:6] > 5.001).float().mean((1, 2)).max() >= 0.25
        assert clips[i][1] == above


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "frames.zarr"
    return ingest(Demo(3, frames=20, size=32), path)


WINDOWS = WindowOptions(n_in=3, n_out=3, crop=0)
ANY_RAIN = ClipOptions(rate=1.0, share=0.05, centre=16, first_lead=1)


def test_splits_of_a_store_have_events_of_their_own_and_tell_their_base_rate(store):
    stores = TrainingStores([store], shares=(0.5, 0.5, 0))
    train, validation, description = training_clips(stores, WINDOWS, ANY_RAIN)
    for name, part in (("train", train), ("validation", validation)):
        assert f"{name}: base rate {labels_of(part).mean():.3f}" in description
    days = [{str(t)[:10] for p in part.datasets for t in p.times} for part in (train, validation)]
    assert not days[0] & days[1]
    assert len(validation) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 900.0}, r"all \d+ clips of the train set have the label no .* lower rate"),
        ({"rate": 0.001, "share": 1e-9}, r"all \d+ clips of the train set .* yes .* raise rate"),
        ({"centre": 64}, "frames of 32 px are smaller than the centre of 64"),
    ],
)
def test_clips_of_one_label_only_are_refused(store, options, message):
    stores = TrainingStores([store], shares=(0.5, 0.5, 0))
    with pytest.raises(NowcastError, match=message):
        training_clips(stores, WINDOWS, ClipOptions(**{"first_lead": 1} | options))


def test_a_split_without_a_positive_clip_is_named(store, tmp_path):
    dry = as_frames(np.full((9, 32, 32), 0.2, "f4"))
    dry.to_dataset(name="rainfall_rate").to_zarr(tmp_path / "dry.zarr", consolidated=False)
    stores = TrainingStores([store], [tmp_path / "dry.zarr"])
    with pytest.raises(NowcastError, match="clips of the validation set have the label no"):
        training_clips(stores, WINDOWS, ANY_RAIN)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, np.nan], "1 of 3 labels are NaN: leave these clips out"),
        ([0, 1, 2], r"labels are 0 \(no\) or 1 \(yes\), not 2"),
        ([0, 1], "one label for each"),
    ],
)
def test_given_labels_that_are_no_labels_are_refused(labels, message):
    with pytest.raises(NowcastError, match=message):
        GivenClips(torch.zeros(3, 2, 1, 4, 4), labels)


def test_empty_and_unknown_labels_are_refused():
    with pytest.raises(NowcastError, match="the test set has no clip"):
        check_labels(np.zeros(0), "test")
    with pytest.raises(NowcastError, match="1 of 2 labels of the test set are NaN"):
        check_labels(np.array([1, np.nan]), "test")


def test_class_weights_and_oversampling_make_both_labels_count_equally():
    labels = np.array([1, 0, 0, 0])
    assert pos_weight(labels) == 3
    clips = GivenClips(torch.zeros(4, 2, 1, 4, 4), labels, oversample=True)
    assert clips.sample_weights[labels == 1].sum() == clips.sample_weights[labels == 0].sum()
    assert GivenClips(torch.zeros(4, 2, 1, 4, 4), labels).sample_weights is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "rate is 0.0"),
        ({"share": 1.5}, "share is 1.5"),
        ({"centre": 0}, "centre is 0"),
        ({"first_lead": 0}, "first_lead is 0"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ClipOptions(**changes)


@pytest.mark.parametrize(
    ("clips", "windows", "message"),
    [
        ({"first_lead": 4}, {}, "first_lead is 4, but n_out is 3"),
        ({"centre": 20}, {"crop": 16}, "centre is 20 px, but crop is 16"),
        ({"shift": True}, {}, "shift cuts clips at random places: it needs a crop"),
    ],
)
def test_questions_that_do_not_suit_the_windows_are_refused(clips, windows, message):
    options = ClipOptions(**{"first_lead": 1} | clips)
    with pytest.raises(ValueError, match=message):
        options.check(WindowOptions(**{"n_in": 3, "n_out": 3, "crop": 0} | windows))


def groups(film):
    """Number of groups of bright pixels in each frame, (T,)."""
    return [label(frame[0].numpy() * 255 >= 64, np.ones((3, 3)))[1] for frame in film]


def test_labels_of_digits_are_what_the_pixels_show():
    """Digits in one piece are two groups of pixels until they touch."""
    clips = DigitClips("test", 40, TouchOptions(n_in=3, within=4))
    assert 0.2 < clips.labels.mean() < 0.8
    checked = 0
    for i in range(len(clips)):
        film = clips.films[int(clips.numbers[i])]
        assert torch.equal(clips[i][0], film[:3])
        numbers = groups(film)
        assert min(numbers[:3]) >= 2
        if max(numbers) == 2:  # digits in one piece each
            assert (min(numbers[3:]) == 1) == clips.labels[i]
            checked += 1
    assert checked > 10


def test_near_misses_are_left_out():
    """With a margin, a clip is left out if bright pixels of both digits come within it."""
    near, clear = (DigitClips("test", 60, TouchOptions(margin=px)) for px in (0, 6))
    left_out = set(near.numbers) - set(clear.numbers)
    labels = dict(zip(near.numbers, near.labels, strict=True))
    assert left_out
    assert {labels[number] for number in left_out if number < clear.numbers[-1]} == {0.0}


def test_digits_are_apart_in_every_clip_and_new_in_every_split():
    options = TouchOptions(n_in=3, within=2, apart=(25, 35))
    clips = DigitClips("test", 20, options)
    distance = [np.linalg.norm(np.diff(clips.corners(i)[:3], axis=1), axis=2) for i in range(20)]
    assert all(25 <= d.mean() <= 35 for d in distance)
    again, other = DigitClips("test", 20, options), DigitClips("test", 20, options, seed=1)
    assert (clips.numbers == again.numbers).all()
    assert not torch.equal(clips[0][0], other[0][0])
    assert all((clips.gaps(i)[:3] >= 0).all() for i in range(20))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TouchOptions(within=0), "1 or more"),
        (lambda: TouchOptions(apart=(30, 20)), "smallest and a larger"),
        (lambda: DigitClips("test", 2, scene=DigitScene(n_digits=3)), "3 digits"),
        (lambda: DigitClips("test", 2, TouchOptions(apart=(90, 99))), "only 0 of 100 films"),
    ],
)
def test_digits_that_cannot_be_are_refused(make, message):
    with pytest.raises(NowcastError, match=message):
        make()
