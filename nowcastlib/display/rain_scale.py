"""The rain scale: classes and colours of every picture of rain, and the forecasters' colours.

Needs only numpy and matplotlib.
"""

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

# Lower edges of the classes in mm/h; each is about twice the one before.
LEVELS = (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100)

# Colours of the classes, from light blue over violet to dark red. Each is darker than the one
# before, so that the order can be read without colour vision.
COLOURS = (
    "#d6e9f7",
    "#a3cfee",
    "#6aaee0",
    "#3a86cc",
    "#3f5fb4",
    "#6a3fa0",
    "#93277f",
    "#8f1545",
    "#56060f",
)
DRY = "#ffffff"  # no rain
UNKNOWN = "#d0d0d0"  # not observed, or not forecast

CMAP = ListedColormap(COLOURS[:-1], "rain").with_extremes(bad=UNKNOWN, under=DRY, over=COLOURS[-1])
# Verification counts rain above a threshold as an event, so a class begins just above its edge.
# Matplotlib's classes begin at their edges: the edges are moved up by the smallest step of
# float32, in which rain is compared.
NORM = BoundaryNorm(np.nextafter(np.array(LEVELS, "f4"), np.inf), len(LEVELS) - 1)

FORECASTER_COLOURS = {
    "persistence": "#999999",
    "extrapolation": "#e69f00",
    "sprog": "#009e73",
    "convedlstm": "#0072b2",
    "proesmans": "#a08a00",
    "anvil": "#56b4e9",
    "steps": "#d55e00",
    "radar": "#882255",
    "radar-members": "#332288",
}
FIRST_OTHER = "#cc79a7"  # the first forecaster that has no colour of its own
MORE_OTHERS = "#444444"  # all further ones


def credit(rate) -> str:
    """Return who made the data of a frame or forecast, and under which licence.

    Parameters
    ----------
    rate : xarray.DataArray or array
        Frames or a forecast with the attributes ``source`` and ``license`` of its feed.

    Returns
    -------
    str
        Source and licence, separated by " · "; empty if neither is known.

    Examples
    --------
    >>> import xarray as xr
    >>> credit(xr.DataArray(0.0, attrs={"source": "MeteoSwiss", "license": "CC BY 4.0"}))
    'MeteoSwiss · CC BY 4.0'
    """
    attributes = getattr(rate, "attrs", {})
    parts = (attributes.get("source", ""), attributes.get("license", ""))
    return " · ".join(part for part in parts if part)
