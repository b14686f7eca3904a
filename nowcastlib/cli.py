"""The command line: ``python -m nowcastlib ingest|train|forecast|evaluate|live``; ``--help`` on each tells more."""

import contextlib
import io
import json
import logging
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import tyro
import xarray as xr
from accelerate import PartialState

from nowcastlib import live
from nowcastlib.data import feeds, grid, ingest, store, time_step, training_data, utc, within
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import forecast, forecaster, save
from nowcastlib.training import TrainConfig, fit
from nowcastlib.verification import (
    COUNTS,
    effective_resolution,
    evaluate,
    interval,
    mean_csi,
    score,
    table,
)


@dataclass(frozen=True, kw_only=True)
class _Feed:
    """Where frames come from, and what is kept of them."""

    crop: tuple[int, int, int, int] | None = (
        None  # keep this rectangle: x y width height, px from the upper left
    )
    # make the grid coarser, to this number of columns, by area means; 0: as it is (the shipped ones learned at 1 km)
    regrid: int = 0
    path: str = (
        ""  # of archive and images: the folder; of cloud: the store's path, URL or known name
    )
    product: str = ""  # of archive: mch (the default), fmi, fmi-geotiff, knmi, bom or odim; of fvg: SRI, VMI, …
    radar: int | None = None  # of fvg: 1 is Fossalon di Grado
    base: str = ""  # of fvg: address of another server that speaks its interface
    endpoint: str = ""  # of cloud: address of an S3 service other than Amazon's
    variable: str = ""  # of cloud: name of the rain variable, if there are several
    spacing: float | None = None  # of images: minutes between pictures
    events: int | None = None  # of demo: storms, 36 frames each
    pixels: int | None = None  # of demo: height and width of a frame

    def feed(self) -> feeds.Source:
        options = ("path", "product", "radar", "base", "endpoint", "variable", "spacing", "events")
        return feeds.feed(
            self.source, size=self.pixels, **{name: getattr(self, name) for name in options}
        )


@dataclass(frozen=True, kw_only=True)
class Ingest(_Feed):
    """Write a feed's frames to a CF-Zarr store of rain rate (mm/h). Run again, it carries on."""

    out: Path  # the store, such as frames.zarr
    # the feed: synthetic rain, files of a service, the radars of Friuli Venezia Giulia, any CF-Zarr, pictures or videos
    source: Literal["demo", "archive", "fvg", "cloud", "images"] = "demo"
    start: str | None = (
        None  # first time, UTC, such as 2015-05-15 or 2015-05-15T16:00; fvg: two hours ago
    )
    end: str | None = None  # time to end before
    every: int = 1  # keep every so-manieth frame
    download: bool = (
        False  # of archive: fetch the pysteps example archive (335 MB) if the folder is not there
    )

    def run(self) -> None:
        feed = self.feed()
        if self.download:
            if self.source != "archive":
                raise NowcastError("only the source archive has a download")
            feeds.archive.download(feed.path)
        ingest(feed, self.out, self.start, self.end, self.crop, self.regrid, every=self.every)
        frames = store.open_frames(self.out)
        print(f"{self.out}: {store.describe(frames)}")


@dataclass(frozen=True)
class Train:
    """Train a network on one or several stores; split by event into training, validation and test."""

    data: tuple[
        Path, ...
    ]  # stores (CF-Zarr of rain rate), in training each counts alike; or moving-mnist
    out: Path  # folder for weights, configuration and history
    config: TrainConfig = field(default_factory=TrainConfig)
    shares: tuple[float, float, float] = (
        0.7,
        0.15,
        0.15,
    )  # of training, validation and test; 0 leaves one out
    validation: tuple[
        Path, ...
    ] = ()  # other stores to validate on; then all of data is for training
    start: Path | None = None  # a run's folder: start from its weights
    resume: bool = False  # carry on an interrupted run
    workers: int = 0  # processes that prepare batches beside the training
    tensorboard: bool = False  # log to OUT/tensorboard

    def run(self) -> None:
        c = self.config
        how = (
            c.n_in + c.n_out,
            c.crop,
            c.scale,
            self.shares,
            c.seed,
            self.validation,
            c.strides,
            c.vary,
            c.least,
        )
        data = training_data(self.data, *how)
        options = {"workers": self.workers, "tensorboard": self.tensorboard, "start": self.start}
        _, history = fit(c, *data[:2], self.out, self.resume, data[2], **options)
        if PartialState().is_main_process:
            print(history.dropna(axis=1, how="all").to_string(index=False))
            print(f"{self.out}: best validation loss {history.validation.min():.4f}")


