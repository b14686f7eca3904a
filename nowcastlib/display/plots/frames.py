"""Plots of fields: a frame, its motion, a map of probabilities, a strip of frames."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage

from nowcastlib.display import coastlines
from nowcastlib.display.rain_scale import CMAP, NORM, UNKNOWN, credit


def show_frame(
    rate: xr.DataArray | np.ndarray,
    ax: Axes | None = None,
    title: str = "",
    colorbar: bool = False,
) -> Axes:
    """Draw a frame on the rain scale, with coastlines and borders.

    Parameters
    ----------
    rate : xarray.DataArray or array, shape (y, x)
        Rain rate in mm/h; NaN (not observed) is grey.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    title : str
        Title of the axes.
    colorbar : bool
        Draw the legend of the rain scale beside the axes.

    Returns
    -------
    matplotlib.axes.Axes
        Axes in km if the frame has coordinates in metres, else in pixels.
    """
    ax = new_axes(4.6, 4) if ax is None else ax
    size = _size_km(rate)
    extent = (0, size[0], 0, size[1]) if size else None
    image = ax.imshow(
        np.asarray(rate), cmap=CMAP, norm=NORM, extent=extent, interpolation="nearest"
    )
    unit = "km" if size else "px"
    ax.set(title=title, xlabel=unit, ylabel=unit)

    if size and isinstance(rate, xr.DataArray):
        _draw_borders(ax, rate, size)
    if colorbar:
        show_scale(image, ax)
    add_credits(ax.figure, [rate])
    return ax


def show_motion(
    rate: xr.DataArray | np.ndarray,
    velocity: np.ndarray,
    ax: Axes | None = None,
    title: str = "",
    steps: int = 4,
) -> Axes:
    """Draw a frame with arrows that show its motion.

    Parameters
    ----------
    rate : xarray.DataArray or array, shape (y, x)
        Rain rate in mm/h.
    velocity : array, shape (2, y, x)
        Motion along x and y, in px per step.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    title : str
        Title of the axes.
    steps : int
        Number of steps that an arrow covers.

    Returns
    -------
    matplotlib.axes.Axes
        Axes in pixels.
    """
    ax = show_frame(np.asarray(rate), ax, title)
    velocity = np.asarray(velocity)

    # about ten arrows along the longer side
    spacing = max(velocity.shape[1:]) // 10
    every = slice(spacing // 2, None, spacing)
    y, x = np.indices(velocity.shape[1:])[:, every, every]
    u, v = velocity[:, every, every]
    ax.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1 / steps, width=0.006)

    add_credits(ax.figure, [rate])
    return ax


def show_map(
    values: xr.DataArray | np.ndarray,
    ax: Axes | None = None,
    title: str = "",
    limit: float = 0.0,
    label: str = "",
) -> Axes:
    """Draw a field that is not a rain rate: a probability, or a change around 0.

    Parameters
    ----------
    values : xarray.DataArray or array, shape (y, x)
        Field to draw; NaN is grey.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    title : str
        Title of the axes.
    limit : float
        The colours run from ``-limit`` (brown) to ``limit`` (green); with 0, from 0 to 1.
    label : str
        Label of a colour bar; no colour bar if it is empty.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(4.6, 4) if ax is None else ax
    name, low, high = ("BrBG", -limit, limit) if limit else ("BuPu", 0.0, 1.0)
    cmap = plt.colormaps[name].with_extremes(bad=UNKNOWN)
    image = ax.imshow(np.asarray(values), cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])

    if label:
        ax.figure.colorbar(image, ax=ax, label=label, extend="both" if limit else "neither")
    return ax


def show_scale(
    image: AxesImage, ax: Axes | Sequence[Axes] | np.ndarray, shrink: float = 1.0
) -> None:
    """Draw the legend of the rain scale beside one or several axes.

    Parameters
    ----------
    image : matplotlib.image.AxesImage
        Picture that was drawn with the rain scale.
    ax : matplotlib.axes.Axes or several of them
        Axes that make room for the legend.
    shrink : float
        Height of the legend as a share of the height of the axes.
    """
    axes = list(np.atleast_1d(np.asarray(ax)).ravel())
    style = {"extend": "max", "ticks": NORM.boundaries, "format": "%g", "shrink": shrink}
    bar = axes[0].figure.colorbar(image, ax=axes, **style)
    bar.set_label("rain rate (mm/h)", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def show_strip(
    rows: Mapping[str, xr.DataArray | np.ndarray], labels: Sequence[str], rain: bool = True
) -> Figure:
    """Draw sequences below each other, one column per time.

    Parameters
    ----------
    rows : mapping of str to array, shape (time, y, x)
        Sequences by name: rain rates in mm/h, or grey values in 0…1. A sequence may be shorter
        than the labels.
    labels : sequence of str
        Titles of the columns.
    rain : bool
        Use the rain scale; otherwise grey.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = plt.figure(figsize=(1.5 * len(labels) + 1.2, 1.5 * len(rows) + 0.6))
    figure.set_layout_engine("compressed")
    draw_strip(figure, rows, labels, rain)
    return figure


def draw_strip(
    figure: FigureBase,
    rows: Mapping[str, xr.DataArray | np.ndarray],
    labels: Sequence[str],
    rain: bool = True,
) -> None:
    """Draw what ``show_strip`` describes into a figure or a part of one."""
    axes = figure.subplots(len(rows), len(labels), squeeze=False)
    style = {"cmap": CMAP, "norm": NORM} if rain else {"cmap": "gray", "vmin": 0, "vmax": 1}
    for (name, sequence), row in zip(rows.items(), axes, strict=True):
        for t, ax in enumerate(row):
            ax.set(xticks=[], yticks=[])
            if t < len(sequence):
                image = ax.imshow(np.asarray(sequence[t]), interpolation="nearest", **style)
            else:
                ax.axis("off")
        row[0].set_ylabel(name)

    for ax, label in zip(axes[0], labels, strict=True):
        ax.set_title(label, fontsize=9)
    if rain:
        show_scale(image, axes[0], shrink=0.92)  # one panel high, with its numbers
    add_credits(figure, rows.values())


def new_axes(width: float, height: float) -> Axes:
    """Axes of a new figure; width and height in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def add_credits(figure: FigureBase, images: Iterable) -> None:
    """Write the credits of all images below the figure, each once."""
    credits = figure.get_supxlabel().split(" | ")
    credits += [credit(image) for image in images]
    credits = [text for text in dict.fromkeys(credits) if text]
    if credits:
        figure.supxlabel(" | ".join(credits), fontsize=6, color="#666666", x=0.99, ha="right")


def _size_km(rate) -> tuple[float, float] | None:
    """Width and height of a frame in km; None without coordinates in metres."""
    if not isinstance(rate, xr.DataArray) or rate.y.attrs.get("units") != "m":
        return None
    sides = []
    for axis in ("x", "y"):
        pixels = rate.sizes[axis]
        between_centres = abs(float(rate[axis][-1] - rate[axis][0]))
        sides.append(between_centres * pixels / (pixels - 1) / 1000)
    return sides[0], sides[1]


def _draw_borders(ax: Axes, rate: xr.DataArray, size: tuple[float, float]) -> None:
    """Coastlines and borders on axes in km."""
    width, height = size
    pixel = width / rate.sizes["x"], height / rate.sizes["y"]
    for line in coastlines.lines(rate):
        x, y = ((line + 0.5) * pixel).T
        ax.plot(x, height - y, color="#5b5b4d", lw=0.6)
    ax.set(xlim=(0, width), ylim=(0, height))
