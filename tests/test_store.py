"""The store is whole or not there: gaps, reruns, interruptions, other grids, and what it must not touch."""

import shutil

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
import zarr
from made_archive import START, field, truncate, write, write_all

from nowcastlib import NowcastError, store
from nowcastlib.baselines import persistence
from nowcastlib.forecast import forecast
from nowcastlib.sources import frame
from nowcastlib.sources.archive import Archive
from nowcastlib.sources.cloud import Cloud, open_frames


class Fake:
    """A feed of constant frames: frame n is n + 1 mm/h everywhere. ``interrupt`` is the frame where Ctrl-C comes."""

    attribution = "a test"

    def __init__(self, minutes=(0, 5, 10, 15, 20), interrupt=None, broken=(), shape=(4, 6), east=0.0):
        self.minutes, self.interrupt, self.broken, self.shape, self.east = minutes, interrupt, broken, shape, east
        self.reads = []

    def list(self, start=None, end=None):
        return pd.DataFrame({"time": START + pd.to_timedelta(self.minutes, unit="min"), "minute": self.minutes})

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
        store.ingest(Fake(interrupt=at), out, progress=False)


def test_store_is_plain_cf(tmp_path):
    write_all("knmi", tmp_path / "in", [field(), 2 * field()])
    out = store.ingest(Archive("knmi", str(tmp_path / "in")), tmp_path / "new" / "out.zarr", progress=False)
    dataset = xr.open_zarr(out)
    rate = dataset.rainfall_rate
    np.testing.assert_allclose(rate, [field(), 2 * field()], rtol=1e-6)
    assert rate.dims == ("time", "y", "x") and rate.dtype == "f4"
    assert (rate.attrs["units"], rate.attrs["standard_name"]) == ("mm h-1", "rainfall_rate")
    assert rate.time.values.tolist() == [pd.Timestamp(t).value for t in ("2024-06-01T12:00", "2024-06-01T12:05")]
    assert rate.x.attrs["units"] == "m" and rate.x[0] == 500 and rate.y[0] == -3_650_500
    crs = pyproj.CRS(dataset[rate.attrs["grid_mapping"]].attrs["crs_wkt"])
    assert "Stereographic" in crs.coordinate_operation.method_name and crs.ellipsoid.semi_major_metre == pytest.approx(
        6_378_137
    )
    assert "KNMI" in dataset.attrs["source"] and names(tmp_path / "new") == ["out.zarr"]


def test_unreadable_frame_is_named_and_stays_a_gap(tmp_path, caplog):
    paths = write_all("mch", tmp_path / "in", [field()] * 4)
    truncate(paths[1])
    out = store.ingest(Archive("mch", str(tmp_path / "in")), tmp_path / "out.zarr", progress=False)
    assert paths[1].name in caplog.text and paths[2].name not in caplog.text
    assert (np.diff(open_frames(out).time) / np.timedelta64(1, "m")).tolist() == [10, 5]


def test_nothing_stays_when_no_frame_is_readable(tmp_path):
    truncate(write("mch", tmp_path / "in"))
    with pytest.raises(NowcastError, match=r"not one of 1 frames .*AQC241531200F_00005\.801\.gif"):
        store.ingest(Archive("mch", str(tmp_path / "in")), tmp_path / "out.zarr", progress=False)
    with pytest.raises(NowcastError, match="there are no frames from the first to 2000"):
        store.ingest(Fake(minutes=()), tmp_path / "out.zarr", end="2000", progress=False)
    assert names(tmp_path) == ["in"]


def test_rerun_adds_only_what_is_new(tmp_path):
    out = store.ingest(Fake(minutes=(0, 5), broken=[1]), tmp_path / "out.zarr", progress=False)
    later = Fake()
    store.ingest(later, out, progress=False)
    assert later.reads == [1, 2, 3, 4] and open_frames(out)[:, 0, 0].values.tolist() == [1, 2, 3, 4, 5]
    store.ingest(again := Fake(), out, progress=False)
    assert again.reads == [] and names(tmp_path) == ["out.zarr"]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_interrupted_store_carries_on_to_the_same(tmp_path, at):
    interrupted(tmp_path / "a.zarr", at)
    assert not (tmp_path / "a.zarr").exists()
    store.ingest(rest := Fake(), tmp_path / "a.zarr", progress=False)
    assert rest.reads == list(range(at, 5))
    same(tmp_path / "a.zarr", store.ingest(Fake(), tmp_path / "b.zarr", progress=False))


