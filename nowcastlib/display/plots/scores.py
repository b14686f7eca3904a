"""Plots of scores: by lead time and scale, power spectra, reliability, ROC curves, ranks."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from nowcastlib.display.plots.frames import new_axes
from nowcastlib.display.rain_scale import FIRST_OTHER, FORECASTER_COLOURS, MORE_OTHERS
from nowcastlib.verification import COUNTS, interval, roc, score

SCORE_LABELS = {
    "mse": "MSE ((mm/h)²)",
    "mae": "MAE (mm/h)",
    "crps": "CRPS (mm/h)",
    "bias": "frequency bias",
}


def show_scores(
    counts: xr.Dataset, name: str = "csi", threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a pooled score by lead time, one line per forecaster.

    Parameters
    ----------
    counts : xarray.Dataset
        Result of ``verification.evaluate``.
    name : str
        Name of the score, as ``verification.score`` knows it. The CSI gets its bootstrap interval.
    threshold : float, optional
        Rain rate in mm/h, for scores that need one; by default the lowest of ``counts``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    leads = counts.sel(lead_time=counts.lead_time > 0)
    cases = counts.sizes["case"]
    title = f"{cases} case{'s' * (cases > 1)}"

    values = score(leads.sum("case"), name)
    if "threshold" in values.dims:
        threshold = float(counts.threshold.min()) if threshold is None else threshold
        values = values.sel(threshold=threshold)
        title += f", rain > {threshold:g} mm/h"

    ylabel = SCORE_LABELS.get(name, name.upper())
    ax = show_lines(
        values, "lead_time", ax, title=title, xlabel="lead time (minutes)", ylabel=ylabel
    )
    if name == "csi":
        _shade_intervals(ax, leads.sel(threshold=threshold), values.lead_time)
    ax.set_ylim(bottom=0)
    return ax


def show_lines(values: xr.DataArray, along: str, ax: Axes | None = None, **labels) -> Axes:
    """Draw values as lines in the forecasters' colours.

    Parameters
    ----------
    values : xarray.DataArray, dimensions (forecaster, ``along``)
        Values to draw; NaN are left out.
    along : str
        Dimension of the horizontal axis.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.
    **labels
        Properties of the axes, such as ``title``, ``xlabel``, ``yscale``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(5, 3.5) if ax is None else ax
    names = [str(name) for name in values.forecaster.values]
    for name, colour in zip(names, _line_colours(names), strict=True):
        line = values.sel(forecaster=name).dropna(along)
        ax.plot(line[along], line, marker="o", ms=3, label=name, color=colour)

    ax.set(**labels)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize=8)
    return ax


def show_spectrum(counts: xr.Dataset, lead_time: float, ax: Axes | None = None) -> Axes:
    """Draw the power of forecasts by wavelength, relative to the observed power.

    Parameters
    ----------
    counts : xarray.Dataset
        Result of ``verification.evaluate``.
    lead_time : float
        Lead time in minutes.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Wavelength in km, long waves at the left. Lines mark 1 (right) and 0.5.
    """
    pooled = counts.sum("case").sel(lead_time=lead_time)
    values = score(pooled, "spectrum").isel(wavelength=slice(2, None))
    ax = show_lines(
        values,
        "wavelength",
        ax,
        title=f"at {lead_time:g} minutes",
        xlabel="wavelength (km)",
        ylabel="power / observed power",
        xscale="log",
        yscale="log",
        ylim=(1e-3, 5),
    )
    for line in ax.lines:
        line.set_marker("")

    ax.axhline(1, color="k", lw=0.8)
    ax.axhline(0.5, color="k", lw=0.8, ls=":")
    ax.invert_xaxis()
    return ax


def show_reliability(counts: xr.Dataset, threshold: float, ax: Axes | None = None) -> Axes:
    """Draw observed frequency against forecast probability of rain, pooled over all leads.

    Parameters
    ----------
    counts : xarray.Dataset
        Result of ``verification.evaluate``.
    threshold : float
        Rain rate in mm/h.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Reliable probabilities lie on the diagonal.
    """
    pooled = counts.sum(["case", "lead_time"]).sel(threshold=threshold)
    ax = show_lines(
        score(pooled, "reliability"),
        "probability",
        ax,
        title=f"rain > {threshold:g} mm/h",
        xlabel="forecast probability",
        ylabel="observed frequency",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    return ax


def show_roc(counts: xr.Dataset, threshold: float, ax: Axes | None = None) -> Axes:
    """Draw ROC curves: hit rate against false alarm rate, pooled over all leads.

    Parameters
    ----------
    counts : xarray.Dataset
        Result of ``verification.evaluate``.
    threshold : float
        Rain rate in mm/h.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        A point per probability from which an alarm is given; the legend has the areas.
    """
    ax = new_axes(4, 3.5) if ax is None else ax
    curves = roc(counts.sum(["case", "lead_time"]).sel(threshold=threshold))
    for name in curves.forecaster.values:
        curve = curves.sel(forecaster=name)
        ax.plot(
            [0, *curve.pofd[::-1]],
            [0, *curve.pod[::-1]],
            marker="o",
            ms=3,
            label=f"{name} ({float(curve.area):.2f})",
            color=FORECASTER_COLOURS.get(str(name), FIRST_OTHER),
        )

    ax.axline((0, 0), slope=1, color="k", lw=0.8)
    ax.set(
        xlabel="false alarm rate (share of dry pixels)",
        ylabel="hit rate (share of rainy pixels)",
        title=f"rain > {threshold:g} mm/h",
    )
    ax.legend(frameon=False, fontsize=8, title="area", title_fontsize=8)
    return ax


def show_ranks(counts: xr.Dataset, forecaster: str, ax: Axes | None = None) -> Axes:
    """Draw the rank histogram of an ensemble, pooled over all leads.

    Parameters
    ----------
    counts : xarray.Dataset
        Result of ``verification.evaluate``.
    forecaster : str
        Name of the ensemble.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Share of pixels by number of members that are drier than the observation. It is flat
        (line) if the observation might be one of the members.
    """
    ax = new_axes(4, 3.5) if ax is None else ax
    ranks = counts.ranks.sum(["case", "lead_time"]).sel(forecaster=forecaster)
    colour = FORECASTER_COLOURS.get(forecaster, FIRST_OTHER)
    ax.bar(ranks["rank"], ranks / ranks.sum(), color=colour)
    ax.axhline(1 / ranks.size, color="k", lw=0.8)
    ax.set(xlabel="members drier than the observation", ylabel="share of pixels", title=forecaster)
    return ax


def _line_colours(names: list[str]) -> list[str]:
    """Forecasters' own colours; the first other name gets one colour, all further ones another."""
    others = [name for name in names if name not in FORECASTER_COLOURS]
    colours = []
    for name in names:
        other = FIRST_OTHER if [name] == others[:1] else MORE_OTHERS
        colours.append(FORECASTER_COLOURS.get(name, other))
    return colours


def _shade_intervals(ax: Axes, counts: xr.Dataset, lead_times: xr.DataArray) -> None:
    """Bootstrap intervals of the CSI behind the lines."""
    bounds = interval(counts[[*COUNTS]], lambda sums: score(sums, "csi"))
    bounds = bounds.transpose("bound", ...)
    for line, low, high in zip(ax.lines, *bounds, strict=False):
        ax.fill_between(lead_times, low, high, color=line.get_color(), alpha=0.12, lw=0)
