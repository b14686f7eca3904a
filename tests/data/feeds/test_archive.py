"""Files of national services: right numbers, right place, right time; and the archive, fetched whole or not at all."""

import base64
import errno
import io
import tempfile
import urllib.request
import zipfile
from http.client import IncompleteRead
from urllib.error import URLError

import h5py
import numpy as np
import pyproj
import pysteps.datasets
import pytest
import rasterio
from archive_files import PIXEL, START, WRITERS, field, truncate, write, write_all

from nowcastlib.data.feeds.archive import Archive, download
from nowcastlib.data.feeds.products import PRODUCTS, Product
from nowcastlib.data.grid import frame
from nowcastlib.errors import NowcastError

ALL = sorted(WRITERS)
LOGARITHMIC = {"mch", "fmi", "fmi-geotiff"}


def only(source):
    """The first frame of a feed."""
    return source.read(next(source.list().itertuples()))


def test_every_product_has_a_made_file_to_be_tested_with():
    assert PRODUCTS.keys() == WRITERS.keys()


@pytest.mark.parametrize("product", ALL)
def test_archive_file_gives_its_rain_north_up_with_gaps_as_nan(tmp_path, product):
    write(product, tmp_path / "deep" / "down")
    rate = only(Archive(product, str(tmp_path)))
    tolerance = 0.04 if product in LOGARITHMIC else 1e-6  # half a step of their logarithmic levels
    np.testing.assert_allclose(rate, field(), rtol=tolerance)
    assert (rate.values[field() == 0] == 0).all()
    assert rate.dims == ("y", "x") and rate.attrs["units"] == "mm h-1" and rate.dtype == "f4"


@pytest.mark.parametrize("product", ALL)
def test_dry_archive_file_is_exactly_zero(tmp_path, product):
    write(product, tmp_path, rate=np.zeros((12, 16)))
    assert (only(Archive(product, str(tmp_path))) == 0).all()


@pytest.mark.parametrize(
    ("product", "x", "y", "place", "there"),
    [
        (
            "mch",
            255_500,
            479_500,
            (7.43958, 46.95241),
            (600_000, 200_000),
        ),  # the old observatory of Bern
        ("fmi", 500, 11_500, (18.6, 57.93), (0, 0)),  # the corner that FMI's own header names
        ("fmi-geotiff", -195_875, 8_083_875, (27, 0), (500_000, 0)),  # the origin of UTM zone 35
        ("knmi", 500, -3_650_500, (0, 55.974), (0, -3_650_000)),  # likewise
        ("bom", -3_750, 2_750, (144.752, -37.852), (0, 0)),  # the radar
        ("odim", 1_000, 23_000, (10, 55), (1_950_000, -2_100_000)),  # the projection's own origin
    ],
)
def test_archive_coordinates_are_pixel_centres_in_metres(tmp_path, product, x, y, place, there):
    write(product, tmp_path)
    rate = only(Archive(product, str(tmp_path)))
    np.testing.assert_allclose(rate.x, x + PIXEL[product] * np.arange(16), atol=1)
    np.testing.assert_allclose(rate.y, y - PIXEL[product] * np.arange(12), atol=1)
    assert rate.x.attrs["units"] == rate.y.attrs["units"] == "m"
    to_grid = pyproj.Transformer.from_crs(
        pyproj.CRS(rate.attrs["crs"]).geodetic_crs, rate.attrs["crs"], always_xy=True
    )
    np.testing.assert_allclose(to_grid.transform(*place), there, atol=200)


@pytest.mark.parametrize("product", ALL)
def test_archive_list_is_sorted_without_duplicates_half_open(tmp_path, product):
    paths = write_all(product, tmp_path / "b", [field()] * 4)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / paths[2].name).write_bytes(paths[2].read_bytes())
    (tmp_path / "notes.txt").write_text("not a frame")
    source = Archive(product, str(tmp_path))
    times = source.list().time
    assert len(times) == 4 and times.is_monotonic_increasing and times[0] == START
    assert source.list(start=times[1], end=str(times[3])).time.tolist() == times[1:3].tolist()


@pytest.mark.parametrize("product", ALL)
def test_truncated_archive_file_is_named(tmp_path, product):
    path = write(product, tmp_path, rate=np.random.default_rng(0).gamma(1, 5, (60, 60)))
    truncate(path)
    with pytest.raises(NowcastError, match=f"{path.name}.*fetch it again"):
        only(Archive(product, str(tmp_path)))


def test_archive_mistakes_are_told(tmp_path):
    with pytest.raises(NowcastError, match="unknown product 'zzz': choose one of mch, fmi"):
        Archive("zzz", str(tmp_path))
    with pytest.raises(
        NowcastError, match=r"nowhere is not a folder: .* add --download to fetch .* \(335 MB\)"
    ):
        Archive("mch", str(tmp_path / "nowhere")).list()
    with pytest.raises(NowcastError, match="holds no mch frames"):
        Archive("mch", str(tmp_path)).list()
    write("mch", tmp_path)
    with pytest.raises(
        NowcastError, match=r"frames from 2024-06-01 12:00:00 to .* none in the time asked for"
    ):
        Archive("mch", str(tmp_path)).list(start="2024-06-02")


def test_both_formats_of_fmi_give_the_same_rain(tmp_path):
    rate = np.linspace(0, 80, 12 * 16).reshape(12, 16)
    for product in ("fmi", "fmi-geotiff"):
        write(product, tmp_path, rate=rate)
    pgm, tif = (only(Archive(product, str(tmp_path))) for product in ("fmi", "fmi-geotiff"))
    np.testing.assert_allclose(tif.values, pgm.values, rtol=1e-6)


