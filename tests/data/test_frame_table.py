"""The table of frames by hand, windows that never cross a border, and splits that never share an event."""

import numpy as np
import pandas as pd
import pytest

from nowcastlib.data import as_frames, frame_table, ingest, store
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.frame_table import (
    SPLITS,
    check_leakage,
    drop,
    find_windows,
    frames_table,
    split_by_event,
)
from nowcastlib.errors import NowcastError


def events(*sizes, mean=1.0):
    """A table of storms, a frame each 5 minutes, an hour apart; ``mean`` is a number or one for each storm."""
    minutes = np.concatenate(
        [np.arange(n) * 5 + start for n, start in zip(sizes, _starts(sizes), strict=True)]
    )
    sequence = np.repeat(np.arange(len(sizes)), sizes)
    time = pd.Timestamp("2024-06-01") + pd.to_timedelta(minutes, unit="min")
    rain = np.broadcast_to(mean, len(sizes))[sequence]
    gap = np.diff(minutes, prepend=np.nan)
    return pd.DataFrame({"time": time, "gap": gap, "sequence": sequence, "mean": rain})


def _starts(sizes):
    return np.cumsum([0, *(5 * n + 60 for n in sizes[:-1])])


def test_columns_equal_numbers_by_hand():
    rate = np.zeros((5, 1, 4))
    for t in range(5):
        rate[t, 0, :t] = 2.0 * t
    frames = as_frames(rate).assign_coords(
        time=pd.Timestamp("2024-06-01") + pd.to_timedelta([0, 5, 10, 30, 35], unit="min")
    )
    table = frames_table(frames)
    assert table.gap.tolist()[1:] == [5, 5, 20, 5] and np.isnan(table.gap[0])
    assert table.sequence.tolist() == [0, 0, 0, 1, 1]
    assert table.wet.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table["mean"].tolist() == [0, 0.5, 2, 4.5, 8] and table["max"].tolist() == [
        0,
        2,
        4,
        6,
        8,
    ]
    assert table.category.tolist() == [0, 0, 1, 2, 4] and (table.valid == 1).all()
    assert (table.time == frames.time.values).all()
    assert frames_table(frames, wet=2.0).wet.tolist() == [0, 0, 0.5, 0.75, 1]  # above it, not at it
    assert frames_table(frames, max_gap=20).sequence.tolist() == [0] * 5


def test_frames_are_measured_some_at_a_time(monkeypatch):
    frames = as_frames(np.random.default_rng(0).gamma(0.3, 2, (7, 4, 4)))
    whole = frames_table(frames)
    monkeypatch.setattr(frame_table, "SLAB", 3 * 4 * 4 * 4)  # three frames
    pd.testing.assert_frame_equal(frames_table(frames), whole)


def test_pixels_not_observed_count_neither_as_rain_nor_in_the_mean():
    rate = np.array([[[4.0, np.nan, 0.0, np.nan]], np.full((1, 4), np.nan)])
    table = frames_table(as_frames(rate))
    assert table.valid.tolist() == [0.5, 0] and table.wet.tolist() == [0.25, 0]
    assert table["mean"][0] == 2 and np.isnan(table["mean"][1])
    assert table["max"][0] == 4 and np.isnan(table["max"][1])


def test_disordered_times_are_refused():
    frames = as_frames(np.zeros((3, 2, 2)))
    for order in ([1, 0, 2], [0, 1, 1]):
        with pytest.raises(NowcastError, match="ascend without duplicates"):
            frames_table(frames.isel(time=order))


@pytest.fixture
def kept(tmp_path):
    """A store and the table kept beside it."""
    return ingest(Demo(2, frames=5, size=16), tmp_path / "f.zarr"), tmp_path / "f.zarr.csv"


def test_table_of_a_store_is_kept_beside_it(kept, monkeypatch):
    path, beside = kept
    table = frames_table(path)
    pd.testing.assert_frame_equal(table, frames_table(store.open_frames(path)))
    assert "f.zarr, written" in beside.read_text().splitlines()[0]
    monkeypatch.setattr(frame_table, "measure", None)  # it is not measured again
    pd.testing.assert_frame_equal(table, frames_table(path))
    assert frames_table(path, max_gap=3).sequence.nunique() == 10


def test_table_of_a_store_elsewhere_is_had_but_not_kept(kept):
    path, beside = kept
    pd.testing.assert_frame_equal(
        frames_table(f"file://{path}"), frames_table(store.open_frames(path))
    )
    assert not beside.exists()


