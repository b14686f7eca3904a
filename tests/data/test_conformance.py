"""The same ten frames come in many ways: they open as the same rain, or one clear line refuses.

The files are made by ``conformance_files``.
"""

import logging

import conformance_files as files
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from conformance_files import (
    EAST,
    LATITUDES,
    LONGITUDES,
    RAIN,
    TIMES,
    X,
    Y,
    amount,
    dataset,
    in_degrees,
    marked,
    since,
    two_dimensional,
    with_bounds,
    with_times,
    written,
)

from nowcastlib.data import ReadOptions, feed, open_frames, pixel_size
from nowcastlib.data.feeds.images import Images
from nowcastlib.errors import NowcastError

NAMED = {"standard_name": "projection_{}_coordinate", "units": "m"}
PIXEL_NUMBERS = {"y": (np.arange(7.0), {}), "x": (np.arange(9.0), {})}


def check(frames: xr.DataArray, place: str, tolerance: float = 1e-5) -> None:
    """The rain, its times and its place are those of ``conformance_files``."""
    assert frames.dims == ("time", "y", "x")
    assert frames.indexes["time"].equals(TIMES.rename("time"))
    np.testing.assert_allclose(frames.values, RAIN, rtol=tolerance, atol=1e-6)
    assert frames[0].values.flags.c_contiguous
    assert frames.dtype in ("f4", "f8")  # in native byte order

    size = pixel_size(frames)
    if place == "metres":
        np.testing.assert_allclose(frames.y, Y, atol=1e-3)
        np.testing.assert_allclose(frames.x, X, atol=1e-3)
        assert frames.y.attrs["units"] == "m"
        assert size == pytest.approx((1, 1), rel=0.01)
    elif place == "degrees":
        np.testing.assert_allclose(frames.y, LATITUDES, atol=1e-6)
        np.testing.assert_allclose(frames.x, LONGITUDES, atol=1e-6)
        assert frames.y.attrs["units"] == "degrees_north"
        assert size == pytest.approx((1.112, 0.783), rel=0.01)
    elif place == "size":
        assert size == pytest.approx((1, 1), rel=0.01)
    else:
        assert size is None


def named(**axes) -> xr.Dataset:
    """The data set in metres whose axes have other names and attributes."""
    made = dataset().rename({axis: name for axis, (name, _) in axes.items()})
    for name, attributes in axes.values():
        made[name].attrs = dict(attributes)
    return made


def jittered() -> xr.Dataset:
    """Times of 0.2 s before and after, as floating-point hours leave them."""
    off = pd.to_timedelta(np.where(np.arange(10) % 2, 0.2, -0.2), unit="s")
    return dataset().assign_coords(time=TIMES + off)


