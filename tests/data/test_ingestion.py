"""Ingest writes a store whole or not at all: gaps, reruns, interruptions, other grids."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cf_xarray  # noqa: F401 (adds the accessor)
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
import zarr
from archive_files import START, field, truncate, write, write_all

from nowcastlib.data import IngestOptions, as_frames, grid, ingest, store_writer
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
    assert not (tmp_path / "a.zarr").exists()
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == list(range(at, 5))
    same(tmp_path / "a.zarr", ingest(Fake(), tmp_path / "b.zarr"))


@pytest.mark.parametrize("broken", [(), (3, 4)], ids=["the rest is fine", "the rest is broken"])
@pytest.mark.parametrize(
    "times", [3, 4], ids=["before the time grew", "before the time was written"]
)
def test_a_store_killed_within_a_frame_continues_to_the_same_result(tmp_path, times, broken):
    interrupted(tmp_path / "a.zarr", 3)
    group = zarr.open_group(str(tmp_path / "a.zarr.partial"), mode="r+")
    group["rainfall_rate"].resize((4, 4, 6))
    group["rainfall_rate"][3, :2] = 99  # half of the fourth frame
    group["time"].resize((times,))
    ingest(Fake(broken=broken), tmp_path / "a.zarr")
    same(tmp_path / "a.zarr", ingest(Fake(broken=broken), tmp_path / "b.zarr"))


def test_half_written_files_are_removed(tmp_path):
    interrupted(tmp_path / "a.zarr", 3)
    (tmp_path / "a.zarr.partial" / "rainfall_rate" / "0.0.0.1f.partial").write_bytes(b"half")
    out = ingest(Fake(), tmp_path / "a.zarr")
    assert not list(out.rglob("*.partial"))


def test_a_refused_ingest_keeps_what_an_interrupted_one_left(tmp_path):
    interrupted(tmp_path / "a.zarr", 3)
    with pytest.raises(NowcastError, match="use another store"):
        ingest(Fake(east=500.0), tmp_path / "a.zarr")
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [3, 4]


def test_a_store_without_a_whole_frame_starts_again(tmp_path):
    (tmp_path / "a.zarr.partial").mkdir()
    (tmp_path / "a.zarr.partial" / ".zgroup").write_text("{")
    ingest(Fake(), tmp_path / "a.zarr")
    same(tmp_path / "a.zarr", ingest(Fake(), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]


@pytest.mark.parametrize("other", [{"shape": (5, 6)}, {"east": 500.0}], ids=["size", "place"])
def test_frames_of_another_grid_are_refused_and_the_store_stays(tmp_path, other):
    out = ingest(Fake(minutes=(0, 5)), tmp_path / "out.zarr")
    shutil.copytree(out, tmp_path / "copy.zarr")
    with pytest.raises(NowcastError, match="use another store"):
        ingest(Fake(**other), out)
    assert names(tmp_path) == ["copy.zarr", "out.zarr"]
    same(out, tmp_path / "copy.zarr")


def test_frames_before_a_grid_that_changes_are_kept_and_the_error_says_how_to_go_on(tmp_path):
    source = Fake()
    source.read = lambda row: Fake(shape=(4, 6 + (row.minute == 20))).read(row)
    out = tmp_path / "out.zarr"
    with pytest.raises(NowcastError, match=r"12:20:00 is \(4, 7\) px") as error:
        ingest(source, out)
    assert names(tmp_path) == ["out.zarr.partial"]
    assert zarr.open_group(str(out) + ".partial")["time"].shape == (4,)
    assert "end 2024-06-01T12:20:00 to complete out.zarr" in str(error.value)

    rest = Fake()  # as the error says
    rest.list = lambda start, end: Fake(minutes=(0, 5, 10, 15)).list()
    ingest(rest, out, end="2024-06-01T12:20:00")
    assert rest.reads == []
    assert open_frames(out)[:, 0, 0].values.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("east", "is_same"), [(1e-7, True), (5.0, True), (50.0, False)])
def test_a_grid_may_differ_by_a_hundredth_of_a_pixel(tmp_path, east, is_same):
    source = Fake()
    source.read = lambda row: Fake(east=east if row.minute == 10 else 0.0).read(row)
    if is_same:
        frames = open_frames(ingest(source, tmp_path / "a.zarr"))
        assert frames.x.values.tolist() == [0, 1000, 2000, 3000, 4000, 5000]
        assert frames.sizes["time"] == 5
        ingest(Fake(minutes=(25,), east=-east), tmp_path / "a.zarr")  # a later run
    else:
        with pytest.raises(NowcastError, match="lies elsewhere"):
            ingest(source, tmp_path / "a.zarr")


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
    with pytest.raises(NowcastError, match="file is not a Zarr store"):
        ingest(Fake(), tmp_path / "file")

    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NowcastError, match="the folder is not writable"):
        ingest(Fake(), tmp_path / "out.zarr")
    assert names(tmp_path) == ["file"]


def test_frames_are_stored_in_order_and_once(tmp_path):
    out = ingest(Fake(minutes=(15, 5, 5)), tmp_path / "out.zarr")
    ingest(Fake(minutes=(0, 5, 10)), out)
    plain = xr.open_zarr(out)
    assert plain.rainfall_rate[:, 0, 0].values.tolist() == [1, 2, 3, 4]
    assert plain.indexes["time"].is_monotonic_increasing
    assert names(tmp_path) == ["out.zarr"]
    same(out, ingest(Fake(minutes=(0, 5, 10, 15)), tmp_path / "b.zarr"))
    assert "rainfall_rate" in zarr.open_consolidated(str(out))


def test_a_store_killed_while_it_was_sorted_is_sorted_again(tmp_path):
    out = ingest(Fake(minutes=(10, 15)), tmp_path / "a.zarr")
    (tmp_path / "a.zarr.partial.sorted").mkdir()
    (tmp_path / "a.zarr.partial.sorted" / "half").write_text("half")
    ingest(Fake(minutes=(0, 5, 10, 15)), out)
    assert open_frames(out)[:, 0, 0].values.tolist() == [1, 2, 3, 4]
    assert names(tmp_path) == ["a.zarr"]
    assert not (out / "half").exists()


def test_many_frames_in_disorder_are_sorted_over_chunks(tmp_path):
    minutes = 5 * np.random.default_rng(0).permutation(150)
    whole = Fake(minutes=sorted(minutes))
    out = ingest(Fake(minutes=minutes[:70]), tmp_path / "a.zarr")
    same(
        ingest(Fake(minutes=minutes), out),
        ingest(whole, tmp_path / "b.zarr"),
    )


def test_a_whole_store_wins_over_a_partial_one_beside_it(tmp_path):
    """As a process leaves it that is killed after the sorted store took its name."""
    out = ingest(Fake(minutes=(0, 5)), tmp_path / "a.zarr")
    shutil.copytree(out, tmp_path / "a.zarr.partial")
    ingest(Fake(), out)
    same(out, ingest(Fake(), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]


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
    assert zarr.open_group(str(tmp_path / "a.zarr.partial"))["time"].shape == (20,)


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
        ingest(source := Fake(), tmp_path / "a.zarr", options=IngestOptions(crop=crop))
    assert names(tmp_path) == []
    assert len(source.reads) < 4


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


def test_an_interrupted_store_is_kept_while_its_name_is_taken(tmp_path):
    interrupted(tmp_path / "a.zarr", 3)
    foreign = xr.Dataset(
        {"rain": (("time", "y", "x"), np.ones((1, 4, 6)), {"units": "mm h-1"})}, {"time": [START]}
    )
    foreign.to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(NowcastError, match="was not made by ingest"):
        ingest(Fake(), tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr")
    ingest(rest := Fake(), tmp_path / "a.zarr")
    assert rest.reads == [3, 4]


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
    assert names(tmp_path) == ["a.zarr.partial"]
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
        chunks[name] = store_writer.create_store(tmp_path / name, rate, {}).rate.chunks
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


def test_fill_value_of_times_is_0_while_the_store_grows_and_none_in_the_end(tmp_path):
    """Zarr 2 would invent times otherwise."""

    def filled(name):
        return json.loads((tmp_path / name / "time" / ".zarray").read_text())["fill_value"]

    interrupted(tmp_path / "a.zarr", 3)
    assert filled("a.zarr.partial") == 0
    ingest(Fake(), tmp_path / "a.zarr")
    assert filled("a.zarr") is None
    assert "_FillValue" not in xr.open_zarr(tmp_path / "a.zarr").time.encoding


def test_settings_and_feed_stand_in_the_attributes(tmp_path):
    out = ingest(Fake(), tmp_path / "a.zarr", options=IngestOptions(crop=(1, 0, 4, 4), regrid=2))
    attributes = xr.open_zarr(out).attrs
    assert attributes["history"] == "nowcastlib ingest: crop 1,0,4,4, regrid 2"
    assert attributes["source"] == "a test"
    assert attributes["license"] == ""  # the feed tells none
    licensed = Fake()
    licensed.licence = "CC0 1.0"
    assert open_frames(ingest(licensed, tmp_path / "b.zarr")).attrs["license"] == "CC0 1.0"


KILLED = """
import os, sys, signal
sys.path[:0] = {tests!r}
from test_ingestion import Fake
from nowcastlib.data import ingest, store_writer
store_writer.CHUNK = 4 * 4 * 24  # four frames a chunk
class Killed(Fake):
    def read(self, row):
        if row.minute == {minute}:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(row)