def test_table_is_measured_again_when_the_store_grew_or_the_kept_one_is_broken_or_of_another_rate(
    kept,
):
    path, beside = kept
    frames_table(path)
    ingest(Demo(3, frames=5, size=16), path)
    grown = frames_table(path)
    assert len(grown) == 12  # the hole of the third storm is longer than what is left of it
    beside.write_text(beside.read_text().replace("wet,mean", "w"))
    pd.testing.assert_frame_equal(frames_table(path), grown)
    beside.write_bytes(b"\xff\xfe")
    pd.testing.assert_frame_equal(frames_table(path), grown)
    assert frames_table(path, wet=5.0).wet.sum() < grown.wet.sum()


def test_table_is_had_where_nothing_can_be_written(kept, monkeypatch):
    path, beside = kept

    def refuse(*_):
        raise NowcastError("cannot write")

    monkeypatch.setattr(frame_table, "write_atomically", refuse)
    assert len(frames_table(path)) == 10 and not beside.exists()


def test_short_and_dry_sequences_are_dropped_and_frames_keep_their_numbers():
    table = events(12, 9, 12, 10).assign(category=np.repeat([2.0, 4, 0, 1], [12, 9, 12, 10]))
    assert drop(table).sequence.unique().tolist() == [0, 3]  # the second is short, the third dry
    assert drop(table, shortest=9, driest=1.5).sequence.unique().tolist() == [0, 1]
    assert drop(table, driest=1).sequence.unique().tolist() == [0]
    assert find_windows(drop(table), 10, 5)[-1].tolist() == list(
        range(33, 43)
    )  # of the store, not of the shorter table
    table.loc[21, "category"] = 6.1  # mean just above a half
    assert drop(table).sequence.unique().tolist() == [0, 2, 3]
    with pytest.raises(NowcastError, match="none of 4 sequences has 13 frames"):
        drop(table, shortest=13)


def test_gaps_are_counted_anew_when_sequences_were_dropped():
    table = events(12, 12).assign(category=[0.0] * 12 + [2.0] * 12)
    table.loc[12, "gap"] = 3.0  # as if the long gap had been another's
    assert np.isnan(drop(table).gap.iloc[0])
    three = events(12, 5, 12).assign(
        category=2.0
    )  # the short one in the middle takes the long gap with it
    split = split_by_event(drop(three), (0.5, 0.5, 0))
    assert (split.groupby("sequence").split.nunique() == 1).all() and split.split.nunique() == 2


def test_a_radar_of_every_quarter_of_an_hour_has_sequences_too():
    frames = as_frames(np.zeros((8, 2, 2)), step=15).isel(time=[0, 1, 2, 3, 6, 7])
    assert frames_table(frames).sequence.tolist() == [0, 0, 0, 0, 1, 1]
    assert frames_table(frames, max_gap=10).sequence.nunique() == 6


def test_only_the_wettest_windows_are_taken():
    table = events(6).assign(category=[4, 4, 3, 3, 3, 4])
    assert find_windows(table, 2, 5, wetter_than=3).tolist() == [[0, 1], [1, 2], [4, 5]]
    with pytest.raises(NowcastError, match="no window"):
        find_windows(table, 3, 5, wetter_than=3.9)


def test_windows_stay_within_a_storm():
    found = find_windows(events(6, 4), 3, 5)
    assert found.tolist() == [[k, k + 1, k + 2] for k in (0, 1, 2, 3, 6, 7)]
    assert find_windows(events(6, 4), 3, 10).tolist() == [[0, 2, 4], [1, 3, 5]]
    with pytest.raises(NowcastError, match="no window"):
        find_windows(events(2, 2), 2, 70)  # such frames exist, but of two storms


def test_windows_do_not_bridge_a_missing_frame():
    table = events(8).drop(index=3).reset_index(drop=True)
    assert find_windows(table, 3, 5).tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    assert find_windows(table, 2, 10).tolist() == [[0, 2], [2, 3], [3, 5], [4, 6]]


def test_windows_do_not_cross_a_split():
    table = events(8).assign(split=["train"] * 4 + [""] + ["validation"] * 3)
    assert find_windows(table, 3, 5, "train").tolist() == [[0, 1, 2], [1, 2, 3]]
    assert find_windows(table, 3, 5, "validation").tolist() == [[5, 6, 7]]


