"""``nowcast evaluate``: score forecasters on the frames of a store."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nowcastlib.cli.cluster_options import ALONE, ClusterOptions
from nowcastlib.cli.reading import AS_STATED, DEVICE, ReadingOptions, option
from nowcastlib.cli.values import forecasters_by_name
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from nowcastlib.verification import EvaluationOptions

HIGHEST = 1000.0  # mm/h
log = logging.getLogger("nowcastlib")


@dataclass(frozen=True)
class Evaluate:
    """Score forecasters on a store by lead time, threshold, scale and event."""

    # CF-Zarr store or NetCDF file of rain with the observed frames (a path, a URL, or the name of a
    # public archive), or a store of colours: it is scored by MSE, PSNR and SSIM.
    data: Annotated[str, tyro.conf.arg(metavar="PATH")]

    # Names of shipped networks and baselines, or folders of runs, separated by commas.
    forecasters: Annotated[str, tyro.conf.arg(metavar="NAMES")] = (
        "radar,persistence,extrapolation,sprog"
    )

    # Number of time steps to forecast.
    leads: Annotated[int, tyro.conf.arg(metavar="N")] = 12

    # Rain rates in mm/h, separated by commas. A pixel counts as rain if its rate is above.
    thresholds: Annotated[str, tyro.conf.arg(metavar="RATES")] = "0.5,2,5"

    # Forecast from the central square of this many pixels a side; 0 uses the whole grid.
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 256

    # Leave out pixels near the edge of that square: the width of this border in pixels.
    margin: Annotated[int, tyro.conf.arg(metavar="PX")] = 0

    # Score only pixels for which every forecaster has a forecast. Otherwise a pixel without a
    # forecast counts as dry, which favours networks: they fill all observed pixels.
    common: bool = False

    # Forecast from every N-th of the possible times (a number of time steps, not minutes).
    every: Annotated[int, tyro.conf.arg(metavar="N")] = 1

    # Time of the first frame to use, UTC.
    start: Annotated[str | None, option("TIME", "the first frame")] = None

    # Frames at and after this time, UTC, are not used.
    end: Annotated[str | None, option("TIME", "use all")] = None

    # Write protocol and scores to this file.
    json: Annotated[Path | None, option("FILE", "print a summary only")] = None

    # Cases that a network forecasts at once; 0: several on a GPU, the more the smaller the grid.
    batch: Annotated[int, tyro.conf.arg(metavar="N")] = 0

    # Where networks run; auto: on a GPU where there is one.
    device: DEVICE = "auto"

    # Add the scores of the cases of an event. The intervals then show how much the scores depend on
    # the events, and long archives need less memory.
    by_event: bool = False

    # Folder in which the counts of each case are kept; run again, an interrupted evaluation carries
    # on there.
    counts: Annotated[Path | None, option("DIR", "keep none")] = None

    # What the frames of --data are, where the store does not say it or says it wrongly.
    reading: ReadingOptions = AS_STATED

    # Processes that share the work.
    cluster: ClusterOptions = ALONE

    def run(self) -> None:
        """Evaluate, print the mean CSI, and write the report if ``json`` names a file."""
        from nowcastlib.cli import report
        from nowcastlib.cli.colour_report import evaluate_colours
        from nowcastlib.data import is_colour_store, open_frames, time_text, within
        from nowcastlib.forecasting import trained_on
        from nowcastlib.verification import evaluate

        if is_colour_store(self.data):
            evaluate_colours(self)
            return
        options = self._options()
        frames = open_frames(self.data, options=self.reading.options())
        times = frames.indexes["time"].to_series()
        frames = frames.isel(time=within(times, self.start, self.end).values)
        if not frames.sizes["time"]:
            raise NowcastError(
                f"{self.data} holds frames from {time_text(times.iloc[0])} to "
                f"{time_text(times.iloc[-1])}, but none from {self.start or 'the first'} to "
                f"{self.end or 'the last'}"
            )

        forecasters = forecasters_by_name(self.forecasters, self.device)
        for name, run in forecasters.items():
            if caution := trained_on(run, frames):
                log.warning("%s %s", name, caution)
        with self.cluster.connected() as client:
            counts = evaluate(frames, forecasters, options, client=client)

        print(report.summary(counts, frames, self))
        if self.json:
            protocol = report.protocol(frames, counts, self)
            report.write(self.json, report.full(counts, protocol, self.common))
            print(self.json)

    def _options(self) -> "EvaluationOptions":
        """The protocol of the evaluation."""
        from nowcastlib.verification import EvaluationOptions

        return EvaluationOptions(
            leads=self.leads,
            thresholds=_rates(self.thresholds),
            size=self.size,
            margin=self.margin,
            every=self.every,
            common=self.common,
            batch=self.batch,
            by_event=self.by_event,
            counts=self.counts,
        )


def _rates(thresholds: str) -> list[float]:
    """Rain rates (mm/h) from numbers that are separated by commas."""
    try:
        rates = [float(threshold) for threshold in thresholds.split(",")]
    except ValueError as error:
        raise NowcastError(
            f"--thresholds {thresholds!r} are not numbers: write them like 0.5,2,5"
        ) from error
    if not all(0 <= rate <= HIGHEST for rate in rates):  # NaN neither
        raise NowcastError(
            f"--thresholds {thresholds!r} are not rain rates from 0 to {HIGHEST:g} mm/h: write "
            "them like 0.5,2,5"
        )
    return rates