LON_360 = LONGITUDES - 9.14  # from -0.04 to 0.04
STORES = {
    # names of the axes
    "y and x": (dataset(), "metres"),
    "lat and lon": (in_degrees("lat", "lon"), "degrees"),
    "latitude and longitude": (in_degrees("latitude", "longitude"), "degrees"),
    "lat and lon without units": (in_degrees("lat", "lon", attributes=({}, {})), "degrees"),
    "degrees by units only": (in_degrees("a", "b"), "degrees"),
    "northing and easting": (named(y=("northing", files.M), x=("easting", files.M)), "metres"),
    "standard names": (
        named(
            y=("j", {"standard_name": "projection_y_coordinate"}),
            x=("i", {"standard_name": "projection_x_coordinate"}),
        ),
        "metres",
    ),
    "axis letters": (
        named(y=("a", files.M | {"axis": "Y"}), x=("b", files.M | {"axis": "X"})),
        "metres",
    ),
    "rows and cols": (named(y=("rows", files.M), x=("cols", files.M)), "metres"),
    "ny and nx": (named(y=("ny", files.M), x=("nx", files.M)), "metres"),
    "valid_time": (dataset().rename(time="valid_time"), "metres"),
    # order and length of the axes
    "x before y": (dataset().transpose("time", "x", "y"), "metres"),
    "time last": (dataset().transpose("y", "x", "time"), "metres"),
    "x, y, time": (dataset().transpose("x", "y", "time"), "metres"),
    "one member": (dataset().expand_dims(member=[1], axis=1), "metres"),
    "one band, last": (dataset().expand_dims(band=[1], axis=3), "metres"),
    # directions
    "south up": (dataset().isel(y=slice(None, None, -1)), "metres"),
    "x falls": (dataset().isel(x=slice(None, None, -1)), "metres"),
    "turned by 180 degrees": (
        dataset().isel(y=slice(None, None, -1), x=slice(None, None, -1)),
        "metres",
    ),
    "newest frame first": (dataset().isel(time=slice(None, None, -1)), "metres"),
    "frames in disorder, one twice": (
        dataset().isel(time=[3, 1, 0, 2, 9, 8, 7, 7, 6, 5, 4]),
        "metres",
    ),
    "latitudes rise": (in_degrees("lat", "lon").isel(lat=slice(None, None, -1)), "degrees"),
    # coordinates
    "kilometres": (dataset(y=(Y / 1000, {"units": "km"}), x=(X / 1000, {"units": "Km"})), "metres"),
    "numbers of pixels from above": (
        dataset(y=(np.arange(7.0)[::-1], {}), x=(np.arange(9.0), {})),
        "unknown",
    ),
    "2-D latitudes": (two_dimensional(), "degrees"),
    "2-D latitudes from the south": (two_dimensional(south_up=True), "degrees"),
    # units
    "kg m-2 s-1": (dataset(RAIN / 3600, units="kg m-2 s-1"), "metres"),
    "mm/day": (dataset(RAIN * 24, units="mm/day"), "metres"),
    "mm/5min": (dataset(RAIN / 12, units="mm/5min"), "metres"),
    "m s-1 of rain": (dataset(RAIN / 3.6e6, units="m s-1", long_name="rain rate"), "metres"),
    "sums by steps": (amount(5), "metres"),
    "sums in kg m-2": (amount(5, "kg m-2"), "metres"),
    "sums in cm": (amount(5, "cm", 10), "metres"),
    "sums by bounds": (with_bounds(amount(10), 10), "metres"),
    "bounds before the interval of samples": (
        with_bounds(amount(10, cell_methods="time: sum (interval: 1 minute)"), 10),
        "metres",
    ),
    "sums by the interval": (amount(60, cell_methods="time: sum (interval: 1 hour)"), "metres"),
    "sums by their period": (amount(15, accumulation_period="PT15M"), "metres"),
    # times
    "days since 1970 as float": (with_times(since("1970", "D"), "days since 1970-01-01"), "metres"),
    "hours since 1900 as float": (
        with_times(since("1900", "h"), "hours since 1900-01-01"),
        "metres",
    ),
    "minutes as int32": (
        with_times(since("2024", "min").astype("i4"), "minutes since 2024-01-01"),
        "metres",
    ),
    "a reference time with a zone": (
        with_times(since("2024", "s").astype("i8"), "seconds since 2024-01-01 02:00:00 +02:00"),
        "metres",
    ),
    "calendar noleap": (
        with_times(5 * np.arange(10), "minutes since 2024-06-01 12:00", "noleap"),
        "metres",
    ),
    "times off by parts of a second": (jittered(), "metres"),
    # marks of pixels that were not observed
    "_FillValue -9999": (marked(-9999, "_FillValue"), "metres"),
    "missing_value 9.97e36": (marked(9.96921e36, "missing_value"), "metres"),
    "wind beside the rain": (
        dataset().assign(VRADH=dataset(name="VRADH", units="m s-1").VRADH),
        "metres",
    ),
    "big-endian floats": (dataset(RAIN.astype(">f4")), "metres"),
    "longitudes that rise across 360": (
        in_degrees("lat", "lon", LONGITUDES + 360),
        "degrees plus 360",
    ),
}


@pytest.mark.parametrize("case", STORES)
def test_a_store_opens_as_the_same_rain(tmp_path, case):
    made, place = STORES[case]
    frames = open_frames(written(made, tmp_path))
    if place == "degrees plus 360":
        frames, place = frames.assign_coords(x=frames.x - 360), "degrees"
        frames.x.attrs = EAST
    check(frames, place)


@pytest.mark.parametrize("middle", [0.0, 180.0])
@pytest.mark.parametrize("full_turn", [(0, 360), (-180, 180)])
def test_longitudes_may_cross_0_and_180_degrees(tmp_path, middle, full_turn):
    longitudes = LONGITUDES - LONGITUDES[4] + middle
    low, _ = full_turn
    made = in_degrees("lat", "lon", np.round((longitudes - low) % 360 + low, 6))
    frames = open_frames(written(made, tmp_path))
    turns = np.round((frames.x.values[4] - middle) / 360)
    back = frames.assign_coords(x=frames.x - 360 * turns - middle + LONGITUDES[4])
    back.x.attrs = EAST
    check(back, "degrees")


