"""HDF5 images: the rain that their attributes tell, in its place; and a clear sentence where they do not."""

import io

import archive_files
import h5py
import numpy as np
import pyproj
import pytest

from nowcastlib import _pysteps  # noqa: F401
from nowcastlib.data.feeds.odim import decode
from nowcastlib.errors import NowcastError

from pysteps.io import importers  # isort: skip

CRS = "+proj=laea +lat_0=45 +lon_0=13 +units=m +ellps=WGS84"
LEVELS = np.array([[0, 1, 2, 255], [3, 4, 5, 6]], "u1")  # 0 dry, 255 not observed
DATA, WHAT = "dataset1/data1/data", "dataset1/data1/what"
RATE = {"quantity": "RATE", "gain": 0.5, "offset": -0.25, "nodata": 255.0, "undetect": 0.0}
RAIN = [[0, 0.25, 0.75, np.nan], [1.25, 1.75, 2.25, 2.75]]  # mm/h
ODIM = {"what": {"object": "IMAGE"}, WHAT: RATE}
CF = {"units": "mm h-1", "scale_factor": 0.5, "add_offset": 0.5, "_FillValue": np.uint8(255)}
QUARTER = {
    "startdate": "20240601",
    "starttime": "235000",
    "enddate": "20240602",
    "endtime": "000500",
}


def where(crs=CRS, rows=2, columns=4, pixel=1000.0, west=-2000.0, south=5000.0):
    """ODIM's ``where`` of a grid with its south-west corner there, in the metres of ``crs``."""
    corners = pyproj.Proj(crs)(
        [west, west + columns * pixel], [south, south + rows * pixel], inverse=True
    )
    (ll_lon, ur_lon), (ll_lat, ur_lat) = corners
    places = {"LL_lon": ll_lon, "LL_lat": ll_lat, "UR_lon": ur_lon, "UR_lat": ur_lat}
    return places | {
        "projdef": crs,
        "xsize": columns,
        "ysize": rows,
        "xscale": pixel,
        "yscale": pixel,
    }


