"""``nowcast forecast``: forecast the next steps after the frames of a store."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nowcastlib.cli.beyond import A_STORE, VideoOptions, forecast_beyond
from nowcastlib.cli.reading import AS_STATED, DEVICE, ReadingOptions, option

log = logging.getLogger("nowcastlib")


@dataclass(frozen=True)
class Forecast:
    """Forecast the next steps: rain rate (lead_time, y, x) in mm/h."""

    # CF-Zarr store or NetCDF file of rain with the observed frames; with --beyond, a folder of
    # videos.
    data: Path

    # The forecast to write. The ending is the format: .zarr or .nc (CF), .npy (with times.json
    # beside it), .gif or .mp4. Without an ending it is a folder of PNG, named by valid time. An
    # older forecast there is replaced.
    out: Path

    # Name of a shipped network or of a baseline, or the folder of a run. radar-members is an
    # ensemble of ten.
    weights: Annotated[str, tyro.conf.arg(metavar="NAME|RUN")] = "radar"

    # Time of the last frame that the forecaster may use, UTC, such as 2015-05-15T17:00.
    at: Annotated[str | None, option("TIME", "the last frame of the store")] = None

    # Number of time steps to forecast; a step is as long as that of the store.
    leads: Annotated[int, tyro.conf.arg(metavar="N")] = 12

    # Use only the central square of this many pixels a side; 0 uses the whole grid.
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 0

    # Where a network runs; auto: on a GPU where there is one.
    device: DEVICE = "auto"

    # Pictures are grey, white is 100 mm/h, instead of the colours of the rain scale.
    grey: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # Videos in place of a store.
    videos: VideoOptions = A_STORE

    # What the frames of --data are, where the store does not say it or says it wrongly.
    reading: ReadingOptions = AS_STATED

    def run(self) -> None:
        """Write the forecast, then print one line about it."""
        from nowcastlib.data import centre, open_frames
        from nowcastlib.display import check_ending, save_forecast
        from nowcastlib.forecasting import at_trained_scale, forecast, forecaster

        self.videos.check_used()
        if self.videos.beyond:
            forecast_beyond(self)
            return
        check_ending(self.out)

        frames = open_frames(self.data, options=self.reading.options())
        if self.size:
            frames = centre(frames, self.size)

        run = at_trained_scale(forecaster(self.weights, self.device), frames, self.weights)
        predicted = forecast(run, frames, self.at, self.leads)
        if missing := predicted.attrs.get("missing_frames"):
            log.warning("frames missing or incomplete, filled from the others: %s", missing)
        history = f"nowcastlib forecast: {self.weights} from the frames of {self.data}"
        if scale := predicted.attrs.get("nowcast_scale"):
            history += f"; {scale}"
        predicted = predicted.assign_attrs(forecaster=self.weights, history=history)
        save_forecast(predicted, self.out, self.grey)

        first, last = predicted.valid_time.values[[0, -1]].astype("datetime64[m]")
        print(f"{self.out}: {self.leads} leads by {self.weights}, valid {first} to {last} UTC")
