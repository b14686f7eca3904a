"""``nowcast ingest``: write the frames of a feed to a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from nowcastlib.cli.cluster_options import ALONE, ClusterOptions
from nowcastlib.cli.reading import option
from nowcastlib.cli.source_options import SourceName, SourceOptions
from nowcastlib.errors import NowcastError


@dataclass(frozen=True, kw_only=True)
class Ingest(SourceOptions):
    """Write a feed's frames to a CF-Zarr store of rain rate in mm/h, or of colours.

    Run it again to continue after an interruption, or to add newer frames.
    """

    # The store to write, such as frames.zarr.
    out: Path

    # Where the frames come from. demo: synthetic rain. archive: files of a weather service. fvg:
    # the radars of Friuli Venezia Giulia. cloud: any CF-Zarr store. images: pictures or videos.
    source: SourceName = "demo"

    # Time of the first frame, UTC, such as 2015-05-15 or 2015-05-15T16:00.
    start: Annotated[str | None, option("TIME", "the first one; fvg: two hours ago")] = None

    # Frames at and after this time, UTC, are left out.
    end: Annotated[str | None, option("TIME", "keep all")] = None

    # Keep every N-th frame (a number of frames, not minutes).
    every: Annotated[int, tyro.conf.arg(metavar="N")] = 1

    # Source archive: download the pysteps example archive (335 MB) if the folder does not exist.
    download: bool = False

    # Processes that share the work.
    cluster: ClusterOptions = ALONE

    def run(self) -> None:
        """Write the store, then print one line about its frames."""
        from nowcastlib.data import (
            IngestOptions,
            describe,
            describe_colours,
            ingest,
            is_colour_store,
            open_colours,
            open_frames,
        )
        from nowcastlib.data.feeds import archive, example_archive

        feed = self.feed()
        if self.download:
            if not isinstance(feed, archive.Archive):
                raise NowcastError(
                    f"--download is not an option of the source {self.source}: only archive has it"
                )
            example_archive.download(feed.path)

        with self.cluster.connected() as client:
            options = IngestOptions(self.crop, self.regrid, self.every, client=client)
            ingest(feed, self.out, self.start, self.end, options)
        if is_colour_store(self.out):
            print(f"{self.out}: {describe_colours(open_colours(self.out))}")
        else:
            print(f"{self.out}: {describe(open_frames(self.out))}")
