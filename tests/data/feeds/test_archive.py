"""Files of national services: rain, place and time."""

import h5py
import numpy as np
import pyproj
import pytest
import rasterio
from archive_files import PIXEL, START, WRITERS, field, truncate, write, write_all

from nowcastlib.data.feeds.archive import Archive
from nowcastlib.data.feeds.products import PRODUCTS, Product
from nowcastlib.data.grid import frame
from nowcastlib.errors import NowcastError

ALL = sorted(WRITERS)
LOGARITHMIC = {"mch", "fmi", "fmi-geotiff"}


def first_frame(feed):
    return feed.read(next(feed.list().itertuples()))


def test_every_product_has_a_test_file():
    assert PRODUCTS.keys() == WRITERS.keys()


@pytest.mark.parametrize("product", ALL)
def test_file_is_read_as_rain_rate_north_up_and_nan_where_not_observed(tmp_path, product):
    write(product, tmp_path / "deep" / "down")
    rate = first_frame(Archive(product, str(tmp_path)))
    tolerance = 0.04 if product in LOGARITHMIC else 1e-6  # half a step of their logarithmic levels
    np.testing.assert_allclose(rate, field(), rtol=tolerance)
    assert (rate.values[field() == 0] == 0).all()
    assert rate.dims == ("y", "x")
    assert rate.attrs["units"] == "mm h-1"
    assert rate.dtype == "f4"


@pytest.mark.parametrize("product", ALL)
def test_dry_file_is_exactly_zero(tmp_path, product):
    write(product, tmp_path, rate=np.zeros((12, 16)))
    assert (first_frame(Archive(product, str(tmp_path))) == 0).all()


@pytest.mark.parametrize(
    ("product", "x", "y", "lon_lat", "x_y"),
    [
        # the old observatory of Bern
        ("mch", 255_500, 479_500, (7.43958, 46.95241), (600_000, 200_000)),
        ("fmi", 500, 11_500, (18.6, 57.93), (0, 0)),  # the corner that FMI's own header names
        ("fmi-geotiff", -195_875, 8_083_875, (27, 0), (500_000, 0)),  # the origin of UTM zone 35
        ("knmi", 500, -3_650_500, (0, 55.974), (0, -3_650_000)),  # likewise
        ("bom", -3_750, 2_750, (144.752, -37.852), (0, 0)),  # the radar
        ("odim", 1_000, 23_000, (10, 55), (1_950_000, -2_100_000)),  # the projection's own origin
    ],
)
def test_coordinates_are_pixel_centres_in_metres(tmp_path, product, x, y, lon_lat, x_y):
    write(product, tmp_path)
    rate = first_frame(Archive(product, str(tmp_path)))
    np.testing.assert_allclose(rate.x, x + PIXEL[product] * np.arange(16), atol=1)
    np.testing.assert_allclose(rate.y, y - PIXEL[product] * np.arange(12), atol=1)
    assert rate.x.attrs["units"] == rate.y.attrs["units"] == "m"
    to_grid = pyproj.Transformer.from_crs(
        pyproj.CRS(rate.attrs["crs"]).geodetic_crs, rate.attrs["crs"], always_xy=True
    )
    np.testing.assert_allclose(to_grid.transform(*lon_lat), x_y, atol=200)


@pytest.mark.parametrize("product", ALL)
def test_list_is_sorted_has_each_time_once_and_excludes_the_end(tmp_path, product):
    paths = write_all(product, tmp_path / "b", [field()] * 4)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / paths[2].name).write_bytes(paths[2].read_bytes())
    (tmp_path / "notes.txt").write_text("not a frame")
    source = Archive(product, str(tmp_path))
    times = source.list().time
    assert len(times) == 4
    assert times.is_monotonic_increasing
    assert times[0] == START
    assert source.list(start=times[1], end=str(times[3])).time.tolist() == times[1:3].tolist()


@pytest.mark.parametrize("product", ALL)
def test_error_for_a_truncated_file_names_it(tmp_path, product):
    path = write(product, tmp_path, rate=np.random.default_rng(0).gamma(1, 5, (60, 60)))
    truncate(path)
    with pytest.raises(NowcastError, match=f"{path.name}.*fetch it again"):
        first_frame(Archive(product, str(tmp_path)))


def test_unknown_product_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(NowcastError, match="unknown product 'zzz': choose one of mch, fmi"):
        Archive("zzz", str(tmp_path))


def test_missing_folder_names_the_download(tmp_path):
    with pytest.raises(NowcastError, match=r"nowhere is not a folder: .* --download .* \(335 MB\)"):
        Archive("mch", str(tmp_path / "nowhere")).list()


def test_folder_without_files_of_the_product_is_refused(tmp_path):
    with pytest.raises(NowcastError, match="holds no mch frames"):
        Archive("mch", str(tmp_path)).list()


def test_a_file_whose_digits_are_no_time_is_not_a_frame(tmp_path):
    path = write("odim", tmp_path)
    (tmp_path / "999999999999.h5").write_bytes(path.read_bytes())
    table = Archive("odim", str(tmp_path)).list()
    assert table.path.tolist() == [str(path)]
    assert table.time.notna().all()


def test_time_without_frames_is_refused_with_the_times_that_there_are(tmp_path):
    write("mch", tmp_path)
    with pytest.raises(NowcastError, match=r"from 2024-06-01 12:00:00 to .* none in the time"):
        Archive("mch", str(tmp_path)).list(start="2024-06-02")


