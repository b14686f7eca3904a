"""The table of frames against numbers by hand, and windows that cross no border."""

import numpy as np
import pandas as pd
import pytest
import zarr
from frame_tables import storms_table

from nowcastlib.data import as_frames, frame_table, ingest, slabs, store
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.frame_table import drop, find_windows, frames_table
from nowcastlib.errors import NowcastError


def test_columns_equal_numbers_by_hand():
    rate = np.zeros((5, 1, 4))
    for t in range(5):
        rate[t, 0, :t] = 2.0 * t
    frames = as_frames(rate).assign_coords(
        time=pd.Timestamp("2024-06-01") + pd.to_timedelta([0, 5, 10, 30, 35], unit="min")
    )
    table = frames_table(frames)
    assert np.isnan(table.gap[0])
    assert table.gap.tolist()[1:] == [5, 5, 20, 5]
    assert table.sequence.tolist() == [0, 0, 0, 1, 1]
    assert table.wet.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert table["mean"].tolist() == [0, 0.5, 2, 4.5, 8]
    assert table["max"].tolist() == [0, 2, 4, 6, 8]
    assert table.category.tolist() == [0, 0, 1, 2, 4]
    assert (table.valid == 1).all()
    assert (table.time == frames.time.values).all()
    assert frames_table(frames, wet=2.0).wet.tolist() == [0, 0, 0.5, 0.75, 1]  # above it, not at it
    assert frames_table(frames, max_gap=20).sequence.tolist() == [0] * 5


def test_frames_are_measured_in_parts(monkeypatch):
    frames = as_frames(np.random.default_rng(0).gamma(0.3, 2, (7, 4, 4)))
    whole = frames_table(frames)
    monkeypatch.setattr(slabs, "SLAB", 3 * 4 * 4 * 4)  # three frames
    pd.testing.assert_frame_equal(frames_table(frames), whole)


def test_unobserved_pixels_count_neither_as_rain_nor_in_the_mean():
    rate = np.array([[[4.0, np.nan, 0.0, np.nan]], np.full((1, 4), np.nan)])
    table = frames_table(as_frames(rate))
    assert table.valid.tolist() == [0.5, 0]
    assert table.wet[0] == 0.5
    assert table["mean"][0] == 2
    assert table["max"][0] == 4
    assert table.loc[1, ["wet", "mean", "max"]].isna().all()
    assert table.category[1] == 0


def test_half_lost_frames_are_as_wet_as_whole_ones():
    """All frames rain on a quarter of each half; every second frame lost one half."""
    rate = np.zeros((8, 4, 8))
    rate[:, 0] = np.arange(1, 9)[:, None]
    lost = rate.copy()
    lost[1::2, :, 4:] = np.nan
    whole, half = (frames_table(as_frames(field)) for field in (rate, lost))
    assert half.valid.tolist() == 4 * [1, 0.5]
    for column in ("wet", "mean", "max", "category"):
        assert half[column].equals(whole[column])


def test_disordered_times_are_refused():
    frames = as_frames(np.zeros((3, 2, 2)))
    for order in ([1, 0, 2], [0, 1, 1]):
        with pytest.raises(NowcastError, match="ascend without duplicates"):
            frames_table(frames.isel(time=order))


@pytest.fixture
def stored(tmp_path):
    """A store, and the file in which its table is kept."""
    return ingest(Demo(2, frames=5, size=16), tmp_path / "f.zarr"), tmp_path / "f.zarr.csv"


def test_table_of_a_store_is_kept_beside_it(stored, monkeypatch):
    path, csv = stored
    table = frames_table(path)
    pd.testing.assert_frame_equal(table, frames_table(store.open_frames(path)))
    assert "f.zarr, written" in csv.read_text().splitlines()[0]
    monkeypatch.setattr(frame_table, "measure", None)  # it is not measured again
    pd.testing.assert_frame_equal(table, frames_table(path))
    assert frames_table(path, max_gap=3).sequence.nunique() == 10


def test_values_that_are_rewritten_in_place_are_measured_again(stored):
    path, _ = stored
    before = frames_table(path)
    zarr.open_array(str(path / "rainfall_rate"), mode="r+")[3] = 7.0
    after = frames_table(path)
    assert after["max"].tolist()[3] == 7
    assert after.wet.tolist()[3] == 1
    assert after.wet.drop(3).equals(before.wet.drop(3))


def test_tables_of_an_older_version_are_measured_again(stored):
    """Version 0.1.0 kept the wet share of all pixels, observed or not."""
    path, csv = stored
    table = frames_table(path)
    stamp, *rows = csv.read_text().splitlines(keepends=True)
    old = stamp.replace(" of observed", "")
    assert old != stamp
    csv.write_text(old + "".join(rows).replace("0.", "0.9"))
    pd.testing.assert_frame_equal(frames_table(path), table)
    assert csv.read_text().startswith(stamp)


def test_table_of_a_store_in_the_cloud_is_not_kept(stored):
    path, csv = stored
    pd.testing.assert_frame_equal(
        frames_table(f"file://{path}"), frames_table(store.open_frames(path))
    )
    assert not csv.exists()


