"""Ingest writes a store whole or not at all: gaps, reruns, interruptions, other grids."""

import json
import os
import re
import resource
import shutil
import signal
import time
from contextlib import suppress

import cf_xarray  # noqa: F401 (adds the accessor)
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
import zarr
from archive_files import START, field, truncate, write, write_all
from child_processes import REFUSED, exit_code, fork, kill

from nowcastlib.data import IngestOptions, as_frames, grid, ingest, store_layout, store_writer
from nowcastlib.data.feeds import ServerUnreachable
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.grid import frame
from nowcastlib.data.store import open_frames
from nowcastlib.errors import NowcastError


class Fake:
    """A feed of constant frames: frame n is n + 1 mm/h. Ctrl-C comes at frame ``interrupt``."""

    attribution = "a test"
    licence = ""
    product = ""
    concurrency = 1

    def __init__(
        self, minutes=(0, 5, 10, 15, 20), interrupt=None, broken=(), shape=(4, 6), east=0.0
    ):
        self.minutes = minutes
        self.interrupt = interrupt  # number of a frame
        self.broken = broken  # numbers of frames
        self.shape = shape
        self.east = east  # metres
        self.reads = []

    def list(self, start=None, end=None):
        return pd.DataFrame(
            {"time": START + pd.to_timedelta(self.minutes, unit="min"), "minute": self.minutes}
        )

    def read(self, row):
        number = row.minute // 5
        self.reads.append(number)
        if number == self.interrupt:
            raise KeyboardInterrupt
        if number in self.broken:
            raise NowcastError(f"frame_{number}.bin cannot be read")
        y, x = np.mgrid[: self.shape[0], : self.shape[1]] * 1000.0
        return frame(np.full(self.shape, number + 1.0), x[0] + self.east, -y[:, 0], "EPSG:3035")


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def same(a, b):
    xr.testing.assert_identical(xr.open_zarr(a).load(), xr.open_zarr(b).load())


def interrupted(out, at):
    with pytest.raises(KeyboardInterrupt):
        ingest(Fake(interrupt=at), out)


def test_store_is_plain_cf(tmp_path):
    write_all("knmi", tmp_path / "in", [field(), 2 * field()])
    out = ingest(Archive("knmi", str(tmp_path / "in")), tmp_path / "new" / "out.zarr")
    dataset = xr.open_zarr(out)
    rate = dataset.rainfall_rate
    np.testing.assert_allclose(rate, [field(), 2 * field()], rtol=1e-6)
    assert rate.dims == ("time", "y", "x")
    assert rate.dtype == "f4"
    assert (rate.attrs["units"], rate.attrs["standard_name"]) == ("mm h-1", "rainfall_rate")
    assert rate.time.values.tolist() == [
        pd.Timestamp(t).value for t in ("2024-06-01T12:00", "2024-06-01T12:05")
    ]
    assert rate.x.attrs["units"] == "m"
    assert rate.x[0] == 500
    assert rate.y[0] == -3_650_500
    crs = pyproj.CRS(dataset[rate.attrs["grid_mapping"]].attrs["crs_wkt"])
    assert "Stereographic" in crs.coordinate_operation.method_name
    assert crs.ellipsoid.semi_major_metre == pytest.approx(6_378_137)
    assert "KNMI" in dataset.attrs["source"]
    assert names(tmp_path / "new") == ["out.zarr"]
    assert "rainfall_rate" in zarr.open_consolidated(str(out))  # one read opens it


def test_unreadable_frame_is_named_and_stays_a_gap(tmp_path, caplog):
    paths = write_all("mch", tmp_path / "in", [field()] * 4)
    truncate(paths[1])
    out = ingest(Archive("mch", str(tmp_path / "in")), tmp_path / "out.zarr")
    assert paths[1].name in caplog.text
    assert paths[2].name not in caplog.text
    assert (np.diff(open_frames(out).time) / np.timedelta64(1, "m")).tolist() == [10, 5]


def test_nothing_stays_when_no_frame_is_readable(tmp_path):
    truncate(write("mch", tmp_path / "in"))
    with pytest.raises(NowcastError, match=r"not one of 1 frames .*AQC241531200F_00005\.801\.gif"):
        ingest(Archive("mch", str(tmp_path / "in")), tmp_path / "out.zarr")
    with pytest.raises(NowcastError, match="there are no frames from the first to 2000"):
        ingest(Fake(minutes=()), tmp_path / "out.zarr", end="2000")
    assert names(tmp_path) == ["in"]


