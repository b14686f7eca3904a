"""Each feed: right numbers, right place, right time; and a clear sentence where something is missing."""

import numpy as np
import pytest

from nowcastlib.data import feeds
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError


def test_unknown_source_is_told():
    with pytest.raises(NowcastError, match="unknown source 'zzz'"):
        feeds.feed("zzz")


def test_options_of_a_feed_are_checked():
    assert feeds.feed("demo", events=2, size=None, path="").events == 2
    with pytest.raises(
        NowcastError, match="the source demo has no option 'path': its options are events, frames"
    ):
        feeds.feed("demo", path="x")
    with pytest.raises(NowcastError, match="the source images needs a path"):
        feeds.feed("images")


def test_demo_is_deterministic_and_its_third_storm_has_a_hole():
    demo = Demo(events=3, frames=20, size=16)
    table = demo.list()
    last = next(table.iloc[[-1]].itertuples())
    assert (demo.read(last) == Demo(events=3, frames=20, size=16).read(last)).all()
    assert (demo.read(last) != Demo(events=3, frames=20, size=16, seed=1).read(last)).any()
    lies = demo.read(last)
    assert (np.diff(lies.x) == 1000).all() and (np.diff(lies.y) == -1000).all()  # north up
    gaps = table.time.diff().dt.total_seconds().div(60)
    hole = gaps[table.event == 2].iloc[1:]
    assert (
        hole.max() == 40 and len(hole) == 19 - 7 and hole.value_counts().to_dict() == {5: 11, 40: 1}
    )
    assert gaps[table.event != 2].value_counts().to_dict() == {5: 38, 1345: 1}
    assert table.time.dt.day.unique().tolist() == [1, 2, 4]  # and a day without a frame


def test_holes_of_the_demo_last_from_10_to_40_minutes():
    gaps = Demo(events=300, frames=20).list().time.diff().dt.total_seconds().div(60)
    assert set(gaps[(gaps > 5) & (gaps < 300)]) == set(range(10, 45, 5))


def test_storms_of_the_demo_move_1_to_4_px_a_frame_in_all_directions():
    velocity = np.array([Demo().storm(event).velocity for event in range(60)])
    speed = np.hypot(*velocity.T)
    assert speed.min() >= 1 and speed.max() <= 4 and np.ptp(speed) > 2
    assert len(np.unique(velocity > 0, axis=0)) == 4