def test_table_is_measured_again_when_the_store_has_grown(stored):
    path, _ = stored
    frames_table(path)
    ingest(Demo(3, frames=5, size=16), path)
    assert len(frames_table(path)) == 12  # the third storm has a hole of three frames


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"", None], ids=["binary", "empty", "columns"])
def test_table_is_measured_again_when_its_file_is_broken(stored, damage):
    path, csv = stored
    table = frames_table(path)
    if damage is None:
        csv.write_text(csv.read_text().replace("wet,mean", "w"))
    else:
        csv.write_bytes(damage)
    pd.testing.assert_frame_equal(frames_table(path), table)


def test_table_is_measured_again_for_another_wet_rate(stored):
    path, _ = stored
    assert frames_table(path, wet=5.0).wet.sum() < frames_table(path).wet.sum()


def test_table_is_measured_where_nothing_can_be_written(stored, monkeypatch):
    path, csv = stored

    def refuse(*_):
        raise NowcastError("cannot write")

    monkeypatch.setattr(frame_table, "write_atomically", refuse)
    assert len(frames_table(path)) == 10
    assert not csv.exists()


def test_short_and_dry_sequences_are_dropped_and_frames_keep_their_numbers():
    table = storms_table(12, 9, 12, 10).assign(category=np.repeat([2.0, 4, 0, 1], [12, 9, 12, 10]))
    assert drop(table).sequence.unique().tolist() == [0, 3]  # 1 is short, 2 is dry
    assert drop(table, shortest=9, driest=1.5).sequence.unique().tolist() == [0, 1]
    assert drop(table, driest=1).sequence.unique().tolist() == [0]
    last = find_windows(drop(table), 10, 5)[-1]
    assert last.tolist() == list(range(33, 43))  # numbers in the store, not in the shorter table
    table.loc[21, "category"] = 6.1  # mean just above a half
    assert drop(table).sequence.unique().tolist() == [0, 2, 3]
    with pytest.raises(NowcastError, match="none of 4 sequences has 13 frames"):
        drop(table, shortest=13)


def test_gaps_are_computed_again_when_sequences_were_dropped():
    table = storms_table(12, 12).assign(category=[0.0] * 12 + [2.0] * 12)
    table.loc[12, "gap"] = 3.0  # as if there had been a frame before
    assert np.isnan(drop(table).gap.iloc[0])


def test_a_radar_with_a_frame_every_15_minutes_has_sequences_too():
    frames = as_frames(np.zeros((8, 2, 2)), step=15).isel(time=[0, 1, 2, 3, 6, 7])
    assert frames_table(frames).sequence.tolist() == [0, 0, 0, 0, 1, 1]
    assert frames_table(frames, max_gap=10).sequence.nunique() == 6


def test_only_windows_wetter_than_a_category_are_found():
    table = storms_table(6).assign(category=[4, 4, 3, 3, 3, 4])
    assert find_windows(table, 2, 5, wetter_than=3).tolist() == [[0, 1], [1, 2], [4, 5]]
    with pytest.raises(NowcastError, match="no window"):
        find_windows(table, 3, 5, wetter_than=3.9)


def test_windows_stay_within_a_storm():
    windows = find_windows(storms_table(6, 4), 3, 5)
    assert windows.tolist() == [[k, k + 1, k + 2] for k in (0, 1, 2, 3, 6, 7)]
    assert find_windows(storms_table(6, 4), 3, 10).tolist() == [[0, 2, 4], [1, 3, 5]]
    with pytest.raises(NowcastError, match="no window"):
        find_windows(storms_table(2, 2), 2, 70)  # such frames exist, but of two storms


def test_windows_do_not_bridge_a_missing_frame():
    table = storms_table(8).drop(index=3).reset_index(drop=True)
    assert find_windows(table, 3, 5).tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    assert find_windows(table, 2, 10).tolist() == [[0, 2], [2, 3], [3, 5], [4, 6]]


def test_windows_do_not_cross_a_split():
    table = storms_table(8).assign(split=["train"] * 4 + [""] + ["validation"] * 3)
    assert find_windows(table, 3, 5, "train").tolist() == [[0, 1, 2], [1, 2, 3]]
    assert find_windows(table, 3, 5, "validation").tolist() == [[5, 6, 7]]


def test_windows_tolerate_jitter_of_half_a_minute():
    table = storms_table(4)
    table["time"] += pd.to_timedelta([0, 20, -20, 0], unit="s")
    assert len(find_windows(table, 4, 5)) == 1
    table["time"] += pd.to_timedelta([0, 120, 0, 0], unit="s")
    with pytest.raises(NowcastError, match="no window"):
        find_windows(table, 4, 5)


@pytest.mark.parametrize(("length", "step"), [(7, 5), (4, 10), (2, 7)])
def test_a_window_longer_than_the_data_is_refused(length, step):
    with pytest.raises(
        NowcastError,
        match=f"no window of {length} frames, {step} minutes apart.*10 frames in 2 seq",
    ):
        find_windows(storms_table(6, 4), length, step)