def test_both_formats_of_fmi_give_the_same_rain(tmp_path):
    rate = np.linspace(0, 80, 12 * 16).reshape(12, 16)
    for product in ("fmi", "fmi-geotiff"):
        write(product, tmp_path, rate=rate)
    pgm, tif = (first_frame(Archive(product, str(tmp_path))) for product in ("fmi", "fmi-geotiff"))
    np.testing.assert_allclose(tif.values, pgm.values, rtol=1e-6)


def test_file_names_of_fmis_open_data_are_recognised(tmp_path):
    path = write("fmi-geotiff", tmp_path)
    path.rename(tmp_path / "202406011205_FIN-DBZ-3067-250M.tif")
    assert Archive("fmi-geotiff", str(tmp_path)).list().time.tolist() == [
        START + np.timedelta64(5, "m")
    ]


def odim_file(folder, **times):
    """An ODIM file named for 12:00 that states other times."""
    with h5py.File(write("odim", folder), "r+") as file:
        what = file.create_group("what")
        what.attrs.update({key: np.bytes_(text) for key, text in times.items()})


@pytest.mark.parametrize(
    ("date", "time"), [("20240601", "121600"), ("20240601", "114000"), ("20230601", "120000")]
)
def test_odim_file_whose_own_time_contradicts_its_name_is_refused(tmp_path, date, time):
    odim_file(tmp_path, date=date, time=time)
    with pytest.raises(NowcastError, match=r"20240601120000\.hdf is of .*: the name contradicts"):
        first_frame(Archive("odim", str(tmp_path)))


@pytest.mark.parametrize(
    "times",
    [
        {"date": "20240601", "time": "120000"},
        {"date": "20240601", "time": "121459"},  # names may be rounded to a step
        {"date": "20240601", "time": "110000", "enddate": "20240601", "endtime": "120000"},
        {"date": "20240601", "time": "130000", "startdate": "20240601", "starttime": "120000"},
        {"date": "2024-06-01", "time": "12 h"},  # in no known form: the name decides
        {"time": "180000"},
    ],
)
def test_odim_file_whose_times_agree_with_its_name_or_are_unknown_is_read(tmp_path, times):
    odim_file(tmp_path, **times)
    np.testing.assert_allclose(first_frame(Archive("odim", str(tmp_path))), field(), rtol=1e-6)


def test_geotiff_with_south_up_is_flipped(tmp_path):
    path = write("fmi-geotiff", tmp_path)
    north_up = first_frame(Archive("fmi-geotiff", str(tmp_path)))
    with rasterio.open(path) as file:
        levels, at, profile = file.read(1), file.transform, file.profile
    profile["transform"] = rasterio.Affine(at.a, 0, at.c, 0, -at.e, at.f + at.e * len(levels))
    with rasterio.open(path, "w", **profile) as file:
        file.write(levels[::-1], 1)
    assert first_frame(Archive("fmi-geotiff", str(tmp_path))).equals(north_up)


def test_knmi_file_with_south_up_is_flipped(tmp_path):
    with h5py.File(write("knmi", tmp_path, rate=field()[::-1]), "r+") as file:
        file["geographic"].attrs["geo_pixel_size_y"] = np.array([1], "f4")
    rate = first_frame(Archive("knmi", str(tmp_path)))
    np.testing.assert_allclose(rate, field(), rtol=1e-6)
    assert rate.y[0] - rate.y[-1] == 11_000


@pytest.fixture
def own_product(monkeypatch):
    """A product with a reader of its own, which refuses negative rain; call it with the rain."""

    def reader(path, rain):
        if rain < 0:
            raise NowcastError(f"{path} has negative rain")
        return frame(np.full((2, 3), rain), np.arange(3), -np.arange(2))

    def register(rain):
        product = Product(
            pattern=r"(\d{12})\.own",
            time="%Y%m%d%H%M",
            reader=reader,
            options={"rain": rain},
            attribution="us",
            licence="CC0",
        )
        monkeypatch.setitem(PRODUCTS, "own", product)

    return register


def test_product_may_have_a_reader_of_its_own(tmp_path, own_product):
    (tmp_path / "202406011200.own").touch()
    own_product(rain=7)
    assert (first_frame(Archive("own", str(tmp_path))) == 7).all()


def test_error_of_a_reader_is_passed_on_unchanged(tmp_path, own_product):
    (tmp_path / "202406011200.own").touch()
    own_product(rain=-1)
    with pytest.raises(NowcastError, match=r"202406011200\.own has negative rain$"):
        first_frame(Archive("own", str(tmp_path)))


def test_licence_is_named_or_where_to_find_it():
    assert [p for p in PRODUCTS if Archive(p).licence == "CC BY 4.0"] == [
        "fmi",
        "fmi-geotiff",
        "knmi",
    ]
    assert all(
        Archive(p).licence.startswith(("CC BY 4.0", "see ")) and Archive(p).attribution
        for p in PRODUCTS
    )


def test_a_folder_of_other_products_names_them(tmp_path):
    for name in (
        "RAD_NL25_RAP_5min_201008260000.h5",
        "201705091045_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz",
    ):
        (tmp_path / name).touch()
    with pytest.raises(NowcastError, match="it holds fmi, knmi: give --product"):
        Archive("mch", str(tmp_path)).list()
