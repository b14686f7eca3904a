"""HDF5 and NetCDF files in which the libraries would read for ever are refused by name."""

import struct

import archive_files
import h5py
import netCDF4
import numpy as np
import pytest

from nowcastlib.data import netcdf_check, open_frames
from nowcastlib.data.feeds import odim
from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.hdf5_heaps import check_heaps
from nowcastlib.errors import NowcastError


def with_endless_heap(content: bytes) -> bytes:
    """Give the free space of the first heap a size of 0: the library would stay there for ever."""
    place = content.index(b"GCOL\x01") + 16
    number, length = struct.unpack_from("<H6xQ", content, place)
    while number:
        place += 16 + (length + 7) // 8 * 8
        number, length = struct.unpack_from("<H6xQ", content, place)
    assert length > 0
    return content[: place + 8] + bytes(8) + content[place + 16 :]


@pytest.fixture
def netcdf(tmp_path):
    """A NetCDF-4 file of rain with dimension scales."""
    path = tmp_path / "rain.nc"
    with netCDF4.Dataset(path, "w") as file:
        for axis in ("time", "y", "x"):
            file.createDimension(axis, 4)
            coordinate = file.createVariable(axis, "i4", (axis,))
            coordinate.units = "minutes since 2024-06-01" if axis == "time" else "m"
            coordinate[:] = np.arange(4) * 1000
        rain = file.createVariable("rain", "f4", ("time", "y", "x"))
        rain.units = "mm h-1"
        rain[:] = 2.0
    return path


def test_file_of_the_bureau_with_an_endless_heap_is_refused(tmp_path):
    path = archive_files.write("bom", tmp_path)
    path.write_bytes(with_endless_heap(path.read_bytes()))
    feed = Archive("bom", str(tmp_path))
    with pytest.raises(NowcastError, match=rf"{path.name} has a broken heap.*fetch it again"):
        feed.read(next(feed.list().itertuples()))


def test_odim_file_with_an_endless_heap_is_refused(tmp_path):
    path = archive_files.write("odim", tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["comment"] = "a text of variable length lies in a heap"
    odim.decode(path)
    path.write_bytes(with_endless_heap(path.read_bytes()))
    for content in (path, path.read_bytes()):
        with pytest.raises(NowcastError, match="has a broken heap"):
            odim.decode(content)


def test_netcdf_store_with_an_endless_heap_is_refused(netcdf):
    assert (open_frames(netcdf) == 2).all()
    netcdf.write_bytes(with_endless_heap(netcdf.read_bytes()))
    with pytest.raises(NowcastError, match=r"rain\.nc has a broken heap.*fetch it again"):
        open_frames(netcdf)


def test_netcdf_store_that_hangs_in_another_way_is_refused_after_a_time(netcdf, monkeypatch):
    monkeypatch.setattr("nowcastlib.data.store.check_netcdf", lambda path: None)
    monkeypatch.setattr(netcdf_check, "SECONDS", 0.3)
    netcdf.write_bytes(with_endless_heap(netcdf.read_bytes()))
    with pytest.raises(NowcastError, match=r"rain\.nc cannot be opened within 0\.3 s"):
        open_frames(netcdf)


def test_netcdf_store_that_crashes_the_library_is_refused(netcdf, monkeypatch):
    crash = "print(flush=True); import os; os.kill(os.getpid(), 11)"
    monkeypatch.setattr(netcdf_check, "PROGRAM", crash)
    with pytest.raises(NowcastError, match=r"rain\.nc crashes the NetCDF library \(signal 11\)"):
        open_frames(netcdf)


def test_objects_that_leave_their_heap_are_refused(netcdf):
    content = netcdf.read_bytes()
    check_heaps(content)
    place = content.index(b"GCOL\x01") + 24  # length of the first object
    for length in (1 << 40, (1 << 64) - 8):
        broken = content[:place] + struct.pack("<Q", length) + content[place + 8 :]
        with pytest.raises(NowcastError, match="broken heap"):
            check_heaps(broken)


def test_other_sizes_of_lengths_are_refused(netcdf):
    content = bytearray(netcdf.read_bytes())
    content[10 if content[8] >= 2 else 14] = 4
    with pytest.raises(NowcastError, match="lengths in other than 8 bytes"):
        check_heaps(bytes(content))


def test_hdf5_behind_other_bytes_is_refused(netcdf):
    netcdf.write_bytes(bytes(512) + netcdf.read_bytes())
    assert h5py.is_hdf5(netcdf)
    with pytest.raises(NowcastError, match=r"rain\.nc has other bytes before"):
        open_frames(netcdf)
