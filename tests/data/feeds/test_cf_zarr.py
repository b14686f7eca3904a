"""A CF-Zarr store as a feed: its frames one by one, and an S3 server that goes away."""

import threading
from pathlib import Path
from typing import ClassVar

import boto3
import fsspec
import numpy as np
import pytest
import xarray as xr
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer

from nowcastlib.data import IngestOptions, ingest, open_frames
from nowcastlib.data.feeds import cf_zarr
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.feeds.protocol import ServerUnreachable
from nowcastlib.data.grid import as_frames
from nowcastlib.errors import NowcastError


@pytest.fixture
def store(tmp_path):
    """A store of three frames, 5 minutes apart: 1, 2 and 3 mm/h everywhere."""
    rate = np.ones((3, 2, 2), "f4") * np.arange(1, 4)[:, None, None]
    dataset = as_frames(rate, "2024-01-01").assign_attrs(grid_mapping="crs").to_dataset()
    dataset = dataset.assign_attrs(source="KNMI", license="CC BY 4.0")
    encoding = {"rainfall_rate": {"chunks": (1, 2, 2)}}
    dataset.to_zarr(tmp_path / "theirs.zarr", encoding=encoding, zarr_format=2)
    return tmp_path / "theirs.zarr"


def test_frames_are_listed_by_time_and_read_one_by_one(store):
    feed = CfZarr(str(store))
    table = feed.list()
    assert table.time.astype(str).tolist()[1:] == ["2024-01-01 00:05:00", "2024-01-01 00:10:00"]
    last = feed.read(next(table.iloc[[-1]].itertuples()))
    assert last.dims == ("y", "x")
    assert last.attrs["units"] == "mm h-1"
    assert (last == 3).all()
    assert feed.list(start="2024-01-01T00:05", end="2024-01-01T00:10").number.tolist() == [1]


def test_variable_is_the_one_asked_for(store):
    feed = CfZarr(str(store), variable="rainfall_rate")
    assert feed.read(next(feed.list().itertuples())).values[0, 0] == 1
    with pytest.raises(NowcastError, match="rain called snow"):
        CfZarr(str(store), variable="snow").list()


def test_attribution_and_licence_are_those_of_the_store(store):
    feed = CfZarr(str(store))
    assert feed.attribution == "KNMI"
    assert feed.licence == "CC BY 4.0"


def test_a_broken_frame_is_named_and_others_are_read(store):
    (Path(store) / "rainfall_rate" / "0.0.0").write_bytes(b"broken")
    feed = CfZarr(str(store))
    first, second, _ = feed.list().itertuples()
    assert feed.read(second).values[0, 0] == 2
    with pytest.raises(
        NowcastError, match=r"theirs\.zarr: its frame of 2024-01-01 00:00:00 cannot be read"
    ):
        feed.read(first)


class Counting(MemoryFileSystem):
    """Files in memory, by their own protocol; it notes which are read."""

    protocol = "counting"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    read: ClassVar[list] = []

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("counting://"))

    def cat_file(self, path, start=None, end=None, **options):
        self.read.append(path)
        return super().cat_file(path, start, end, **options)


@pytest.mark.parametrize(("limit", "readings"), [(10**6, 1), (100, 4)], ids=["small", "large"])
def test_a_chunk_of_many_frames_is_read_once_unless_it_is_large(
    tmp_path, monkeypatch, limit, readings
):
    """A year on a server: chunks of four frames, in two tiles."""
    monkeypatch.setattr(cf_zarr, "BLOCK", limit)
    fsspec.register_implementation("counting", Counting, clobber=True)
    rate = np.random.default_rng(0).random((12, 4, 6), "f4")
    encoding = {"rainfall_rate": {"chunks": (4, 4, 3)}}
    local = tmp_path / "year.zarr"
    as_frames(rate, "2024-01-01").to_dataset().to_zarr(local, encoding=encoding, zarr_format=2)
    fsspec.filesystem("counting").put(str(local), "/year.zarr", recursive=True)

    feed = CfZarr("counting://year.zarr")
    table = feed.list()
    Counting.read.clear()
    out = ingest(feed, tmp_path / "ours.zarr", options=IngestOptions(progress=False))
    np.testing.assert_array_equal(open_frames(out).values, rate)
    chunks = [path for path in Counting.read if "rainfall_rate/" in path and "/." not in path]
    assert len(table) == 12
    assert len(set(chunks)) == 6
    assert len(chunks) == 6 * readings


def test_only_two_chunks_stay_in_memory(tmp_path):
    rate = np.ones((12, 4, 6), "f4")
    encoding = {"rainfall_rate": {"chunks": (4, 4, 6)}}
    dataset = as_frames(rate, "2024-01-01").to_dataset()
    dataset.to_zarr(tmp_path / "a.zarr", encoding=encoding, zarr_format=2)
    feed = CfZarr(str(tmp_path / "a.zarr"))
    for row in feed.list().itertuples():
        assert feed.read(row).values.base is None  # its own memory
        assert len(feed._blocks._read) <= cf_zarr.BLOCKS
    assert list(feed._blocks._read) == [1, 2]


def test_a_server_that_goes_away_is_unreachable(store):
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://{}:{}".format(*moto.get_host_and_port())
    keys = {"aws_access_key_id": "me", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", "us-east-1", endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket="gone")
    for file in (p for p in store.rglob("*") if p.is_file()):
        key = f"theirs.zarr/{file.relative_to(store)}"
        client.put_object(Bucket="gone", Key=key, Body=file.read_bytes(), ACL="public-read")

    feed = CfZarr("s3://gone/theirs.zarr", endpoint)
    row = next(feed.list().itertuples())
    assert feed.read(row).values[0, 0] == 1  # and its chunk stays in memory
    opened = CfZarr("s3://gone/theirs.zarr", endpoint)
    assert len(opened.list()) > 0
    moto.stop()
    with pytest.raises(
        ServerUnreachable,
        match=r"s3://gone/theirs\.zarr: its frame of 2024-01-01 .* cannot be read",
    ):
        opened.read(row)
    with pytest.raises(ServerUnreachable, match=r"s3://gone/theirs\.zarr"):  # by another process
        CfZarr("s3://gone/theirs.zarr", endpoint).read(row)


def test_a_frame_that_never_comes_ends_with_its_time(store, monkeypatch):
    feed = CfZarr(str(store))
    row = next(feed.list().itertuples())
    released = threading.Event()
    monkeypatch.setattr(cf_zarr, "FRAME_SECONDS", 0.1)
    monkeypatch.setattr(xr.DataArray, "load", lambda _: released.wait(30))
    with pytest.raises(ServerUnreachable, match=r"has not come within 0\.1 s: run again later"):
        feed.read(row)
    released.set()
