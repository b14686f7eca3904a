"""Forecast from a feed's newest frames and write the page: once, or again and again."""

import contextlib
import json
import logging
import time
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import xarray as xr

from nowcastlib.data import Feed, frames_at, grid, mark_complete, time_step, usual_step
from nowcastlib.data.feeds import fvg, registry
from nowcastlib.errors import NowcastError, printable
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import (
    Forecaster,
    PlaceForecast,
    at_trained_scale,
    forecast_at,
    outlook_lines,
)
from nowcastlib.live.fetching import MINUTE, fetch_newest, latest_times
from nowcastlib.live.issue import Issue
from nowcastlib.live.options import LiveOptions
from nowcastlib.live.page import render_page

log = logging.getLogger("nowcastlib")


def utcnow() -> pd.Timestamp:
    """Return the time in UTC, without a time zone."""
    return pd.Timestamp.now("UTC").tz_localize(None).floor("s")


def write_page(
    feed: Feed,
    forecasters: Mapping[str, Forecaster],
    out: str | Path,
    options: LiveOptions | None = None,
    now: Callable[[], pd.Timestamp] = utcnow,
) -> str:
    """Forecast from the feed's newest frames and write the page, whole or not at all.

    The forecast is issued at the last time up to which enough of the frames that the forecasters
    need are complete: see ``data.has_enough``. If frames are missing, or if the forecast is old,
    page and log say so.

    Parameters
    ----------
    feed : Feed
        Where the frames come from.
    forecasters : mapping of str to Forecaster
        Forecasters by name.
    out : str or pathlib.Path
        The page. The store of the fetched frames stands beside it.
    options : LiveOptions, optional
        Which frames are used, and how far the forecast reaches.
    now : callable
        Returns the time (UTC) up to which frames are used. The page says so if it is not that of
        the clock.

    Returns
    -------
    str
        What was written, in one line, and a line for each place of the options.

    Raises
    ------
    NowcastError
        If the feed does not answer or has too few frames, or if a place of the options lies
        outside the grid. An older page stays as it is.
    """
    out, options = Path(out), options or LiveOptions()
    clock, moment = utcnow(), now()
    as_if = moment if abs(clock - moment) > MINUTE else None
    if out.is_dir():
        raise NowcastError(f"{out} is a folder: name a page in it, such as {out / 'live.html'}")

    frames, listed = fetch_newest(feed, out, moment, options)
    frames = grid.centre(frames, options.size) if options.size else frames
    frames = mark_complete(frames)
    forecasters = {name: at_trained_scale(r, frames, name) for name, r in forecasters.items()}
    n_in = {max(2, run.n_in) for run in forecasters.values()}  # two show a time step
    times, missing = latest_times(frames, listed, n_in)

    past = frames_at(frames, times, usual_step(times))
    frames = frames[frames.is_complete.values]
    forecasts, at_places = _forecast_all(forecasters, past, options)
    issue = Issue(frames, past, forecasts, _origin(feed), utcnow(), as_if, missing, at_places)
    for text in (issue.note, issue.warning):
        if text:
            log.warning(text)
    write_atomically(out, render_page(issue, options.reload).encode())
    if options.json:
        write_atomically(options.json, json.dumps(issue.report, indent=1).encode())

    names, issued = ", ".join(forecasts), f"{issue.time:%Y-%m-%d %H:%M} UTC"
    first = f"{out}: forecast from {issued} by {names}. {issue.outlook}"
    return "\n".join([first, *outlook_lines(issue.at_places)])


def show(page: str | Path) -> None:
    """Open a page in the browser, if there is one."""
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(Path(page).resolve().as_uri())


def repeat(update: Callable[[], object], every: float) -> None:
    """Call ``update`` after every ``every`` minutes, without end.

    A failure of any kind is logged, and the older page stays: nobody may be there to start the
    command again.
    """
    while True:
        time.sleep(60 * every)
        try:
            update()
        except Exception as error:  # also one that nobody has foreseen
            kind = "" if isinstance(error, NowcastError) else f"{type(error).__name__}: "
            log.warning("the page was not renewed (%s%s)", kind, printable(error, None))


def _forecast_all(
    forecasters: Mapping[str, Forecaster], past: xr.DataArray, options: LiveOptions
) -> tuple[dict[str, xr.DataArray], dict[str, list[PlaceForecast]]]:
    """Forecasts of the grid and of the places by name; without a number of leads, of one hour."""
    leads = options.leads or max(1, round(60 / time_step(past)))
    fields, at_places = {}, {}
    for name, run in forecasters.items():
        fields[name], series = forecast_at(run, past, options.places, leads=leads)
        if options.places:
            at_places[name] = series
    return fields, at_places


def _origin(feed: Feed) -> str:
    """Name of the radar, or of the feed as the command line knows it."""
    if isinstance(feed, fvg.Fvg):
        return f"radar {feed.radar}, {feed.product}"
    class_name = type(feed).__name__
    for name, target in registry.FEEDS.items():
        if target.endswith(f":{class_name}"):
            return name
    return class_name
