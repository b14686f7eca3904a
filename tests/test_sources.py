"""Each feed: right numbers, right place, right time; and a clear sentence where something is missing."""

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
from made_archive import PIXEL, START, WRITERS, field, truncate, write, write_all

from nowcastlib import NowcastError, sources
from nowcastlib.sources.archive import Archive
from nowcastlib.sources.cloud import Cloud, open_frames
from nowcastlib.sources.demo import Demo
from nowcastlib.sources.images import Images

ALL = sorted(WRITERS)


def only(source):
    """The first frame of a feed."""
    return source.read(next(source.list().itertuples()))


@pytest.mark.parametrize("product", ALL)
def test_archive_file_gives_its_rain_north_up_with_gaps_as_nan(tmp_path, product):
    write(product, tmp_path / "deep" / "down")
    rate = only(Archive(product, str(tmp_path)))
    tolerance = 0.04 if product in ("mch", "fmi") else 1e-6  # half a step of their logarithmic levels
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
        ("mch", 255_500, 479_500, (7.43958, 46.95241), (600_000, 200_000)),  # the old observatory of Bern
        ("fmi", 500, 11_500, (18.6, 57.93), (0, 0)),  # the corner that FMI's own header names
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
    to_grid = pyproj.Transformer.from_crs(pyproj.CRS(rate.attrs["crs"]).geodetic_crs, rate.attrs["crs"], always_xy=True)
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
    with pytest.raises(NowcastError, match="nowhere is not a folder"):
        Archive("mch", str(tmp_path / "nowhere")).list()
    with pytest.raises(NowcastError, match="holds no mch frames"):
        Archive("mch", str(tmp_path)).list()
    write("mch", tmp_path)
    with pytest.raises(NowcastError, match=r"frames from 2024-06-01 12:00:00 to .* none in the time asked for"):
        Archive("mch", str(tmp_path)).list(start="2024-06-02")
    with pytest.raises(NowcastError, match="unknown source 'zzz'"):
        sources.feed("zzz")


def test_times_are_utc_and_must_be_times():
    times = pd.Series(pd.date_range("2024-06-01T12:00", periods=4, freq="5min"))
    assert sources.within(times, "2024-06-01T14:05+02:00", None).tolist() == [False, True, True, True]
    with pytest.raises(NowcastError, match="'rubbish' is no time"):
        sources.within(times, "rubbish", None)


def test_demo_is_deterministic_and_its_third_storm_has_a_hole():
    demo = Demo(events=3, frames=12, size=16)
    table = demo.list()
    last = next(table.iloc[[-1]].itertuples())
    assert (demo.read(last) == Demo(events=3, frames=12, size=16).read(last)).all()
    assert (demo.read(last) != Demo(events=3, frames=12, size=16, seed=1).read(last)).any()
    assert table.groupby("event").size().tolist() == [12, 12, 10]
    gaps = table.time.diff().dt.total_seconds().div(60)
    assert gaps[table.event == 2].tolist()[1:] == [5, 5, 5, 15, 5, 5, 5, 5, 5]
    assert gaps[table.event != 2].value_counts().to_dict() == {5: 22, 1385: 1}


def foreign(rates=("rain",), units="kg m-2 s-1", times=("2024-01-01T00:10", "2024-01-01T00:00", "2024-01-01T00:00")):
    """A store as others write it: south up, degrees, mm per second, times in disorder and twice."""
    data = np.arange(3 * 2 * 4, dtype="f4").reshape(3, 2, 4) / 3600
    axes = {
        "t": ("t", np.array(times, "datetime64[ns]"), {"standard_name": "time"}),
        "latitude": ("latitude", [50.0, 51.0], {"units": "degrees_north"}),
        "longitude": ("longitude", [5.0, 6, 7, 8], {"units": "degrees_east"}),
    }
    return xr.Dataset({name: (tuple(axes), data, {"units": units}) for name in rates}, axes)


def test_cloud_store_of_others_becomes_north_up_mm_per_hour(tmp_path):
    foreign().to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    source = Cloud(str(tmp_path / "theirs.zarr"))
    table = source.list()
    assert table.time.astype(str).tolist() == ["2024-01-01 00:00:00", "2024-01-01 00:10:00"]
    last = source.read(next(table.iloc[[-1]].itertuples()))
    np.testing.assert_allclose(last, [[4, 5, 6, 7], [0, 1, 2, 3]], rtol=1e-5)
    assert last.dims == ("y", "x") and last.y.values.tolist() == [51, 50] and last.attrs["units"] == "mm h-1"
    assert source.list(start="2024-01-01T00:05").number.tolist() == [1]


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (foreign(("rain", "snow")), r"should hold one rain rate .* rain \[kg m-2 s-1\], snow"),
        (foreign(units="K"), r"should hold one rain rate .* rain \[K\]"),
        (foreign(()), "it has: nothing"),
        (foreign().isel(t=slice(0)), "holds no frames"),
        (foreign().rename(latitude="row"), "has the axes"),
    ],
)
def test_cloud_store_without_one_rain_rate_is_refused(tmp_path, dataset, why):
    dataset.to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    with pytest.raises(NowcastError, match=f"theirs.zarr .*{why}"):
        open_frames(tmp_path / "theirs.zarr")


def test_pictures_become_frames_in_the_order_of_their_numbers(tmp_path):
    for number, white in ((10, 255), (2, 51), (3, 0)):
        iio.imwrite(tmp_path / f"frame_{number}.png", np.full((4, 6, 3), white, "u1"))
    source = Images(str(tmp_path), start="2024-06-01", spacing=10, white=50)
    table = source.list()
    assert table.time.tolist() == [pd.Timestamp("2024-06-01") + pd.Timedelta(minutes=m) for m in (0, 10, 80)]
    assert [source.read(row).values.max() for row in table.itertuples()] == pytest.approx([10, 0, 50])
    assert len(source.list(start="2024-06-01T00:10", end="2024-06-01T01:20")) == 1


def test_picture_mistakes_are_told(tmp_path):
    with pytest.raises(NowcastError, match="nowhere is not a folder"):
        Images(str(tmp_path / "nowhere")).list()
    with pytest.raises(NowcastError, match="no numbered pictures"):
        Images(str(tmp_path)).list()
    (tmp_path / "frame_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(NowcastError, match=r"frame_1\.png cannot be read"):
        only(Images(str(tmp_path)))
