"""The rain of the course: feed, folder and frames, as NOWCAST_SOURCE names them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from nowcastlib.course.presets import preset
from nowcastlib.data import feeds, ingest, store
from nowcastlib.errors import NowcastError

ARCHIVE = "NOWCAST_ARCHIVE"
PERIOD = r"[\dT:.Z+-]*/[\dT:.Z+-]*|\d{4}-\d\S*"  # after @ in NOWCAST_SOURCE; else it is a path


@dataclass(frozen=True)
class _Source:
    """NOWCAST_SOURCE, taken apart: ``name:option@start/end``."""

    name: str
    option: str = ""  # a product, a URL or a folder
    start: str | None = None
    end: str | None = None  # not included


def data_folder() -> Path:
    """The folder for data and runs of the current preset and feed, inside NOWCAST_DATA.

    Without NOWCAST_DATA it lies in ``data/`` of the repository, or of the working directory if the
    library is installed from a wheel.
    """
    repository = Path(__file__).parents[2]
    is_checkout = (repository / "pyproject.toml").exists()
    default = (repository if is_checkout else Path.cwd()) / "data"

    source = _source()
    parts = [preset().name, source.name, source.option, source.start, source.end]
    folder = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))

    return Path(os.environ.get("NOWCAST_DATA") or default) / folder


def _source() -> _Source:
    """Read NOWCAST_SOURCE."""
    default = "archive" if os.environ.get(ARCHIVE) else "demo"
    text = os.environ.get("NOWCAST_SOURCE") or default

    feed_and_option, at, days = text.rpartition("@")
    is_path = ":" in feed_and_option and not re.fullmatch(PERIOD, days)
    if not at or is_path:  # such as images:/home/me@work/film
        name, _, option = text.partition(":")
        return _Source(name, option)
    name, _, option = feed_and_option.partition(":")

    start, slash, end = days.partition("/")
    if not slash or "/" in end:
        raise NowcastError(
            f"NOWCAST_SOURCE ends in @{days}: write a period like @2024-06-01/2024-06-08"
        )
    return _Source(name, option, start, end)


def feed() -> feeds.Feed:
    """The feed that NOWCAST_SOURCE names.

    Raises
    ------
    NowcastError
        If the feed is unknown, or its option is missing or not supported.
    """
    source = _source()

    if source.name == "demo":  # seed 1: the shipped weights were trained on the storms of seed 0
        return feeds.demo.Demo(preset().events, size=preset().pixels, seed=1)

    if source.name == "archive":
        folder = os.environ.get(ARCHIVE) or str(data_folder().parent / "archive")
        return feeds.feed(source.name, path=folder, product=source.option)

    return feeds.feed(source.name, path=source.option)


def frames() -> xr.DataArray:
    """The frames of the course's feed; the first call ingests them into ``data_folder()``.

    Returns
    -------
    xarray.DataArray
        Rain rate (time, y, x) in mm/h, loaded from disk when it is used.
    """
    source = _source()
    path = ingest(feed(), data_folder() / "frames.zarr", source.start, source.end)
    return store.open_frames(path)