def hdf5_file(attributes: dict, fields: dict | None = None) -> bytes:
    """An HDF5 file of ``fields`` (by default LEVELS where ODIM has them) and attributes, both by path."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path, values in ({DATA: LEVELS} if fields is None else fields).items():
            file[path] = values
        for path, those in attributes.items():
            at = file[path] if path in file else file.create_group(path)
            at.attrs.update(
                {k: np.bytes_(v) if isinstance(v, str) else v for k, v in those.items()}
            )
    return content.getvalue()


def test_rain_and_its_place_are_those_of_pysteps(tmp_path):
    path = archive_files.write("odim", tmp_path)
    rate, (theirs, _, meta) = decode(path), importers.import_opera_hdf5(str(path))
    np.testing.assert_allclose(rate, theirs, rtol=1e-6)
    rows, columns = theirs.shape
    np.testing.assert_allclose(
        rate.x, meta["x1"] + meta["xpixelsize"] * (np.arange(columns) + 0.5), atol=0.01
    )
    np.testing.assert_allclose(
        rate.y, meta["y2"] - meta["ypixelsize"] * (np.arange(rows) + 0.5), atol=0.01
    )
    assert (
        rate.attrs["crs"] == meta["projection"]
        and rate.attrs["units"] == "mm h-1"
        and rate.dtype == "f4"
    )
    assert rate.identical(decode(path.read_bytes()))


def test_undetect_is_exactly_dry_and_nodata_not_observed_before_gain_and_offset():
    rate = decode(hdf5_file(ODIM | {"where": where()})).values
    np.testing.assert_array_equal(rate, np.float32(RAIN))
    nothing = np.full_like(LEVELS, 255)
    for undetect in (0.0, 255.0):  # if one level tells both, what is not known is not dry
        there = {"where": where(), WHAT: RATE | {"undetect": undetect}}
        assert decode(hdf5_file(there, {DATA: nothing})).isnull().all()


def test_marks_are_compared_in_the_precision_of_the_data():
    data = np.array([[-9999.9, -8888.8, 0.3, np.nan]], "f4")
    told = {
        "quantity": "RATE",
        "nodata": -9999.9,
        "undetect": -8888.8,
    }  # no gain, no offset: 1 and 0
    rate = decode(hdf5_file({WHAT: told}, {DATA: data}), pixel=1000).values
    np.testing.assert_array_equal(rate, np.array([[np.nan, 0, 0.3, np.nan]], "f4"))


@pytest.mark.parametrize(
    "level", ["what", "dataset1/what", WHAT, "dataset1", "dataset1/data1", DATA]
)
def test_nearest_attributes_win_wherever_they_stand(level):
    order = ["what", "dataset1/what", WHAT, "dataset1", "dataset1/data1", DATA]
    above = {
        p: RATE | {"quantity": "DBZH", "gain": 7.0}
        for p in order[: order.index(level)]
        if p.endswith("what")
    }
    lists = {
        k.upper(): np.array([v], "S4" if isinstance(v, str) else "f8") for k, v in RATE.items()
    }
    there = above | {level: lists}
    if level in ("dataset1", "dataset1/data1"):  # a group's own attributes are as near as its what
        there.pop(f"{level}/what", None)
        there.pop(WHAT, None)
    np.testing.assert_array_equal(decode(hdf5_file(there), pixel=1000), RAIN)


def test_of_several_quantities_the_one_nearest_to_rain_rate_is_read_and_quality_never():
    quantities = ["TH", "DBZV", "DBZH", "ACRR", "RATE"]
    fields, told = {}, {"dataset1/what": QUARTER}
    for n, quantity in enumerate(quantities, 1):
        fields[f"dataset1/data{n}/data"] = np.full((2, 2), n, "u1")
        told[f"dataset1/data{n}/what"] = {"quantity": quantity}
        fields[f"dataset1/data{n}/quality1/data"] = np.full(
            (2, 2), 99, "u1"
        )  # would inherit the quantity
        rate = decode(hdf5_file(told, fields), pixel=1000).values
        z = (10 ** (n / 10) / 200) ** (1 / 1.6)
        assert rate == pytest.approx({"RATE": n, "ACRR": n * 4}.get(quantity, z), rel=1e-5)


def test_reflectivity_is_turned_by_marshall_palmer_or_the_relation_of_the_file():
    what = {"quantity": "DBZH", "gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
    data = np.array([[0, 255, 110, 1]], "u1")  # dry, not observed, 23 dBZ, -31.5 dBZ
    rate = decode(hdf5_file({WHAT: what}, {DATA: data}), pixel=1000).values[0]
    assert (
        rate[0] == 0
        and np.isnan(rate[1])
        and rate[2] == pytest.approx(0.9986, abs=1e-4)
        and 0 < rate[3] < 0.001
    )
    theirs = {
        "how": {"zr_a": 10**2.3 / 8, "zr_b": 3.0},
        WHAT: what,
    }  # Z = a R^3, so that 23 dBZ are 2 mm/h
    assert decode(hdf5_file(theirs, {DATA: data}), pixel=1000).values[0, 2] == pytest.approx(2)


def test_accumulation_is_divided_by_its_hours():
    what = RATE | {"quantity": "ACRR"}
    there = {"dataset1/what": QUARTER, "what": QUARTER | {"enddate": "20240701"}, WHAT: what}
    np.testing.assert_array_equal(decode(hdf5_file(there), pixel=1000), np.float32(RAIN) * 4)
    two_hours = {
        "startdate": "20240601",
        "starttime": "110000",
        "enddate": "20240601",
        "endtime": "130000",
    }
    rate = decode(
        hdf5_file({"rain": two_hours | {"units": "kg m-2"}}, {"rain": LEVELS}), pixel=1000
    )
    np.testing.assert_array_equal(rate, LEVELS / 2)


@pytest.mark.parametrize(
    ("told", "expected"),
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
            CF | {"units": "dBZ", "scale_factor": 16.0, "add_offset": 23.0103},
            [[1, 10, 100, np.nan], [1e3, 1e4, 1e5, 1e6]],
        ),
    ],
)
def test_attributes_of_cf_tell_as_much(told, expected):
    rate = decode(
        hdf5_file({"deep/rain": told}, {"deep/rain": LEVELS[None]}), pixel=1000
    )  # (1, y, x)
    np.testing.assert_allclose(rate, expected, rtol=1e-5)
    assert rate.dims == ("y", "x")


def test_rows_of_a_coordinate_that_rises_are_turned_north_up():
    for y, expected in (([0.0, 1000.0], LEVELS[::-1]), ([1000.0, 0.0], LEVELS)):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            file["rain"], file["y"] = LEVELS, y
            file["rain"].attrs["units"] = "mm/h"
            file["y"].make_scale("y")
            file["rain"].dims[0].attach_scale(file["y"])
        np.testing.assert_array_equal(decode(content.getvalue(), pixel=1000), expected)


def test_coordinates_are_pixel_centres_in_metres_north_up():
    rate = decode(
        hdf5_file(ODIM | {"where": where()}), pixel=7.0
    )  # what the file says of its place comes first
    np.testing.assert_allclose(rate.x, [-1500, -500, 500, 1500], atol=0.001)
    np.testing.assert_allclose(rate.y, [6500, 5500], atol=0.001)
    assert rate.attrs["crs"] == CRS and rate.x.attrs["units"] == "m"
    lower_left = {key: value for key, value in where().items() if "UR" not in key}
    assert decode(hdf5_file(ODIM | {"where": lower_left})).identical(rate)
    anywhere = decode(hdf5_file(ODIM), pixel=500.0)
    assert anywhere.x.values.tolist() == [-750, -250, 250, 750] and anywhere.y.values.tolist() == [
        250,
        -250,
    ]
    assert "crs" not in anywhere.attrs


def test_rounding_leaves_dry_pixels_dry_but_rain_below_zero_is_no_rain():
    what = RATE | {"undetect": 250.0, "gain": np.float32(0.01), "offset": -0.01}
    rate = decode(hdf5_file({WHAT: what}, {DATA: np.array([[1, 2]], "u1")}), pixel=1000).values
    assert rate.min() == 0 and rate.max() == pytest.approx(0.01)
    with pytest.raises(
        NowcastError, match=r"has rain of -0\.01 to 0\.01 mm/h: its gain, offset, undetect or"
    ):
        decode(hdf5_file({WHAT: what}, {DATA: np.array([[0, 2]], "u1")}), pixel=1000)


def several(**quantities):
    """Attributes of the fields a, b, … with those quantities, all of them LEVELS, as the arguments of `hdf5_file`."""
    return {f"{name}/what": {"quantity": q} for name, q in quantities.items()}, {
        f"{n}/data": LEVELS for n in quantities
    }


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (hdf5_file({}, {}), r"has no 2-D field with .* it has: nothing"),
        (
            hdf5_file({"line": {"units": "mm h-1"}}, {"line": np.zeros(5)}),
            r"it has: /line 5 \[mm h-1\]",
        ),
        (
            hdf5_file({"film": {"units": "mm h-1"}}, {"film": np.zeros((3, 2, 2))}),
            r"it has: /film 3×2×2 \[mm h-1\]",
        ),
        (
            hdf5_file({"text": {"units": "mm h-1"}}, {"text": np.full((2, 2), b"a")}),
            r"it has: /text 2×2",
        ),
        (hdf5_file({}), r"it has: /dataset1/data1/data 2×4 \[no quantity, no units\]"),
        (
            hdf5_file(*several(a="VRAD", b="ZDR")),
            r"it has: /a/data 2×4 \[VRAD\], /b/data 2×4 \[ZDR\]",
        ),
        (
            hdf5_file({"what": RATE, "z": {"units": "m"}}, {"z": LEVELS}),
            r"it has: /z 2×4 \[m\]",
        ),  # heights inherit nothing
        (
            hdf5_file(*several(**dict.fromkeys("abcdefghijkl", "QIND"))),
            r"/i/data 2×4 \[QIND\] and 3 more",
        ),
        (
            hdf5_file(*several(a="RATE", b="RATE", c="DBZH")),
            r"2 fields of the same quantity.*: /a/\S+ 2×4 .*, /b/",
        ),
        (
            hdf5_file({"what": {"object": "PVOL"}, WHAT: RATE}),
            r"is a polar volume \(object PVOL\): a Cartesian image",
        ),
        (hdf5_file({"what": {"object": "SCAN"}, WHAT: RATE}), "is a polar volume"),
        (hdf5_file({"what": {"object": "XSEC"}, WHAT: RATE}), "is a vertical section"),
        (
            hdf5_file({WHAT: RATE | {"gain": 0.0}}),
            "has gain 0, offset -0.25: .* cannot be decoded",
        ),
        (hdf5_file({WHAT: RATE | {"gain": np.nan}}), "has gain nan"),
        (
            hdf5_file({WHAT: RATE | {"gain": "big"}}),
            "has a gain or scale_factor that is not a number",
        ),
        (hdf5_file({WHAT: RATE | {"offset": np.inf}}), "offset inf"),
        (
            hdf5_file({WHAT: RATE | {"quantity": "DBZH"}, "how": {"zr_a": 200.0, "zr_b": 0.0}}),
            "zr_b 0",
        ),
        (hdf5_file({WHAT: RATE | {"quantity": "DBZH", "gain": 1e9}}), "has rain of .* to inf mm/h"),
        (
            hdf5_file({WHAT: RATE | {"quantity": "ACRR"}}),
            "accumulation, but its startdate, starttime, enddate and endtime",
        ),
        (
            hdf5_file({WHAT: RATE | {"quantity": "ACRR"} | QUARTER | {"endtime": "soon"}}),
            "accumulation, but its startdate",
        ),
        (
            hdf5_file({WHAT: RATE | {"quantity": "ACRR"} | QUARTER | {"enddate": "20240601"}}),
            "do not say how many hours",
        ),
        (
            hdf5_file(ODIM | {"where": where() | {"xsize": 2, "ysize": 4}}),
            "says 4×2 px, but holds 2×4",
        ),
        (
            hdf5_file(ODIM | {"where": where() | {"projdef": "+proj=flat"}}),
            "CRSError: Invalid projection: .proj=flat",
        ),
        (
            hdf5_file(ODIM | {"where": where("+proj=longlat", pixel=0.01, west=13.0, south=45.0)}),
            "has a grid in degrees",
        ),
        (
            hdf5_file(ODIM | {"where": where(CRS.replace("=m", "=km"), pixel=1.0)}),
            "has a grid in kilometres",
        ),
        (
            hdf5_file(ODIM | {"where": where() | {"xscale": 1.0, "yscale": 1.0}}),
            "has corners that contradict",
        ),  # km
        (hdf5_file(ODIM | {"where": where() | {"LL_lat": 200.0}}), "has corners that contradict"),
        (hdf5_file(ODIM | {"where": where(pixel=-1000.0)}), "has corners that contradict"),
    ],
)
def test_a_file_that_does_not_tell_its_rain_is_refused_with_what_it_has(content, why):
    with pytest.raises(NowcastError, match=f"^product 7 .*{why}"):
        decode(content, "product 7", pixel=1000)


def test_a_file_without_a_place_asks_for_the_pixel():
    with pytest.raises(
        NowcastError, match=r"does not describe its grid \(no projdef, .*yscale\): give pixel"
    ):
        decode(hdf5_file(ODIM))


def test_a_header_that_claims_gigabytes_is_refused_before_they_are_read():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("rain", (50_000, 50_000), "f4", chunks=(1000, 1000)).attrs["units"] = (
            "mm h-1"
        )
    assert len(content.getvalue()) < 100_000
    with pytest.raises(NowcastError, match=r"claims 2,500,000,000 pixels in /rain 50000×50000"):
        decode(content.getvalue(), pixel=1000)


def test_broken_files_are_named(tmp_path):
    whole = hdf5_file(ODIM | {"where": where()}, {DATA: np.arange(9999, dtype="u1")[None]})
    for name, content, why in [
        (
            "page.h5",
            b"<!DOCTYPE html><html>",
            r"is not an HDF5 file \(it begins with b'<!DOCTYP'\): fetch it again",
        ),
        ("nothing.h5", b"", r"is not an HDF5 file \(it is empty\)"),
        ("half.h5", whole[: len(whole) // 2], "cannot be read .*truncated.* fetch it again"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NowcastError, match=f"{name} {why}"):
            decode(tmp_path / name)
        with pytest.raises(NowcastError, match=f"^the HDF5 content {why}"):
            decode(content)
    with pytest.raises(NowcastError, match=r"nowhere\.h5 cannot be read"):
        decode(tmp_path / "nowhere.h5")


def test_a_corrupt_chunk_is_told_not_decoded():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        data = file.create_dataset(
            "rain", data=np.random.default_rng(0).random((64, 64)), compression="gzip"
        )
        data.attrs["units"] = "mm h-1"
        chunk = data.id.get_chunk_info(0)
    content.seek(chunk.byte_offset + chunk.size // 2)
    content.write(bytes(100))
    with pytest.raises(NowcastError, match=r"radar\.h5 cannot be read .* fetch it again"):
        decode(content.getvalue(), "radar.h5", pixel=1000)