def test_a_frame_without_a_time_is_refused(tmp_path):
    source = Fake()
    source.list = lambda start, end: Fake().list().assign(time=lambda t: t.time.where(t.minute > 5))
    with pytest.raises(NowcastError, match="without a time"):
        ingest(source, tmp_path / "a.zarr")
    assert names(tmp_path) == []


def test_rerun_adds_only_what_is_new(tmp_path):
    out = ingest(Fake(minutes=(0, 5), broken=[1]), tmp_path / "out.zarr")
    later = Fake()
    ingest(later, out)
    assert later.reads == [1, 2, 3, 4]
    assert open_frames(out)[:, 0, 0].values.tolist() == [
        1,
        2,
        3,
        4,
        5,
    ]
    before = out.stat().st_mtime_ns
    ingest(again := Fake(), out)
    assert again.reads == []
    assert names(tmp_path) == ["out.zarr"]
    assert out.stat().st_mtime_ns == before  # not even touched


@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_interrupted_store_continues_to_the_same_result(tmp_path, at):
    interrupted(tmp_path / "a.zarr", at)
    assert names(tmp_path) == (["a.zarr"] if at else [])
    assert not at or open_frames(tmp_path / "a.zarr")[:, 0, 0].values.tolist() == [1, 2, 3][:at]
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == list(range(at, 5))
    same(tmp_path / "a.zarr", ingest(Fake(), tmp_path / "b.zarr"))


@pytest.mark.parametrize("broken", [(), (3, 4)], ids=["the rest is fine", "the rest is broken"])
@pytest.mark.parametrize("times", [3, 4], ids=["before the time grew", "after the time grew"])
def test_a_store_killed_within_a_frame_continues_to_the_same_result(tmp_path, times, broken):
    """A kill before the metadata in one file are replaced: readers do not see the new frame."""
    interrupted(tmp_path / "a.zarr", 3)
    rate, time = (
        zarr.open_array(str(tmp_path / "a.zarr" / name), mode="r+")
        for name in ("rainfall_rate", "time")
    )
    rate.resize((4, 4, 6))
    rate[3, :2] = 99  # half of the fourth frame
    time.resize((times,))
    assert open_frames(tmp_path / "a.zarr")[:, 0, 0].values.tolist() == [1, 2, 3]
    ingest(Fake(broken=broken), tmp_path / "a.zarr")
    same(tmp_path / "a.zarr", ingest(Fake(broken=broken), tmp_path / "b.zarr"))


@pytest.mark.parametrize("name", ["rainfall_rate", "time"])
def test_a_store_killed_right_after_a_frame_keeps_it(tmp_path, name):
    """A kill after the metadata in one file were replaced, and before those of an array were."""
    interrupted(tmp_path / "a.zarr", 3)
    metadata = tmp_path / "a.zarr" / name / ".zarray"
    about = json.loads(metadata.read_text())
    assert about["shape"][0] == 3
    about["shape"][0] = 2
    metadata.write_text(json.dumps(about))
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [3, 4]
    same(tmp_path / "a.zarr", ingest(Fake(), tmp_path / "b.zarr"))


def test_rain_that_a_killed_process_left_is_not_taken_for_a_frame(tmp_path, monkeypatch):
    """The killed process wrote a tile with rain; in its frame of the next run it holds none."""
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 3 * 3)  # one frame a chunk
    monkeypatch.setattr(store_layout, "TILE", 3)
    interrupted(tmp_path / "a.zarr", 1)
    rate = zarr.open_array(str(tmp_path / "a.zarr" / "rainfall_rate"), mode="r+")
    rate.resize((2, 4, 6))
    rate[1] = 99
    source = Fake()
    source.read = lambda row: Fake().read(row).where(lambda r: r.x < 3000)
    ingest(source, tmp_path / "a.zarr")
    assert np.isnan(open_frames(tmp_path / "a.zarr")[1, :, 3:]).all()


