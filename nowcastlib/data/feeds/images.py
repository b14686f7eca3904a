"""One's own numbered pictures, or videos, as frames: whatever moves can be forecast, rain or not."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image, ImageSequence

from nowcastlib.data.feeds import frame, within
from nowcastlib.errors import NowcastError

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm"}  # and .gif, if it moves
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp"}


def _pictures(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a file, one after the other: grey (y, x) uint16, or (y, x, RGB or RGBA) uint8."""
    if path.suffix.lower() in VIDEOS:  # each stored frame once, however long it is shown
        yield from iio.imiter(path, plugin="FFMPEG", output_params=["-fps_mode", "passthrough"])
        return
    with Image.open(path) as file:
        for page in ImageSequence.Iterator(file):
            if page.mode == "F" or (page.mode == "I" and page.format != "PNG"):
                raise ValueError("its pixels have 32 bits, 8 or 16 are needed")
            deep = page.mode.startswith("I")  # older Pillow calls 16-bit PNG "I" too
            yield np.asarray(page).astype("u2") if deep else np.asarray(page.convert("RGBA"))


class _Reader:
    """One file at a time, kept open and read forward; a number that has passed opens it again."""

    path, passed, pictures = "", 0, iter(())

    def read(self, path: str, number: int) -> np.ndarray:
        if path != self.path or number < self.passed:
            self.path, self.passed, self.pictures = path, 0, _pictures(Path(path))
        for picture in self.pictures:
            self.passed += 1
            if self.passed > number:
                return picture
        raise EOFError(f"it ends before its frame {number}")


@dataclass(frozen=True)
class Images:
    """Pictures or videos; their brightness, 0 to white, becomes 0 to ``white`` mm/h, and transparent is not observed.

    ``path`` is a folder of pictures numbered in the order of time, a video, or a folder of videos. Each video is an
    event of its own, a day after the one before (``a2.mp4`` comes before ``a10.mp4``). Most are compressed with a
    loss: black is not quite 0 there. Sources: imageio (ffmpeg) for videos, Pillow for pictures and animated GIF.
    """

    path: str
    start: str = "2000-01-01"  # time of the first picture, UTC
    spacing: float = 5.0  # minutes between pictures
    white: float = 100.0  # mm/h (or any unit, for pictures that are not of rain) of a white pixel
    pixel: float = 1000.0  # metres
    attribution: str = "own pictures"

    @cached_property
    def _reader(self) -> _Reader:
        return _Reader()

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of pictures: ``time`` (UTC), ``path`` of the file and ``number`` within it (known by decoding).

        Raises NowcastError if there are none, if there are pictures and videos, if a number occurs twice, and if a
        video has no frame that can be read.
        """
        place = Path(self.path)
        files = place.iterdir() if place.is_dir() else [place]
        files = sorted(
            files, key=lambda p: re.sub(r"\d+", lambda digits: digits[0].zfill(20), p.name.lower())
        )
        videos, pictures = [p for p in files if _moves(p)], {}
        if not videos and not place.is_dir():
            raise NowcastError(
                f"{place} is not a folder or a video: give the one that holds the pictures or videos"
            )
        for path in [p for p in files if p.suffix.lower() in PICTURES and p not in videos]:
            if (n := re.findall(r"\d+", path.stem)) and (
                other := pictures.setdefault(int(n[-1]), path)
            ) != path:
                raise NowcastError(f"{other} and {path.name} have the same number: remove one")
        if bool(videos) == bool(pictures):
            mixed = "both videos and numbered pictures: keep them in folders of their own"
            raise NowcastError(
                f"{place} holds {mixed if videos else 'no numbered pictures (frame_001.png) or videos'}"
            )
        rows = [
            ((number - min(pictures)) * self.spacing, str(path), 0)
            for number, path in sorted(pictures.items())
        ]
        begin = 0
        for path in videos:
            times = [begin + number * self.spacing for number in range(_count(path))]
            rows += [(time, str(path), number) for number, time in enumerate(times)]
            begin += 1440 * (
                1 + round((times[-1] - begin) / 1440)
            )  # minutes; at least half a day lies between two
        table = pd.DataFrame(rows, columns=["time", "path", "number"])
        table["time"] = pd.Timestamp(self.start) + pd.to_timedelta(table.time, unit="min")
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One picture as a frame, (y, x); fastest in their order: to go back, a video is decoded from its beginning.

        Raises NowcastError, naming the file, if it cannot be read.
        """
        try:
            picture = self._reader.read(row.path, row.number)
        except (
            Exception
        ) as error:  # Pillow and imageio have errors of their own, ffmpeg's with its whole log
            why = str(error).partition("\n")[0]
            raise NowcastError(f"{row.path} cannot be read ({why}): save it again") from error
        grey = picture / np.float32(np.iinfo(picture.dtype).max)
        if grey.ndim == 3:
            grey = np.where(
                grey[..., 3:].all(axis=-1), grey[..., :3].mean(axis=-1), np.nan
            )  # RGB: nothing is clear
        rows, columns = grey.shape
        return frame(
            grey * self.white, self.pixel * np.arange(columns), -self.pixel * np.arange(rows)
        )


def _moves(path: Path) -> bool:
    if path.suffix.lower() == ".gif":
        with (
            contextlib.suppress(Exception),
            Image.open(path) as file,
        ):  # a broken one is told of when it is read
            return file.is_animated
    return path.suffix.lower() in VIDEOS and path.is_file()


def _count(path: Path) -> int:
    count = 0
    with contextlib.suppress(Exception):  # cut or broken: the frames before that are there
        for _ in _pictures(path):
            count += 1
    if not count:
        raise NowcastError(f"{path} holds no frame that can be read: save it again, or remove it")
    return count
