"""Borders and degrees: the border along 49° N lies on that parallel in every projection."""

import numpy as np
import pyproj
import pytest
import xarray as xr

from nowcastlib.data import grid
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
        lon = grid.degrees(frames)[0]
        assert lon.min() < -177
        assert lon.max() > 177


def test_an_ocean_and_frames_without_a_place_have_no_lines():
    assert coastlines.lines(in_degrees(np.arange(-140, -136, 0.1), np.arange(2, -2, -0.1))) == []
    nowhere = projected("")
    assert coastlines.lines(nowhere) == []


def test_show_frame_draws_the_border_in_km():
    (line,) = plots.show_frame(projected(AZIMUTHAL)).lines
    x, y = line.get_data()
    assert y[np.abs(x - 200).argmin()] == pytest.approx(200, abs=1.5)  # the middle of 400 km
    assert plots.show_frame(projected("")).lines[:] == []