@pytest.mark.parametrize("whole", [0, 3])
def test_a_store_that_an_earlier_version_left_unfinished_is_continued(tmp_path, whole):
    """It has the name .partial, no metadata in one file, and times of 0 for unfinished frames."""
    ingest(Fake(), tmp_path / "a.zarr")
    old = (tmp_path / "a.zarr").rename(tmp_path / "a.zarr.partial")
    (old / ".zmetadata").unlink()
    metadata = old / "time" / ".zarray"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"fill_value": 0}))
    zarr.open_array(str(old / "time"), mode="r+")[whole:] = 0

    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [0, 1, 2, 3, 4][whole:]
    same(tmp_path / "a.zarr", ingest(Fake(), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", *["a.zarr.partial"][whole:], "b.zarr"]


def test_what_a_killed_run_left_beside_the_store_is_removed_and_nothing_else(tmp_path):
    for name in (".a.zarr.12345678.partial", ".a.zarr.foreign.partial", "a.zarr.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / ".a.zarr.12345678.partial" / ".nowcastlib").touch()
    (tmp_path / ".a.zarr.lock").write_text("nowcastlib: process 1 on moon since 2020-01-01")
    ingest(Fake(), tmp_path / "a.zarr")
    assert names(tmp_path) == [".a.zarr.foreign.partial", "a.zarr", "a.zarr.partial"]


def test_a_refused_ingest_keeps_what_an_interrupted_one_left(tmp_path):
    interrupted(tmp_path / "a.zarr", 3)
    with pytest.raises(NowcastError, match="use another store"):
        ingest(Fake(minutes=(15, 20), east=500.0), tmp_path / "a.zarr")
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [3, 4]


@pytest.mark.parametrize("other", [{"shape": (5, 6)}, {"east": 500.0}], ids=["size", "place"])
def test_frames_of_another_grid_are_refused_and_the_store_stays(tmp_path, other):
    out = ingest(Fake(minutes=(0, 5)), tmp_path / "out.zarr")
    shutil.copytree(out, tmp_path / "copy.zarr")
    with pytest.raises(NowcastError, match=r"not one of 2 frames .*use another store"):
        ingest(Fake(minutes=(10, 15), **other), out)
    assert names(tmp_path) == ["copy.zarr", "out.zarr"]
    same(out, tmp_path / "copy.zarr")


@pytest.mark.parametrize("odd", [0, 1, 4], ids=["the first", "the second", "the last"])
@pytest.mark.parametrize("crop", [None, (1, 0, 5, 4)], ids=["whole", "cropped"])
def test_one_frame_of_another_size_is_skipped_by_name_and_counted(tmp_path, caplog, odd, crop):
    source = Fake()
    source.path = "their_folder"
    source.read = lambda row: Fake(shape=(4, 5 if row.minute == 5 * odd else 6)).read(row)
    out = ingest(source, tmp_path / "out.zarr", options=IngestOptions(crop=crop))
    rest = [number + 1 for number in range(5) if number != odd]
    assert open_frames(out)[:, 0, 0].values.tolist() == rest
    assert f"skipped the frame of {START + pd.Timedelta(minutes=5 * odd)}" in caplog.text
    assert re.search(r"their_folder: .*4×5 px.*: use another store", caplog.text)
    assert "out.zarr: 1 of 5 frames skipped: their_folder: " in caplog.text

    ingest(source, out, options=IngestOptions(crop=crop))  # a rerun says the same and ends well
    assert caplog.text.count("1 of 1 frames skipped") == 1


@pytest.mark.parametrize(
    ("east", "is_same"), [(1e-7, True), (5.0, True), (50.0, False), (500.0, False)]
)
def test_a_grid_may_differ_by_a_hundredth_of_a_pixel(tmp_path, caplog, east, is_same):
    source = Fake()
    source.read = lambda row: Fake(east=east if row.minute == 10 else 0.0).read(row)
    frames = open_frames(ingest(source, tmp_path / "a.zarr"))
    assert frames.x.values.tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    assert frames.sizes["time"] == 4 + is_same
    assert ("lies elsewhere" in caplog.text) is not is_same

    ingest(Fake(minutes=(25,), east=-east if is_same else 0.0), tmp_path / "a.zarr")  # a later run
    assert open_frames(tmp_path / "a.zarr").sizes["time"] == 5 + is_same


@pytest.mark.parametrize("axes", ["none", "whole numbers"])
def test_frames_of_mere_pixels_are_written_and_added(tmp_path, axes):
    """Differences of whole numbers have no infinity: they ended in a traceback."""
    source = Fake()
    numbers = {} if axes == "none" else {"y": np.arange(4)[::-1], "x": np.arange(6)}

    def read(row):
        return Fake().read(row).drop_vars(["y", "x"]).drop_attrs().assign_coords(numbers)

    source.read = read
    source.list = lambda start, end: Fake().list()[: 5 if (tmp_path / "a.zarr").exists() else 3]
    out = ingest(source, tmp_path / "a.zarr")
    assert open_frames(ingest(source, out))[:, 0, 0].values.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "title"), [("rain", "rain rate"), ("rainfall_rate", "a national archive")]
)
def test_a_store_of_another_maker_is_refused_and_kept(tmp_path, name, title):
    data = xr.Dataset(
        {name: (("time", "y", "x"), np.ones((1, 4, 6)), {"units": "mm h-1"})}, {"time": [START]}
    )
    data.assign_attrs(title=title).to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    with pytest.raises(NowcastError, match="was not made by ingest"):
        ingest(Fake(), tmp_path / "theirs.zarr")
    assert names(tmp_path) == ["theirs.zarr"]
    assert (xr.open_zarr(tmp_path / "theirs.zarr")[name] == 1).all()


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NowcastError, match=r"cannot write .*out.*choose another"):
        ingest(Fake(), tmp_path / "file" / "out.zarr")
    with pytest.raises(NowcastError, match="file was not made by ingest"):
        ingest(Fake(), tmp_path / "file")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(NowcastError, match=r"cannot write .*out.zarr: Permission denied"):
        ingest(Fake(), tmp_path / "out.zarr")
    assert names(tmp_path) == ["file"]


