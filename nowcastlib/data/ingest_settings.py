"""What the frames of a store are and how they were changed: the first line of its history."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowcastlib.data.colour_store import open_colours
from nowcastlib.data.colours import is_colour_store
from nowcastlib.data.feeds import Feed
from nowcastlib.data.read_options import ReadOptions
from nowcastlib.data.store import open_frames
from nowcastlib.data.store_writer import settings_of
from nowcastlib.errors import NowcastError

START = "nowcastlib ingest: "
SOURCE = "source "


@dataclass(frozen=True)
class IngestOptions:
    """What ``ingest`` keeps of the frames of a feed."""

    crop: tuple[int, int, int, int] | None = None  # px: x and y of the upper left, width, height
    regrid: int = 0  # columns of a coarser grid, rows in proportion; 0: keep the grid
    every: int = 1  # keep every N-th frame
    progress: bool = True  # show a progress bar
    # a client of dask.distributed, whose workers read and write; None: this process alone
    client: Any = None


KEEP_ALL = IngestOptions()


def settings_line(
    feed: Feed, crop: tuple[int, int, int, int] | None, regrid: int, every: int
) -> str:
    """The first line of the history of a store: the source, and how its frames are changed."""
    product = f"product {feed.product}, " if feed.product else ""
    place = ",".join(map(str, crop or ["none"]))
    nth = f", every {every} frames" if every > 1 else ""
    reading = getattr(feed, "options", None)
    given = reading.described() if isinstance(reading, ReadOptions) else ""
    read = f", read with {given}" if given else ""
    return f"{START}{_named(feed)}{product}crop {place}, regrid {regrid or 'none'}{nth}{read}"


def check_settings(store: Path, settings: str, feed: Feed) -> None:
    """Refuse a store that was not written by ingest, or by other settings.

    Earlier versions did not write the source: their stores may be continued from any.
    """
    earlier = settings_of(store)
    if earlier is None:
        raise NowcastError(f"{store} was not made by ingest: choose another name")
    (open_colours if is_colour_store(store) else open_frames)(store)  # refuses a broken one
    without_source = START + settings.removeprefix(START + _named(feed))
    has_source = earlier.startswith(START + SOURCE)
    if earlier and earlier != (settings if has_source else without_source):
        raise NowcastError(
            f"{store} was made by other settings ({earlier}), not ({settings}): "
            "use those settings, or another store"
        )


def _named(feed: Feed) -> str:
    """The source of a feed in words; "" for feeds that state none."""
    source = getattr(feed, "source", "")
    return f"{SOURCE}{source}, " if source else ""
