"""``nowcast live``: a page with the forecast of the next hour, from a feed's newest frames."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nowcastlib.cli.place_options import NO_PLACE, PlaceOptions
from nowcastlib.cli.reading import DEVICE, option
from nowcastlib.cli.source_options import SourceName, SourceOptions
from nowcastlib.cli.values import forecasters_by_name
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")


@dataclass(frozen=True, kw_only=True)
class Live(SourceOptions):
    """Forecast the next hour from a feed's newest frames, as a page that works offline."""

    # The page to write; the fetched frames are kept in a small store beside it.
    out: Path = Path("live.html")

    # Where the frames come from; see ingest.
    source: SourceName = "fvg"

    # Names of shipped networks and baselines, or folders of runs, separated by commas.
    forecasters: Annotated[str, tyro.conf.arg(metavar="NAMES")] = "radar,sprog,extrapolation"

    # Number of time steps to forecast; 0 forecasts one hour.
    leads: Annotated[int, tyro.conf.arg(metavar="N")] = 0

    # Fetch the frames of this many minutes before the newest one.
    minutes: Annotated[float, tyro.conf.arg(metavar="MINUTES")] = 120

    # Use only the central square of this many pixels a side; 0 uses the whole grid.
    size: Annotated[int, tyro.conf.arg(metavar="PX")] = 0

    # Minutes (not frames) after which the page is renewed, until Ctrl-C; 0 writes it once.
    every: Annotated[float, tyro.conf.arg(metavar="MINUTES")] = 0

    # Forecast as if it were this time, UTC, such as 2024-06-01T16:00.
    at: Annotated[str | None, option("TIME", "now")] = None

    # Where networks run; auto: on a GPU where there is one.
    device: DEVICE = "auto"

    # Places for which the page shows the forecast rain.
    places: PlaceOptions = NO_PLACE

    # Show the page in the browser.
    open: bool = True

    def run(self) -> None:
        """Write the page, open it, and renew it as long as ``every`` asks for."""
        from nowcastlib import live
        from nowcastlib.data import ServerUnreachable, utc

        if self.every and self.at:
            raise NowcastError("--every does not go with --at: a look back is made once")

        places = self.places.parsed()
        feed = self.feed()
        forecasters = forecasters_by_name(self.forecasters, self.device)
        at = self.at
        now = live.utcnow if at is None else lambda: utc(at)

        options = live.LiveOptions(
            minutes=self.minutes,
            leads=self.leads,
            size=self.size,
            crop=self.crop,
            regrid=self.regrid,
            reload=self.every,
            places=places,
            json=self.places.json,
        )

        def update() -> None:
            print(live.write_page(feed, forecasters, self.out, options, now))

        try:
            update()
        except ServerUnreachable as error:
            if not self.every:
                raise
            log.warning("%s", error)  # the next round may find the network
        if self.open:
            live.show(self.out)
        if self.every:
            live.repeat(update, self.every)
