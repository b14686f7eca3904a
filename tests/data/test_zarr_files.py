"""Files of foreign Zarr stores: pipes, devices, links out of the store, huge metadata."""

import json
import os
import shutil

import numpy as np
import pytest

from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.errors import NowcastError


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return ingest(Demo(events=1, frames=6, size=16), tmp_path_factory.mktemp("zarr") / "f.zarr")


@pytest.fixture
def theirs(ours, tmp_path):
    return shutil.copytree(ours, tmp_path / "theirs.zarr")


@pytest.mark.parametrize("name", [".zmetadata", "zarr.json", "time/.zarray", "rainfall_rate/0.0.0"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
def test_files_without_an_end_or_outside_are_refused(theirs, tmp_path, name, kind):
    file = theirs / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
        message = "which is not a regular file"
    else:
        outside = tmp_path / "outside"
        outside.write_bytes(b"{}")
        file.symlink_to("/dev/zero" if kind == "device" else outside)
        message = "has a link out of the store"
    with pytest.raises(NowcastError, match=rf"theirs\.zarr has .*{message}|{message}, {name}"):
        open_frames(theirs)


def test_link_to_a_store_and_within_it_are_read(theirs, ours, tmp_path):
    (theirs / "rainfall_rate" / "0.0.0").rename(theirs / "first")
    (theirs / "rainfall_rate" / "0.0.0").symlink_to(theirs / "first")
    (tmp_path / "link.zarr").symlink_to(theirs)
    np.testing.assert_array_equal(open_frames(tmp_path / "link.zarr"), open_frames(ours))


def test_huge_metadata_are_refused(theirs):
    with (theirs / ".zmetadata").open("r+b") as file:
        file.truncate(65 << 20)  # a sparse file
    with pytest.raises(NowcastError, match=r"theirs\.zarr has metadata of more than 64 MiB"):
        open_frames(theirs)


def test_more_times_than_any_radar_has_are_refused(theirs):
    about = json.loads((theirs / ".zmetadata").read_text())
    for name in ("time", "rainfall_rate"):
        about["metadata"][f"{name}/.zarray"]["shape"][0] = 5_000_001
    (theirs / ".zmetadata").write_text(json.dumps(about))
    with pytest.raises(NowcastError, match=r"theirs\.zarr claims 5,000,001 values of time"):
        open_frames(theirs)
