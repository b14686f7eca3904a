"""Frames and their grid: pixel size and place, crops, coarser grids."""

import numpy as np
import pyproj
import pytest
import xarray as xr

from nowcastlib.data import as_frames, grid, place
from nowcastlib.errors import NowcastError

AZIMUTHAL = "+proj=aeqd +lat_0=49 +lon_0=-105 +ellps=WGS84"


def frames(rate=None, step=5.0):
    return as_frames(np.arange(5 * 7 * 8.0).reshape(5, 7, 8) if rate is None else rate, step=step)


def projected(crs, size=200, pixel=2000.0):
    """A dry frame (y, x) around the origin of the projection."""
    metres = pixel * (np.arange(size) - (size - 1) / 2)
    return grid.frame(np.zeros((size, size)), metres, -metres, crs)


def in_degrees(lon, lat):
    """A dry frame (y, x) with coordinates in degrees."""
    coords = {
        "y": ("y", lat, {"units": "degrees_north"}),
        "x": ("x", lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(np.zeros((len(lat), len(lon))), coords)


def test_size_of_a_pixel_is_in_km_for_metres_and_for_degrees():
    assert grid.pixel_size(frames()) == (1, 1)
    degrees = in_degrees(8 + 0.01 * np.arange(8), 60 - 0.01 * np.arange(7))
    assert grid.pixel_size(degrees) == pytest.approx((1.112, 0.556), abs=0.002)
    assert grid.pixel_size(degrees).mean == pytest.approx(np.sqrt(1.112 * 0.556), abs=0.002)


def test_a_frame_is_contiguous_although_its_rows_were_flipped():
    flipped = np.arange(12, dtype="f4").reshape(3, 4)[::-1]
    one = grid.frame(flipped, np.arange(4), -np.arange(3))
    assert one.values.flags.c_contiguous
    np.testing.assert_array_equal(one, flipped)


def test_centre_of_a_smaller_frame_is_the_whole_frame():
    assert (grid.centre(frames(), 4).values == frames().values[:, 1:5, 2:6]).all()
    assert grid.centre(frames(), 8).shape == grid.centre(frames(), 100).shape == frames().shape


def test_crop_is_x_y_width_height_from_the_upper_left():
    part = grid.cut(frames(), (2, 1, 3, 4))
    assert (part.values == frames().values[:, 1:5, 2:5]).all()
    assert part.x[0] == 2000
    assert part.y[0] == -1000


def test_crop_of_everything_or_none_keeps_the_frames():
    assert grid.cut(frames(), None).identical(frames())
    assert grid.cut(frames(), (0, 0, 8, 7)).identical(frames())


def test_crop_beyond_the_frames_is_refused():
    for crop in [(-1, 0, 2, 2), (0, 0, 9, 2), (0, 6, 2, 2), (0, 0, 0, 2)]:
        with pytest.raises(NowcastError, match="reaches beyond frames of 7×8 px"):
            grid.cut(frames(), crop)


def test_coarser_keeps_the_amount_of_rain_and_the_outline():
    rate = np.random.default_rng(0).gamma(0.3, 5, (1, 354, 354)).astype("f4")
    fine = frames(rate)[0]
    coarse = grid.coarser(fine, 128)  # 354 / 128 is not a whole number
    assert coarse.shape == (128, 128)
    assert coarse.dtype == "f4"
    assert float(coarse.mean()) == pytest.approx(float(fine.mean()), rel=1e-4)
    for axis in "xy":
        old, new = fine[axis].values, coarse[axis].values
        pixel = old[1] - old[0]
        large = new[1] - new[0]
        assert large == pytest.approx(pixel * 354 / 128)
        assert new[0] - large / 2 == pytest.approx(old[0] - pixel / 2)
        assert new[-1] + large / 2 == pytest.approx(old[-1] + pixel / 2)
    assert coarse.attrs == fine.attrs
    assert coarse.x.attrs == fine.x.attrs


def test_a_coarse_pixel_is_the_mean_of_its_parts_by_area():
    row = np.tile(np.array([1.0, 3.0, 8.0], "f4"), (3, 1))
    assert grid.area_mean(row, 2)[0].tolist() == pytest.approx(
        [(1 + 3 / 2) / 1.5, (3 / 2 + 8) / 1.5]
    )
    for size, columns, coarse in [((4, 8), 4, (2, 4)), ((1, 8), 2, (1, 2)), ((4, 8), 8, (4, 8))]:
        assert grid.area_mean(np.ones(size, "f4"), columns).shape == coarse


def test_unobserved_pixels_do_not_count_and_more_than_half_of_them_hide_a_coarse_pixel():
    rate = np.array([[4, np.nan, np.nan, np.nan], [2, 6, 5, np.nan]], "f4")
    coarse = grid.area_mean(rate, 2)
    assert coarse[0, 0] == pytest.approx(4)
    assert np.isnan(coarse[0, 1])
    half = np.array([[4, np.nan], [2, np.nan]], "f4")
    assert grid.area_mean(half, 1)[0, 0] == pytest.approx(3)


def test_dry_stays_exactly_zero():
    assert (grid.area_mean(np.zeros((354, 354), "f4"), 128) == 0).all()


@pytest.mark.parametrize("columns", [9, -2])
def test_a_finer_grid_is_refused(columns):
    with pytest.raises(
        NowcastError, match=f"8 columns cannot be regridded to {columns}: ask for fewer"
    ):
        grid.coarser(frames()[0], columns)


def test_frames_of_unknown_place_have_a_pixel_width_but_no_degrees():
    nowhere = projected("")
    assert place.degrees(nowhere) is None
    assert grid.pixel_size(nowhere) == (2, 2)
    assert grid.pixel_size(nowhere[:1, :1]) is None


def test_degrees_run_from_the_first_to_the_last_pixel():
    frames = projected(AZIMUTHAL)
    lon, lat = place.degrees(frames, 3)
    assert (lon[1, 1], lat[1, 1]) == pytest.approx((-105, 49))
    inverse = pyproj.Proj(AZIMUTHAL)(float(frames.x[0]), float(frames.y[-1]), inverse=True)
    assert (lon[2, 0], lat[2, 0]) == pytest.approx(inverse)


def test_a_pixel_is_as_wide_as_it_is_on_the_ground():
    """Web Mercator stretches by 1 / cos(latitude); degrees of longitude shrink by its inverse."""
    y = pyproj.Proj(3857)(0, 60)[1]
    mercator = grid.frame(
        np.zeros((3, 3)), 1000.0 * np.arange(3), y - 1000.0 * (np.arange(3) - 1), "EPSG:3857"
    )
    assert grid.pixel_size(mercator) == pytest.approx((0.5, 0.5), rel=0.01)
    degrees = in_degrees(np.arange(10, 12, 0.1), np.arange(61, 59, -0.1))
    assert grid.pixel_size(degrees).x == pytest.approx(0.1 * 111.2 / 2, rel=0.02)
