"""Palettes of 256 shades, for values that are not rain rates."""

import numpy as np
from matplotlib import colormaps, colors


def _palette(cmap: str) -> list[str]:
    """Colours of the 256 shades."""
    return [colors.to_hex(colour) for colour in colormaps[cmap](np.arange(256))]


GREY, GREEN, BLUE_RED = _palette("gray"), _palette("Greens"), _palette("RdBu_r")
PROBABILITY = _palette("BuPu")  # as in plots
