"""Live: the newest frames of a feed → the rain of the next hour by several forecasters → one page that opens."""

import contextlib
import hashlib
import logging
import shutil
import time
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import NoAnswer, Source, grid, ingest, store, time_step
from nowcastlib.data.feeds import cf_zarr, fvg
from nowcastlib.display import ForecastPlayer, credit
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import BASELINES, Forecaster, forecast
from nowcastlib.units import DRY

log = logging.getLogger("nowcastlib")

MINUTE = pd.Timedelta("1min")
WET = 0.5  # mm/h; of the table
WHOLE = 0.9  # of what frames usually see; one that sees less is not whole
NETWORK = "A network with trained weights. It blurs: where rain is heavy, it forecasts too little."
LIMITS = (
    "An exercise, and no warning service: showers that are yet to form are not foreseen, rain that comes over the edge "
    "of the picture is not known (grey), and every minute ahead is less certain. For warnings ask your weather service."
)
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 0.5rem }
h1 { font-size: 1.4rem; margin: 0.3rem 0 }
p, ul { margin: 0.4rem 0 }
#stale { background: #b00020; color: #fff; font-weight: 700; padding: 0.6rem }
.note { border-left: 4px solid #d98200; padding-left: 0.6rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font: 0.85rem/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums }
th, td { border: 1px solid #8886; padding: 0.1rem 0.4rem; text-align: right }
thead th { text-align: center }
small { opacity: 0.8 }
"""
SCRIPT = """
const { issued, limit } = document.querySelector("main").dataset;
const tell = () => {
  const age = Math.floor((Date.now() - Date.parse(issued)) / 60000);
  const told = age < 120 ? `${age} min` : age < 2880 ? `${Math.floor(age / 60)} h ${age % 60} min` : `${Math.floor(age / 1440)} days`;
  document.getElementById("age").textContent = age < 0 ? "in the future, if this clock is right" : `${told} ago`;
  const stale = document.getElementById("stale");
  stale.hidden = age >= 0 && age <= limit;
  if (!stale.hidden) stale.textContent = `Issued ${document.getElementById("age").textContent}: do not use.`;
};
tell();
setInterval(tell, 10000);
"""  # noqa: E501


@dataclass(frozen=True)
class _Newest:
    """Some rows of a feed, as a feed; frames that ``kept`` (time, y, x) holds are taken from there."""

    feed: Source
    rows: pd.DataFrame
    kept: xr.DataArray | None
    crop: tuple[int, int, int, int] | None
    regrid: int

    def __getattr__(self, name: str):  # attribution, licence and the like
        return getattr(self.feed, name)

    def list(self, start=None, end=None) -> pd.DataFrame:
        return self.rows

    def read(self, row) -> xr.DataArray:
        if self.kept is not None and row.time in self.kept.indexes["time"]:
            return self.kept.sel(time=row.time, drop=True)
        return grid.coarser(grid.cut(self.feed.read(row), self.crop), self.regrid)


def utcnow() -> pd.Timestamp:
    """The time, without a zone, which is UTC."""
    return pd.Timestamp.now("UTC").tz_localize(None).floor("s")


def newest(
    feed: Source,
    out: Path,
    now: pd.Timestamp,
    minutes: float = 120,
    crop=None,
    regrid: int = 0,
    progress: bool = True,
) -> tuple[xr.DataArray, pd.DatetimeIndex]:
    """The frames (time, y, x) in mm/h of the feed's newest ``minutes`` until ``now``, and the times that it lists.

    They are kept in a store beside ``out``, so that a feed on the network is asked for each whole frame once; what is
    older is forgotten. A frame that cannot be read is listed, but not there. Raises NowcastError if there is none.
    """
    feed = (
        replace(feed) if isinstance(feed, cf_zarr.CfZarr) else feed
    )  # opened anew: it may have grown
    rows = feed.list(
        now - pd.Timedelta(minutes=minutes) if isinstance(feed, fvg.Fvg) else None,
        now + pd.Timedelta("1s"),
    )
    rows = rows[rows.time > rows.time.max() - pd.Timedelta(minutes=minutes)].drop_duplicates("time")
    if rows.empty:
        raise NowcastError(
            f"the feed has no frame until {now:%Y-%m-%d %H:%M} UTC: ask for another time"
        )
    about = hashlib.blake2b(repr((feed, crop, regrid)).encode(), digest_size=4).hexdigest()
    path = out.with_name(f"{out.stem}-{about}.zarr")
    fresh, kept = path.with_name(path.name + ".new"), None
    if fresh.exists() and not path.exists():  # killed between the last two lines of a round
        fresh.rename(path)
    shutil.rmtree(fresh, ignore_errors=True)
    if isinstance(
        feed, fvg.Fvg | cf_zarr.CfZarr
    ):  # files on disk may change, and are read as fast as our store
        with contextlib.suppress(NowcastError):
            kept = store.open_frames(path)
            kept = kept[whole(kept)].load()
    else:
        shutil.rmtree(fresh.with_name(fresh.name + ".partial"), ignore_errors=True)
    try:
        ingest(_Newest(feed, rows, kept, crop, regrid), fresh, progress=progress)
    except NowcastError as error:
        if not isinstance(error, NoAnswer):  # a run after that of a silent feed carries on
            shutil.rmtree(fresh.with_name(fresh.name + ".partial"), ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    fresh.rename(path)
    frames, listed = store.open_frames(path), pd.DatetimeIndex(rows.time.sort_values())
    return frames[np.isin(frames.time.values, listed)].load(), listed


def whole(frames: xr.DataArray) -> np.ndarray:
    """Which of the frames (time, y, x) see at least nine tenths of what the middle one of them sees."""
    seen = np.array([np.isfinite(frame.values).mean() for frame in frames])
    return (seen > 0) & (seen >= WHOLE * np.median(seen))


def latest(
    frames: xr.DataArray, listed: pd.DatetimeIndex, n: int
) -> tuple[pd.DatetimeIndex, list[pd.Timestamp]]:
    """Times of the last ``n`` frames (time, y, x) in a row, at the step of the listed times, and what kept them
    from being later: the times that are missing.

    Raises NowcastError, naming what is missing, if there are not so many in a row.
    """
    gaps = pd.Series(listed).diff().mode()
    step = pd.Timedelta("5min") if gaps.empty else gaps[0]
    there, lacking = frames.indexes["time"], set()
    wanted = {at: pd.date_range(end=at, periods=n, freq=step) for at in listed[::-1]}
    for times in wanted.values():
        lacks = times.difference(there)
        if lacks.empty:
            return times, sorted(lacking)
        lacking.update(lacks)
    missing = wanted[listed[-1]].difference(there)
    raise NowcastError(
        f"no forecast: {n} whole frames in a row are needed, {step / MINUTE:g} minutes apart, and of those until "
        f"{listed[-1]:%Y-%m-%d %H:%M} UTC {_are_missing(missing)}: try again later, or with more --minutes"
    )


def live(
    feed: Source,
    forecasters: Mapping[str, Forecaster],
    out: str | Path,
    minutes: float = 120,
    leads: int = 0,
    size: int = 0,
    crop: tuple[int, int, int, int] | None = None,
    regrid: int = 0,
    reload: float = 0,
    now: Callable[[], pd.Timestamp] = utcnow,
    progress: bool = True,
) -> str:
    """Forecast from the feed's newest frames, write the page ``out`` (all or nothing), and tell of it in a line.

    It is issued at the last time until which the newest ``minutes`` hold all frames that the forecasters need; where
    that is not the newest, page and log say what is missing, and where it is old, that it is. ``leads`` are steps
    (0: an hour of them), ``size`` the central square in px (0: all), ``crop`` and ``regrid`` those of
    ``ingest``; the page loads itself again after ``reload`` minutes (0: never).

    Raises NowcastError, and leaves an older page as it is, if the feed does not answer or has not enough frames.
    """
    out, moment = Path(out), now()
    if out.is_dir():
        raise NowcastError(f"{out} is a folder: name a page in it, such as {out / 'live.html'}")
    frames, listed = newest(feed, out, moment, minutes, crop, regrid, progress)
    frames = grid.centre(frames, size) if size else frames
    frames = frames[whole(frames)]
    used, lacking = latest(frames, listed, max(2, *(run.n_in for run in forecasters.values())))
    past, issued = frames.sel(time=used), used[-1]
    step = time_step(past)
    made = {
        name: forecast(run, past, leads=leads or max(1, round(60 / step)))
        for name, run in forecasters.items()
    }
    limit, age = max(30, 3 * step), int((moment - issued) / MINUTE)
    warnings = {
        "note": f"{_are_missing(lacking)}: forecast from {issued:%H:%M} UTC." if lacking else "",
        "stale": f"Issued {_ago(age)} ago: do not use." if age > limit else "",
    }
    for words in filter(None, warnings.values()):
        log.warning(words)
    about = {
        "place": f"radar {feed.radar}, {feed.product}"
        if isinstance(feed, fvg.Fvg)
        else type(feed).__name__.lower(),
        "grid": f"{past.sizes['y']} × {past.sizes['x']} px of {grid.pixel_km(past):g} km, every {step:g} minutes",
        "written": f"{moment:%Y-%m-%d %H:%M} UTC",
    }
    write_atomically(out, _page(frames, made, past, about, warnings, limit, reload).encode())
    return f"{out}: forecast from {issued:%Y-%m-%d %H:%M} UTC by {', '.join(made)}. {_outlook(past, made)}"


def _page(frames, made, past, about, warnings, limit, reload) -> str:
    issued = pd.Timestamp(past.time.values[-1])
    stamp = f"{issued:%Y-%m-%dT%H:%M:%SZ}"
    title = f"Rain forecast: {about['place']}"
    again = f'<meta http-equiv="refresh" content="{reload * 60:.0f}">' if reload else ""
    note = f'<p class="note">{escape(warnings["note"])}</p>' if warnings["note"] else ""
    told = {n: BASELINES[n].description if n in BASELINES else NETWORK for n in made}
    who = "".join(
        f"<li><b>{escape(name)}</b>: {escape(words)}</li>" for name, words in told.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{again}
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main data-issued="{stamp}" data-limit="{limit:g}">
<h1>{escape(title)}</h1>
<p>Issued <time datetime="{stamp}">{issued:%Y-%m-%d %H:%M} UTC</time>, <span id="age"></span>.</p>
<p id="stale" role="alert"{"" if warnings["stale"] else " hidden"}>{escape(warnings["stale"])}</p>
{note}<p>{escape(_outlook(past, made))}</p>
{ForecastPlayer(frames, made, past.sizes["time"]).page()}
{_table(made)}
<p>Observed frames that are yet to come are grey. The forecasts:</p>
<ul>{who}</ul>
<p>{LIMITS}</p>
<p><small>{escape(about["grid"])}. Page written {about["written"]}. {escape(credit(past))}</small></p>
</main><script>{SCRIPT}</script></body></html>
"""


def _outlook(past: xr.DataArray, made: Mapping[str, xr.DataArray]) -> str:
    """What is seen and what is coming, in a sentence or two."""
    share, most = _share_and_most(past.values[-1])
    at, until = (
        pd.Timestamp(t)
        for t in (past.time.values[-1], next(iter(made.values())).valid_time.values[-1])
    )
    if all(np.nanmax(field, initial=0) < DRY for field in (past.values[-1], *made.values())):
        return (
            f"No rain in sight: none observed at {at:%H:%M}, none forecast until {until:%H:%M} UTC."
        )
    return f"Observed at {at:%H:%M} UTC: rain above {WET:g} mm/h on {share} of what is seen, at most {most} mm/h."


def _table(made: Mapping[str, xr.DataArray]) -> str:
    """By lead time and forecaster: the share of the picture with rain, and the largest rate."""
    first = next(iter(made.values()))
    names = "".join(f'<th colspan="2" scope="colgroup">{escape(name)}</th>' for name in made)
    what = '<th scope="col">share</th><th scope="col">mm/h</th>' * len(made)
    rows = []
    for k, (lead, valid) in enumerate(
        zip(first.lead_time.values, first.valid_time.values, strict=True)
    ):
        fields = [field.isel(lead_time=k).values for field in made.values()]
        cells = "".join(f"<td>{value}</td>" for field in fields for value in _share_and_most(field))
        rows.append(
            f'<tr><th scope="row">+{lead:g}</th><td>{pd.Timestamp(valid):%H:%M}</td>{cells}</tr>'
        )
    return (
        f"<p>By minutes ahead: share of the known part with rain above {WET:g} mm/h, and the largest rate.</p>"
        '<div class="wide"><table><thead><tr><th rowspan="2" scope="col">min</th><th rowspan="2" scope="col">UTC</th>'
        f"{names}</tr><tr>{what}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _share_and_most(rate: np.ndarray) -> tuple[str, str]:
    known = rate[np.isfinite(rate)]
    return (f"{(known > WET).mean():.1%}", f"{known.max():.1f}") if known.size else ("–", "–")


def _are_missing(times) -> str:
    clock = [f"{t:%H:%M}" for t in times]
    words = ", ".join(clock[:6]) + ("" if len(clock) <= 6 else f" and {len(clock) - 6} more")
    return f"{words} {'is' if len(clock) == 1 else 'are'} missing or not whole"


def _ago(age: int) -> str:
    """Minutes in words, as the page's script has them."""
    return (
        f"{age} min"
        if age < 120
        else f"{age // 60} h {age % 60} min"
        if age < 2880
        else f"{age // 1440} days"
    )


def show(page: str | Path) -> None:
    """Open a page in the browser, if there is one."""
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(Path(page).resolve().as_uri())


def again(update: Callable[[], object], every: float) -> None:
    """Call ``update`` each ``every`` minutes, for ever. A failure is told; the older page stays, and grows old."""
    while True:
        time.sleep(60 * every)
        try:
            update()
        except (NowcastError, OSError) as error:
            log.warning("%s", " ".join(str(error).split()))
