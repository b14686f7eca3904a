"""Splits never share an event, and leakage between them is found."""

import numpy as np
import pandas as pd
import pytest
from frame_tables import storms_table

from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.frame_table import drop, find_windows
from nowcastlib.data.splits import SPLITS, check_leakage, split_by_event
from nowcastlib.errors import NowcastError


@pytest.mark.parametrize("n", [3, 4, 7, 20])
def test_each_storm_is_in_one_split_and_each_split_has_one(n):
    rng = np.random.default_rng(n)
    table = storms_table(*rng.integers(3, 30, n), mean=rng.gamma(1, 1, n))
    split = split_by_event(table)
    assert (split.groupby("sequence").split.nunique() == 1).all()
    assert set(split.split) == set(SPLITS)
    pd.testing.assert_frame_equal(split, split_by_event(table))


def test_a_storm_with_a_hole_stays_in_one_split():
    times = Demo(events=8).list().time
    gap = times.diff().dt.total_seconds() / 60
    sequence = (gap > 10).cumsum()
    table = pd.DataFrame({"time": times, "gap": gap, "sequence": sequence, "mean": 1.0})
    split = split_by_event(table)
    assert split.sequence.nunique() == 10
    assert (split.groupby(split.time.dt.date).split.nunique() == 1).all()


def test_a_storm_keeps_its_gap_when_the_sequence_before_it_was_dropped():
    table = storms_table(12, 5, 12).assign(category=2.0)
    split = split_by_event(drop(table), (0.5, 0.5, 0))
    assert (split.groupby("sequence").split.nunique() == 1).all()
    assert split.split.nunique() == 2


def test_shares_that_do_not_sum_to_1_are_refused():
    with pytest.raises(NowcastError, match="sum to 1"):
        split_by_event(storms_table(20, 20, 20), (0.5, 0.5, 0.5))


def test_splits_have_their_shares_of_frames_and_of_rain():
    rng = np.random.default_rng(0)
    shares = (0.6, 0.2, 0.2)
    split = split_by_event(storms_table(*[20] * 60, mean=rng.gamma(1, 1, 60)), shares)
    frames = split.split.value_counts(normalize=True)
    rain = split.groupby("split")["mean"].sum() / split["mean"].sum()
    for name, share in zip(SPLITS, shares, strict=True):
        assert (frames[name] + rain[name]) / 2 == pytest.approx(share, abs=0.03)


def test_a_new_event_begins_after_more_than_the_given_minutes():
    table = storms_table(20, 20)  # 65 minutes between two frames
    two_events = split_by_event(table, new_event=64).split
    one_event = split_by_event(table, new_event=65).split
    assert (two_events == "test").sum() == 20
    assert (one_event == "test").sum() < 20


def test_the_wetter_one_of_two_storms_is_for_the_test():
    split = split_by_event(storms_table(30, 20, mean=[1.0, 5.0]))
    drier, wetter = (split.split[split.sequence == k].tolist() for k in (0, 1))
    assert wetter == ["test"] * 20
    assert drier == ["train"] * 12 + [""] * 6 + ["validation"] * 12


def test_one_storm_is_cut_into_three_with_pauses():
    split = split_by_event(storms_table(30), pause=15).split.tolist()
    assert split == ["train"] * 8 + [""] * 3 + ["validation"] * 8 + [""] * 3 + ["test"] * 8


def test_a_single_frame_is_unused():
    assert split_by_event(storms_table(1)).split.tolist() == [""]


@pytest.mark.parametrize("sizes", [(20,), (20, 20), (20, 20, 20, 20)])
def test_a_share_of_zero_leaves_a_split_out(sizes):
    table = storms_table(*sizes)
    assert set(split_by_event(table, (0.8, 0.2, 0)).split) - {""} == {"train", "validation"}
    assert set(split_by_event(table, (1, 0, 0)).split) == {"train"}


@pytest.fixture
def table():
    return storms_table(20, 10)


@pytest.fixture
def train(table):
    """Training windows (window, 3) of the first six frames."""
    return find_windows(table.assign(split=["train"] * 6 + [""] * 24), 3, 5, "train")


@pytest.mark.parametrize("rows", [[5, 6, 7], [6, 7, 8], [11, 12, 13]])
def test_windows_in_or_near_the_training_data_are_refused(table, train, rows):
    with pytest.raises(NowcastError, match=r"in the training data or within 30 .* 2024-06-01 00:"):
        check_leakage(table, train, np.array([rows]))


def test_windows_far_from_the_training_data_are_accepted(table, train):
    check_leakage(table, train, np.array([[12, 13, 14]]))
    check_leakage(table, np.array([[10, 11, 12]]), np.array([[1, 2, 3]]))  # 35 minutes before
    check_leakage(table, train, np.array([[6, 7, 8]]), pause=0)


def test_leaking_frames_are_counted(table):
    with pytest.raises(NowcastError, match="1 frames for evaluation"):
        check_leakage(table, np.array([[10, 11, 12]]), np.array([[2, 3, 4]]))


def test_neighbours_in_the_table_may_be_of_different_storms(train):
    check_leakage(storms_table(6, 10), train, np.array([[6, 7, 8]]))
