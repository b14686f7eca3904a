"""Pictures: the one rain scale, frames side by side, scores by lead time, losses of a run, animations."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import imageio.v3 as iio
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from nowcastlib.display import coastlines
from nowcastlib.verification import COUNTS, interval, roc, score

# Lower edges of the classes in mm/h, about a doubling each, and their colours. Lightness falls all the way, so the
# order can be read without colour vision; hue runs from light blue over blue and violet to dark red.
LEVELS = (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100)
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
DRY, UNKNOWN = "#ffffff", "#d0d0d0"  # no rain; not observed, or not known
FORECASTER = {
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
OTHER, MORE = "#cc79a7", "#444444"  # of what has no colour of its own: the first, and all others
NAMES = {
    "mse": "MSE ((mm/h)²)",
    "mae": "MAE (mm/h)",
    "crps": "CRPS (mm/h)",
    "bias": "frequency bias",
}

CMAP = ListedColormap(COLOURS[:-1], "rain").with_extremes(bad=UNKNOWN, under=DRY, over=COLOURS[-1])
# A class begins above its edge (rain is what exceeds a threshold, as in verification); the norm's begin at their edges.
NORM = BoundaryNorm(np.nextafter(LEVELS, np.inf), len(LEVELS) - 1)


def credit(rate) -> str:
    """Who made the data of a frame or a forecast, and under which licence, as its feed wants it told ("": unknown)."""
    told = getattr(rate, "attrs", {})
    return " · ".join(filter(None, (told.get("source", ""), told.get("license", ""))))


def _sign(figure: Figure, pictures) -> None:
    """The credits of all that the figure shows, each once, below it."""
    told = dict.fromkeys(
        filter(None, [*figure.get_supxlabel().split(" | "), *map(credit, pictures)])
    )
    if told:
        figure.supxlabel(" | ".join(told), fontsize=6, color="#666666", x=0.99, ha="right")


def show_frame(rate, ax: Axes | None = None, title: str = "", colorbar: bool = False) -> Axes:
    """One field (y, x) in mm/h on the rain scale, with coasts; axes in km if it has coordinates, else in px."""
    ax = plt.subplots(figsize=(4.6, 4), layout="constrained")[1] if ax is None else ax
    extent, unit = None, "px"
    if isinstance(rate, xr.DataArray) and rate.y.attrs.get("units") == "m":
        width, height = (
            abs(float(rate[d][-1] - rate[d][0])) * rate.sizes[d] / (rate.sizes[d] - 1) for d in "xy"
        )
        extent, unit = (0, width / 1000, 0, height / 1000), "km"
    image = ax.imshow(
        np.asarray(rate), cmap=CMAP, norm=NORM, extent=extent, interpolation="nearest"
    )
    for x, y in (
        [((line + 0.5) / rate.shape[::-1] * extent[1::2]).T for line in coastlines.lines(rate)]
        if extent
        else []
    ):
        ax.plot(x, extent[3] - y, color="#5b5b4d", lw=0.6)
        ax.set(xlim=extent[:2], ylim=extent[2:])
    ax.set(title=title, xlabel=unit, ylabel=unit)
    if colorbar:
        show_scale(image, ax)
    _sign(ax.figure, [rate])
    return ax


def show_motion(rate, velocity, ax: Axes | None = None, title: str = "", steps: int = 4) -> Axes:
    """Rain (y, x) in mm/h and its motion (2, y, x), px per step: each arrow is the way of so many ``steps``; in px."""
    ax = show_frame(np.asarray(rate), ax, title)
    velocity = np.asarray(velocity)
    every = max(velocity.shape[1:]) // 10
    rows, columns = (slice(every // 2, None, every) for _ in "yx")
    y, x = np.indices(velocity.shape[1:])[:, rows, columns]
    ax.quiver(
        x,
        y,
        *velocity[:, rows, columns],
        angles="xy",
        scale_units="xy",
        scale=1 / steps,
        width=0.006,
    )
    _sign(ax.figure, [rate])
    return ax


def show_map(
    values, ax: Axes | None = None, title: str = "", limit: float = 0.0, label: str = ""
) -> Axes:
    """One field (y, x) that is no rain rate: a probability, 0…1, or with ``limit`` what is below and above 0.

    With a ``label`` there is a colour bar; what is not known (NaN) is grey.
    """
    ax = plt.subplots(figsize=(4.6, 4), layout="constrained")[1] if ax is None else ax
    cmap, low, high = ("BrBG", -limit, limit) if limit else ("BuPu", 0.0, 1.0)
    cmap = plt.colormaps[cmap].with_extremes(bad=UNKNOWN)
    image = ax.imshow(np.asarray(values), cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])
    if label:
        ax.figure.colorbar(image, ax=ax, label=label, extend="both" if limit else "neither")
    return ax


def show_scale(image, ax) -> None:
    """The legend of the rain scale beside one or several axes."""
    axes = list(np.atleast_1d(ax).ravel())
    bar = axes[0].figure.colorbar(image, ax=axes, extend="max", ticks=NORM.boundaries, format="%g")
    bar.set_label("rain rate (mm/h)", fontsize=9)
    bar.ax.tick_params(labelsize=8)


def show_strip(
    rows: Mapping[str, xr.DataArray | np.ndarray], labels: Sequence[str], rain: bool = True
) -> Figure:
    """Sequences (time, y, x) below each other, a column a time: rain in mm/h, or grey pictures in 0…1."""
    n = len(labels)
    figure, axes = plt.subplots(
        len(rows), n, figsize=(1.5 * n + 1.2, 1.5 * len(rows) + 0.6), squeeze=False
    )
    figure.set_layout_engine("compressed")
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
        show_scale(image, axes.ravel())
    _sign(figure, rows.values())
    return figure


def show_scores(
    counts: xr.Dataset, name: str = "csi", threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """A score by lead time, pooled, a line a forecaster, of what ``verification.evaluate`` counted.

    Of the CSI the bootstrap interval is shaded. Without ``threshold`` (mm/h) the lowest, for scores that need one.
    """
    later = counts.sel(lead_time=counts.lead_time > 0)
    values, title = (
        score(later.sum("case"), name),
        f"{counts.sizes['case']} case{'s' * (counts.sizes['case'] > 1)}",
    )
    if "threshold" in values.dims:
        threshold = float(counts.threshold.min()) if threshold is None else threshold
        values, title = values.sel(threshold=threshold), f"{title}, rain > {threshold:g} mm/h"
    labels = {
        "title": title,
        "xlabel": "lead time (minutes)",
        "ylabel": NAMES.get(name, name.upper()),
    }
    ax = show_lines(values, "lead_time", ax, **labels)
    if name == "csi":
        table = later[[*COUNTS]].sel(threshold=threshold)
        bounds = interval(table, lambda sums: score(sums, "csi")).transpose("bound", ...)
        for line, *ends in zip(ax.lines, *bounds, strict=False):
            ax.fill_between(values.lead_time, *ends, color=line.get_color(), alpha=0.12, lw=0)
    ax.set_ylim(bottom=0)
    return ax


def show_lines(values: xr.DataArray, along: str, ax: Axes | None = None, **labels) -> Axes:
    """Values (forecaster, ``along``) as lines in the forecasters' colours; ``labels`` go to the axes."""
    ax = plt.subplots(figsize=(5, 3.5), layout="constrained")[1] if ax is None else ax
    other = [name for name in values.forecaster.values if name not in FORECASTER]
    for name in values.forecaster.values:
        line = values.sel(forecaster=name).dropna(along)
        colour = FORECASTER.get(str(name), MORE if name in other[1:] else OTHER)
        ax.plot(line[along], line, marker="o", ms=3, label=name, color=colour)
    ax.set(**labels)
    for axis in (a for a in (ax.xaxis, ax.yaxis) if a.get_scale() == "log"):
        axis.set(
            major_locator=LogLocator(subs=(1, 2, 5)),
            major_formatter="{x:g}",
            minor_formatter=NullFormatter(),
        )
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=8)
    return ax


