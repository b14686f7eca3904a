"""Coordinates of other makers' stores: without jumps, north up, in known units or in none."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nowcastlib.data import as_frames, grid, open_frames, place
from nowcastlib.errors import NowcastError

TIMES = pd.date_range("2024-06-01", periods=2, freq="5min")
EAST, NORTH = {"units": "degrees_east"}, {"units": "degrees_north"}


def store(tmp_path, y, x, names=("lat", "lon"), attributes=(NORTH, EAST), **auxiliary):
    """A store with one wet pixel in row 1 and column 2; y and x are coordinates or sizes."""
    sizes = [n if isinstance(n, int) else len(n) for n in (y, x)]
    rate = np.zeros((2, *sizes), "f4")
    rate[:, 1, 2] = 5
    coords = {"time": TIMES}
    for name, values, attrs in zip(names, (y, x), attributes, strict=True):
        if not isinstance(values, int):
            coords[name] = (name, np.asarray(values, "f8"), attrs)
    rain = (("time", *names), rate, {"units": "mm h-1"})
    path = tmp_path / "theirs.zarr"
    xr.Dataset({"rain": rain, **auxiliary}, coords).to_zarr(path, zarr_format=2, mode="w")
    return str(path)


def wet_pixel(frames):
    """Row and column of the wet pixel of the first frame."""
    ((row, column),) = np.argwhere(frames[0].values == 5)
    return int(row), int(column)


LATITUDES = [10.1, 10.0, 9.9]


@pytest.mark.parametrize(
    "longitudes",
    [
        [359.8, 359.9, 0.0, 0.1, 0.2],
        [179.8, 179.9, -180.0, -179.9, -179.8],
        [359.75, 359.85, 359.95, 0.05, 0.15],
    ],
)
def test_a_map_across_the_meridian_of_0_or_180_degrees_is_not_mirrored(tmp_path, longitudes):
    frames = open_frames(store(tmp_path, LATITUDES, longitudes))
    assert wet_pixel(frames) == (1, 2)
    np.testing.assert_allclose(np.diff(frames.x), 0.1)
    assert (float(frames.x[2]) - longitudes[2]) % 360 == pytest.approx(0, abs=1e-9)
    assert grid.pixel_size(frames).x == pytest.approx(
        0.1 * 111.2 * np.cos(np.radians(10)), rel=0.01
    )


def test_a_map_from_east_to_west_across_the_date_line_is_turned_round(tmp_path):
    frames = open_frames(store(tmp_path, LATITUDES, [-179.9, 180.0, 179.9, 179.8]))
    assert wet_pixel(frames) == (1, 1)
    assert (np.diff(frames.x) > 0).all()


@pytest.mark.parametrize(
    ("y", "x", "name"),
    [
        (LATITUDES, [0, 1, 3, 2], "lon"),
        ([10, 10, 9], [0, 1, 2], "lat"),
        ([10, np.nan, 9], [0, 1, 2], "lat"),
    ],
)
def test_an_axis_that_neither_rises_nor_falls_is_refused(tmp_path, y, x, name):
    with pytest.raises(NowcastError, match=rf"theirs\.zarr .*{name}.* neither rises nor falls"):
        open_frames(store(tmp_path, y, x))


def test_rows_whose_unit_makes_dates_of_them_are_refused(tmp_path):
    attributes = ({"units": "days since 2000-01-01"}, EAST)
    path = store(tmp_path, LATITUDES, [10.0, 10.1, 10.2], ("y", "lon"), attributes)
    with pytest.raises(NowcastError, match=r"theirs\.zarr has a coordinate y of datetime64"):
        open_frames(path)


@pytest.mark.parametrize(
    ("units", "names"),
    [
        (("deg", "deg"), ("lat", "lon")),
        (("degreeN", "degreeE"), ("y", "x")),
        (("degree_north", "degree_east"), ("a", "b")),
        (("degrees_N", "degrees_E"), ("a", "b")),
        (("°", "°"), ("latitude", "longitude")),
        ((None, None), ("lat", "lon")),
        ((None, None), ("latitude", "longitude")),
    ],
)
def test_degrees_are_recognised_by_units_or_names(tmp_path, units, names):
    attributes = [{"units": unit} if unit else {} for unit in units]
    path = store(tmp_path, [60.1, 60.0, 59.9], [10.0, 10.1, 10.2], names, attributes)
    size = grid.pixel_size(open_frames(path))
    assert size.y == pytest.approx(11.12, rel=0.01)
    assert size.x == pytest.approx(5.56, rel=0.01)
    assert place.degrees(open_frames(path)) is not None


@pytest.mark.parametrize(
    ("unit", "metres"), [("m", 1), ("Km", 1000), ("KM", 1000), ("Metres", 1), ("kilometer", 1000)]
)
def test_metres_and_kilometres_are_recognised_in_any_case(tmp_path, unit, metres):
    attributes = [{"units": unit}] * 2
    y, x = (np.arange(3)[::-1] * 2000 / metres, np.arange(4) * 3000 / metres)
    frames = open_frames(store(tmp_path, y, x, ("y", "x"), attributes))
    assert grid.pixel_size(frames) == pytest.approx((2, 3))
    assert frames.x.attrs["units"] == "m"


@pytest.mark.parametrize("attributes", [{}, {"units": "1"}, {"units": "pixel"}])
def test_a_pixel_of_unknown_size_is_not_given_one(tmp_path, attributes):
    path = store(tmp_path, [2, 1, 0], [0, 1, 2], ("y", "x"), [attributes] * 2)
    assert grid.pixel_size(open_frames(path)) is None
    assert place.degrees(open_frames(path)) is None


def test_large_numbers_named_latitude_are_no_degrees(tmp_path):
    path = store(tmp_path, [5e6, 4.9e6], [1e5, 2e5, 3e5], attributes=({}, {}))
    assert grid.pixel_size(open_frames(path)) is None


def two_dimensional(latitudes, longitudes, names=("y", "x")):
    """Two-dimensional latitudes and longitudes of a store."""
    return {
        "lat": (names, latitudes, NORTH | {"standard_name": "latitude"}),
        "lon": (names, longitudes, EAST | {"standard_name": "longitude"}),
    }


@pytest.mark.parametrize("with_numbers", [False, True], ids=["no y and x", "numbers of pixels"])
@pytest.mark.parametrize("is_south_up", [True, False])
def test_two_dimensional_latitudes_decide_direction_and_size(tmp_path, with_numbers, is_south_up):
    lon, lat = np.meshgrid(10 + 0.02 * np.arange(4), 50 + 0.01 * np.arange(4))
    lat = lat + 0.01 * (lon - 10)  # the rows are not parallels
    lat = lat if is_south_up else lat[::-1]
    y, x = (np.arange(4), np.arange(4)) if with_numbers else (4, 4)
    path = store(tmp_path, y, x, ("y", "x"), ({}, {}), **two_dimensional(lat, lon))
    frames = open_frames(path)
    assert wet_pixel(frames) == ((2, 2) if is_south_up else (1, 2))  # row 1 of the store
    north_up = open_frames(path).isel(time=0)
    assert float(north_up.y[0]) > float(north_up.y[-1])
    size = grid.pixel_size(frames)
    assert size.y == pytest.approx(1.112, rel=0.01)
    assert size.x == pytest.approx(0.02 * 111.2 * np.cos(np.radians(50)), rel=0.01)


def test_a_store_whose_first_row_is_in_the_south_is_turned_north_up(tmp_path):
    lon, lat = np.meshgrid([10.0, 10.1, 10.2], [50.0, 50.1, 50.2, 50.3])
    frames = open_frames(
        store(tmp_path, 4, 3, ("nj", "ni"), ({}, {}), **two_dimensional(lat, lon, ("nj", "ni")))
    )
    assert wet_pixel(frames) == (2, 2)  # row 1 from the south
    np.testing.assert_allclose(frames.y, [50.3, 50.2, 50.1, 50.0])  # parallels: the place is known
    np.testing.assert_allclose(frames.x, [10.0, 10.1, 10.2])
    assert place.degrees(frames) is not None


def written_for_each_time(path, latitudes):
    """A store whose latitudes and longitudes, (Time, south_north, west_east), stand in for axes."""
    names = ("Time", "south_north", "west_east")
    rate = np.zeros((2, 4, 3), "f4")
    rate[:, 1, 2] = 5
    longitudes = np.broadcast_to([10.0, 10.1, 10.2], (2, 4, 3))
    xr.Dataset(
        {
            "rain": (names, rate, {"units": "mm h-1"}),
            "XLAT": (names, np.broadcast_to(latitudes, (2, 4, 3)), {"units": "degree_north"}),
            "XLONG": (names, longitudes, {"units": "degree_east"}),
        },
        {"Time": TIMES},
    ).to_zarr(path, zarr_format=2)
    return path


def test_latitudes_that_are_written_for_each_time_decide_direction_and_place(tmp_path):
    rows = np.array([50.0, 50.1, 50.2, 50.3])[:, None]
    frames = open_frames(written_for_each_time(tmp_path / "theirs.zarr", rows))
    assert wet_pixel(frames) == (2, 2)  # row 1 from the south
    np.testing.assert_allclose(frames.y, [50.3, 50.2, 50.1, 50.0])
    np.testing.assert_allclose(frames.x, [10.0, 10.1, 10.2])


def test_a_grid_that_moves_is_refused(tmp_path):
    rows = np.array([50.0, 50.1, 50.2, 50.3])[:, None] + np.array([0, 0.5])[:, None, None]
    path = written_for_each_time(tmp_path / "theirs.zarr", rows)
    with pytest.raises(NowcastError, match=r"theirs\.zarr has a XLAT that changes from frame"):
        open_frames(path)


@pytest.mark.parametrize(("step", "size"), [(1.0, None), (3e-5, None), (2000.0, (2, 2))])
def test_steps_too_small_for_metres_without_units_have_no_size(tmp_path, step, size):
    """Kilometres of RADKLIM, radians of a satellite, metres."""
    names = [{"standard_name": f"projection_{axis}_coordinate"} for axis in "yx"]
    path = store(tmp_path, step * np.arange(3)[::-1], step * np.arange(4), ("y", "x"), names)
    assert grid.pixel_size(open_frames(path)) == size


def test_a_frame_without_a_time_is_refused(tmp_path):
    frames = as_frames(np.ones((3, 2, 2), "f4"))
    times = frames.time.values.copy()
    times[1] = np.datetime64("NaT")
    path = tmp_path / "theirs.zarr"
    frames.assign_coords(time=times).to_dataset().to_zarr(path, zarr_format=2)
    with pytest.raises(NowcastError, match=r"theirs\.zarr.*1 of 3 frames have no time"):
        open_frames(path)


def test_one_row_or_column_has_no_size():
    frames = as_frames(np.zeros((1, 4, 4)))
    assert grid.pixel_size(frames) == (1, 1)
    assert grid.pixel_size(frames[:, :1]) is None
    assert grid.pixel_size(frames[:, :, :1]) is None


def metres(*values):
    """A coordinate in metres from kilometres."""
    return 1000.0 * np.array(values), {"units": "m"}


@pytest.mark.parametrize(
    ("y", "x", "why"),
    [
        (metres(9, 8, 7, 4, 3, 2, 1), metres(0, 1, 2), "y jumps from 7000 to 4000"),
        (metres(2, 1, 0), metres(0, 1, 2, 4, 5), "x jumps from 2000 to 4000"),
        (([51, 50.9, 50.8, 50.5, 50.4], NORTH), ([1, 1.1, 1.2], EAST), "y jumps from 50.8"),
        (([51, 50.9, 50.8], NORTH), metres(0, 1, 2), "y in degrees_north and an x in m"),
        (([100, 99, 98], NORTH), ([1, 2, 3], EAST), "latitude of ±100 degrees"),
        (metres(np.inf, 1, 0), metres(0, 1, 2), "y that is infinite"),
    ],
    ids=["rows", "columns", "latitudes", "units", "beyond the pole", "infinite"],
)
def test_a_grid_that_is_not_even_is_refused(tmp_path, y, x, why):
    path = store(tmp_path, y[0], x[0], ("y", "x"), (y[1], x[1]))
    with pytest.raises(NowcastError, match=rf"theirs\.zarr.*{why}"):
        open_frames(path)


def test_slightly_uneven_rows_have_their_usual_size_with_a_warning(tmp_path, caplog):
    y, x = metres(6.2, 5, 4, 2.7, 2, 1, 0), metres(0, 1, 2)
    frames = open_frames(store(tmp_path, y[0], x[0], ("y", "x"), (y[1], x[1])))
    assert grid.pixel_size(frames) == (1, 1)
    assert "y has uneven steps (700 to 1300 m)" in caplog.text


def test_latitudes_of_mercators_projection_are_even(tmp_path, caplog):
    north = np.linspace(1.6, 1.0, 40)
    latitudes = np.degrees(2 * np.arctan(np.exp(north)) - np.pi / 2)  # 67 to 50 degrees
    frames = open_frames(store(tmp_path, latitudes, [5.0, 6.0, 7.0]))
    np.testing.assert_array_equal(frames.y, latitudes)
    assert not caplog.text
