"""Plots of training: losses of a run, and scores of an experiment's variants."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nowcastlib.display.plots.frames import draw_strip, new_axes

# column of the history, label, colour
LOSSES = (
    ("train", "training", "#0072b2"),
    ("validation", "validation", "#d55e00"),
    ("test", "test", "#009e73"),
)


def show_history(
    history: pd.DataFrame,
    ax: Axes | None = None,
    ylabel: str = "loss",
    batches: pd.DataFrame | None = None,
) -> Axes:
    """Draw the losses of a run by epoch.

    Parameters
    ----------
    history : pandas.DataFrame
        One row per epoch with the columns ``epoch`` (from 0), ``length`` (frames forecast in
        training), ``train``, and optionally ``validation`` and ``test``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    ylabel : str
        Name of the loss.
    batches : pandas.DataFrame, optional
        One row per batch with the columns ``length`` and ``loss``.

    Returns
    -------
    matplotlib.axes.Axes
        If the curriculum has several lengths, each is shaded, and a bar marks the median of its
        training loss: over the batches where these are given, else over the epochs.
    """
    ax = new_axes(6, 3.5) if ax is None else ax
    for column, label, colour in LOSSES:
        if column != "train" and history.length.nunique() > 1:
            label += ", all leads"  # training forecasts fewer at first
        if column in history and history[column].notna().any():
            ax.plot(history.epoch + 1, history[column], marker=".", label=label, color=colour)

    if history.length.nunique() > 1:
        if "validation_at_length" in history:
            ax.plot(
                history.epoch + 1,
                history.validation_at_length,
                ":",
                label="validation at the length in training",
                color="#d55e00",
            )
        for k, (length, epochs) in enumerate(history.groupby("length", sort=False)):
            losses = epochs.train if batches is None else batches.loss[batches.length == length]
            _shade_length(ax, epochs, float(losses.median()), dark=bool(k % 2))

    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
    return ax


def live_training(
    observed: xr.DataArray | np.ndarray, labels: Sequence[str], ylabel: str = "loss"
) -> Callable[[pd.DataFrame, np.ndarray], None]:
    """Return a function that redraws losses and a forecast below a cell after each epoch.

    Parameters
    ----------
    observed : xarray.DataArray or array, shape (time, y, x)
        Rain rate in mm/h at the valid times of the forecast.
    labels : sequence of str
        A label for each of these times.
    ylabel : str
        Name of the loss.

    Returns
    -------
    callable
        Function of the history, as ``show_history`` takes it, and of the forecast (time, y, x) in
        mm/h of this epoch.
    """
    update = _output_of_a_cell()

    def redraw(history: pd.DataFrame, forecast: np.ndarray) -> None:
        width = 1.3 * len(labels) + 1.2
        figure = plt.figure(figsize=(width, 6), layout="constrained")
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.05))
        upper, lower = parts[:, 0]
        show_history(history, upper.subplots(), ylabel)
        draw_strip(lower, {"observed": observed, "forecast": forecast}, labels)
        lower.suptitle(f"forecast after epoch {len(history)}", fontsize=10)
        update(figure)

    return redraw


def _output_of_a_cell() -> Callable[[Figure], None]:
    """Show an output below a notebook's cell; return a function that replaces it by a figure."""
    from IPython.display import HTML, display  # in notebooks only

    handle = display(HTML("waiting for the first epoch"), display_id=True)

    def update(figure: Figure) -> None:
        if handle:  # None outside of notebooks
            handle.update(figure)
        plt.close(figure)

    return update


def show_variants(
    table: pd.DataFrame, score: str, ax: Axes | None = None, xlabel: str = ""
) -> Axes:
    """Draw a score of an experiment's variants: a dot per run, a bar at each variant's mean.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per run, with the columns ``variant`` and ``score``.
    score : str
        Column to draw.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    xlabel : str
        Label of the score; by default the name of its column.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = table.variant.unique()
    ax = new_axes(4.7, 0.8 + 0.26 * len(names)) if ax is None else ax
    for k, name in enumerate(names):
        values = table[score][table.variant == name]
        ax.plot(values, [k] * len(values), "o", color="#0072b2", alpha=0.7)
        ax.plot(values.mean(), k, "|", color="k", ms=16)

    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel(xlabel or score)
    ax.grid(alpha=0.3)
    return ax


def _shade_length(ax: Axes, epochs: pd.DataFrame, median: float, dark: bool) -> None:
    """Shade the epochs of one length of the curriculum and mark their median training loss."""
    first, last = epochs.epoch.min() + 1, epochs.epoch.max() + 1
    ax.hlines(median, first - 0.4, last + 0.4, colors="#0072b2", alpha=0.4, lw=4)
    ax.axvspan(first - 0.5, last + 0.5, color="k", alpha=0.09 if dark else 0.04, lw=0)

    length = int(epochs.length.iloc[0])
    label = f"{length} frame{'s' * (length > 1)}"
    above = ax.get_xaxis_transform()  # x in epochs, y in 0…1 of the axes
    middle = epochs.epoch.mean() + 1
    ax.text(middle, 1.0, label, fontsize=8, transform=above, ha="center", va="bottom")
