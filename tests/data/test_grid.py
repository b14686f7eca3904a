"""Cutting, making coarser, and the disc that a radar covers."""

import numpy as np
import pytest

from nowcastlib.data import as_frames, grid
from nowcastlib.errors import NowcastError


def frames(rate=None, step=5.0):
    return as_frames(np.arange(5 * 7 * 8.0).reshape(5, 7, 8) if rate is None else rate, step=step)


def seen(size=500, radius=250.0, x=249.5, y=249.5):
    rows, columns = np.indices((size, size))
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_pixel_is_a_kilometre_in_metres_and_in_degrees():
    assert grid.pixel_km(frames()) == 1
    degrees = frames().assign_coords(y=("y", 50 - 0.01 * np.arange(7), {"units": "degrees_north"}))
    assert grid.pixel_km(degrees) == pytest.approx(1.112, abs=0.001)


def test_centre_takes_what_there_is():
    assert (grid.centre(frames(), 4).values == frames().values[:, 1:5, 2:6]).all()
    assert grid.centre(frames(), 8).shape == grid.centre(frames(), 100).shape == frames().shape


def test_cut_is_x_y_width_height_from_the_upper_left():
    part = grid.cut(frames(), (2, 1, 3, 4))
    assert (
        (part.values == frames().values[:, 1:5, 2:5]).all()
        and part.x[0] == 2000
        and part.y[0] == -1000
    )
    assert grid.cut(frames(), None).identical(frames()) and grid.cut(
        frames(), (0, 0, 8, 7)
    ).identical(frames())
    for crop in [(-1, 0, 2, 2), (0, 0, 9, 2), (0, 6, 2, 2), (0, 0, 0, 2)]:
        with pytest.raises(NowcastError, match="reaches beyond frames of 7×8 px"):
            grid.cut(frames(), crop)


def test_coarser_keeps_the_amount_of_rain_and_the_outline():
    rate = (
        np.random.default_rng(0).gamma(0.3, 5, (1, 354, 354)).astype("f4")
    )  # 354 / 128 is no whole number
    fine = frames(rate)[0]
    coarse = grid.coarser(fine, 128)
    assert coarse.shape == (128, 128) and coarse.dtype == "f4"
    assert float(coarse.mean()) == pytest.approx(float(fine.mean()), rel=1e-4)
    for axis in "xy":
        old, new = fine[axis].values, coarse[axis].values
        pixel, large = old[1] - old[0], new[1] - new[0]
        assert large == pytest.approx(pixel * 354 / 128)
        assert new[0] - large / 2 == pytest.approx(old[0] - pixel / 2)
        assert new[-1] + large / 2 == pytest.approx(old[-1] + pixel / 2)
    assert coarse.attrs == fine.attrs and coarse.x.attrs == fine.x.attrs


def test_a_coarse_pixel_is_the_mean_of_its_parts_by_area():
    row = np.tile(np.array([1.0, 3.0, 8.0], "f4"), (3, 1))
    assert grid.area_mean(row, 2)[0].tolist() == pytest.approx(
        [(1 + 3 / 2) / 1.5, (3 / 2 + 8) / 1.5]
    )
    for size, columns, coarse in [((4, 8), 4, (2, 4)), ((1, 8), 2, (1, 2)), ((4, 8), 8, (4, 8))]:
        assert grid.area_mean(np.ones(size, "f4"), columns).shape == coarse


def test_what_is_not_observed_does_not_count_and_half_of_it_hides_a_pixel():
    rate = np.array([[4, np.nan, np.nan, np.nan], [2, 6, 5, np.nan]], "f4")
    found = grid.area_mean(rate, 2)
    assert found[0, 0] == pytest.approx(4) and np.isnan(found[0, 1])
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


def test_inscribed_square_of_the_radar_of_fossalon():
    assert grid.inscribed_square(seen()) == (73, 73, 354, 354)


def test_square_lies_within_the_disc_and_the_next_larger_does_not():
    mask = seen(300, 101.3, 140.2, 155.8)
    x, y, width, height = grid.inscribed_square(mask)
    assert width == height and mask[y : y + height, x : x + width].mean() > 0.999
    assert not mask[y - 2, x - 2] or not mask[y + height + 1, x + width + 1]
    assert grid.disc(mask) == pytest.approx((140.2, 155.8, 101.3), abs=0.2)


def test_disc_is_found_despite_holes_and_specks():
    mask = seen()
    mask[200:220, 100:300] = False
    mask[:4, :4] = True
    assert grid.inscribed_square(mask) == (73, 73, 354, 354)


@pytest.mark.parametrize(
    ("mask", "why"),
    [(np.zeros((9, 9), bool), "not a pixel is observed"), (np.ones((40, 40), bool), "is no disc")],
    ids=["nothing", "all"],
)
def test_no_disc_is_told(mask, why):
    with pytest.raises(NowcastError, match=why):
        grid.inscribed_square(mask)


def test_a_single_row_has_no_pixel_size():
    with pytest.raises(NowcastError, match="one row of pixels"):
        grid.pixel_km(frames()[:, :1])
