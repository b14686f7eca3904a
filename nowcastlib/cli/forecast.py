"""``nowcast forecast``: forecast the next steps after the frames of a store."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nowcastlib.cli.beyond import A_STORE, VideoOptions, forecast_beyond
from nowcastlib.cli.place_options import NO_PLACE, PlaceOptions
from nowcastlib.cli.reading import AS_STATED, DEVICE, ReadingOptions, option
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    import xarray as xr

    from nowcastlib.data import Place
    from nowcastlib.forecasting import Forecaster, PlaceForecast

log = logging.getLogger("nowcastlib")


@dataclass(frozen=True)
class Forecast:
    """Forecast the next steps: rain rate (lead_time, y, x) in mm/h."""

    # CF-Zarr store or NetCDF file of rain with the observed frames, or a store of colours; with
    # --beyond, a folder of videos.
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

    # Places for which the forecast rain is printed.
    places: PlaceOptions = NO_PLACE

    # Videos in place of a store.
    videos: VideoOptions = A_STORE

    # What the frames of --data are, where the store does not say it or says it wrongly.
    reading: ReadingOptions = AS_STATED

    def run(self) -> None:
        """Write the forecast, then print a line about it and one for each place."""
        from nowcastlib.data import are_colours, centre
        from nowcastlib.display import check_ending, save_forecast
        from nowcastlib.forecasting import at_trained_scale, forecaster

        places = self.places.parsed()
        self.videos.check_used()
        if self.videos.beyond:
            if places:
                raise NowcastError("videos have no geographical coordinates: leave out --place")
            forecast_beyond(self)
            return
        check_ending(self.out)

        frames = self._frames()
        if self.grey and are_colours(frames):
            raise NowcastError("pictures of colours keep their colours: leave out --grey")
        if self.size:
            frames = centre(frames, self.size)

        run = at_trained_scale(forecaster(self.weights, self.device), frames, self.weights)
        predicted, at_places = self._forecast(run, frames, places)
        if missing := predicted.attrs.get("missing_frames"):
            log.warning("frames missing or incomplete, filled from the others: %s", missing)
        save_forecast(self._with_history(predicted), self.out, self.grey)

        first, last = predicted.valid_time.values[[0, -1]].astype("datetime64[m]")
        print(f"{self.out}: {self.leads} leads by {self.weights}, valid {first} to {last} UTC")
        if places:
            self._tell(at_places)

    def _forecast(
        self, run: "Forecaster", frames: "xr.DataArray", places: "tuple[Place, ...]"
    ) -> "tuple[xr.DataArray, list[PlaceForecast]]":
        """The forecast of the whole grid, and those of the places."""
        from nowcastlib.data import are_colours
        from nowcastlib.forecasting import ColourNetwork, forecast, forecast_at

        if not are_colours(frames) and not isinstance(run, ColourNetwork):
            return forecast_at(run, frames, places, self.at, self.leads)
        if places:
            raise NowcastError("colour films have no geographical coordinates: leave out --place")
        return forecast(run, frames, self.at, self.leads), []

    def _with_history(self, predicted: "xr.DataArray") -> "xr.DataArray":
        """The forecast with attributes that say how it was made."""
        history = f"nowcastlib forecast: {self.weights} from the frames of {self.data}"
        if scale := predicted.attrs.get("nowcast_scale"):
            history += f"; {scale}"
        return predicted.assign_attrs(forecaster=self.weights, history=history)

    def _tell(self, at_places: "list[PlaceForecast]") -> None:
        """Print when it will rain at each place, and write the report if ``json`` names a file."""
        from nowcastlib.files import write_atomically
        from nowcastlib.forecasting import outlook_lines, outlook_report

        forecasts = {self.weights: at_places}
        if self.places.json:
            report = json.dumps(outlook_report(forecasts), indent=1)
            write_atomically(self.places.json, report.encode())
        print("\n".join(outlook_lines(forecasts)))

    def _frames(self) -> "xr.DataArray":
        """The frames of the store, of rain or of colours."""
        from nowcastlib.data import is_colour_store, open_colours, open_frames

        options = self.reading.options()
        if is_colour_store(self.data):
            options.check_known((), "colours")
            return open_colours(self.data)
        return open_frames(self.data, options=options)
