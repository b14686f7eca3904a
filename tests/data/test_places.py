"""Places that a user names: how they are written, and which pixels belong to them."""

import numpy as np
import pytest
import xarray as xr
from placed_frames import place_at, placed

from nowcastlib.data import Place, Window, as_frames, parse_places, pixel_of, window_around
from nowcastlib.errors import NowcastError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("46.07,13.24,Udine", Place(46.07, 13.24, "Udine")),
        (" 46.07 , 13.24 , San Daniele, centro ", Place(46.07, 13.24, "San Daniele, centro")),
        ("-33.9,151.2", Place(-33.9, 151.2)),
        ("46,13,", Place(46, 13)),
    ],
)
def test_a_place_is_latitude_longitude_and_name(text, expected):
    assert Place.parse(text) == expected


def test_a_place_without_a_name_is_called_by_its_coordinates():
    assert Place(-33.9, 151.2).label == "33.90 S, 151.20 E"
    assert Place(10, -70.5).label == "10.00 N, 70.50 W"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Udine", "'Udine' is not a place: write LATITUDE,LONGITUDE"),
        ("46.07", "is not a place"),
        ("46.07;13.24", "is not a place"),
        ("46.07,east", "is not a place"),
        ("nan,13", "latitude nan is not between"),
        ("13,inf", "longitude inf is not between"),
        ("146.07,13.24", "latitude 146.07 is not between"),
        ("46.07,-190", "longitude -190 is not between"),
        ("46,07,13,24", "'13,24' of a place has no letter"),  # decimal commas
        ("46,13,<b>Udine</b>", "one of < >"),
        ("46,13,../../etc", "one of < >"),
        ("46,13,Ud\x1b[2Jine", "control character"),
        ("46,13," + "a" * 41, "has 41 characters: give at most 40"),
    ],
)
def test_what_is_no_place_is_one_clear_error(text, words):
    with pytest.raises(NowcastError) as error:
        Place.parse(text)
    assert words in str(error.value)


def test_two_places_have_two_names():
    assert len(parse_places(["46,13,A", "46,13,B"])) == 2
    with pytest.raises(NowcastError, match="two places are named 'A'"):
        parse_places(["46,13,A", "47,13,A"])


FRAMES = placed(np.zeros((1, 30, 50)))


@pytest.mark.parametrize(("column", "row"), [(0, 0), (49, 0), (12.4, 25), (20, 3.3)])
def test_a_place_is_in_its_column_and_row_on_a_map_projection(column, row):
    place = place_at(FRAMES, column, row)
    np.testing.assert_allclose(pixel_of(FRAMES, place), (column, row), atol=1e-6)


def in_degrees(west, north=60.0, shape=(40, 60)) -> xr.DataArray:
    """Frames with pixels of 0.1°, north up."""
    frames = as_frames(np.zeros((1, *shape)))
    lat = north - 0.1 * np.arange(shape[0])
    lon = west + 0.1 * np.arange(shape[1])
    return frames.assign_coords(
        y=("y", lat, {"units": "degrees_north"}), x=("x", lon, {"units": "degrees_east"})
    )


@pytest.mark.parametrize(("west", "lon"), [(5.0, 7.0), (179.0, -179.0), (359.0, 1.0), (-1.0, 361)])
def test_a_place_is_found_in_degrees_whatever_meridian_they_count_from(west, lon):
    lon = lon if lon <= 360 else 1.0
    np.testing.assert_allclose(pixel_of(in_degrees(west), Place(59.0, lon)), (20, 10), atol=1e-6)


def test_a_place_outside_the_grid_is_an_error_that_tells_the_bounds():
    with pytest.raises(NowcastError) as error:
        pixel_of(in_degrees(5.0), Place(13.24, 46.07, "Udine"))
    assert "Udine (latitude 13.24, longitude 46.07) lies outside the grid" in str(error.value)
    assert "latitudes 56.10 to 60.00 and longitudes 5.00 to 10.90" in str(error.value)
    assert "latitude comes first" in str(error.value)


@pytest.mark.parametrize(("column", "row"), [(-0.6, 5), (49.6, 5), (5, -0.6), (5, 29.6)])
def test_half_a_pixel_beyond_the_last_centre_is_outside(column, row):
    wider = placed(np.zeros((1, 40, 60)))
    inside = wider.isel(x=slice(5, 55), y=slice(5, 35))
    with pytest.raises(NowcastError, match="outside the grid"):
        pixel_of(inside, place_at(wider, column + 5, row + 5))


def test_frames_that_do_not_know_where_they_lie_say_so():
    with pytest.raises(NowcastError, match="do not say where on the Earth they lie"):
        pixel_of(as_frames(np.zeros((1, 8, 8))), Place(46, 13))


@pytest.mark.parametrize(("km", "side"), [(0.25, 13), (0.5, 7), (1.0, 3), (2.0, 1)])
def test_pixels_within_one_and_a_half_km_belong_to_a_place(km, side):
    frames = placed(np.zeros((1, 40, 60)), km)
    half = side // 2
    window = window_around(frames, place_at(frames, 30, 20))
    assert window == (slice(20 - half, 21 + half), slice(30 - half, 31 + half))


def test_at_the_corner_of_the_grid_a_place_has_fewer_pixels():
    assert window_around(FRAMES, place_at(FRAMES, 0, 29)) == (slice(28, 31), slice(0, 2))


def test_the_mean_of_a_place_needs_half_of_its_pixels():
    field = np.arange(9.0).reshape(3, 3)
    window = Window(slice(0, 3), slice(0, 3))
    assert window.mean(field) == 4
    field[0] = np.nan
    assert window.mean(field) == 5.5
    field[1, :2] = np.nan
    assert np.isnan(window.mean(np.stack([field, field]))).tolist() == [True, True]
