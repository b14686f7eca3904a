"""Zarr 2 fills what was never written with a number: 0 there is dry, not missing."""

import numpy as np
import pytest
import xarray as xr
import zarr

from nowcastlib.data import open_frames
from nowcastlib.errors import NowcastError

SECONDS = {"units": "seconds since 1970-01-01", "standard_name": "time"}
METRES = {"units": "m"}


def array(group, name, values, dimensions, attributes, fill_value=0):
    """An array of a store in format 2, as a writer without xarray makes it."""
    options = {"chunks": values.shape, "dtype": values.dtype, "fill_value": fill_value}
    made = group.create_array(name, shape=values.shape, **options)
    made[:] = values
    made.attrs.update(attributes | {"_ARRAY_DIMENSIONS": dimensions})


def plain_store(path, rain, rain_attributes=(), fill_value=0, consolidated=True):
    """A store whose arrays all have the fill value 0; time and coordinates begin at 0."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    times, size = np.arange(len(rain)) * 300, rain.shape[1]
    array(group, "time", times, ["time"], SECONDS)
    array(group, "y", 1000.0 * np.arange(size)[::-1], ["y"], METRES)
    array(group, "x", 1000.0 * np.arange(size), ["x"], METRES)
    attributes = {"units": "mm h-1"} | dict(rain_attributes)
    array(group, "rain", rain, ["time", "y", "x"], attributes, fill_value)
    if consolidated:
        zarr.consolidate_metadata(str(path), zarr_format=2)
    return str(path)


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_fill_value_of_0_without_the_attribute_is_dry(tmp_path, dtype, consolidated):
    rain = np.zeros((2, 3, 3), dtype)
    rain[1, 1, 1] = 5
    frames = open_frames(plain_store(tmp_path / "a.zarr", rain, consolidated=consolidated))
    np.testing.assert_array_equal(frames, rain)
    assert frames.x.values.tolist() == [0, 1000, 2000]
    assert frames.y.values.tolist() == [2000, 1000, 0]
    assert frames.time.values[0] == np.datetime64("1970-01-01")


def test_packed_rain_with_fill_value_of_0_is_dry(tmp_path):
    rain = np.array([[[0, 10], [20, 0]]] * 2, "u1")
    path = plain_store(tmp_path / "a.zarr", rain, {"scale_factor": 0.5})
    np.testing.assert_array_equal(open_frames(path), rain * 0.5)


def test_the_attribute_makes_0_a_missing_value(tmp_path):
    rain = np.array([[[0, 10], [20, 0]]] * 2, "f4")
    frames = open_frames(plain_store(tmp_path / "a.zarr", rain, {"_FillValue": 0.0}))
    np.testing.assert_array_equal(frames, np.where(rain == 0, np.nan, rain))


def test_the_attribute_wins_over_the_fill_value(tmp_path):
    rain = np.array([[[0, -1], [20, 0]]] * 2, "i2")
    frames = open_frames(plain_store(tmp_path / "a.zarr", rain, {"_FillValue": -1}))
    np.testing.assert_array_equal(frames, np.where(rain == -1, np.nan, rain))


def test_level_0_that_stands_for_no_rain_rate_is_missing(tmp_path):
    """With an offset, 0 is not dry; xarray keeps _FillValue as the fill value only."""
    rain = np.array([[[0, 1], [3, 0]]] * 2, "u1")
    path = plain_store(tmp_path / "a.zarr", rain, {"scale_factor": 0.5, "add_offset": -0.5})
    np.testing.assert_array_equal(open_frames(path)[0], [[np.nan, 0], [1, np.nan]])


def test_other_fill_values_stay_missing(tmp_path):
    rain = np.array([[[0, -1], [20, 0]]] * 2, "f4")
    frames = open_frames(plain_store(tmp_path / "a.zarr", rain, fill_value=-1))
    np.testing.assert_array_equal(frames, np.where(rain == -1, np.nan, rain))


@pytest.mark.parametrize("packing", [{}, {"scale_factor": 0.5}, {"add_offset": 0.5}], ids=str)
@pytest.mark.parametrize(
    ("dtype", "fill", "mark"), [("i2", -5, -1), ("f4", -9999, -1), ("u1", 255, 9)]
)
def test_fill_value_and_another_attribute_are_both_missing(tmp_path, dtype, fill, mark, packing):
    rain = np.array([[[0, mark], [20, fill]]] * 2, dtype)
    path = plain_store(tmp_path / "a.zarr", rain, packing | {"_FillValue": mark}, fill)
    expected = rain * packing.get("scale_factor", 1.0) + packing.get("add_offset", 0.0)
    with pytest.warns(xr.SerializationWarning, match="multiple fill values"):
        frames = open_frames(path)
    np.testing.assert_array_equal(
        frames, np.where((rain == mark) | (rain == fill), np.nan, expected)
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("fill", [-9999.0, 0.0])
def test_fill_value_that_xarray_writes_is_missing(tmp_path, zarr_format, fill):
    """In Zarr 3 the attribute stands there as the bytes of the number, in base64."""
    times = np.datetime64("2024-06-01T12:00", "ns") + np.arange(2) * np.timedelta64(300, "s")
    axes = {"time": times, "y": [2000.0, 1000, 0], "x": [0.0, 1000, 2000]}
    rain = xr.DataArray(np.full((2, 3, 3), 3.0), axes, ["time", "y", "x"], "rain")
    rain.attrs["units"] = "mm h-1"
    rain[0, 1, 1] = np.nan
    how = {"zarr_format": zarr_format, "encoding": {"rain": {"_FillValue": fill}}}
    rain.to_dataset().to_zarr(tmp_path / "a.zarr", **how)
    frames = open_frames(str(tmp_path / "a.zarr"))
    if (zarr_format, fill) == (2, 0.0):  # this format does not say whether a 0 is missing or dry
        rain = rain.fillna(0)
    np.testing.assert_array_equal(frames, rain)


@pytest.mark.parametrize(
    ("dtype", "fill", "scale", "expected"),
    [
        ("u2", 65535, 0.01, np.nan),
        ("f4", -1.0, 1.0, np.nan),
        ("u1", 255, 0.5, np.nan),
        ("f4", np.nan, 1.0, np.nan),
        ("u2", 0, 0.01, 0.0),
    ],
    ids=["uint16", "-1", "uint8", "NaN", "0"],
)
def test_a_frame_of_zarr_3_that_was_never_written_is_not_rain(
    tmp_path, dtype, fill, scale, expected
):
    """Without an attribute _FillValue xarray would give 655.35 mm/h."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    for name, values in (("time", np.arange(2) * 300), ("y", [1000, 0]), ("x", [0, 1000, 2000])):
        made = group.create_array(name, data=np.asarray(values), dimension_names=[name])
        made.attrs.update(SECONDS if name == "time" else METRES)
    rain = group.create_array(
        "rain",
        shape=(2, 2, 3),
        chunks=(1, 2, 3),
        dtype=dtype,
        fill_value=fill,
        dimension_names=["time", "y", "x"],
    )
    rain.attrs.update({"units": "mm h-1", "scale_factor": scale})
    rain[1] = 4 / scale
    frames = open_frames(tmp_path / "a.zarr")
    np.testing.assert_array_equal(frames[0], np.full((2, 3), expected))
    np.testing.assert_allclose(frames[1], 4)


@pytest.mark.parametrize("odd", ["none", {"a": 1}, [1, 2]], ids=str)
def test_attribute_that_is_no_number_is_refused(tmp_path, odd):
    rain = np.ones((2, 3, 3), "f4")
    path = plain_store(tmp_path / "theirs.zarr", rain, {"_FillValue": odd}, fill_value=-1)
    with pytest.raises(NowcastError, match=r"theirs\.zarr has the _FillValue .* of rain.* number"):
        open_frames(path)


@pytest.mark.parametrize("odd", ["5", float("nan")], ids=["text", "NaN"])
@pytest.mark.parametrize("name", ["scale_factor", "add_offset"])
def test_a_scale_or_offset_that_is_no_number_is_refused(tmp_path, name, odd):
    path = plain_store(tmp_path / "theirs.zarr", np.ones((2, 4, 4), "i2"), {name: odd})
    with pytest.raises(NowcastError, match=rf"theirs\.zarr: rain has the {name}"):
        open_frames(path)