def test_fmi_geotiff_of_the_open_data_is_found_too(tmp_path):
    path = write("fmi-geotiff", tmp_path)
    path.rename(tmp_path / "202406011205_FIN-DBZ-3067-250M.tif")
    assert Archive("fmi-geotiff", str(tmp_path)).list().time.tolist() == [
        START + np.timedelta64(5, "m")
    ]


def test_geotiff_with_south_up_is_turned(tmp_path):
    path = write("fmi-geotiff", tmp_path)
    north_up = only(Archive("fmi-geotiff", str(tmp_path)))
    with rasterio.open(path) as file:
        levels, at, profile = file.read(1), file.transform, file.profile
    profile["transform"] = rasterio.Affine(at.a, 0, at.c, 0, -at.e, at.f + at.e * len(levels))
    with rasterio.open(path, "w", **profile) as file:
        file.write(levels[::-1], 1)
    assert only(Archive("fmi-geotiff", str(tmp_path))).equals(north_up)


def test_knmi_file_with_south_up_is_turned(tmp_path):
    with h5py.File(write("knmi", tmp_path, rate=field()[::-1]), "r+") as file:
        file["geographic"].attrs["geo_pixel_size_y"] = np.array([1], "f4")
    rate = only(Archive("knmi", str(tmp_path)))
    np.testing.assert_allclose(rate, field(), rtol=1e-6)
    assert rate.y[0] - rate.y[-1] == 11_000


def test_product_names_its_own_reader(tmp_path, monkeypatch):
    def reader(path, rain):
        if rain < 0:
            raise NowcastError(f"{path} rains upwards")
        return frame(np.full((2, 3), rain), np.arange(3), -np.arange(2))

    (tmp_path / "202406011200.own").touch()
    for rain in (7, -1):
        own = Product(r"(\d{12})\.own", "%Y%m%d%H%M", reader, {"rain": rain}, "us", "CC0")
        monkeypatch.setitem(PRODUCTS, "own", own)
        if rain > 0:
            assert (only(Archive("own", str(tmp_path))) == 7).all()
    with pytest.raises(
        NowcastError, match=r"202406011200\.own rains upwards$"
    ):  # its own sentence, not wrapped
        only(Archive("own", str(tmp_path)))


def test_licences_are_named_or_where_to_find_them():
    assert [p for p in PRODUCTS if Archive(p).licence == "CC BY 4.0"] == [
        "fmi",
        "fmi-geotiff",
        "knmi",
    ]
    assert all(
        Archive(p).licence.startswith(("CC BY 4.0", "see ")) and Archive(p).attribution
        for p in PRODUCTS
    )


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The example archive as GitHub zips it, made small: its bytes come instead of whatever pysteps downloads."""
    made = tmp_path / "made" / "pysteps-data-master"
    write("fmi", made / "radar" / "fmi")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in (made, *sorted(made.rglob("*"))):
            file.write(path, path.relative_to(made.parent))
    calls, urlretrieve = [], urllib.request.urlretrieve
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def send(what):
        def instead(url, reporthook):
            calls.append(url)
            if isinstance(what, BaseException):
                raise what
            return urlretrieve(
                f"data:application/zip;base64,{base64.b64encode(what).decode()}",
                reporthook=reporthook,
            )

        monkeypatch.setattr(pysteps.datasets.request, "urlretrieve", instead)
        return calls

    send.content = content.getvalue()
    return send


def test_downloaded_archive_is_whole_and_fetched_once(tmp_path, offline):
    calls = offline(offline.content)
    folder = download(tmp_path / "data" / "archive")
    assert only(Archive("fmi", str(folder))).shape == (12, 16)
    assert [p.name for p in folder.parent.iterdir()] == ["archive"]
    assert list((tmp_path / "temporary").iterdir()) == []  # the zip is gone
    assert download(folder) == folder and len(calls) == 1


def test_download_fills_an_empty_folder_and_leaves_a_filled_one(tmp_path, offline):
    calls = offline(offline.content)
    (tmp_path / "empty").mkdir()
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "mine.txt").write_text("mine")
    (tmp_path / "empty.partial").mkdir()  # of a run that was killed
    (tmp_path / "empty.partial" / "half.gif").touch()
    assert [p.name for p in download(tmp_path / "empty").iterdir()] == ["radar"]
    assert [p.name for p in download(tmp_path / "filled").iterdir()] == ["mine.txt"] and len(
        calls
    ) == 1


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (URLError("no route to host"), "URLError: .*no route to host"),
        (IncompleteRead(b"PK"), "IncompleteRead"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (b"<html>log in to the network</html>", "BadZipFile"),
        ("truncated", "BadZipFile"),
        ("damaged", "BadZipFile: Bad CRC-32"),
    ],
    ids=str,
)
def test_failed_download_leaves_nothing_and_tells_the_remedy(tmp_path, offline, failure, why):
    damaged = offline.content.replace(b"\x1f\x8b", b"\x1f\x8c", 1)  # the head of the gzipped frame
    sent = {"truncated": offline.content[:-40], "damaged": damaged}.get(failure, failure)
    offline(sent)
    with pytest.raises(
        NowcastError, match=rf"(?s){why}.*try again.*by hand from github.com/pySTEPS/pysteps-data"
    ):
        download(tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []


def test_interrupted_download_leaves_nothing(tmp_path, offline):
    offline(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        download(tmp_path / "data" / "archive")
    assert list((tmp_path / "data").iterdir()) == []


def test_download_into_a_file_is_refused(tmp_path, offline):
    offline(offline.content)
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(NowcastError, match=r"cannot fetch .* into .*archive"):
        download(tmp_path / "archive")
    assert (tmp_path / "archive").read_text() == "a file"