@dataclass(frozen=True)
class Forecast:
    """Forecast the next steps and write them as CF-Zarr ``rainfall_rate(lead_time, y, x)`` in mm/h."""

    data: Path  # the store (CF-Zarr of rain rate)
    out: Path  # the forecast, such as forecast.zarr
    weights: str = (
        "radar"  # shipped weights, a run's folder, or a baseline; radar-members: an ensemble
    )
    at: str | None = None  # time of the last frame to look at, UTC; the store's last if not given
    leads: int = 12  # steps to forecast
    size: int = 0  # use only the central square of this many pixels; 0: the whole grid

    def run(self) -> None:
        frames = store.open_frames(self.data)
        frames = grid.centre(frames, self.size) if self.size else frames
        predicted = forecast(forecaster(self.weights), frames, self.at, self.leads)
        save(predicted, self.out)
        first, last = predicted.valid_time.values[[0, -1]].astype("datetime64[m]")
        print(f"{self.out}: {self.leads} leads by {self.weights}, valid {first} to {last} UTC")


@dataclass(frozen=True)
class Evaluate:
    """Score forecasters on a store by lead time, threshold, scale and event, with counts and intervals."""

    data: Path  # the store (CF-Zarr of rain rate)
    forecasters: str = "radar,persistence,extrapolation,sprog"  # names, separated by commas
    leads: int = 12  # steps to forecast
    thresholds: str = "0.5,2,5"  # mm/h, separated by commas
    size: int = 256  # forecast from the central square of this many pixels; 0: the whole grid
    margin: int = 0  # pixels along its edge that are not scored
    common: bool = False  # score only pixels of which every forecaster knows something
    every: int = 1  # take every so-manieth possible case
    start: str | None = None  # first frame to use, UTC
    end: str | None = None  # frame to end before
    json: Path | None = None  # write protocol and scores here

    def run(self) -> None:
        try:
            thresholds = [float(t) for t in self.thresholds.split(",")]
        except ValueError as error:
            raise NowcastError(
                f"thresholds {self.thresholds!r} are not numbers: write them like 0.5,2,5"
            ) from error
        frames = store.open_frames(self.data)
        frames = frames.isel(
            time=within(frames.indexes["time"].to_series(), self.start, self.end).values
        )
        names = [n.strip() for n in self.forecasters.split(",")]
        runs = {n: forecaster(n) for n in names}
        counts = evaluate(
            frames, runs, self.leads, thresholds, self.size, self.margin, self.every, self.common
        )
        pooled, bounds = counts.sum("case"), interval(counts[[*COUNTS]])
        shown = np.stack(
            [mean_csi(pooled), *bounds.transpose("bound", ...)], -1
        )  # (forecaster, threshold, 3)
        print(
            "CSI pooled over cases, averaged over leads, by threshold in mm/h (90 % of redrawn samples of the cases)"
        )
        form = "{:.3f} ({:.2f}–{:.2f})".format
        print(pd.DataFrame([[form(*of_it) for of_it in row] for row in shown], names, thresholds))
        if self.json:
            events, resolution = counts.groupby("event").sum(), effective_resolution(pooled)
            report = {
                "protocol": self._protocol(frames, counts),
                "mean_csi": _by_threshold(mean_csi(pooled)),
                "mean_csi_interval": _by_threshold(bounds),
                "mean_csi_by_event": {
                    f"{pd.Timestamp(event):%Y-%m-%d %H:%M}": _by_threshold(
                        mean_csi(events.sel(event=event))
                    )
                    for event in events.event.values
                },
                # the sharp edges of a mask are fine detail that nobody forecast
                **(
                    {}
                    if self.common
                    else {"effective_resolution_km": resolution.to_pandas().T.to_dict("list")}
                ),
                "scores": table(counts).to_dict("records"),
                "fss": score(pooled, "fss").to_dataframe().reset_index().to_dict("records"),
            }
            write_atomically(self.json, json.dumps(_plain(report), indent=1).encode())
            print(self.json)

    def _protocol(self, frames, counts) -> dict:
        return {
            "data": str(self.data),
            "source": frames.attrs["source"],
            "cases": counts.sizes["case"],
            "events": len(np.unique(counts.event)),
            "step_minutes": time_step(frames),
            "pixel_km": grid.pixel_km(frames),
            "size": self.size,
            "margin": self.margin,
            "event": "rain rate > threshold (mm/h)",
            "csi": "hits / (hits + misses + false alarms), pooled over cases; mean_csi: averaged over lead times > 0",
            "csi_averaged": "the average of each case's CSI over the csi_defined cases that have one",
            "interval": "of 1,000 bootstrap draws of the cases 90 % lie within; cases are not independent",
            "unknown": "NaN in the observation is not scored; "
            + ("nor is NaN in any forecast" if self.common else "NaN in a forecast counts as dry"),
            "undefined": "null",
            "fss": "fractions skill score, windows of scale px, outside the domain is dry",
            "effective_resolution_km": "wavelength where power falls below half of the observed, by lead time",
            "ensemble": "the mean of its members; crps and brier: its members",
        }


