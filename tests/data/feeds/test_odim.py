"""HDF5 images: rain and grid from the attributes, and a clear error where these are missing."""

import io
from contextlib import nullcontext

import archive_files
import h5py
import numpy as np
import pandas as pd
import pyproj
import pytest

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.data.feeds.odim import decode
from nowcastlib.data.feeds.odim_times import ListedTime
from nowcastlib.errors import NowcastError
from nowcastlib.units import RainScale

from pysteps.io import importers  # isort: skip

CRS = "+proj=laea +lat_0=45 +lon_0=13 +units=m +ellps=WGS84"
LEVELS = np.array([[0, 1, 2, 255], [3, 4, 5, 6]], "u1")  # 0 dry, 255 not observed
DATA, WHAT = "dataset1/data1/data", "dataset1/data1/what"
RATE = {"quantity": "RATE", "gain": 0.5, "offset": -0.25, "nodata": 255.0, "undetect": 0.0}
RAIN = [[0, 0.25, 0.75, np.nan], [1.25, 1.75, 2.25, 2.75]]  # mm/h
ODIM = {"what": {"object": "IMAGE"}, WHAT: RATE}
CF = {"units": "mm h-1", "scale_factor": 0.5, "add_offset": 0.5, "_FillValue": np.uint8(255)}
ACCUMULATION = RATE | {"quantity": "ACRR"}
REFLECTIVITY = RATE | {"quantity": "DBZH"}
ROUNDED = RATE | {"undetect": 250.0, "gain": np.float32(0.01), "offset": -0.01}
QUARTER_HOUR = {
    "startdate": "20240601",
    "starttime": "235000",
    "enddate": "20240602",
    "endtime": "000500",
}


def where(crs=CRS, rows=2, columns=4, pixel=1000.0, west=-2000.0, south=5000.0) -> dict:
    """ODIM's `where` of a grid whose south-west corner is at (west, south) in units of the CRS."""
    project = pyproj.Proj(crs)
    ll_lon, ll_lat = project(west, south, inverse=True)
    ur_lon, ur_lat = project(west + columns * pixel, south + rows * pixel, inverse=True)
    return {
        "projdef": crs,
        "xsize": columns,
        "ysize": rows,
        "xscale": pixel,
        "yscale": pixel,
        "LL_lon": ll_lon,
        "LL_lat": ll_lat,
        "UR_lon": ur_lon,
        "UR_lat": ur_lat,
    }


