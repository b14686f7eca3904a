"""Borders and degrees: the border along 49° N lies on that parallel in every projection."""

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr

from nowcastlib.data import IngestOptions, grid, ingest, open_frames, place
from nowcastlib.data.feeds.cf_zarr import CfZarr
from nowcastlib.data.grid import frame
from nowcastlib.display import coastlines, plots

AZIMUTHAL = "+proj=aeqd +lat_0=49 +lon_0=-105 +ellps=WGS84"


def projected(crs: str, size: int = 200, pixel: float = 2000.0) -> xr.DataArray:
    """A dry frame (y, x) around the origin of the projection."""
    metres = pixel * (np.arange(size) - (size - 1) / 2)
    return frame(np.zeros((size, size)), metres, -metres, crs)


def in_degrees(lon, lat) -> xr.DataArray:
    coords = {
        "y": ("y", lat, {"units": "degrees_north"}),
        "x": ("x", lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(np.zeros((len(lat), len(lon))), coords)


def test_49_degrees_north_is_a_straight_line_in_degrees():
    """The border of Canada and the United States; row k has its centre at 50 - k / 10 degrees."""
    (line,) = coastlines.lines(in_degrees(np.arange(-112, -106, 0.1), 50 - 0.1 * np.arange(21)))
    np.testing.assert_allclose(line[:, 1], 10, atol=0.06)
    assert line[:, 0].min() < 0
    assert line[:, 0].max() > 59


@pytest.mark.parametrize("crs", [AZIMUTHAL, "EPSG:3857", "EPSG:32613"])
def test_49_degrees_north_is_curved_in_projections(crs):
    project = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = (float(v) + 2000 * (np.arange(200) - 99.5) for v in project.transform(-105, 49))
    frames = frame(np.zeros((200, 200)), x, y[::-1], crs)
    (line,) = coastlines.lines(frames)
    lon, lat = project.transform(
        x[0] + 2000 * line[:, 0], y[-1] - 2000 * line[:, 1], direction="INVERSE"
    )
    np.testing.assert_allclose(lat, 49, atol=0.01)  # about 1 km
    assert lon.min() < -108
    assert lon.max() > -102
    if crs == AZIMUTHAL:
        # at x it lies x² tan(49°) / (2 · 6371 km) higher than in the middle: 1.8 px at the edges
        inside = (line[:, 0] > 0) & (line[:, 0] < 199)
        assert np.ptp(line[inside, 1]) == pytest.approx(1.8, abs=0.4)


def test_frames_across_180_degrees_have_the_coasts_of_both_sides():
    """Fiji, once from 177 to 183 degrees east, once as a map in metres."""
    for frames in (in_degrees(np.arange(177, 183, 0.05), np.arange(-15, -20, -0.05)),
                   projected("+proj=aeqd +lat_0=-17.5 +lon_0=180", 120, 5000.0)):  # fmt: skip
        x = np.concatenate(coastlines.lines(frames))[:, 0]
        assert (x < 55).any()
        assert (x > 60).any()
        assert np.isfinite(x).all()
        lon = place.degrees(frames)[0]
        assert lon.min() < -177
        assert lon.max() > 177


# ---- stores of other makers: the coast lies where formulas of textbooks place it

LANDS_END = (-5.715, 50.066)  # degrees: the westernmost tip of England, and a cape on every map
LIZARD = (-5.206, 49.959)  # the southernmost
KM = 1 / 111.2  # degrees of latitude


def mercator_latitudes(lon, lat):
    """Longitude, and the height on a Mercator map that belongs to a latitude (degrees)."""
    return lon, np.degrees(np.arctanh(np.sin(np.radians(lat))))


def rotated_pole(lon, lat, pole=(-162.0, 39.25)):
    """Longitude and latitude (degrees) of the rotated grid whose north pole is ``pole``."""
    turn, north, pole_north = map(np.radians, (lon - pole[0] - 180, lat, pole[1]))
    along = np.cos(north) * np.sin(pole_north) * np.cos(turn) + np.sin(north) * np.cos(pole_north)
    up = np.sin(north) * np.sin(pole_north) - np.cos(north) * np.cos(pole_north) * np.cos(turn)
    east = np.arctan2(np.cos(north) * np.sin(turn), along)
    return np.degrees(east), np.degrees(np.arcsin(up))


def polar_stereographic(lon, lat, radius=6371000.0):
    """x and y (m) of a map that is true at 60° N, with 10° E downwards."""
    reach = radius * (1 + np.sin(np.radians(60))) * np.tan(np.radians(45 - lat / 2))
    return reach * np.sin(np.radians(lon - 10)), -reach * np.cos(np.radians(lon - 10))


def axis(centre, pixel, n=160):
    return centre + pixel * (np.arange(n) - n / 2)


def on_mercator_latitudes():
    x, psi = mercator_latitudes(*LANDS_END)
    lat = np.degrees(np.arcsin(np.tanh(np.radians(axis(psi, 20 * KM)))))
    return lat, axis(x, 20 * KM), "latitude", "longitude", ("degrees_north", "degrees_east"), {}


def on_a_rotated_pole():
    x, y = rotated_pole(*LANDS_END)
    mapping = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
    }
    names = ("grid_latitude", "grid_longitude")
    return axis(y, 2 * KM), axis(x, 2 * KM), *names, ("degrees", "degrees"), mapping


def on_a_polar_stereographic_map():
    x, y = polar_stereographic(*LANDS_END)
    mapping = {
        "grid_mapping_name": "polar_stereographic",
        "latitude_of_projection_origin": 90.0,
        "straight_vertical_longitude_from_pole": 10.0,
        "standard_parallel": 60.0,
        "earth_radius": 6371000.0,
    }
    names = ("projection_y_coordinate", "projection_x_coordinate")
    return axis(y, 2000.0), axis(x, 2000.0), *names, ("m", "m"), mapping


def opened(path, y, x, name_y, name_x, units, mapping) -> xr.DataArray:
    """Frames (time, y, x) of a store with these coordinates and this grid mapping."""
    coords = {
        "time": pd.date_range("2024-06-01", periods=2, freq="5min"),
        "y": ("y", y, {"standard_name": name_y, "units": units[0]}),
        "x": ("x", x, {"standard_name": name_x, "units": units[1]}),
    }
    about = {"units": "mm h-1", "standard_name": "rainfall_rate"}
    rain = (("time", "y", "x"), np.zeros((2, len(y), len(x)), "f4"))
    dataset = xr.Dataset({"rain": (*rain, about)}, coords)
    if mapping:
        dataset["crs"] = ((), np.int32(0), mapping)
        dataset["rain"].attrs["grid_mapping"] = "crs"
    dataset.to_zarr(path, zarr_format=2)
    return open_frames(path)


def distance(lines, x, y) -> float:
    """Distance (px) of a point from the nearest of the lines."""
    nearest = np.inf
    for line in lines:
        start, step = line[:-1], np.diff(line, axis=0)
        along = ((np.array([x, y]) - start) * step).sum(axis=1) / (step**2).sum(axis=1)
        foot = start + along.clip(0, 1)[:, None] * step
        nearest = min(nearest, np.hypot(*(foot - [x, y]).T).min())
    return nearest


GRIDS = [
    (on_mercator_latitudes, mercator_latitudes, 20 * KM),
    (on_a_rotated_pole, rotated_pole, 2 * KM),
    (on_a_polar_stereographic_map, polar_stereographic, 2000.0),
]


@pytest.mark.parametrize(("of_store", "project", "pixel"), GRIDS, ids=["Mercator", "pole", "polar"])
def test_coasts_of_other_maps_are_within_a_pixel(tmp_path, of_store, project, pixel):
    frames = opened(tmp_path / "theirs.zarr", *of_store())
    lines = coastlines.lines(frames)
    origin = np.array(project(*LANDS_END))
    for cape in (LANDS_END, LIZARD):
        east, north = (np.array(project(*cape)) - origin) / pixel  # px from Land's End
        x, y = 80 + east, 79 - north  # its row is the 80th from the south, of 160
        assert distance(lines, x, y) < 1
        np.testing.assert_allclose(
            place.pixels(frames, np.array([cape[0]]), np.array([cape[1]])), [[x, y]], atol=0.2
        )


@pytest.mark.parametrize(("of_store", "project", "pixel"), GRIDS, ids=["Mercator", "pole", "polar"])
def test_degrees_of_pixels_are_those_of_the_map(tmp_path, of_store, project, pixel):
    frames = opened(tmp_path / "theirs.zarr", *of_store())
    lon, lat = place.degrees(frames, 5)  # of columns and rows 0, 39.75, …, 159
    x, y = project(lon, lat)
    columns = (x - project(*LANDS_END)[0]) / pixel + 80
    rows = 79 - (y - project(*LANDS_END)[1]) / pixel
    expected = np.linspace(0, 159, 5)
    np.testing.assert_allclose(columns, np.tile(expected, (5, 1)), atol=0.2)
    np.testing.assert_allclose(rows, np.tile(expected[:, None], (1, 5)), atol=0.2)


@pytest.mark.parametrize("names", [("", ""), ("latitude", "longitude")])
def test_a_rotated_pole_is_told_by_its_grid_mapping_alone(tmp_path, names):
    """Its degrees are not those of the Earth, whatever the axes are called."""
    y, x, *_, units, mapping = on_a_rotated_pole()
    frames = opened(tmp_path / "theirs.zarr", y, x, *names, units, mapping)
    lines = coastlines.lines(frames)
    east, north = (np.array(rotated_pole(*LIZARD)) - rotated_pole(*LANDS_END)) / (2 * KM)
    assert distance(lines, 80, 79) < 1
    assert distance(lines, 80 + east, 79 - north) < 1
    assert grid.pixel_size(frames).x == pytest.approx(2 * np.cos(np.radians(y.mean())), rel=0.01)
    assert frames.y.attrs["units"] == frames.x.attrs["units"] == "degrees"


def test_a_rotated_pole_of_unknown_place_has_no_coasts(tmp_path):
    *axes, _ = on_a_rotated_pole()
    frames = opened(tmp_path / "theirs.zarr", *axes, {})
    assert coastlines.lines(frames) == []
    assert place.degrees(frames) is None
    assert grid.pixel_size(frames).y == pytest.approx(2, rel=0.01)


def test_a_coarser_mercator_map_keeps_its_place(tmp_path):
    """Four rows become one, whose centre lies midway between the second and third on the map."""
    frames = opened(tmp_path / "theirs.zarr", *on_mercator_latitudes())
    coarse = grid.coarser(frames[0], 40)
    corner = place.pixels(frames, np.array([LIZARD[0]]), np.array([LIZARD[1]]))
    there = place.pixels(coarse, np.array([LIZARD[0]]), np.array([LIZARD[1]]))
    np.testing.assert_allclose(there, (corner + 0.5) / 4 - 0.5, atol=0.02)


def test_an_ocean_and_frames_without_a_place_have_no_lines():
    assert coastlines.lines(in_degrees(np.arange(-140, -136, 0.1), np.arange(2, -2, -0.1))) == []
    nowhere = projected("")
    assert coastlines.lines(nowhere) == []


def test_show_frame_draws_the_border_in_km():
    (line,) = plots.show_frame(projected(AZIMUTHAL)).lines
    x, y = line.get_data()
    assert y[np.abs(x - 200).argmin()] == pytest.approx(200, abs=1.5)  # the middle of 400 km
    assert plots.show_frame(projected("")).lines[:] == []


@pytest.mark.parametrize("of_store", [grid_and_more[0] for grid_and_more in GRIDS])
def test_ingest_keeps_the_place_of_a_map(tmp_path, of_store):
    theirs = opened(tmp_path / "theirs.zarr", *of_store())
    feed = CfZarr(str(tmp_path / "theirs.zarr"))
    ours = open_frames(ingest(feed, tmp_path / "ours.zarr", options=IngestOptions(progress=False)))
    np.testing.assert_allclose(place.degrees(ours), place.degrees(theirs), atol=1e-6)
