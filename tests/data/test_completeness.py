"""Which frames are complete, by numbers by hand."""

import numpy as np
import pandas as pd
import pytest

from nowcastlib.data import as_frames, completeness, find_windows, frames_table, slabs
from nowcastlib.data.completeness import complete, frames_at, has_enough, mark_complete, mark_last


def shares_of(*lost, of=20, usual=1.0):
    """Observed shares of frames, of which some, (number, share), show less than usual."""
    shares = np.full(of, usual)
    for number, share in lost:
        shares[number] = share
    return shares


@pytest.mark.parametrize("usual", [1.0, 0.6])
def test_a_frame_is_complete_that_shows_nine_tenths_of_what_is_usual(usual):
    lost = [(0, 0.5 * usual), (4, 0.0), (7, 0.5 * usual), (9, 0.89 * usual), (11, 0.91 * usual)]
    shares = shares_of(*lost, usual=usual)
    assert np.flatnonzero(~complete(shares)).tolist() == [0, 4, 7, 9]


def test_a_network_of_radars_that_grows_for_good_is_complete_before_and_after():
    shares = np.r_[np.full(40, 0.5), np.full(40, 1.0)]
    lost = np.flatnonzero(~complete(shares))
    assert len(lost) <= completeness.NEIGHBOURS
    assert complete(shares)[[0, 20, 60, 79]].all()


def test_frames_that_show_nothing_are_never_complete():
    assert not complete(np.zeros(5)).any()
    assert complete(np.r_[np.zeros(30), 1.0, 0.5]).tolist() == [False] * 30 + [True, False]


@pytest.mark.parametrize(
    ("pattern", "enough"),
    [
        ("1", True), ("11", True), ("01", False), ("10", False), ("101", True), ("011", False),
        ("110", False), ("1001", False), ("1011", True), ("100111", True), ("100101", False),
        ("111111111111", True), ("100011011111", True), ("100010010111", False),
    ],
)  # fmt: skip
def test_a_third_of_the_frames_may_be_missing_but_not_the_first_or_the_last(pattern, enough):
    assert has_enough(np.array([digit == "1" for digit in pattern])) == enough


def composite():
    """Rain (6, 8, 8) of a composite: corners are never observed; frame 2 lost, half of 4 lost."""
    rate = np.ones((6, 8, 8))
    rate[:, :3, :3] = np.nan
    rate[2] = np.nan
    rate[4, :, 4:] = np.nan
    return as_frames(rate)


def test_corners_beyond_the_range_of_the_radar_are_not_lost():
    marked = mark_complete(composite())
    assert marked.is_complete.values.tolist() == [True, True, False, True, False, True]
    assert mark_complete(marked) is marked


def test_the_last_frames_are_judged_by_those_before_them():
    last = mark_last(composite()[:5], 2)
    assert last.is_complete.values.tolist() == [True, False]
    assert (last.time.values == composite().time.values[3:5]).all()


def test_frames_are_read_in_parts(monkeypatch):
    whole = completeness.observed_shares(composite())
    monkeypatch.setattr(slabs, "SLAB", 2 * 4 * 64)  # two frames
    np.testing.assert_array_equal(completeness.observed_shares(composite()), whole)
    assert whole[2] == 0
    assert whole[0] == 55 / 64


def test_a_time_without_a_frame_gets_an_unobserved_frame():
    frames = mark_complete(composite()).isel(time=[0, 1, 3])
    times = composite().indexes["time"][[1, 2, 3]]
    picked = frames_at(frames, times)
    assert (picked.indexes["time"] == times).all()
    assert np.isnan(picked[1]).all()
    assert picked.is_complete.values.tolist() == [True, False, True]
    np.testing.assert_array_equal(picked[::2], frames[1:])


def test_windows_hold_no_incomplete_frame():
    rate = np.random.default_rng(0).gamma(0.5, 2, (40, 8, 8))
    rate[[7, 20]] = np.nan
    rate[[13, 30], :4] = np.nan
    table = frames_table(as_frames(rate))
    assert np.flatnonzero(~table.complete).tolist() == [7, 13, 20, 30]
    windows = find_windows(table, 3, 5)
    assert not np.isin(windows, [7, 13, 20, 30]).any()
    assert len(windows) == 38 - 4 * 3
    by_two = find_windows(table, 3, 10)
    assert not np.isin(by_two, [7, 13, 20, 30]).any()


def test_a_frame_without_observations_makes_the_same_gap_as_no_frame():
    rate = np.ones((30, 4, 4))
    rate[[3, 10, 11]] = np.nan
    frames = as_frames(rate)
    present = np.delete(np.arange(30), [3, 10, 11])
    table, without = frames_table(frames), frames_table(frames.isel(time=present))
    columns = ["gap", "sequence", "category"]
    pd.testing.assert_frame_equal(
        table.loc[present, columns].reset_index(drop=True), without[columns]
    )
    assert table.sequence.max() == 1  # a quarter of an hour without observations