@pytest.mark.parametrize("broken", [(), (3, 4)], ids=["the rest is fine", "the rest is broken"])
@pytest.mark.parametrize("times", [3, 4], ids=["before the time grew", "before the time was written"])
def test_store_killed_within_a_frame_carries_on_to_the_same(tmp_path, times, broken):
    interrupted(tmp_path / "a.zarr", 3)
    group = zarr.open_group(str(tmp_path / "a.zarr.partial"), mode="r+")
    group["rainfall_rate"].resize((4, 4, 6))
    group["rainfall_rate"][3, :2] = 99  # half of the fourth frame
    group["time"].resize((times,))
    store.ingest(Fake(broken=broken), tmp_path / "a.zarr", progress=False)
    same(tmp_path / "a.zarr", store.ingest(Fake(broken=broken), tmp_path / "b.zarr", progress=False))


def test_store_killed_at_birth_starts_again(tmp_path):
    (tmp_path / "a.zarr.partial").mkdir()
    (tmp_path / "a.zarr.partial" / ".zgroup").write_text("{")
    store.ingest(Fake(), tmp_path / "a.zarr", progress=False)
    same(tmp_path / "a.zarr", store.ingest(Fake(), tmp_path / "b.zarr", progress=False))
    assert names(tmp_path) == ["a.zarr", "b.zarr"]


@pytest.mark.parametrize("other", [{"shape": (5, 6)}, {"east": 500.0}], ids=["size", "place"])
def test_frames_of_another_grid_are_refused_and_the_store_stays(tmp_path, other):
    out = store.ingest(Fake(minutes=(0, 5)), tmp_path / "out.zarr", progress=False)
    shutil.copytree(out, tmp_path / "copy.zarr")
    with pytest.raises(NowcastError, match="use another store"):
        store.ingest(Fake(**other), out, progress=False)
    assert names(tmp_path) == ["copy.zarr", "out.zarr"]
    same(out, tmp_path / "copy.zarr")


def test_grid_that_changes_midway_leaves_nothing(tmp_path):
    source = Fake()
    source.read = lambda row: Fake(shape=(4, 6 + (row.minute == 10))).read(row)
    with pytest.raises(NowcastError, match=r"2024-06-01 12:10:00 is \(4, 7\) px"):
        store.ingest(source, tmp_path / "out.zarr", progress=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("name", "title"), [("rain", "rain rate"), ("rainfall_rate", "a national archive")])
def test_store_of_others_is_never_added_to(tmp_path, name, title):
    data = xr.Dataset({name: (("time", "y", "x"), np.ones((1, 4, 6)), {"units": "mm h-1"})}, {"time": [START]})
    data.assign_attrs(title=title).to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    with pytest.raises(NowcastError, match="was not made by ingest"):
        store.ingest(Fake(), tmp_path / "theirs.zarr", progress=False)
    assert names(tmp_path) == ["theirs.zarr"] and (xr.open_zarr(tmp_path / "theirs.zarr")[name] == 1).all()


def test_unwritable_place_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    for write_it in (
        lambda: store.ingest(Fake(), tmp_path / "file" / "out.zarr", progress=False),
        lambda: store.save(a_forecast(), tmp_path / "file" / "out.zarr"),
        lambda: store.write(tmp_path / "file" / "out.json", b"{}"),
    ):
        with pytest.raises(NowcastError, match=r"cannot write .*out.*choose another"):
            write_it()
    monkeypatch.setattr(store.os, "access", lambda *_: False)
    with pytest.raises(NowcastError, match="the folder is not writable"):
        store.ingest(Fake(), tmp_path / "out.zarr", progress=False)
    assert names(tmp_path) == ["file"]


def test_frames_come_out_in_order_and_once(tmp_path):
    out = store.ingest(Fake(minutes=(15, 5, 5)), tmp_path / "out.zarr", progress=False)
    store.ingest(Fake(minutes=(0, 5, 10)), out, progress=False)
    frames = open_frames(out)
    assert frames[:, 0, 0].values.tolist() == [1, 2, 3, 4] and frames.indexes["time"].is_monotonic_increasing


