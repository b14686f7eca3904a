"""Marks of pixels that are not observed: valid ranges, default fill values, marks of other types.

See the CF conventions, cfconventions.org, section 2.5.1.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from nowcastlib.data import IngestOptions, ReadOptions, ingest, open_frames
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.errors import NowcastError

TIMES = pd.date_range("2024-06-01", periods=3, freq="5min")
TENTHS = {"scale_factor": 0.1}
NO_FILL = {"rain": {"_FillValue": None}}


def dataset(values, units="mm h-1", **attributes):
    """Three frames of 2 × 2 px, whose stored (packed) values are given."""
    stored = np.broadcast_to(np.asarray(values).reshape(-1, 2, 2), (3, 2, 2))
    coords = {
        "time": TIMES,
        "y": ("y", [1000.0, 0.0], {"units": "m"}),
        "x": ("x", [0.0, 1000.0], {"units": "m"}),
    }
    return xr.Dataset({"rain": (("time", "y", "x"), stored, {"units": units} | attributes)}, coords)


def written(made, folder, kind):
    """The path of a NetCDF file, or of a store in format 2 or 3."""
    path = folder / f"theirs.{kind}"
    if kind == "nc":
        made.to_netcdf(path, encoding=NO_FILL)
    else:
        made.to_zarr(path, zarr_format=int(kind), consolidated=False)
    return str(path)


KINDS = pytest.mark.parametrize("kind", ["nc", "2", "3"])


@KINDS
@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_max": np.uint8(250)},
        {"valid_range": np.array([0, 250], "u1")},
        {"valid_range": np.array([-1, 250], "i2")},
        {"valid_min": np.uint8(0), "valid_max": np.uint8(250)},
        {"flag_values": np.array([255], "u1"), "flag_meanings": "outside"},
    ],
)
def test_packed_values_outside_the_valid_range_are_not_observed(tmp_path, kind, attributes):
    made = dataset(np.array([0, 100, 250, 255], "u1"), **TENTHS, **attributes)
    frames = open_frames(written(made, tmp_path, kind))
    np.testing.assert_allclose(frames[1], [[0, 10], [25, np.nan]], rtol=1e-6)
    np.testing.assert_allclose(frames[1:, 1, ::-1][0], [np.nan, 25], rtol=1e-6)  # a part


def test_values_below_the_valid_range_are_not_observed(tmp_path):
    made = dataset(np.array([-1, 100, 0, 5], "i2"), valid_min=np.int16(0), **TENTHS)
    frames = open_frames(written(made, tmp_path, "nc"))
    np.testing.assert_allclose(frames[0], [[np.nan, 10], [0, 0.5]], rtol=1e-6)


def test_a_valid_range_of_plain_numbers_is_used(tmp_path):
    made = dataset(np.array([0, 20, 99.9, 100], "f4"), valid_max=99.9)
    frames = open_frames(written(made, tmp_path, "nc"))
    np.testing.assert_array_equal(np.isnan(frames[0]), [[False, False], [False, True]])


@pytest.mark.parametrize(
    "attributes",
    [{"valid_max": 12.5}, {"valid_max": "high"}, {"valid_range": [0, 1, 2]}, {"valid_min": [1, 2]}],
)
def test_a_valid_range_that_is_not_clear_is_refused(tmp_path, attributes):
    made = dataset(np.array([0, 100, 250, 255], "u1"), **TENTHS, **attributes)
    with pytest.raises(NowcastError, match=r"theirs\.2: rain has the valid_.*make it"):
        open_frames(written(made, tmp_path, "2"))


def test_flags_of_no_rain_are_dry(tmp_path):
    flags = {"flag_values": np.array([254, 255], "u1"), "flag_meanings": "no_echo outside"}
    made = dataset(np.array([0, 100, 254, 255], "u1"), **TENTHS, **flags)
    frames = open_frames(written(made, tmp_path, "2"))
    np.testing.assert_allclose(frames[0], [[0, 10], [0, np.nan]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["u2", "i2", "i4"])
def test_frames_of_a_netcdf_file_that_were_never_written_are_not_observed(tmp_path, dtype):
    import netCDF4

    path = str(tmp_path / "theirs.nc")
    dataset(np.array([0, 100, 20, 5], dtype), scale_factor=0.01).to_netcdf(path, encoding=NO_FILL)
    with netCDF4.Dataset(path, "a") as content:
        rain = content.createVariable("later", dtype, ("time", "y", "x"))
        rain.setncatts({"units": "mm h-1", "scale_factor": 0.01})
        rain[:2] = 1.5
    frames = open_frames(path, variable="later")
    np.testing.assert_allclose(frames[:2], 1.5, rtol=1e-6)
    assert np.isnan(frames[2]).all()


def test_bytes_have_no_default_fill_value(tmp_path):
    frames = open_frames(written(dataset(np.array([0, 1, 2, 255], "u1")), tmp_path, "nc"))
    assert float(frames[0, 1, 1]) == 255


def test_a_mark_of_unsigned_bytes_may_be_negative(tmp_path):
    made = dataset(np.array([0, 100, 20, -1], "i1"), **TENTHS, missing_value=np.int8(-1))
    made.rain.attrs["_Unsigned"] = "true"
    frames = open_frames(written(made, tmp_path, "nc"))
    np.testing.assert_allclose(frames[0], [[0, 10], [2, np.nan]], rtol=1e-6)


DBZ_UNITS = ReadOptions(units="dBZ")
DBZ = np.array([23.0103, -99.9, -20, 23.0103], "f4")


def with_mark(folder, kind, name):
    """A store of reflectivity that declares -99.9, in the precision of float64."""
    made = dataset(DBZ, units="dBZ")
    if kind == "nc":
        made.rain.attrs[name] = np.float64(-99.9)
        return written(made, folder, kind)
    path = str(folder / "theirs.zarr")
    made.to_zarr(path, zarr_format=int(kind), consolidated=False, encoding=NO_FILL)
    zarr.open_group(path, mode="r+")["rain"].attrs[name] = -99.9
    return path


@pytest.mark.parametrize(
    ("kind", "name"), [("nc", "missing_value"), ("2", "missing_value"), ("2", "_FillValue")]
)
def test_a_mark_in_another_precision_is_not_dry(tmp_path, kind, name):
    frames = open_frames(with_mark(tmp_path, kind, name), options=DBZ_UNITS)
    np.testing.assert_allclose(frames[0], [[1, np.nan], [0.007, 1]], rtol=0.1, atol=0.01)


def test_an_undeclared_mark_of_reflectivity_is_refused(tmp_path):
    frames = open_frames(written(dataset(DBZ, units="dBZ"), tmp_path, "2"), options=DBZ_UNITS)
    with pytest.raises(NowcastError, match=r"theirs\.2 holds a reflectivity of -99\.9 dBZ"):
        frames.load()


@pytest.mark.parametrize("dtype", ["S8", "U8", "c8"])
def test_rain_that_is_no_number_is_refused(tmp_path, dtype):
    path = written(dataset(np.array([1, 2, 3, 4]).astype(dtype)), tmp_path, "2")
    with pytest.raises(NowcastError, match=r"theirs\.2: rain holds no numbers"):
        open_frames(path)


def test_a_scale_of_0_is_refused(tmp_path):
    path = written(dataset(np.array([1, 2, 3, 4], "i2"), scale_factor=0.0), tmp_path, "2")
    with pytest.raises(NowcastError, match=r"theirs\.2: rain has the scale_factor 0"):
        open_frames(path)


def test_ingest_keeps_what_is_not_observed(tmp_path):
    made = dataset(np.array([0, 100, 250, 255], "u1"), **TENTHS, valid_max=np.uint8(250))
    source = CfZarr(written(made, tmp_path, "nc"))
    out = ingest(source, tmp_path / "out.zarr", options=IngestOptions(progress=False))
    np.testing.assert_allclose(open_frames(out)[0], [[0, 10], [25, np.nan]], rtol=1e-3)