def test_rows_that_are_no_parallels_have_the_size_of_their_pixels(tmp_path):
    frames = open_frames(written(two_dimensional(south_up=True, is_rotated=True), tmp_path))
    np.testing.assert_allclose(frames.values, RAIN)
    assert pixel_size(frames) == pytest.approx((1.112, 0.783), rel=0.01)


PACKED = {"scale_factor": 0.5, "add_offset": 0.0}
ENCODINGS = {
    "int16": PACKED | {"dtype": "i2", "_FillValue": -1},
    "uint16": PACKED | {"dtype": "u2", "_FillValue": 65535},
    "uint8": PACKED | {"dtype": "u1", "_FillValue": 255},
    "big-endian int16": PACKED | {"dtype": ">i2", "_FillValue": -32768},
    "int32 with an offset": {
        "dtype": "i4",
        "scale_factor": 0.01,
        "add_offset": -1.0,
        "_FillValue": -9999,
    },
    "float16": {"dtype": "f2"},
    "float64": {"dtype": "f8"},
    "float32": {"dtype": "f4"},
    "fill value NaN": {"dtype": "f4", "_FillValue": np.float32(np.nan)},
    "chunks of one frame": {"chunks": (1, 3, 4)},
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_numbers_of_any_type_are_the_same_rain(tmp_path, case):
    check(open_frames(written(dataset(), tmp_path, **ENCODINGS[case])), "metres")


FORMATS = {
    "Zarr 2, not consolidated": {"zarr_format": 2, "consolidated": False},
    "Zarr 3": {"zarr_format": 3, "consolidated": False},
    "Zarr 3, consolidated": {"zarr_format": 3, "consolidated": True},
    "Zarr 3, sharded": {
        "zarr_format": 3,
        "consolidated": False,
        "encoding": {"rain": {"chunks": (2, 7, 9), "shards": (4, 7, 9)}},
    },
}


@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")
@pytest.mark.parametrize("case", FORMATS)
def test_every_format_of_zarr_is_the_same_rain(tmp_path, case):
    dataset().to_zarr(tmp_path / "a.zarr", **FORMATS[case])
    check(open_frames(tmp_path / "a.zarr"), "metres")


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
@pytest.mark.parametrize("case", ["metres", "degrees", "packed"])
def test_a_netcdf_file_is_the_same_rain(tmp_path, form, case):
    made = (
        in_degrees("lat", "lon").isel(lat=slice(None, None, -1)) if case == "degrees" else dataset()
    )
    encoding = {"rain": PACKED | {"dtype": "i2", "_FillValue": -1}} if case == "packed" else None
    path = tmp_path / "theirs.nc"
    made.to_netcdf(path, format=form, encoding=encoding)
    check(open_frames(path), "degrees" if case == "degrees" else "metres")
    by_cloud = feed("cloud", path=str(path))
    row = next(by_cloud.list().itertuples())
    np.testing.assert_allclose(by_cloud.read(row), RAIN[0])


OPTIONS = {  # data set, options, place, what the warning says ("" for none)
    "no units": (dataset(units=""), {"units": "mm/h"}, "metres", ""),
    "wrong units": (
        dataset(units="kg m-2 s-1"),
        {"units": "mm/h"},
        "metres",
        "units of kg m-2 s-1 .* --units mm/h",
    ),
    "mm per scan": (
        dataset(RAIN / 12, units="mm/scan"),
        {"units": "mm", "accumulation_minutes": 5},
        "metres",
        "mm/scan",
    ),
    "reflectivity": (
        dataset(files.reflectivity(), name="DBZH", units="dBZ"),
        {"units": "dBZ"},
        "metres",
        "",
    ),
    "sums of a running hour": (
        amount(60, long_name="hourly rain"),
        {"accumulation_minutes": 60},
        "metres",
        "",
    ),
    "bounds that are wrong": (
        with_bounds(amount(10), 5),
        {"accumulation_minutes": 10},
        "metres",
        "a sum lasted 5 minutes; --accumulation-minutes 10",
    ),
    "two rains": (
        dataset().assign(other=dataset(RAIN * 2).rain),
        {"variable": "rain"},
        "metres",
        "",
    ),
    "numbers of pixels": (
        dataset(**PIXEL_NUMBERS),
        {"pixel_km": 1, "north_up": True},
        "size",
        "",
    ),
    "numbers of pixels from below": (
        dataset(RAIN[:, ::-1], **PIXEL_NUMBERS),
        {"pixel_km": 1, "north_up": False},
        "size",
        "",
    ),
    "no coordinates": (
        dataset(RAIN[:, ::-1]).drop_vars(["y", "x"]),
        {"pixel_km": 1, "north_up": False},
        "size",
        "",
    ),
    "pixels that are wrong": (
        dataset(y=(3 * Y, files.M), x=(3 * X, files.M)),
        {"pixel_km": 1},
        "size",
        "pixels of 3 × 3 km; --pixel-km 1",
    ),
    "north that is wrong": (
        dataset(y=(Y[::-1], files.M)),
        {"north_up": True},
        "metres",
        "first row is in the south; --north-up",
    ),
    "south that is wrong": (
        dataset(RAIN[:, ::-1]),
        {"north_up": False},
        "metres",
        "first row is in the north; --south-up",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_settles_what_a_store_does_not_state_or_states_wrongly(tmp_path, caplog, case):
    made, options, place, warning = OPTIONS[case]
    with caplog.at_level(logging.WARNING, "nowcastlib"):
        frames = open_frames(written(made, tmp_path), options=ReadOptions(**options))
    check(frames, place)
    messages = [record.getMessage() for record in caplog.records]
    if not warning:
        assert messages == []
        return
    (message,) = messages
    assert pd.Series([message]).str.contains(warning).all(), message


def test_a_warning_says_that_north_is_not_known(tmp_path, caplog):
    open_frames(written(dataset(**PIXEL_NUMBERS), tmp_path))
    open_frames(written(dataset().drop_vars(["y", "x"]), tmp_path / "b"))
    first, second = (record.getMessage() for record in caplog.records)
    assert "row 6 is taken for the north; give --north-up" in first
    assert "first row of each frame is taken for the north; give --south-up" in second


REFUSED = {  # data set, and what the line says
    "undeclared -9999": (marked(-9999), "-9999 mm/h"),
    "undeclared 9.97e36": (marked(9.96921e36), r"9\.96921e\+36 mm/h"),
    "undeclared inf": (marked(np.inf), "inf mm/h"),
    "velocity": (dataset(name="VRADH", units="m s-1"), r"VRADH \[m s-1\].*--units"),
    "mm per scan": (dataset(units="mm/scan"), r"rain \[mm/scan\].*--units"),
    "reflectivity": (dataset(name="DBZH", units="dBZ"), r"DBZH \[dBZ\].*--units"),
    "no units": (dataset().assign(rain=dataset().rain.drop_attrs()), "no units.*--units"),
    "two rains": (dataset().assign(rain2=dataset().rain), r"rain2 \[mm h-1\].*--variable"),
    "sums of a running hour": (amount(60, long_name="hourly rain"), "--accumulation-minutes"),
    "bounds against the period": (
        with_bounds(amount(5, accumulation_period="1 hour"), 5),
        "5 minutes.* 60 minutes.*--accumulation-minutes",
    ),
    "calendar 360_day": (
        with_times(5 * np.arange(10), "minutes since 2024-06-01", "360_day"),
        "360_day",
    ),
    "a frame without a time": (
        dataset().assign_coords(time=[*TIMES[:9], np.datetime64("NaT")]),
        "1 of 10 frames have no time",
    ),
    "numbers for times": (
        dataset().assign_coords(time=np.arange(10)),
        "no dates, but times such as 0",
    ),
    "an axis in disorder": (dataset().isel(x=[0, 2, 1, *range(3, 9)]), "neither rises nor falls"),
    "two members": (dataset().expand_dims(member=[1, 2]), "has the axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_judged_is_refused_in_one_line_that_says_what_to_do(tmp_path, case):
    made, why = REFUSED[case]
    with pytest.raises(NowcastError, match=rf"theirs\.zarr.*{why}") as error:
        open_frames(written(made, tmp_path)).load()
    assert "\n" not in str(error.value)


def by_feed(source) -> xr.DataArray:
    """All frames of a feed; each is contiguous."""
    rows = source.list()
    frames = [source.read(row) for row in rows.itertuples()]
    assert all(frame.values.flags.c_contiguous for frame in frames)
    together = xr.concat(frames, "time", combine_attrs="override")
    return together.assign_coords(time=pd.DatetimeIndex(rows.time).as_unit("ns"))


DBZ = np.where(RAIN == 0, 0, files.reflectivity())  # 0 becomes undetect
LON_2D, LAT_2D = np.meshgrid(LONGITUDES, LATITUDES)
SUM = {"quantity": "ACRR", "startdate": "20240601", "starttime": "000000", "enddate": "20240601"}
DEGREES_GRID = rasterio.Affine(0.01, 0, 9.095, 0, -0.01, 45.265)
FEET = 1 / 0.3048
FILES = {  # how to write them, options, place
    "odim": (files.odim, {}, {}, "metres"),
    "odim, sums": (
        files.odim,
        {"rate": RAIN / 4, "units": SUM | {"endtime": "001500"}},
        {},
        "metres",
    ),
    "odim, sums of unknown time": (
        files.odim,
        {"rate": RAIN / 4, "units": {"quantity": "ACRR"}},
        {"accumulation_minutes": 15},
        "metres",
    ),
    "odim, reflectivity": (files.odim, {"rate": DBZ, "units": {"quantity": "DBZH"}}, {}, "metres"),
    "odim, a quantity of no rain": (
        files.odim,
        {"units": {"quantity": "XYZ"}},
        {"units": "mm/h"},
        "metres",
    ),
    "odim, corners and no scale": (
        files.odim,
        {"where": files.odim_where("xscale", "yscale")},
        {},
        "size",
    ),
    "odim in degrees": (files.odim, {"where": files.odim_where_in_degrees()}, {}, "degrees"),
    "odim in degrees without a scale": (
        files.odim,
        {"where": files.odim_where_in_degrees("xscale", "yscale")},
        {},
        "degrees",
    ),
    "odim in degrees without the north-east": (
        files.odim,
        {"where": files.odim_where_in_degrees("UR_lon", "UR_lat")},
        {},
        "degrees",
    ),
    "odim, 2-D latitudes": (
        files.odim,
        {"where": {}, "lat": LAT_2D, "lon": LON_2D},
        {},
        "degrees",
    ),
    "odim, 2-D latitudes from the south": (
        files.odim,
        {"rate": RAIN[:, ::-1], "where": {}, "lat": LAT_2D[::-1], "lon": LON_2D},
        {},
        "degrees",
    ),
    "odim, 2-D latitudes and an option": (
        files.odim,
        {"rate": RAIN[:, ::-1], "where": {}, "lat": LAT_2D[::-1], "lon": LON_2D},
        {"north_up": False},
        "degrees",
    ),
    "odim, no grid": (files.odim, {"where": {}}, {"pixel_km": 1}, "size"),
    "odim, from the south": (files.odim, {"rate": RAIN[:, ::-1]}, {"north_up": False}, "metres"),
    "odim, two fields": (
        files.odim,
        {"dataset1/data1/b": np.ones((7, 9), "f4"), "units": {"quantity": None, "units": "mm/h"}},
        {"variable": "dataset1/data1/data"},
        "metres",
    ),
    "geotiff": (files.geotiff, {}, {}, "metres"),
    "geotiff in degrees": (
        files.geotiff,
        {"crs": "EPSG:4326", "transform": DEGREES_GRID},
        {},
        "degrees",
    ),
    "geotiff from the south": (
        files.geotiff,
        {"rate": RAIN[:, ::-1], "transform": rasterio.Affine(1000, 0, 0, 0, 1000, 0)},
        {},
        "metres",
    ),
    "geotiff from the east": (
        files.geotiff,
        {"rate": RAIN[:, :, ::-1], "transform": rasterio.Affine(-1000, 0, 9000, 0, -1000, 7000)},
        {},
        "metres",
    ),
    "geotiff in feet": (
        files.geotiff,
        {
            "crs": "+proj=tmerc +lon_0=9 +units=ft",
            "transform": rasterio.Affine(1000 * FEET, 0, 0, 0, -1000 * FEET, 7000 * FEET),
        },
        {},
        "metres",
    ),
    "geotiff without a projection": (files.geotiff, {"crs": None}, {}, "unknown"),
    "geotiff without units": (files.geotiff, {"units": ""}, {"units": "mm/h"}, "metres"),
    "geotiff of sums": (
        files.geotiff,
        {"rate": RAIN / 12, "units": "mm"},
        {"accumulation_minutes": 5},
        "metres",
    ),
    "geotiff of reflectivity": (
        files.geotiff,
        {"rate": np.where(RAIN == 0, -32, DBZ), "units": "dBZ"},
        {},
        "metres",
    ),
    "geotiff of two bands": (files.geotiff, {"bands": 2}, {"variable": "2"}, "metres"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_of_an_archive_are_the_same_rain(tmp_path, case):
    write, how, options, place = FILES[case]
    path = write(tmp_path, **how)
    product = case.split()[0].strip(",")
    source = feed("archive", product=product, path=path, options=ReadOptions(**options))
    check(by_feed(source), place, tolerance=1e-4)


def test_a_grid_of_odim_in_degrees_may_cross_the_dateline(tmp_path):
    where = files.odim_where_in_degrees("xscale", "yscale")
    where |= {"LL_lon": 179.955, "UR_lon": -179.955}
    frames = by_feed(feed("archive", product="odim", path=files.odim(tmp_path, where=where)))
    np.testing.assert_allclose(frames.x, 179.96 + 0.01 * np.arange(9), atol=1e-6)
    assert pixel_size(frames) == pytest.approx((1.112, 0.783), rel=0.01)


@pytest.mark.parametrize("options", [{"pixel_km": 1.0}, {"north_up": True}, {"units": "mm"}])
@pytest.mark.parametrize("product", ["mch", "fmi", "fmi-geotiff", "knmi", "bom"])
def test_an_option_about_reading_that_a_product_does_not_use_is_refused(product, options):
    (name,) = options
    option = f"--{name.replace('_', '-')}"
    with pytest.raises(NowcastError, match=f"{option} does not apply to the product {product}"):
        feed("archive", product=product, options=ReadOptions(**options))


REFUSED_FILES = {  # how to write them, and what the line says
    "odim without a grid": (files.odim, {"where": {}}, "--pixel-km"),
    "odim, sums": (files.odim, {"units": {"quantity": "ACRR"}}, "--accumulation-minutes"),
    "odim, no quantity": (files.odim, {"units": {"quantity": None}}, "--units"),
    "odim, two fields": (
        files.odim,
        {"units": {"quantity": None, "units": "mm/h"}, "dataset1/data1/b": RAIN[0].astype("f4")},
        "--variable",
    ),
    "odim, undeclared -9999": (
        files.odim,
        {"units": {"nodata": None}, "rate": RAIN * 0 - 9999},
        "-9999",
    ),
    "odim, undeclared -9999 dBZ": (
        files.odim,
        {"units": {"nodata": None, "quantity": "DBZH"}, "rate": np.full_like(RAIN, -9999)},
        "-9999 dBZ",
    ),
    "geotiff without units": (files.geotiff, {"units": ""}, "--units"),
    "geotiff of sums": (files.geotiff, {"units": "mm"}, "--accumulation-minutes"),
    "geotiff of two bands": (files.geotiff, {"bands": 2}, "--variable"),
    "geotiff, rotated": (files.geotiff, {"transform": rasterio.Affine.rotation(20)}, "rotated"),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_files_that_cannot_be_judged_are_refused_with_the_option_that_settles_it(tmp_path, case):
    write, how, why = REFUSED_FILES[case]
    source = feed("archive", product=case.split()[0].strip(","), path=write(tmp_path, **how))
    with pytest.raises(NowcastError, match=rf"radar_2024.*{why}"):
        source.read(next(source.list().itertuples()))


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ({}, {}),
        ({"names": "frame_{number:03d}.png"}, {"start": "2024-06-01T12:00"}),
        ({"names": "frame_{number:03d}.png"}, {"start": "2024-06-01T14:00+02:00"}),
        ({"rate": RAIN[:, ::-1]}, {"north_up": False}),
    ],
    ids=["times in the names", "numbers", "a start with a zone", "from the south"],
)
def test_pictures_are_the_same_rain(tmp_path, how, options):
    source = Images(files.pictures(tmp_path, **how), white=127.5, **options)
    frames = by_feed(source)
    assert source.list().time.dt.tz is None
    check(frames, "size", tolerance=1e-5)
