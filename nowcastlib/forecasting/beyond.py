"""The last frames of videos, from which a forecast goes beyond their end."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr

from nowcastlib.data import (
    Feed,
    IngestOptions,
    ingest,
    is_colour_store,
    open_colours,
    open_frames,
)
from nowcastlib.data.feeds import picture_files
from nowcastlib.errors import NowcastError


def videos_in(place: str | Path) -> dict[str, Path]:
    """The videos of a folder, or the one video, by their names without the ending.

    Parameters
    ----------
    place : str or pathlib.Path
        A folder of videos or animated GIFs, or one of them.

    Returns
    -------
    dict of str to pathlib.Path
        In natural order: ``a2`` comes before ``a10``.

    Raises
    ------
    NowcastError
        If there are no videos, or if two have the same name.
    """
    place = Path(place)
    if not place.exists():
        raise NowcastError(f"{place} does not exist: name a folder of videos")
    videos, pictures = picture_files.find(place)
    if not videos and pictures:
        raise NowcastError(
            f"{place} holds no videos: name a folder of videos, or make frames of its "
            f"{len(pictures)} pictures by ingest --source images, and forecast without --beyond"
        )
    if not videos:
        raise NowcastError(f"{place} holds no videos: name a folder of videos")

    twice = [name for name, n in Counter(video.stem for video in videos).items() if n > 1]
    if twice:
        raise NowcastError(
            f"{place} holds several videos named {twice[0]}: their forecasts would have one name; "
            "rename all but one"
        )
    return {video.stem: video for video in videos}


def last_frames(
    feed: Feed, n_in: int, crop: tuple[int, int, int, int] | None = None
) -> xr.DataArray:
    """Read enough of the last frames of a feed for a forecast after its end.

    Parameters
    ----------
    feed : Feed
        Such as ``images.Images("clip.mp4", brightness=True)``.
    n_in : int
        Number of frames that the forecaster needs. Some more are read, because frames of other
        time steps than a network knows may need them.
    crop : tuple of int, optional
        x and y of the upper left corner, width and height in px, as for ``ingest``.

    Returns
    -------
    xarray.DataArray, dimensions (time, y, x)
        Rain rate in mm/h, in memory; of a feed of colours (time, channel, y, x) from 0 to 1.

    Raises
    ------
    NowcastError
        If there are no frames, or if they cannot be read.
    """
    times = feed.list().time
    start = times.iloc[-min(len(times), 4 * n_in + 12)]
    with TemporaryDirectory() as folder:
        options = IngestOptions(crop=crop, progress=False)
        store = ingest(feed, Path(folder) / "frames.zarr", str(start), options=options)
        return (open_colours if is_colour_store(store) else open_frames)(store).load()