ingest(Killed(minutes=tuple(range(0, 100, 5))), {out!r})
"""
FULL = """
import resource, sys
sys.path[:0] = {tests!r}
from test_ingestion import Noise
from nowcastlib.data import ingest, store_writer
from nowcastlib.errors import NowcastError
store_writer.CHUNK = 4 * 4 * 64 * 64
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # smaller than a chunk
try:
    ingest(Noise(minutes=tuple(range(0, 50, 5)), shape=(64, 64)), {out!r})
except NowcastError as error:
    print(error)
"""


class Noise(Fake):
    """Frames that do not compress."""

    def read(self, row):
        rate = super().read(row)
        return rate.copy(data=np.random.default_rng(row.minute).random(rate.shape, "f4"))


def run(script, **values):
    script = script.format(tests=[str(p) for p in Path(__file__).parents[:2]], **values)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize("minute", [0, 30, 95])
def test_the_store_of_a_killed_process_continues_to_the_same_result(tmp_path, minute):
    out = tmp_path / "a.zarr"
    minutes = tuple(range(0, 100, 5))
    assert run(KILLED, minute=minute, out=str(out)).returncode == -signal.SIGKILL
    assert not out.exists()
    ingest(rest := Fake(minutes=minutes), out)
    same(out, ingest(Fake(minutes=minutes), tmp_path / "b.zarr"))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]
    assert len(rest.reads) == 20 - minute // 5 // 4 * 4


def test_a_full_disk_is_reported_and_a_rerun_continues(tmp_path):
    out = tmp_path / "a.zarr"
    printed = run(FULL, out=str(out)).stdout
    assert "cannot write" in printed
    assert "free some space or choose another place, then run again" in printed
    many = {"minutes": tuple(range(0, 50, 5)), "shape": (64, 64)}
    same(ingest(Noise(**many), out), ingest(Noise(**many), tmp_path / "b.zarr"))


def test_a_store_of_another_format_is_ingested(tmp_path):
    theirs = as_frames(np.random.default_rng(0).gamma(1, 1, (5, 8, 8)).astype("f4"))
    encoding = {"rainfall_rate": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}}
    path = tmp_path / "theirs.zarr"  # in the current format of Zarr
    theirs.to_dataset().to_zarr(path, encoding=encoding, consolidated=False)
    ours = open_frames(ingest(CfZarr(str(path)), tmp_path / "ours.zarr"))
    np.testing.assert_allclose(ours, theirs, atol=0.0051)