def show_spectrum(counts: xr.Dataset, lead_time: float, ax: Axes | None = None) -> Axes:
    """Power of the forecasts of a lead time (minutes) by wavelength, as a share of the observed power."""
    values = score(counts.sum("case").sel(lead_time=lead_time), "spectrum").isel(
        wavelength=slice(2, None)
    )
    labels = {
        "xlabel": "wavelength (km)",
        "ylabel": "power, of the observed",
        "xscale": "log",
        "yscale": "log",
    }
    ax = show_lines(
        values, "wavelength", ax, title=f"at {lead_time:g} minutes", ylim=(1e-3, 5), **labels
    )
    ax.axhline(1, color="k", lw=0.8)
    ax.axhline(0.5, color="k", lw=0.8, ls=":")
    ax.invert_xaxis()
    for line in ax.lines:
        line.set_marker("")
    return ax


def show_reliability(counts: xr.Dataset, threshold: float, ax: Axes | None = None) -> Axes:
    """How often it rained above a threshold (mm/h) where a probability was forecast, over all leads."""
    pooled = counts.sum(["case", "lead_time"]).sel(threshold=threshold)
    labels = {
        "xlabel": "forecast probability",
        "ylabel": "how often it rained",
        "xlim": (0, 1),
        "ylim": (0, 1),
    }
    ax = show_lines(
        score(pooled, "reliability"),
        "probability",
        ax,
        title=f"rain > {threshold:g} mm/h",
        **labels,
    )
    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    return ax


