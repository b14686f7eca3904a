"""Chunks of stores have checksums: a changed byte is refused by name and is never other rain."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from nowcastlib.data import IngestOptions, ingest, open_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError

QUIET = IngestOptions(progress=False)
FRAMES = Demo(events=1, frames=4, size=16)


def flip(path, place: float) -> None:
    """Flip a bit of a file, at this share of its length."""
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 0.005, 0.02, 0.25, 0.5, 0.75, 1])
def test_a_flipped_bit_of_rain_is_refused_with_the_store_and_the_time(tmp_path, place):
    store = ingest(FRAMES, tmp_path / "a.zarr", options=QUIET)
    flip(store / "rainfall_rate" / "0.0.0", place)
    frames = open_frames(store)
    first = frames.indexes["time"][0]
    with pytest.raises(NowcastError, match=rf"a\.zarr: frames from {first}.*checksum"):
        frames.load()


@pytest.mark.parametrize("name", ["time", "y", "x"])
def test_a_flipped_bit_of_a_coordinate_is_refused_with_the_store(tmp_path, name):
    store = ingest(FRAMES, tmp_path / "a.zarr", options=QUIET)
    flip(store / name / "0", 0.9)
    with pytest.raises(NowcastError, match=r"a\.zarr.*checksum"):
        open_frames(store).load()


def without_checksums(store) -> None:
    """Write a store again as earlier versions did."""
    for file in store.glob("*/.zarray"):
        values = zarr.open_array(str(file.parent), mode="r")[...]
        about = json.loads(file.read_text())
        about |= {"compressor": about["filters"][0], "filters": None}
        file.write_text(json.dumps(about))
        zarr.open_array(str(file.parent), mode="r+")[...] = values
    zarr.consolidate_metadata(str(store))


def test_a_store_without_checksums_opens_and_grows_as_it_is(tmp_path):
    whole = open_frames(ingest(FRAMES, tmp_path / "whole.zarr", options=QUIET)).load()
    end = str(whole.time.values[2])
    store = ingest(FRAMES, tmp_path / "old.zarr", end=end, options=QUIET)
    without_checksums(store)
    assert open_frames(store).equals(whole[:2])

    ingest(FRAMES, store, options=QUIET)
    assert open_frames(store).equals(whole)
    assert json.loads((store / "time" / ".zarray").read_text())["filters"] is None


def test_plain_xarray_reads_a_store_with_checksums(tmp_path):
    store = ingest(FRAMES, tmp_path / "a.zarr", options=QUIET)
    with xr.open_zarr(store) as plain:
        np.testing.assert_array_equal(plain.rainfall_rate, open_frames(store))