def hdf5(attributes: dict, fields: dict | None = None) -> bytes:
    """An HDF5 file of fields (by default LEVELS at DATA) and attributes, both by path."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path, values in ({DATA: LEVELS} if fields is None else fields).items():
            file[path] = values
        for path, those in attributes.items():
            item = file[path] if path in file else file.create_group(path)
            for key, value in those.items():
                item.attrs[key] = np.bytes_(value) if isinstance(value, str) else value
    return content.getvalue()


# ---- the rain


def test_rain_and_grid_are_those_of_pysteps(tmp_path):
    path = archive_files.write("odim", tmp_path)
    rate = decode(path)
    expected, _, metadata = importers.import_opera_hdf5(str(path))
    np.testing.assert_allclose(rate, expected, rtol=1e-6)

    rows, columns = expected.shape
    x = metadata["x1"] + metadata["xpixelsize"] * (np.arange(columns) + 0.5)
    y = metadata["y2"] - metadata["ypixelsize"] * (np.arange(rows) + 0.5)
    np.testing.assert_allclose(rate.x, x, atol=0.01)
    np.testing.assert_allclose(rate.y, y, atol=0.01)
    assert rate.attrs["crs"] == metadata["projection"]


def test_frame_is_float32_in_mm_per_hour_from_a_path_or_its_content(tmp_path):
    path = archive_files.write("odim", tmp_path)
    rate = decode(path)
    assert rate.attrs["units"] == "mm h-1"
    assert rate.dtype == "f4"
    assert rate.identical(decode(path.read_bytes()))


def test_undetect_is_exactly_0_and_nodata_is_nan():
    rate = decode(hdf5(ODIM | {"where": where()})).values
    np.testing.assert_array_equal(rate, np.float32(RAIN))


@pytest.mark.parametrize("undetect", [0.0, 255.0])
def test_nodata_wins_where_undetect_is_the_same_level(undetect):
    attributes = {"where": where(), WHAT: RATE | {"undetect": undetect}}
    content = hdf5(attributes, {DATA: np.full_like(LEVELS, 255)})
    assert decode(content).isnull().all()


def test_marks_are_compared_in_the_precision_of_the_data():
    data = np.array([[-9999.9, -8888.8, 0.3, np.nan]], "f4")
    what = {"quantity": "RATE", "nodata": -9999.9, "undetect": -8888.8}  # gain 1, offset 0
    rate = decode(hdf5({WHAT: what}, {DATA: data}), pixel=1000).values
    np.testing.assert_array_equal(rate, np.array([[np.nan, 0, 0.3, np.nan]], "f4"))


LEVELS_OF_THE_TREE = ["what", "dataset1/what", WHAT, "dataset1", "dataset1/data1", DATA]


@pytest.mark.parametrize("level", LEVELS_OF_THE_TREE)
def test_nearest_attributes_win(level):
    misleading = RATE | {"quantity": "DBZH", "gain": 7.0}
    farther = LEVELS_OF_THE_TREE[: LEVELS_OF_THE_TREE.index(level)]
    attributes = {path: misleading for path in farther if path.endswith("what")}
    if level in ("dataset1", "dataset1/data1"):  # a group's own attributes rank with its `what`
        attributes.pop(f"{level}/what", None)
        attributes.pop(WHAT, None)

    # upper-case names and lists of one element are understood, too
    attributes[level] = {
        key.upper(): np.array([value], "S4" if isinstance(value, str) else "f8")
        for key, value in RATE.items()
    }
    np.testing.assert_array_equal(decode(hdf5(attributes), pixel=1000), RAIN)


@pytest.mark.parametrize(
    ("quantities", "rate"),
    [
        (["TH"], (10**0.1 / 200) ** (1 / 1.6)),
        (["TH", "DBZV"], (10**0.2 / 200) ** (1 / 1.6)),
        (["TH", "DBZV", "DBZH"], (10**0.3 / 200) ** (1 / 1.6)),
        (["TH", "DBZV", "DBZH", "ACRR"], 4 * 4),  # 4 mm in a quarter of an hour
        (["TH", "DBZV", "DBZH", "ACRR", "RATE"], 5),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_quantity_nearest_to_a_rain_rate_is_read_and_never_its_quality(quantities, rate):
    fields, attributes = {}, {"dataset1/what": QUARTER_HOUR}
    for n, quantity in enumerate(quantities, 1):
        group = f"dataset1/data{n}"
        fields[f"{group}/data"] = np.full((2, 2), n, "u1")
        fields[f"{group}/quality1/data"] = np.full((2, 2), 99, "u1")  # inherits the quantity
        attributes[f"{group}/what"] = {"quantity": quantity}
    decoded = decode(hdf5(attributes, fields), pixel=1000).values
    assert decoded == pytest.approx(rate, rel=1e-5)


@pytest.mark.parametrize(
    ("how", "rates"),
    [
        ({}, (0.9986, 0.0004)),  # Marshall and Palmer, Z = 200 R^1.6
        ({"zr_a": 10**2.3 / 8, "zr_b": 3.0}, (2, 0.0305)),  # Z = a R^3
    ],
    ids=["Marshall-Palmer", "relation of the file"],
)
def test_reflectivity_becomes_rain_rate_by_the_z_r_relation(how, rates):
    what = {"quantity": "DBZH", "gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
    levels = np.array([[0, 255, 110, 1]], "u1")  # dry, not observed, 23 dBZ, -31.5 dBZ
    dry, unobserved, wet, weak = decode(
        hdf5({"how": how, WHAT: what}, {DATA: levels}), pixel=1000
    ).values[0]
    assert dry == 0
    assert np.isnan(unobserved)
    assert (wet, weak) == pytest.approx(rates, abs=1e-4)
    assert weak > 0


def test_accumulation_is_divided_by_its_hours():
    farther = QUARTER_HOUR | {"enddate": "20240701"}
    attributes = {"what": farther, "dataset1/what": QUARTER_HOUR, WHAT: ACCUMULATION}
    rate = decode(hdf5(attributes), pixel=1000)
    np.testing.assert_array_equal(rate, np.float32(RAIN) * 4)


@pytest.mark.parametrize(("start", "end"), [("1155", "1200"), ("115500", "120000")])
def test_clock_times_of_four_digits_are_hours_and_minutes(start, end):
    day = {"startdate": "20240601", "enddate": "20240601"}
    times = day | {"starttime": start, "endtime": end}
    rate = decode(hdf5({"what": times, WHAT: ACCUMULATION}), pixel=1000)
    np.testing.assert_allclose(rate, np.float32(RAIN) * 12, rtol=1e-6)


@pytest.mark.parametrize(("clock", "is_refused"), [("1155", False), ("1255", True)])
def test_a_nominal_time_of_four_digits_is_compared_with_the_list(clock, is_refused):
    content = hdf5(ODIM | {"what": {"object": "IMAGE", "date": "20240601", "time": clock}})
    listed = ListedTime(pd.Timestamp("2024-06-01T11:55"))
    with pytest.raises(NowcastError, match="12:55:00") if is_refused else nullcontext():
        assert decode(content, pixel=1000, listed=listed).shape == (2, 4)


def test_amount_in_kg_per_square_metre_is_an_accumulation():
    two_hours = {
        "startdate": "20240601",
        "starttime": "110000",
        "enddate": "20240601",
        "endtime": "130000",
    }
    content = hdf5({"rain": two_hours | {"units": "kg m-2"}}, {"rain": LEVELS})
    np.testing.assert_array_equal(decode(content, pixel=1000), LEVELS / 2)


@pytest.mark.parametrize(
    ("attributes", "rain"),
    [
        (CF, [[0.5, 1, 1.5, np.nan], [2, 2.5, 3, 3.5]]),
        (
            {"Units": "kg m-2 s-1", "Scale_Factor": np.array([1 / 3600])},
            [[0, 1, 2, 255], [3, 4, 5, 6]],
        ),
        (
            CF | {"missing_value": np.array([1, 2], "u1")},
            [[0.5, np.nan, np.nan, np.nan], [2, 2.5, 3, 3.5]],
        ),
        (
            CF | {"units": "dBZ", "scale_factor": 4.0, "add_offset": 23.0103},
            [[1, 10**0.25, 10**0.5, np.nan], [10**0.75, 10, 10**1.25, 10**1.5]],
        ),
    ],
    ids=["rate", "per second", "missing values", "reflectivity"],
)
def test_attributes_of_cf_are_understood(attributes, rain):
    content = hdf5({"deep/rain": attributes}, {"deep/rain": LEVELS[None]})  # (1, y, x)
    rate = decode(content, pixel=1000)
    np.testing.assert_allclose(rate, rain, rtol=1e-5)
    assert rate.dims == ("y", "x")


def test_rounding_of_gain_and_offset_leaves_dry_pixels_dry():
    rate = decode(hdf5({WHAT: ROUNDED}, {DATA: np.array([[1, 2]], "u1")}), pixel=1000).values
    assert rate.min() == 0
    assert rate.max() == pytest.approx(0.01)


# ---- the grid


@pytest.mark.parametrize(
    ("y", "expected"), [([0.0, 1000.0], LEVELS[::-1]), ([1000.0, 0.0], LEVELS)]
)
def test_rows_are_flipped_if_their_coordinate_rises(y, expected):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["rain"] = LEVELS
        file["rain"].attrs["units"] = "mm/h"
        file["y"] = y
        file["y"].make_scale("y")
        file["rain"].dims[0].attach_scale(file["y"])
    np.testing.assert_array_equal(decode(content.getvalue(), pixel=1000), expected)


def test_coordinates_are_pixel_centres_in_metres_north_up():
    rate = decode(hdf5(ODIM | {"where": where()}), pixel=7.0)  # the file's own grid comes first
    np.testing.assert_allclose(rate.x, [-1500, -500, 500, 1500], atol=0.001)
    np.testing.assert_allclose(rate.y, [6500, 5500], atol=0.001)
    assert rate.attrs["crs"] == CRS
    assert rate.x.attrs["units"] == "m"


def test_lower_left_corner_is_enough():
    corners = where()
    lower_left = {key: value for key, value in corners.items() if "UR" not in key}
    expected = decode(hdf5(ODIM | {"where": corners}))
    assert decode(hdf5(ODIM | {"where": lower_left})).identical(expected)


def test_file_without_a_grid_is_centred_at_0_without_a_projection():
    rate = decode(hdf5(ODIM), pixel=500.0)
    assert rate.x.values.tolist() == [-750, -250, 250, 750]
    assert rate.y.values.tolist() == [250, -250]
    assert "crs" not in rate.attrs


# ---- errors


def fields_of(**quantities) -> bytes:
    """A file with a field of each name, all LEVELS, with these quantities."""
    attributes = {f"{name}/what": {"quantity": q} for name, q in quantities.items()}
    return hdf5(attributes, {f"{name}/data": LEVELS for name in quantities})


def rate_of(shape_or_values) -> bytes:
    """A file with one dataset in mm/h."""
    return hdf5({"rain": {"units": "mm h-1"}}, {"rain": shape_or_values})


def with_what(what: dict, **groups) -> bytes:
    return hdf5({WHAT: what, **groups})


def with_where(**changes) -> bytes:
    return hdf5(ODIM | {"where": where() | changes})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (hdf5({}, {}), r"has no 2-D field with .* it has: nothing"),
        (hdf5({}), r"it has: /dataset1/data1/data 2×4 \[no quantity, no units\]"),
        (rate_of(np.zeros(5)), r"it has: /rain 5 \[mm h-1\]"),
        (rate_of(np.zeros((3, 2, 2))), r"it has: /rain 3×2×2 \[mm h-1\]"),
        (rate_of(np.full((2, 2), b"a")), r"it has: /rain 2×2"),
        (
            fields_of(a="VRAD", b="ZDR"),
            r"it has: /a/data 2×4 \[VRAD\], /b/data 2×4 \[ZDR\]",
        ),
        (
            fields_of(a="RATE", b="RATE", c="DBZH"),
            r"2 fields of the same quantity.*: /a/\S+ 2×4 .*, /b/",
        ),
    ],
)
def test_error_names_the_fields_where_none_can_be_chosen(content, message):
    with pytest.raises(NowcastError, match=f"^product 7 .*{message}"):
        decode(content, "product 7", pixel=1000)


def velocity(**attributes):
    """A file of one field in m/s with these attributes."""
    return hdf5({"/field": {"units": "m/s"} | attributes}, {"/field": LEVELS * 1e-6})


def test_metres_per_second_are_rain_only_where_a_name_says_so():
    dbz = np.full((2, 4), 40.0)
    units = {"/a": {"units": "dBZ"}, "/VRADH": {"units": "m s-1"}}
    both = decode(hdf5(units, {"/a": dbz, "/VRADH": LEVELS}), pixel=1000)
    np.testing.assert_allclose(both, RainScale().from_dbz(dbz), rtol=1e-6)
    for attributes in ({}, {"long_name": "radial velocity"}, {"quantity": "VRADH"}):
        with pytest.raises(NowcastError, match="has no 2-D field"):
            decode(velocity(**attributes), pixel=1000)
    rate = decode(velocity(long_name="rain rate"), pixel=1000)
    np.testing.assert_allclose(rate, LEVELS * 3.6, rtol=1e-6)


def test_small_negatives_are_left_to_the_check_of_the_ingest():
    rate = decode(hdf5({WHAT: ROUNDED}, {DATA: np.array([[0, 2]], "u1")}), pixel=1000)
    np.testing.assert_allclose(rate, [[-0.01, 0.01]], rtol=1e-5)


@pytest.mark.parametrize(
    ("object", "message"),
    [
        ("PVOL", r"is a polar volume \(object PVOL\): a Cartesian image"),
        ("SCAN", "is a polar volume"),
        ("XSEC", "is a vertical section"),
    ],
)
def test_file_that_is_no_map_is_refused(object, message):
    content = hdf5({"what": {"object": object}, WHAT: RATE})
    with pytest.raises(NowcastError, match=f"^product 7 {message}"):
        decode(content, "product 7", pixel=1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_what(RATE | {"gain": 0.0}), "has gain 0, offset -0.25: .* cannot be decoded"),
        (with_what(RATE | {"gain": np.nan}), "has gain nan"),
        (with_what(RATE | {"gain": "big"}), "has a gain or scale_factor that is not a number"),
        (with_what(RATE | {"offset": np.inf}), "offset inf"),
        (with_what(REFLECTIVITY, how={"zr_a": 200.0, "zr_b": 0.0}), "zr_b 0"),
        (with_what(REFLECTIVITY | {"gain": 1e9}), r"holds a reflectivity of 1e\+09 dBZ"),
        (with_what(RATE | {"gain": 500.0}), r"has a rain rate of 2999\.75 mm/h"),
        (
            hdf5({WHAT: ROUNDED | {"offset": -1.5}}, {DATA: np.array([[0, 2]], "u1")}),
            r"has a rain rate of -1\.5 mm/h .*: its gain, offset, undetect or nodata",
        ),
    ],
)
def test_attributes_that_do_not_decode_the_data_are_refused(content, message):
    with pytest.raises(NowcastError, match=f"^product 7 .*{message}"):
        decode(content, "product 7", pixel=1000)


@pytest.mark.parametrize(
    "times",
    [
        {},
        QUARTER_HOUR | {"endtime": "soon"},
        QUARTER_HOUR | {"endtime": "00500"},
        QUARTER_HOUR | {"enddate": "20240601"},
    ],
    ids=["missing", "no time", "five digits", "end before start"],
)
def test_accumulation_of_unknown_hours_is_refused(times):
    content = with_what(ACCUMULATION | times)
    with pytest.raises(NowcastError, match=r"^product 7 .*startdate, .* do not say how many hours"):
        decode(content, "product 7", pixel=1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_where(xsize=2, ysize=4), "says 4×2 px, but holds 2×4"),
        (with_where(projdef="+proj=flat"), "CRSError: Invalid projection: .proj=flat"),
        (
            hdf5(ODIM | {"where": where(CRS.replace("=m", "=km"), pixel=1.0)}),
            r"has a grid in kilometres .* in metres, .*gdalwarp .*geotiff",
        ),
        (
            with_where(projdef="+proj=ob_tran +o_proj=longlat +o_lat_p=39 +lon_0=18 +o_lon_p=0"),
            r"has a grid in degrees .* in metres, .*gdalwarp .*geotiff",
        ),
        (with_where(xscale=1.0, yscale=1.0), "has corners that contradict"),  # km
        (with_where(LL_lat=200.0), "has corners that contradict"),
        (hdf5(ODIM | {"where": where(pixel=-1000.0)}), "has corners that contradict"),
    ],
)
def test_contradictory_grid_is_refused(content, message):
    with pytest.raises(NowcastError, match=f"^product 7 .*{message}"):
        decode(content, "product 7", pixel=1000)


def test_file_without_a_grid_needs_the_width_of_a_pixel():
    message = r"does not describe its grid \(no projdef, .*yscale\): give --pixel-km"
    with pytest.raises(NowcastError, match=message):
        decode(hdf5(ODIM))


def test_header_that_claims_gigabytes_is_refused_before_they_are_read():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        rain = file.create_dataset("rain", (50_000, 50_000), "f4", chunks=(1000, 1000))
        rain.attrs["units"] = "mm h-1"
    assert len(content.getvalue()) < 100_000
    with pytest.raises(NowcastError, match=r"claims 50000×50000 px: no radar"):
        decode(content.getvalue(), pixel=1000)


WHOLE = hdf5(ODIM | {"where": where()}, {DATA: np.arange(9999, dtype="u1")[None]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<!DOCTYPE html><html>",
            r"is not an HDF5 file \(it begins with b'<!DOCTYP'\): fetch it again",
        ),
        (b"", r"is not an HDF5 file \(it is empty\)"),
        (WHOLE[: len(WHOLE) // 2], "cannot be read .*truncated.* fetch it again"),
    ],
    ids=["page", "empty", "truncated"],
)
def test_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "radar.h5"
    path.write_bytes(content)
    with pytest.raises(NowcastError, match=rf"radar\.h5 {message}"):
        decode(path)
    with pytest.raises(NowcastError, match=f"^the HDF5 content {message}"):
        decode(content)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(NowcastError, match=r"nowhere\.h5 cannot be read"):
        decode(tmp_path / "nowhere.h5")


def test_corrupt_chunk_is_an_error():
    content = io.BytesIO()
    rain = np.random.default_rng(0).random((64, 64))
    with h5py.File(content, "w") as file:
        data = file.create_dataset("rain", data=rain, compression="gzip")
        data.attrs["units"] = "mm h-1"
        chunk = data.id.get_chunk_info(0)
    content.seek(chunk.byte_offset + chunk.size // 2)
    content.write(bytes(100))
    with pytest.raises(NowcastError, match=r"radar\.h5 cannot be read .* fetch it again"):
        decode(content.getvalue(), "radar.h5", pixel=1000)