def show_roc(counts: xr.Dataset, threshold: float, ax: Axes | None = None) -> Axes:
    """Hits bought by false alarms: an alarm from each probability on, over all leads; the area in the legend."""
    ax = plt.subplots(figsize=(4, 3.5), layout="constrained")[1] if ax is None else ax
    curves = roc(counts.sum(["case", "lead_time"]).sel(threshold=threshold))
    for name in curves.forecaster.values:
        curve = curves.sel(forecaster=name)
        label, colour = f"{name} ({float(curve.area):.2f})", FORECASTER.get(str(name), OTHER)
        ax.plot(
            [0, *curve.pofd[::-1]],
            [0, *curve.pod[::-1]],
            marker="o",
            ms=3,
            label=label,
            color=colour,
        )
    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    ax.set(
        xlabel="false alarms, of the dry pixels",
        ylabel="hits, of the rain",
        title=f"rain > {threshold:g} mm/h",
    )
    ax.legend(frameon=False, fontsize=8, title="area", title_fontsize=8)
    return ax


def show_ranks(counts: xr.Dataset, forecaster: str, ax: Axes | None = None) -> Axes:
    """Where the observation falls among the members of an ensemble, driest first: flat if it might be one of them."""
    ax = plt.subplots(figsize=(4, 3.5), layout="constrained")[1] if ax is None else ax
    ranks = counts.ranks.sum(["case", "lead_time"]).sel(forecaster=forecaster)
    ax.bar(ranks["rank"], ranks / ranks.sum(), color=FORECASTER.get(forecaster, OTHER))
    ax.axhline(1 / ranks.size, color="k", lw=0.8)
    ax.set(xlabel="members drier than the observation", ylabel="share of pixels", title=forecaster)
    return ax


def show_history(history: pd.DataFrame, ax: Axes | None = None, ylabel: str = "loss") -> Axes:
    """Losses by epoch; shaded where the curriculum asks for another length, a bar: the median of its training loss."""
    ax = plt.subplots(figsize=(6, 3.5), layout="constrained")[1] if ax is None else ax
    names = {
        "train": "training",
        "validation": "validation, free rollout",
        "test": "test, free rollout",
    }
    for (column, name), colour in zip(
        names.items(), ("#0072b2", "#d55e00", "#009e73"), strict=True
    ):
        if column in history and history[column].notna().any():
            ax.plot(history.epoch + 1, history[column], marker=".", label=name, color=colour)
    if history.length.nunique() > 1:
        for k, (length, rows) in enumerate(history.groupby("length", sort=False)):
            ends = rows.epoch.min() + 0.6, rows.epoch.max() + 1.4
            ax.hlines(rows.train.median(), *ends, colors="#0072b2", alpha=0.4, lw=4)
            ax.axvspan(
                rows.epoch.min() + 0.5,
                rows.epoch.max() + 1.5,
                color="k",
                alpha=0.04 + 0.05 * (k % 2),
                lw=0,
            )
            words = f"{length} frame{'s' * (length > 1)}"
            where = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
            ax.text(rows.epoch.mean() + 1, 1.0, words, fontsize=8, **where)
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.legend(frameon=False, fontsize=8)
    return ax


