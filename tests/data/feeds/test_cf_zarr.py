"""A CF-Zarr store as a feed: its frames one by one, and an S3 server that goes away."""

import threading
from pathlib import Path

import boto3
import numpy as np
import pytest
import xarray as xr
from moto.server import ThreadedMotoServer

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
    assert feed.read(row).values[0, 0] == 1
    moto.stop()
    with pytest.raises(
        ServerUnreachable,
        match=r"s3://gone/theirs\.zarr: its frame of 2024-01-01 .* cannot be read",
    ):
        feed.read(row)


def test_a_frame_that_never_comes_ends_with_its_time(store, monkeypatch):
    feed = CfZarr(str(store))
    row = next(feed.list().itertuples())
    released = threading.Event()
    monkeypatch.setattr(cf_zarr, "FRAME_SECONDS", 0.1)
    monkeypatch.setattr(xr.DataArray, "load", lambda _: released.wait(30))
    with pytest.raises(ServerUnreachable, match=r"has not come within 0\.1 s: run again later"):
        feed.read(row)
    released.set()
