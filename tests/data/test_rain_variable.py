"""Which variable of a store is rain: one that states another quantity is never chosen by itself."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nowcastlib.data import ReadOptions, open_frames
from nowcastlib.errors import NowcastError

AMOUNT = {"units": "mm", "standard_name": "precipitation_amount"}  # of 5 minutes
RATE = {"units": "mm h-1", "standard_name": "rainfall_rate"}


def store(tmp_path, **variables):
    """A store with a variable of 1 for each name and its attributes."""
    ones = np.ones((6, 4, 5), "f4")
    axes = {
        "time": pd.date_range("2024-06-01", periods=6, freq="5min"),
        "y": ("y", np.arange(4.0)[::-1] * 1000, {"units": "m"}),
        "x": ("x", np.arange(5.0) * 1000, {"units": "m"}),
    }
    data = {name: (("time", "y", "x"), ones, about) for name, about in variables.items()}
    path = tmp_path / "theirs.zarr"
    xr.Dataset(data, axes).to_zarr(path, zarr_format=2, consolidated=True)
    return path


@pytest.mark.parametrize(
    "other",
    [
        {"units": "mm h-1", "standard_name": "convective_rainfall_rate"},
        RATE | {"cell_methods": "area: mean time: maximum (interval: 1 minute)"},
        RATE | {"standard_name": "rainfall_rate standard_error"},
    ],
)
def test_total_amount_is_chosen_beside_another_rate(tmp_path, other):
    frames = open_frames(store(tmp_path, total=AMOUNT, other=other))
    np.testing.assert_allclose(frames, 12)  # 1 mm in 5 minutes


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("evaporation", {}),
        ("snow", {}),
        ("snowfall_rate", {}),
        ("rain_rate_error", {}),
        ("rain_rate_quality", {}),
        ("rain_rate_uncertainty", {}),
        ("rain_std", {}),
        ("rain_fall_speed", {}),
        ("w", {"long_name": "velocity of the rain drops"}),
        ("D0", {"long_name": "median diameter of the rain drops"}),
        ("rate", {"long_name": "standard deviation of the rain rate"}),
        ("rate", {"standard_name": "rainfall_rate", "cell_methods": "time: maximum"}),
    ],
)
def test_other_quantity_is_refused_until_it_is_named(tmp_path, name, attributes):
    path = store(tmp_path, **{name: {"units": "mm h-1", **attributes}})
    with pytest.raises(NowcastError, match=f"--variable, such as {name}, whose names state"):
        open_frames(path)
    np.testing.assert_allclose(open_frames(path, options=ReadOptions(variable=name)), 1)


@pytest.mark.parametrize(
    "attributes",
    [
        {"long_name": "quality-controlled rain rate"},
        {"cell_methods": "time: mean (comment: range corrected)"},
        {"standard_name": "rainfall_rate", "long_name": "rain rate of rain and snow"},
    ],
)
def test_rain_with_other_words_is_rain(tmp_path, attributes):
    np.testing.assert_allclose(open_frames(store(tmp_path, r={"units": "mm h-1", **attributes})), 1)