def show_animation(path: str | Path) -> HTML:
    """A GIF as a notebook shows it, in an exported page, too."""
    return HTML(
        f'<img alt="animation" src="data:image/gif;base64,{b64encode(Path(path).read_bytes()).decode()}">'
    )


def show_variants(
    table: pd.DataFrame, score: str, ax: Axes | None = None, xlabel: str = ""
) -> Axes:
    """A score of the variants of an experiment (a row a run, of column ``variant``): a dot a run, a bar their mean."""
    names = table.variant.unique()
    ax = (
        plt.subplots(figsize=(6.5, 0.8 + 0.26 * len(names)), layout="constrained")[1]
        if ax is None
        else ax
    )
    for k, name in enumerate(names):
        values = table[score][table.variant == name]
        ax.plot(values, [k] * len(values), "o", color="#0072b2", alpha=0.7)
        ax.plot(values.mean(), k, "|", color="k", ms=16)
    ax.set(
        yticks=range(len(names)),
        yticklabels=names,
        ylim=(len(names) - 0.5, -0.5),
        xlabel=xlabel or score,
    )
    ax.grid(alpha=0.3)
    return ax


def live_history(ylabel: str = "loss"):
    """A function for ``on_epoch`` of ``training.fit`` that draws the losses anew below a notebook's cell."""
    handle = display(HTML("waiting for the first epoch"), display_id=True)

    def redraw(history: pd.DataFrame) -> None:
        figure = show_history(history, ylabel=ylabel).figure
        if handle:  # none outside of notebooks
            handle.update(figure)
        plt.close(figure)

    return redraw


def save_animation(
    panels: Mapping[str, xr.DataArray], path: str | Path, seconds: float = 0.4
) -> Path:
    """Write sequences (lead_time, y, x) in mm/h, side by side with the rain scale; return the path.

    As a GIF, or, if that is how the name ends, as an MP4. The title tells the lead and the valid time, from the first
    panel that has them (arrays without names do, too).
    """
    clock = next((p for p in panels.values() if "valid_time" in getattr(p, "coords", ())), None)
    n, pictures = len(next(iter(panels.values()))), []
    for t in range(n):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(2.7 * len(panels) + 0.9, 3.1), layout="compressed"
        )
        for ax, (name, field) in zip(np.atleast_1d(axes), panels.items(), strict=True):
            image = ax.imshow(np.asarray(field[t]), cmap=CMAP, norm=NORM, interpolation="nearest")
            ax.set(title=name, xticks=[], yticks=[])
        show_scale(image, np.atleast_1d(axes))
        _sign(figure, panels.values())
        if clock is not None:
            valid = pd.Timestamp(clock.valid_time.values[t])
            figure.suptitle(
                f"+{float(clock.lead_time[t]):.0f} min, valid {valid:%Y-%m-%d %H:%M} UTC",
                fontsize=10,
            )
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
        plt.close(figure)
    if Path(path).suffix == ".mp4":  # films have an even number of rows and columns
        film = np.stack(pictures)[
            :, : pictures[0].shape[0] // 2 * 2, : pictures[0].shape[1] // 2 * 2
        ]
        iio.imwrite(
            path, film, plugin="FFMPEG", fps=1 / seconds, codec="libx264", macro_block_size=2
        )
    else:
        iio.imwrite(path, np.stack(pictures), extension=".gif", duration=seconds * 1000, loop=0)
    return Path(path)
