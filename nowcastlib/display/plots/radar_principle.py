"""How a weather radar measures rain, in one picture."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Wedge

from nowcastlib.units import RainScale

EARTH = 6371 * 4 / 3  # km; radius with which a beam that the air bends is a straight line
WIDTH = np.radians(1.0)  # of the beam
RANGE = 120  # km that the picture shows
RAIN = (72.0, 92.0)  # km from the radar
BLUE, RED, GREY = "#3a86cc", "#d55e00", "#666666"


def beam_height(distance, elevation: float):
    """Height of the middle of a radar's beam above the ground of the radar.

    Parameters
    ----------
    distance : float or array
        From the radar, in km.
    elevation : float
        Angle of the beam above the horizon, in degrees.

    Returns
    -------
    float or array
        In km, with the usual bending of the beam by the air.

    References
    ----------
    Doviak, R. J., and D. S. Zrnić (1993): Doppler radar and weather observations, 2.2.3.3.

    Examples
    --------
    >>> round(float(beam_height(100, 1.0)), 2)
    2.33
    """
    return distance * np.sin(np.radians(elevation)) + distance**2 / (2 * EARTH)


def show_radar_principle() -> Figure:
    """Draw the beam and its echo, the turning antenna, and the way from dBZ to rain rate.

    Returns
    -------
    matplotlib.figure.Figure
        Narrow enough for a phone.
    """
    figure = plt.figure(figsize=(4.8, 6.2), layout="constrained")
    axes = figure.subplot_mosaic([["side", "side"], ["above", "scale"]], height_ratios=(1.1, 1))
    _draw_side(axes["side"])
    _draw_from_above(axes["above"])
    _draw_scale(axes["scale"])
    return figure


def _draw_side(ax: Axes) -> None:
    """A vertical section: two beams, the rain, and the echo."""
    distance = np.linspace(0, RANGE, 100)
    for elevation, alpha in ((0.5, 0.5), (2.0, 0.25)):
        middle, half = beam_height(distance, elevation), distance * WIDTH / 2
        low = np.maximum(middle - half, 0)
        ax.fill_between(distance, low, middle + half, color="#e6b800", alpha=alpha, lw=0)
        ax.text(RANGE - 1, middle[-1], f"{elevation:g}°", ha="right", va="center", fontsize=8)

    rng = np.random.default_rng(0)
    x, y = rng.uniform(*RAIN, 90), rng.uniform(0, 5, 90)
    ax.plot(x, y, "|", color=BLUE, ms=5)
    ax.fill_between(RAIN, 5, 6.6, color="#b8c4cc", lw=0)
    ax.text(sum(RAIN) / 2, 5.8, "cloud", ha="center", va="center", fontsize=8)

    target = RAIN[0], beam_height(RAIN[0], 0.5)
    pulse = FancyArrowPatch((3, 0.5), (50, 1.0), arrowstyle="->", mutation_scale=12, color="black")
    echo = FancyArrowPatch(
        target, (6, 2.3), arrowstyle="->", mutation_scale=12, color=RED, ls="--",
        connectionstyle="arc3,rad=0.22",
    )  # fmt: skip
    ax.add_patch(pulse)
    ax.add_patch(echo)
    ax.text(24, 0.15, "pulse", fontsize=8)
    ax.text(26, 4.3, "weak echo, 0.5 ms later:\nthe distance is known", color=RED, fontsize=8)
    ax.plot(0, 0, marker="^", ms=14, color="black", clip_on=False)
    ax.set(xlim=(0, RANGE), ylim=(0, 7), xlabel="distance (km)", ylabel="height (km)")
    ax.set_title("1  a beam, and its echo from the drops", fontsize=9, loc="left")


def _draw_from_above(ax: Axes) -> None:
    """The antenna turns: a disc every five minutes."""
    ax.add_patch(Circle((0, 0), 1, color="#eeeeee", ec=GREY))
    ax.add_patch(Wedge((0, 0), 1, 50, 60, color="#e6b800", alpha=0.8))
    turn = FancyArrowPatch(
        (0.35, 0.63), (0.72, -0.1), arrowstyle="->", mutation_scale=14,
        connectionstyle="arc3,rad=-0.35",
    )  # fmt: skip
    ax.add_patch(turn)
    ax.plot(0, 0, "^k", ms=7)
    ax.text(0, -0.5, "a disc of rain\nevery 5 minutes", ha="center", va="center", fontsize=8)
    ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    ax.axis("off")
    ax.set_title("2  the antenna turns", fontsize=9, loc="left")


def _draw_scale(ax: Axes) -> None:
    """Strength of the echo against the rain rate."""
    rate = np.geomspace(0.1, 100, 100)
    ax.semilogx(rate, RainScale().to_dbz(rate), color=BLUE)
    for dbz, x, y in ((20.0, 1.2, 16), (40.0, 0.12, 41)):
        rain = float(RainScale().from_dbz(np.float64(dbz)))
        ax.plot([rain, rain, 0.1], [0, dbz, dbz], color=GREY, lw=0.8, ls=":")
        ax.text(x, y, f"{dbz:g} dBZ: {rain:.2g} mm/h", fontsize=8)
    ax.set(xlim=(0.1, 100), ylim=(0, 60), xlabel="rain rate (mm/h)", ylabel="echo (dBZ)")
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    ax.set_title("3  echo → rain rate", fontsize=9, loc="left")
