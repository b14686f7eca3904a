"""Foreign Zarr stores: metadata that ask for programs or for all memory are refused by name."""

import json
import shutil

import h5py
import netCDF4
import numpy as np
import pytest
import zarr

from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return ingest(Demo(events=1, frames=6, size=16), tmp_path_factory.mktemp("zarr") / "f.zarr")


def copy(ours, tmp_path, zarr_format: int, consolidated: bool):
    frames = open_frames(ours).to_dataset().drop_encoding()
    path = tmp_path / "theirs.zarr"
    frames.to_zarr(path, zarr_format=zarr_format, consolidated=consolidated)
    return path


def change(path, edit) -> None:
    """Edit the metadata of the rain, wherever the store keeps them."""
    for file in [*path.rglob("zarr.json"), *path.rglob(".zarray"), *path.rglob(".zmetadata")]:
        about = json.loads(file.read_text())
        inner = about.get("consolidated_metadata") or about
        for name, array in inner.get("metadata", {}).items():
            if name in ("rainfall_rate", "rainfall_rate/.zarray"):
                edit(array)
        if file.parent.name == "rainfall_rate":
            edit(about)
        file.write_text(json.dumps(about))


STORES = [(2, True), (2, False), (3, True), (3, False)]


@pytest.mark.parametrize(("zarr_format", "consolidated"), STORES)
def test_store_with_known_codecs_opens(ours, tmp_path, zarr_format, consolidated):
    path = copy(ours, tmp_path, zarr_format, consolidated)
    np.testing.assert_array_equal(open_frames(path), open_frames(ours))


@pytest.mark.parametrize(("zarr_format", "consolidated"), STORES)
def test_codec_that_runs_programs_is_refused_before_it_is_used(
    ours, tmp_path, zarr_format, consolidated
):
    path = copy(ours, tmp_path, zarr_format, consolidated)

    def with_pickle(array):
        if zarr_format == 2:
            array["filters"] = [{"id": "pickle", "protocol": 4}]
        else:
            array["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]

    change(path, with_pickle)
    with pytest.raises(NowcastError, match=r"theirs\.zarr asks for the codec '.*pickle' in"):
        open_frames(path)


def test_codec_within_a_shard_is_checked(ours, tmp_path):
    path = copy(ours, tmp_path, 3, True)

    def sharded(array):
        inner = {"chunk_shape": [1, 4, 4], "codecs": [{"name": "evil"}], "index_codecs": []}
        array["codecs"] = [{"name": "sharding_indexed", "configuration": inner}]

    change(path, sharded)
    with pytest.raises(NowcastError, match="the codec 'evil'"):
        open_frames(path)


@pytest.mark.parametrize(("zarr_format", "consolidated"), STORES)
def test_huge_chunks_are_refused(ours, tmp_path, zarr_format, consolidated):
    path = copy(ours, tmp_path, zarr_format, consolidated)

    def huge(array):
        if zarr_format == 2:
            array["chunks"] = [100_000] * 3
        else:
            array["chunk_grid"]["configuration"]["chunk_shape"] = [100_000] * 3

    change(path, huge)
    with pytest.raises(NowcastError, match=r"theirs\.zarr has chunks of 8e\+15 bytes in"):
        open_frames(path)


def test_huge_frames_are_refused(ours, tmp_path):
    root = zarr.open_group(tmp_path / "big.zarr", mode="w")
    for name, n in (("time", 2), ("y", 50_000), ("x", 50_000)):
        array = root.create_array(name, shape=(n,), dtype="i4", dimension_names=(name,))
        array[:] = np.arange(n)
    root["time"].attrs["units"] = "minutes since 2024-01-01"
    for name in ("y", "x"):
        root[name].attrs["units"] = "m"
    sizes = {"shape": (2, 50_000, 50_000), "chunks": (1, 500, 500)}
    dims = ("time", "y", "x")
    rain = root.create_array("rain", dtype="f4", dimension_names=dims, **sizes)
    rain.attrs["units"] = "mm h-1"
    with pytest.raises(NowcastError, match=r"big\.zarr claims 50000×50000 px"):
        open_frames(tmp_path / "big.zarr")


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{", "9" * 5000])
def test_metadata_that_are_no_object_are_one_line(ours, tmp_path, content):
    path = shutil.copytree(ours, tmp_path / "odd.zarr")
    (path / "zarr.json").write_text(content)
    with pytest.raises(NowcastError, match=r"odd\.zarr"):
        open_frames(path)


def test_attributes_of_a_store_are_printable(ours, tmp_path):
    path = copy(ours, tmp_path, 3, False)
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["source"] = "radar \ud800\x1b[2J"
    (path / "zarr.json").write_text(json.dumps(about))
    source = open_frames(path).attrs["source"]
    assert source.isprintable()
    assert source.encode()


def test_netcdf_file_with_a_way_out_is_refused(tmp_path):
    path = tmp_path / "rain.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", 2)
    with h5py.File(path, "r+") as file:
        file["rain"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with pytest.raises(NowcastError, match=r"rain\.nc links to another file"):
        open_frames(path)


def test_broken_chunk_is_named_with_its_time_when_it_is_read(ours, tmp_path):
    path = copy(ours, tmp_path, 2, True)
    for chunk in (path / "rainfall_rate").glob("*.*"):
        chunk.write_bytes(chunk.read_bytes()[:20] + b"broken" * 9)
    frames = open_frames(path)
    with pytest.raises(NowcastError, match=r"theirs\.zarr: frames from 2024-06-01 12:00:00 on"):
        frames.load()


@pytest.mark.parametrize("dimension", [-0.5, None, 2**63, ["time"]])
def test_dimensions_that_are_no_names_are_one_line(ours, tmp_path, dimension):
    path = copy(ours, tmp_path, 2, True)
    about = json.loads((path / ".zmetadata").read_text())
    about["metadata"]["rainfall_rate/.zattrs"]["_ARRAY_DIMENSIONS"][0] = dimension
    (path / ".zmetadata").write_text(json.dumps(about))
    with pytest.raises(NowcastError, match=r"theirs\.zarr"):
        open_frames(path)