def test_frames_are_stored_in_order_and_once(tmp_path):
    out = ingest(Fake(minutes=(15, 5, 5)), tmp_path / "out.zarr")
    ingest(Fake(minutes=(0, 5, 10)), out)
    frames = open_frames(out)
    assert frames[:, 0, 0].values.tolist() == [1, 2, 3, 4]
    assert frames.indexes["time"].is_monotonic_increasing
    plain = xr.open_zarr(out)  # older frames that came later stand behind
    assert plain.rainfall_rate[:, 0, 0].values.tolist() == [2, 4, 1, 3]
    assert plain.time.sortby("time").equals(frames.time)
    assert names(tmp_path) == ["out.zarr"]
    assert "rainfall_rate" in zarr.open_consolidated(str(out))


def test_many_frames_in_disorder_are_sorted_over_chunks(tmp_path):
    minutes = 5 * np.random.default_rng(0).permutation(150)
    whole = Fake(minutes=sorted(minutes))
    out = ingest(Fake(minutes=minutes[:70]), tmp_path / "a.zarr")
    ingest(Fake(minutes=minutes), out)
    xr.testing.assert_identical(
        open_frames(out).load(), open_frames(ingest(whole, tmp_path / "b.zarr")).load()
    )


class Ahead(Fake):
    """The same feed, four frames read at a time, the earlier the slower."""

    concurrency = 4

    def read(self, row):
        time.sleep(0.01 * max(0, 4 - row.minute // 5))
        return super().read(row)


def test_frames_read_at_the_same_time_are_stored_in_order(tmp_path):
    same(
        ingest(Ahead(broken=[2]), tmp_path / "a.zarr"),
        ingest(Fake(broken=[2]), tmp_path / "b.zarr"),
    )


def test_frames_are_not_read_far_ahead_of_writing(tmp_path):
    source = Ahead(minutes=tuple(range(0, 500, 5)), interrupt=20)
    with pytest.raises(KeyboardInterrupt):
        ingest(source, tmp_path / "a.zarr")
    assert max(source.reads) < 30
    assert zarr.open_group(str(tmp_path / "a.zarr"))["time"].shape == (20,)


def test_every_second_frame_is_kept(tmp_path):
    whole = open_frames(ingest(Fake(), tmp_path / "a.zarr"))
    half = open_frames(ingest(Fake(), tmp_path / "b.zarr", options=IngestOptions(every=2)))
    assert len(whole) > 2
    assert (half.time.values == whole.time.values[::2]).all()
    np.testing.assert_array_equal(half, whole[::2])
    with pytest.raises(
        NowcastError, match=r"made by other settings \(.*every 2 frames\), not \(.*regrid none\)"
    ):
        ingest(Fake(), tmp_path / "b.zarr")


def test_a_store_is_added_to_only_with_the_same_crop_and_regrid(tmp_path):
    out = ingest(
        Fake(minutes=(0, 5)),
        tmp_path / "a.zarr",
        options=IngestOptions(crop=(1, 0, 4, 4), regrid=2),
    )
    frames = open_frames(out)
    assert frames.shape == (2, 2, 2)
    assert frames.x.values.tolist() == [1500, 3500]
    assert (frames[1] == 2).all()
    with pytest.raises(
        NowcastError,
        match=r"other settings \(.*crop 1,0,4,4, regrid 2\), not \(.*crop none, regrid none\)",
    ):
        ingest(Fake(), out)
    ingest(Fake(), out, options=IngestOptions(crop=(1, 0, 4, 4), regrid=2))
    assert open_frames(out)[:, 0, 0].values.tolist() == [1, 2, 3, 4, 5]
    assert names(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("crop", [(3, 0, 4, 4), (100, 0, 4, 4), (0, 0, 0, 4)])
def test_bad_crop_leaves_nothing(tmp_path, crop):
    with pytest.raises(NowcastError, match="reaches beyond"):
        ingest(
            source := Fake(minutes=tuple(range(0, 100, 5))),
            tmp_path / "a.zarr",
            options=IngestOptions(crop=crop),
        )
    assert names(tmp_path) == []
    assert len(source.reads) < 7


def test_frames_from_before_1970_are_kept(tmp_path):
    class Old(Fake):
        def list(self, start=None, end=None):
            return super().list().assign(time=lambda t: t.time - pd.Timedelta("21900D"))

    out = ingest(Old(minutes=(0, 5, 10)), tmp_path / "a.zarr")
    ingest(Old(), out)
    assert open_frames(out).indexes["time"].year.tolist() == [1964] * 5
    assert open_frames(out)[:, 0, 0].values.tolist() == [1, 2, 3, 4, 5]


def test_two_products_do_not_go_into_one_store(tmp_path):
    source = Fake(minutes=(0, 5))
    source.product = "SRI"
    out = ingest(source, tmp_path / "a.zarr")
    other = Fake()
    other.product = "VMI"
    with pytest.raises(
        NowcastError,
        match=r"made by other settings \(nowcastlib ingest: product SRI, .* not \(.*product VMI",
    ):
        ingest(other, out)


def test_frame_in_which_nothing_is_observed_is_a_gap(tmp_path, caplog):
    source = Fake()
    source.read = lambda row: Fake().read(row) * (np.nan if row.minute == 10 else 1)
    frames = open_frames(ingest(source, tmp_path / "a.zarr"))
    assert frames.sizes["time"] == 4
    assert "12:10:00: nothing in it is observed" in caplog.text


def test_an_unreachable_server_ends_the_ingest_after_three_frames_and_nothing_is_lost(tmp_path):
    source = Fake(minutes=tuple(range(0, 100, 5)))
    good = source.read

    def read(row):
        if row.minute >= 10:
            raise ServerUnreachable("no answer: run again later")
        return good(row)

    source.read = read
    with pytest.raises(ServerUnreachable):
        ingest(source, tmp_path / "a.zarr")
    assert names(tmp_path) == ["a.zarr"]
    assert open_frames(tmp_path / "a.zarr").sizes["time"] == 2
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [2, 3, 4]


def test_single_outages_and_broken_frames_do_not_end_the_ingest(tmp_path):
    source, good = Fake(minutes=tuple(range(0, 60, 5)), broken=(1, 2, 3, 4)), Fake.read

    def read(row):
        if row.minute // 5 in (5, 6, 8, 9):
            raise ServerUnreachable("no answer")
        return good(source, row)

    source.read = read
    frames = open_frames(ingest(source, tmp_path / "a.zarr"))
    assert frames[:, 0, 0].values.tolist() == [1, 8, 11, 12]


def test_chunks_suit_windows_and_large_grids_stay_small_in_memory(tmp_path):
    chunks = {}
    for name, shape in {
        "small": (4, 6),
        "course": (128, 128),
        "composite": (640, 710),
        "continent": (3500, 7000),
    }.items():
        rate = frame(np.zeros(shape, "f4"), np.arange(shape[1]), -np.arange(shape[0]))
        with store_writer.StoreWriter(tmp_path / name) as writer:
            writer.create(rate, {})
            writer.add(0, rate.values)
        chunks[name] = zarr.open_array(str(tmp_path / name / "rainfall_rate")).chunks
    assert chunks.pop("small") == (64, 4, 6)
    assert chunks == {
        "course": (64, 128, 128),
        "composite": (16, 256, 256),
        "continent": (1, 256, 256),
    }


def test_cf_reading_finds_axes_units_and_projection(tmp_path):
    dataset = xr.open_zarr(ingest(Fake(), tmp_path / "a.zarr"))
    assert dataset.cf.axes == {"X": ["x"], "Y": ["y"], "T": ["time"]}
    assert dataset.cf["rainfall_rate"].attrs["units"] == "mm h-1"
    assert dataset.cf.standard_names["projection_x_coordinate"] == ["x"]
    assert dataset.cf.grid_mapping_names == {"lambert_azimuthal_equal_area": ["crs"]}
    assert dataset.cf["rainfall_rate"].cf.grid_mapping_name == "lambert_azimuthal_equal_area"
    assert pyproj.CRS.from_cf(dataset.crs.attrs).equals(pyproj.CRS("EPSG:3035"))
    assert dataset.attrs["Conventions"] == "CF-1.9"
    assert dataset.time.encoding["units"].startswith("seconds since")


def test_a_polar_projection_names_its_pole_as_cf_asks(tmp_path):
    write("fmi", tmp_path / "in")
    out = ingest(Archive("fmi", str(tmp_path / "in")), tmp_path / "a.zarr")
    crs = xr.open_zarr(out).crs
    assert crs.attrs["grid_mapping_name"] == "polar_stereographic"
    assert crs.attrs["latitude_of_projection_origin"] == 90
    assert (
        grid.mapping("+proj=stere +lat_0=-90 +lat_ts=-71")["latitude_of_projection_origin"] == -90
    )


def test_a_frame_of_1970_is_kept_and_no_time_is_a_fill_value(tmp_path):
    """Its time is 0, for which Zarr would read a missing time."""

    class Old(Fake):
        def list(self, start=None, end=None):
            minutes = pd.to_timedelta(self.minutes, unit="min")
            return pd.DataFrame({"time": pd.Timestamp("1970") + minutes, "minute": self.minutes})

    interrupted_source = Old(minutes=(-10, -5, 0, 5), interrupt=1)
    with pytest.raises(KeyboardInterrupt):
        ingest(interrupted_source, tmp_path / "a.zarr")
    ingest(Old(minutes=(-10, -5, 0, 5, 10)), tmp_path / "a.zarr")
    ingest(rest := Old(minutes=(-10, -5, 0, 5, 10)), tmp_path / "a.zarr")
    assert rest.reads == []
    for times in (open_frames(tmp_path / "a.zarr").time, xr.open_zarr(tmp_path / "a.zarr").time):
        assert ((times - np.datetime64(0, "ns")) / np.timedelta64(1, "m")).values.tolist() == [
            -10,
            -5,
            0,
            5,
            10,
        ]
    assert "_FillValue" not in xr.open_zarr(tmp_path / "a.zarr").time.encoding


def sourced(source):
    feed = Fake()
    feed.source = source
    return feed


def test_another_source_does_not_go_into_a_store(tmp_path):
    out = ingest(sourced("fvg radar 1"), tmp_path / "a.zarr")
    ingest(sourced("fvg radar 1"), out)
    for other in (sourced("fvg radar 2"), Fake()):
        with pytest.raises(NowcastError, match=r"made by other settings \(.*source fvg radar 1, "):
            ingest(other, out)


def test_a_store_of_an_earlier_version_whose_source_is_unknown_is_continued(tmp_path):
    out = ingest(Fake(minutes=(0, 5)), tmp_path / "a.zarr")  # its history names no source
    ingest(sourced("demo seed 0"), out)
    assert len(open_frames(out)) == 5
    with pytest.raises(NowcastError, match="other settings"):
        ingest(sourced("demo seed 0"), out, options=IngestOptions(regrid=2))


def test_the_source_of_an_archive_does_not_depend_on_its_folder(tmp_path):
    write_all("knmi", tmp_path / "in", [field()])
    out = ingest(Archive("knmi", str(tmp_path / "in")), tmp_path / "out.zarr")
    (tmp_path / "in").rename(tmp_path / "moved")
    ingest(Archive("knmi", str(tmp_path / "moved")), out)
    assert xr.open_zarr(out).attrs["history"].startswith("nowcastlib ingest: source archive, prod")


def test_settings_and_feed_stand_in_the_attributes(tmp_path):
    out = ingest(Fake(), tmp_path / "a.zarr", options=IngestOptions(crop=(1, 0, 4, 4), regrid=2))
    attributes = xr.open_zarr(out).attrs
    assert attributes["history"] == "nowcastlib ingest: crop 1,0,4,4, regrid 2"
    assert attributes["source"] == "a test"
    assert attributes["license"] == ""  # the feed tells none
    licensed = Fake()
    licensed.licence = "CC0 1.0"
    assert open_frames(ingest(licensed, tmp_path / "b.zarr")).attrs["license"] == "CC0 1.0"


class Noise(Fake):
    """Frames that do not compress."""

    def read(self, row):
        rate = super().read(row)
        return rate.copy(data=np.random.default_rng(row.minute).random(rate.shape, "f4"))


class Killed(Fake):
    """The process is killed while it reads the frame of ``minute``."""

    minute = 0

    def read(self, row):
        if row.minute == self.minute:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(row)


@pytest.mark.parametrize("minute", [0, 30, 95])
def test_the_store_of_a_killed_process_continues_to_the_same_result(tmp_path, minute, monkeypatch):
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 4 * 24)  # four frames a chunk
    out = tmp_path / "a.zarr"
    minutes = tuple(range(0, 100, 5))
    source = Killed(minutes=minutes)
    source.minute = minute
    assert exit_code(fork(lambda: ingest(source, out))) == -signal.SIGKILL
    kept = minute // 5 // 4 * 4
    assert out.exists() is (kept > 0)
    assert not kept or open_frames(out)[:, 0, 0].values.tolist() == [*range(1, kept + 1)]
    ingest(rest := Fake(minutes=minutes), out)
    same(out, ingest(Fake(minutes=minutes), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]
    assert len(rest.reads) == 20 - minute // 5 // 4 * 4


@pytest.mark.parametrize("stored", [0, 6], ids=["a new store", "an extension"])
def test_a_full_disk_is_reported_and_a_rerun_continues(tmp_path, monkeypatch, capfd, stored):
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 4 * 64 * 64)  # four frames a chunk
    out, many = tmp_path / "a.zarr", {"minutes": tuple(range(0, 50, 5)), "shape": (64, 64)}
    if stored:
        ingest(Noise(minutes=many["minutes"][:stored], shape=(64, 64)), out)
        shutil.copytree(out, tmp_path / "copy.zarr")

    def on_a_full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # smaller than a chunk
        ingest(Noise(**many), out, options=IngestOptions(progress=False))

    assert exit_code(fork(on_a_full_disk)) == REFUSED
    error = capfd.readouterr().err.splitlines()[-1]
    assert f"cannot write {out}: File too large; free some space" in error
    assert names(tmp_path) == (["a.zarr", "copy.zarr"] if stored else [])
    if stored:
        same(out, tmp_path / "copy.zarr")
    same(ingest(Noise(**many), out), ingest(Noise(**many), tmp_path / "b.zarr"))


def test_a_store_that_is_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.zarr").symlink_to(tmp_path / "disk" / "real.zarr")
    ingest(Fake(minutes=(0, 5)), tmp_path / "a.zarr")
    ingest(Fake(), tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr").is_symlink()
    assert names(tmp_path / "disk") == ["real.zarr"]
    assert open_frames(tmp_path / "a.zarr").sizes["time"] == 5


class Slow(Fake):
    """Tells when it reads its first frame, and waits there."""

    def read(self, row):
        if row.minute == 0:
            os.write(self.told, b"x")
            time.sleep(60)
        return super().read(row)


def test_a_second_ingest_is_told_who_writes_the_store_and_nothing_is_mixed(tmp_path):
    out, source = tmp_path / "a.zarr", Slow()
    told, source.told = os.pipe()
    first = fork(lambda: ingest(source, out))
    try:
        os.read(told, 1)
        with pytest.raises(
            NowcastError, match=f"a.zarr is being written by process {first} on .* s"
        ):
            ingest(Fake(shape=(8, 8)), out)
    finally:
        assert kill(first) == -signal.SIGKILL
    ingest(Fake(), out)  # the lock of a killed process is free
    same(out, ingest(Fake(), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]


def test_a_reader_beside_a_writer_goes_on_to_see_its_frames(tmp_path, monkeypatch):
    """At each moment: whole frames, in order, as many as when the reader opened the store."""
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 4 * 24)  # four frames a chunk
    out, readers = ingest(Fake(minutes=(50, 55)), tmp_path / "a.zarr"), []

    class Watched(Fake):
        def read(self, row):
            readers.append((open_frames(out), xr.open_zarr(out).rainfall_rate))
            return super().read(row)

    ingest(Watched(minutes=tuple(range(50, 100, 5))), out)
    ingest(Watched(minutes=tuple(range(0, 150, 5))), out)  # older ones and newer ones
    assert len({len(frames) for frames, _ in readers}) > 5
    for pair in readers:
        for frames in pair:
            minutes = (frames.time.values - np.datetime64(START, "ns")) / np.timedelta64(1, "m")
            assert (frames[:, 0, 0].values == minutes / 5 + 1).all()
            assert len(frames) in (2, *range(4, 50, 2))


def test_every_step_of_an_extension_may_fail(tmp_path, monkeypatch):
    """Whichever file cannot be moved to its place: the store stays as it was or has the frames."""
    monkeypatch.setattr(store_layout, "CHUNK", 4 * 4 * 24)
    before = ingest(Fake(minutes=(0, 5)), tmp_path / "a.zarr")
    ingest(Fake(), tmp_path / "whole.zarr")
    replace, lengths = os.replace, []
    for step in range(15):
        moves, out = [], tmp_path / f"{step}.zarr"
        shutil.copytree(before, out)

        def full(source, target, moves=moves, step=step):
            moves.append(target)
            if len(moves) > step:
                raise OSError(28, "No space left on device")
            replace(source, target)

        monkeypatch.setattr(store_writer.os, "replace", full)
        with suppress(NowcastError):
            ingest(Fake(), out)
        monkeypatch.setattr(store_writer.os, "replace", replace)
        seen = xr.open_zarr(out).load()
        lengths.append(seen.sizes["time"])
        xr.testing.assert_identical(
            seen, xr.open_zarr(tmp_path / "whole.zarr")[{"time": slice(lengths[-1])}].load()
        )
        same(ingest(Fake(), out), tmp_path / "whole.zarr")
    assert sorted(set(lengths)) == [2, 4, 5]
    assert lengths == sorted(lengths)


def test_the_history_says_what_was_changed_and_the_settings_still_fit(tmp_path):
    source = Fake(minutes=(0, 5))
    source.read = lambda row: Fake().read(row) - 1.5  # the first frame is -0.5 mm/h
    out = ingest(source, tmp_path / "a.zarr")
    ingest(Fake(), out)
    for attributes in (xr.open_zarr(out).attrs, zarr.open_group(str(out)).attrs):
        settings, change = attributes["history"].splitlines()
        assert settings == "nowcastlib ingest: crop none, regrid none"
        assert "24 pixels of 1 frame with a small negative rain rate" in change


def test_a_store_of_another_format_is_ingested(tmp_path):
    theirs = as_frames(np.random.default_rng(0).gamma(1, 1, (5, 8, 8)).astype("f4"))
    encoding = {"rainfall_rate": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}}
    path = tmp_path / "theirs.zarr"  # in the current format of Zarr
    theirs.to_dataset().to_zarr(path, encoding=encoding, consolidated=False)
    ours = open_frames(ingest(CfZarr(str(path)), tmp_path / "ours.zarr"))
    np.testing.assert_allclose(ours, theirs, atol=0.0051)