def a_forecast(rate=1.0):
    return forecast(persistence, store.as_frames(np.full((3, 4, 4), rate)), leads=2)


def test_saved_forecast_is_cf_and_replaces_an_older_one(tmp_path):
    out = tmp_path / "new" / "f.zarr"
    store.save(a_forecast(1), out)
    store.save(a_forecast(1), out.with_name("f.zarr.partial"))  # as a killed one would leave it
    store.save(a_forecast(2), out)
    saved = xr.open_zarr(out, decode_timedelta=False)
    assert saved.rainfall_rate.dims == ("lead_time", "y", "x") and (saved.rainfall_rate == 2).all()
    assert saved.rainfall_rate.attrs["units"] == "mm h-1" and saved.lead_time.values.tolist() == [5, 10]
    assert saved.valid_time.values[0] == np.datetime64("2024-06-01T00:15") and names(tmp_path / "new") == ["f.zarr"]


def test_failed_save_keeps_the_older_forecast(tmp_path, monkeypatch):
    store.save(a_forecast(1), tmp_path / "f.zarr")

    def full_disk(self, path, **_):
        path.mkdir()
        (path / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", full_disk)
    with pytest.raises(NowcastError, match="No space left"):
        store.save(a_forecast(2), tmp_path / "f.zarr")
    assert (
        names(tmp_path) == ["f.zarr"]
        and (xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate == 1).all()
    )


def test_save_overwrites_nothing_but_a_forecast(tmp_path):
    store.ingest(Fake(), tmp_path / "frames.zarr", progress=False)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("frames.zarr", "letters", "file"):
        with pytest.raises(NowcastError, match=name):
            store.save(a_forecast(), tmp_path / name)
    assert (tmp_path / "letters" / "dear.txt").exists() and (tmp_path / "file").exists()
    assert open_frames(tmp_path / "frames.zarr").sizes["time"] == 5


def test_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    store.write(tmp_path / "a", b"old")
    monkeypatch.setattr(store.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(NowcastError, match="No space left"):
        store.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_time_step_pixel_and_centre():
    frames = store.as_frames(np.arange(5 * 7 * 8.0).reshape(5, 7, 8), step=6)
    assert store.time_step(frames.isel(time=[0, 2, 3, 4])) == 6 and np.isnan(store.time_step(frames[:1]))
    assert store.pixel_km(frames) == 1
    degrees = frames.assign_coords(y=("y", 50 - 0.01 * np.arange(7), {"units": "degrees_north"}))
    assert store.pixel_km(degrees) == pytest.approx(1.112, abs=0.001)
    assert (store.centre(frames, 4).values == frames.values[:, 1:5, 2:6]).all()
    assert store.centre(frames, 100).shape == frames.shape


def test_description_counts_gaps_as_dry():
    rate = np.zeros((2, 2, 5))
    rate[0, 0, 0], rate[1] = 7.0, np.nan
    assert "2 frames of 2×5 px" in store.describe(store.as_frames(rate))
    assert "maximum 7.0 mm/h, share above 0.1 mm/h 0.050" in store.describe(store.as_frames(rate))


def test_stores_of_other_formats_are_ingested_and_forecast(tmp_path):
    theirs = store.as_frames(np.random.default_rng(0).gamma(1, 1, (5, 8, 8)).astype("f4"))
    encoding = {"rainfall_rate": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}}
    theirs.to_dataset().to_zarr(
        tmp_path / "theirs.zarr", encoding=encoding, consolidated=False
    )  # format 3, with Zarr 3
    ours = store.open_frames(store.ingest(Cloud(str(tmp_path / "theirs.zarr")), tmp_path / "ours.zarr", progress=False))
    np.testing.assert_allclose(ours, theirs, atol=0.0051)
    store.save(forecast(persistence, store.open_frames(tmp_path / "theirs.zarr"), leads=2), tmp_path / "f.zarr")
    saved = xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False).rainfall_rate
    np.testing.assert_allclose(saved[1], theirs[-1], atol=0.0051)
