"""Plots of probabilities for clips: ROC curves, reliability, warnings at a threshold."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nowcastlib.display.plots.frames import new_axes
from nowcastlib.verification import auc, confusion, reliability, roc_of_clips

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#999999")
FEW = 150  # clips; below this number the reliability diagram has fewer classes
WORDS = (("hits", "misses"), ("false_alarms", "correct_negatives"))


def show_roc_of_clips(
    labels: np.ndarray, forecasts: Mapping[str, np.ndarray], ax: Axes | None = None
) -> Axes:
    """Draw ROC curves of forecasts for clips.

    Parameters
    ----------
    labels : array (clip,)
        1 or 0.
    forecasts : mapping of str to array (clip,)
        At most four, by name.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        The legend has the areas.
    """
    ax = new_axes(4, 4) if ax is None else ax
    for (name, forecast), colour in zip(forecasts.items(), COLOURS, strict=False):
        curve = roc_of_clips(labels, forecast)
        label = f"{name} ({auc(labels, forecast):.2f})"
        ax.plot(curve.pofd, curve.pod, color=colour, label=label)
    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    ax.set(xlabel="false alarm rate", ylabel="hit rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(frameon=False, fontsize=8, title="area", title_fontsize=8, loc="lower right")
    return ax


def show_reliability_of_clips(
    labels: np.ndarray, forecasts: Mapping[str, np.ndarray], ax: Axes | None = None
) -> Axes:
    """Draw how often the event happened against its forecast probability.

    Parameters
    ----------
    labels : array (clip,)
        1 or 0.
    forecasts : mapping of str to array (clip,)
        Probabilities, at most four, by name.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Reliable probabilities lie on the diagonal. Each point is a class of probabilities, one of
        five (of three if there are fewer than 150 clips); the number in it counts its clips.
    """
    ax = new_axes(4, 4) if ax is None else ax
    bins = 3 if len(labels) < FEW else 5
    colours = zip(forecasts.items(), COLOURS, strict=False)
    for k, ((name, forecast), colour) in enumerate(colours, start=3):
        table = reliability(labels, forecast, bins)
        (line,) = ax.plot(table.forecast, table.observed, color=colour, label=name, zorder=k)
        line.set(marker="o", markersize=13, markeredgecolor="w")
        for row in table.itertuples():  # a circle hides the number of one that lies below it
            number = ax.annotate(f"{row.clips}", (row.forecast, row.observed), zorder=k)
            number.set(color="w", fontsize=7, ha="center", va="center")
    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    ax.set(xlabel="forecast probability", ylabel="observed frequency", aspect="equal")
    ax.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))
    ax.legend(frameon=False, fontsize=8, markerscale=0.5, loc="upper left")
    return ax


def show_warnings(labels: np.ndarray, forecast: np.ndarray, threshold: float) -> Figure:
    """Draw what follows from warnings at a threshold: the point on the ROC curve and the counts.

    Parameters
    ----------
    labels, forecast : array (clip,)
        Labels, 1 or 0, and forecast.
    threshold : float
        A warning is issued from this forecast on.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (above, below) = plt.subplots(
        2, figsize=(4.4, 6), layout="constrained", height_ratios=(3, 2)
    )
    show_roc_of_clips(labels, {"forecast": forecast}, above)
    counts = confusion(labels, forecast, threshold)
    pod = counts["hits"] / (counts["hits"] + counts["misses"])
    pofd = counts["false_alarms"] / (counts["false_alarms"] + counts["correct_negatives"])
    above.plot(pofd, pod, "o", ms=9, color="#d55e00")
    above.set_title(f"warning from {threshold:.2f} on", fontsize=10)
    _show_counts(below, [[counts[word] for word in row] for row in WORDS])
    return figure


def _show_counts(ax: Axes, counts: Sequence[Sequence[int]]) -> None:
    """Draw the contingency table."""
    most = max(map(max, counts))
    ax.imshow(counts, cmap="Blues", vmin=0, vmax=1.3 * most, aspect="auto")
    for y, row in enumerate(WORDS):
        for x, word in enumerate(row):
            text = f"{counts[y][x]}\n{word.replace('_', ' ')}"
            colour = "w" if counts[y][x] > 0.7 * most else "k"  # on dark blue
            ax.text(x, y, text, ha="center", va="center", color=colour)
    ax.set_xticks([0, 1], ["warning", "no warning"])
    ax.set_yticks([0, 1], ["happened", "did not"])
    ax.tick_params(length=0)
