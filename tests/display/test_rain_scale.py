"""The rain scale: colours of its classes, and credits of the data."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib import colors

from nowcastlib.display import rain_scale


def colour(rate: float) -> str:
    return colors.to_hex(rain_scale.CMAP(rain_scale.NORM(np.ma.masked_invalid([rate])))[0])


def test_colours_darken_with_the_rain_rate_so_that_they_can_be_read_without_hue():
    weights = 0.2126, 0.7152, 0.0722  # of red, green and blue in the lightness
    shown = (rain_scale.DRY, *rain_scale.COLOURS)
    lightness = [np.dot(colors.to_rgb(c), weights) for c in shown]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("rate", "name"), [(0, "DRY"), (0.09, "DRY"), (np.nan, "UNKNOWN")])
def test_dry_and_not_observed_have_colours_of_their_own(rate, name):
    assert colour(rate) == getattr(rain_scale, name)


@pytest.mark.parametrize("k", range(len(rain_scale.LEVELS)))
def test_each_class_starts_above_its_level(k):
    level, shown = rain_scale.LEVELS[k], [rain_scale.DRY, *rain_scale.COLOURS]
    assert [colour(level), colour(1.0001 * level)] == shown[k : k + 2]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"source": "Radar of Nowhere", "license": "CC BY 4.0"}, "Radar of Nowhere · CC BY 4.0"),
        ({"source": "Radar of Nowhere"}, "Radar of Nowhere"),
        ({}, ""),
    ],
)
def test_credit_names_source_and_licence(attributes, text):
    assert rain_scale.credit(xr.DataArray(0.0, attrs=attributes)) == text


def test_an_array_has_no_credit():
    assert rain_scale.credit(np.zeros((2, 2))) == ""


SHOW_A_FRAME = """
import sys
import matplotlib
matplotlib.use("agg")
import numpy as np
import nowcastlib.display.plots
from nowcastlib.display import credit, plots
plots.show_frame(np.ones((4, 4)), colorbar=True).figure.canvas.draw()
print(sorted(name for name in ("torch", "pysteps") if name in sys.modules))
"""

THE_SCALE_ALONE = """
import sys
import nowcastlib.display.rain_scale
print(sorted(name for name in ("torch", "pysteps", "xarray", "pandas") if name in sys.modules))
"""


@pytest.mark.parametrize("script", [SHOW_A_FRAME, THE_SCALE_ALONE])
def test_showing_a_frame_loads_neither_torch_nor_pysteps(script):
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