def test_windows_bear_jitter_of_half_a_minute():
    table = events(4)
    table["time"] += pd.to_timedelta([0, 20, -20, 0], unit="s")
    assert len(find_windows(table, 4, 5)) == 1
    table["time"] += pd.to_timedelta([0, 120, 0, 0], unit="s")
    with pytest.raises(NowcastError, match="no window"):
        find_windows(table, 4, 5)


@pytest.mark.parametrize(("length", "step"), [(7, 5), (4, 10), (2, 7)])
def test_window_longer_than_the_data_is_told(length, step):
    with pytest.raises(
        NowcastError,
        match=f"no window of {length} frames, {step} minutes apart.*10 frames in 2 seq",
    ):
        find_windows(events(6, 4), length, step)


@pytest.mark.parametrize("n", [3, 4, 7, 20])
def test_split_gives_whole_storms_and_all_splits(n):
    rng = np.random.default_rng(n)
    table = events(*rng.integers(3, 30, n), mean=rng.gamma(1, 1, n))
    split = split_by_event(table)
    assert (split.groupby("sequence").split.nunique() == 1).all()
    assert set(split.split) == set(SPLITS)
    pd.testing.assert_frame_equal(split, split_by_event(table))


def test_a_storm_with_a_hole_stays_in_one_split():
    table = frames_table_of_times(Demo(events=8).list().time)
    split = split_by_event(table)
    assert (
        split.sequence.nunique() == 10
        and (split.groupby(split.time.dt.date).split.nunique() == 1).all()
    )


def frames_table_of_times(times):
    """What ``frames_table`` answers, for splitting: the same rain in each frame."""
    gap = times.diff().dt.total_seconds() / 60
    return pd.DataFrame({"time": times, "gap": gap, "sequence": (gap > 10).cumsum(), "mean": 1.0})


def test_split_keeps_the_shares_of_frames_and_of_rain():
    rng = np.random.default_rng(0)
    split = split_by_event(events(*[20] * 60, mean=rng.gamma(1, 1, 60)), (0.6, 0.2, 0.2))
    frames, rain = (
        split.split.value_counts(normalize=True),
        split.groupby("split")["mean"].sum() / split["mean"].sum(),
    )
    for name, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert (frames[name] + rain[name]) / 2 == pytest.approx(share, abs=0.03)


def test_an_event_ends_only_after_more_than_the_pause_that_is_asked_for():
    two, one = (
        split_by_event(events(20, 20), new_event=minutes).split for minutes in (64, 65)
    )  # 65 between
    assert (two == "test").sum() == 20 and (one == "test").sum() < 20


def test_of_two_storms_the_wetter_one_tests():
    split = split_by_event(events(30, 20, mean=[1.0, 5.0]))
    assert (split.split[split.sequence == 1] == "test").all()
    assert (
        split.split[split.sequence == 0].tolist() == ["train"] * 12 + [""] * 6 + ["validation"] * 12
    )


def test_one_storm_is_cut_into_three_with_pauses():
    split = split_by_event(events(30), pause=15).split.tolist()
    assert split == ["train"] * 8 + [""] * 3 + ["validation"] * 8 + [""] * 3 + ["test"] * 8


@pytest.mark.parametrize("sizes", [(20,), (20, 20), (20, 20, 20, 20)])
def test_share_of_zero_leaves_a_split_out(sizes):
    assert set(split_by_event(events(*sizes), (0.8, 0.2, 0)).split) - {""} == {
        "train",
        "validation",
    }
    assert set(split_by_event(events(*sizes), (1, 0, 0)).split) == {"train"}


def test_leakage_is_found():
    table = events(20, 10)
    train = find_windows(table.assign(split=["train"] * 6 + [""] * 24), 3, 5, "train")
    for judged in ([[5, 6, 7]], [[6, 7, 8]], [[11, 12, 13]]):
        with pytest.raises(
            NowcastError, match=r"judged on are in, or next to, .* from 2024-06-01 00:"
        ):
            check_leakage(table, train, np.array(judged))
    check_leakage(table, train, np.array([[12, 13, 14]]))
    check_leakage(table, np.array([[10, 11, 12]]), np.array([[1, 2, 3]]))  # before them, 35 minutes
    with pytest.raises(NowcastError, match="1 frames to be judged on"):
        check_leakage(table, np.array([[10, 11, 12]]), np.array([[2, 3, 4]]))
    check_leakage(table, train, np.array([[6, 7, 8]]), pause=0)
    check_leakage(
        events(6, 10), train, np.array([[6, 7, 8]])
    )  # next in the table, but of another storm