@dataclass(frozen=True, kw_only=True)
class Live(_Feed):
    """Forecast the next hour from a feed's newest frames: a page with a player that needs no network. Opens it."""

    out: Path = Path("live.html")  # the page; what was fetched is kept in a small store beside it
    source: Literal["demo", "archive", "fvg", "cloud", "images"] = "fvg"  # the feed, as of ingest
    forecasters: str = "radar,sprog,extrapolation"  # names, separated by commas
    leads: int = 0  # steps to forecast; 0: as many as make an hour
    minutes: float = 120  # how far back from the newest frame to look
    size: int = 0  # use only the central square of this many pixels; 0: the whole grid
    every: float = 0  # minutes after which it is all done again, until Ctrl-C; the page reloads itself; 0: once
    at: str | None = None  # a look back: as if it were this time, UTC, such as 2024-06-01T16:00
    open: bool = True  # show the page in the browser

    def run(self) -> None:
        if self.every < 0 or (self.every and self.at):
            raise NowcastError(
                "--every is a number of minutes from now on, and does not go with --at"
            )
        feed = self.feed()
        runs = {n.strip(): forecaster(n.strip()) for n in self.forecasters.split(",")}
        how = {k: getattr(self, k) for k in ("minutes", "leads", "size", "crop", "regrid")} | {
            "reload": self.every
        }
        now = (lambda: utc(self.at)) if self.at else live.utcnow

        def update() -> None:
            print(live.live(feed, runs, self.out, now=now, **how))

        update()
        if self.open:
            live.show(self.out)
        if self.every:
            live.again(update, self.every)


def _by_threshold(values: xr.DataArray) -> dict:
    """{forecaster: {threshold: value, or list of them}}."""
    return {
        str(name): {
            str(t): values.sel(forecaster=name, threshold=t).values.tolist()
            for t in values.threshold.values
        }
        for name in values.forecaster.values
    }


def _plain(value):
    """For JSON: NumPy numbers as Python's, NaN as null, keys as text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value


Command = (
    Annotated[Ingest, tyro.conf.subcommand("ingest")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Forecast, tyro.conf.subcommand("forecast")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Live, tyro.conf.subcommand("live")]
)


def _parse(arguments: list[str] | None):
    """The command that is asked for; tyro's own complaints, which it frames over several lines, as one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(Command, prog="nowcastlib", args=arguments)
    except SystemExit as stop:
        if stop.code:
            raise NowcastError(re.sub("[─-╿]+", " ", said.getvalue())) from stop
        raise


def main(arguments: list[str] | None = None) -> int:
    """Run a command. A mistake of the user's is one clear line and exit code 2; Ctrl-C is 130."""
    logging.basicConfig(format="nowcastlib: %(levelname)s: %(message)s")
    logging.getLogger("urllib3").setLevel(
        "ERROR"
    )  # that it asks again is no matter; that it gave up is our error
    try:
        _parse(arguments).run()
    except (NowcastError, OSError) as error:
        print(
            "nowcastlib: error:", " ".join(str(error).split()), file=sys.stderr
        )  # torch's go over several lines
        return 2
    except KeyboardInterrupt:
        print(
            "nowcastlib: interrupted; run again to carry on (train: with --resume)", file=sys.stderr
        )
        return 130
    return 0
