"""A copy of a store has the frames in order; the store itself stays as it is."""

import os
import signal

import pytest
import xarray as xr
from child_processes import exit_code, fork

from nowcastlib.cli import main
from nowcastlib.data import IngestOptions, compact, ingest, open_frames, store_writer
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError

DEMO = Demo(events=1, frames=9, size=8)
CROP = IngestOptions(crop=(1, 0, 4, 4), progress=False)


@pytest.fixture
def mixed(tmp_path):
    """A store to which the older frames were added later."""
    ingest(DEMO, tmp_path / "mixed.zarr", start="2024-06-01T12:20", options=CROP)
    return ingest(DEMO, tmp_path / "mixed.zarr", options=CROP)


def test_the_copy_is_the_store_that_an_ingest_in_order_makes(tmp_path, mixed, capsys):
    before = xr.open_zarr(mixed).load()
    assert main(f"compact --data {mixed} --out {tmp_path}/sorted.zarr".split()) == 0
    assert "9 frames of 4×4 px" in capsys.readouterr().out
    whole = ingest(DEMO, tmp_path / "whole.zarr", options=CROP)
    copy = xr.open_zarr(tmp_path / "sorted.zarr").load()
    xr.testing.assert_identical(copy, xr.open_zarr(whole).load())
    xr.testing.assert_identical(xr.open_zarr(mixed).load(), before)
    assert not before.indexes["time"].is_monotonic_increasing

    ingest(Demo(events=1, frames=12, size=8), tmp_path / "sorted.zarr", options=CROP)
    assert open_frames(tmp_path / "sorted.zarr").sizes["time"] == 12


def test_what_cannot_be_compacted_is_refused_and_kept(tmp_path, mixed):
    with pytest.raises(NowcastError, match="exists: choose another name"):
        compact(mixed, mixed)
    theirs = tmp_path / "theirs.zarr"
    xr.open_zarr(mixed).assign_attrs(title="theirs").to_zarr(theirs, zarr_format=2)
    with pytest.raises(NowcastError, match="was not made by ingest"):
        compact(theirs, tmp_path / "sorted.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.zarr", "theirs.zarr"]


def test_a_kill_late_in_the_copy_leaves_no_copy_and_the_next_run_tidies_up(
    tmp_path, mixed, monkeypatch
):
    flush = store_writer.StoreWriter.flush

    def killed(self):
        flush(self)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(store_writer.StoreWriter, "flush", killed)
    assert exit_code(fork(lambda: compact(mixed, tmp_path / "sorted.zarr"))) == -signal.SIGKILL
    monkeypatch.undo()
    left = {path.name for path in tmp_path.iterdir()} - {"mixed.zarr"}
    assert len(left) == 2  # a lock and a temporary folder
    assert "sorted.zarr" not in left
    compact(mixed, tmp_path / "sorted.zarr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed.zarr", "sorted.zarr"]
