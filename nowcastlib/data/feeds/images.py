"""Your own numbered pictures, or videos, as frames: anything that moves can be forecast.

Sources: ffmpeg reads videos; Pillow reads pictures and animated GIF.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pandas as pd
import xarray as xr
from PIL import ImageSequence

from nowcastlib.data.feeds.file_limits import MAX_FRAMES, check_pixels, check_regular
from nowcastlib.data.feeds.picture_names import steps_by_number, times_in_names
from nowcastlib.data.feeds.pictures import open_picture
from nowcastlib.data.feeds.protocol import Feed, TimeLike
from nowcastlib.data.grid import frame
from nowcastlib.data.times import utc, within
from nowcastlib.errors import NowcastError

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm"}  # and animated .gif
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp"}
DAY = 1440  # minutes
FIRST, LAST = pd.Timestamp("1700-01-01"), pd.Timestamp("2250-01-01")  # times that a store can hold
LOCAL = ["-protocol_whitelist", "file"]  # a playlist in disguise must not reach the network


@dataclass(frozen=True)
class Images(Feed):
    """Pictures or videos whose brightness stands for rain; transparent pixels are not observed.

    Each video is an event of its own and begins a day after the one before; `a2.mp4` comes before
    `a10.mp4`. Most videos are compressed with loss, so that black is not exactly 0.

    Parameters
    ----------
    path
        A folder of pictures, a video, or a folder of videos. The pictures have times (UTC) in their
        names, such as radar_202406011145.png (12 or 14 digits), or are numbered in the order of
        time.
    start
        Time of the first picture, UTC or with a zone, if the names have no times.
    spacing
        Minutes between pictures, if the names have no times.
    white
        Rain rate of a white pixel in mm/h; black is 0. For pictures that do not show rain it may be
        any unit.
    pixel
        Width of a pixel in metres.
    attribution
        Who made the pictures.
    north_up
        Whether the first row of a picture is in the north.
    """

    path: str
    start: str = "2000-01-01"
    spacing: float = 5.0
    white: float = 100.0
    pixel: float = 1000.0
    attribution: str = "own pictures"
    north_up: bool = True

    @cached_property
    def _reader(self) -> "_Reader":
        return _Reader()

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the pictures in [start, end).

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC), `path` of the file and `number` of the picture within the file. A
            video is decoded to count its frames.

        Raises
        ------
        NowcastError
            If there are no pictures, if there are both pictures and videos, if a number or time
            occurs twice, if numbers jump unevenly, or if no frame of a video can be read.
        """
        place = Path(self.path)
        videos, pictures = _find(place)

        if videos and pictures:
            raise NowcastError(
                f"{place} holds both videos and numbered pictures: keep them in separate folders"
            )
        if videos:
            minutes = _rows_of_videos(videos, self.spacing)
            rows = [(self._time(minute), path, number) for minute, path, number in minutes]
        elif pictures:
            rows = [(time, str(path), 0) for time, path in self._pictures_by_time(pictures)]
        else:
            raise NowcastError(
                f"{place} holds no numbered pictures (such as frame_001.png) and no videos"
            )

        for time, path, _ in rows:
            if not FIRST <= time <= LAST:
                raise NowcastError(
                    f"the number in {path} leads to {time}: number the pictures 1, 2, 3, …"
                )
        table = pd.DataFrame(rows, columns=["time", "path", "number"])
        return table[within(table.time, start, end)].reset_index(drop=True)

    def _time(self, minute: float) -> pd.Timestamp:
        """The time of a picture, `minute` minutes after the first one."""
        return utc(self.start) + pd.Timedelta(minutes=minute)

    def _pictures_by_time(self, pictures: Sequence[Path]) -> Iterable[tuple[pd.Timestamp, Path]]:
        """Time and path of each picture, from the times or else the numbers in their names."""
        by_time = times_in_names(pictures)
        if not by_time:
            by_step = steps_by_number(pictures)
            return [(self._time(k * self.spacing), path) for k, path in by_step.items()]

        for name in ("start", "spacing"):
            if getattr(self, name) != getattr(Images, name):
                raise NowcastError(
                    f"the pictures in {self.path} have times in their names: leave out {name}"
                )
        return by_time.items()

    def read(self, row: Any) -> xr.DataArray:
        """Read one picture; fastest in the order of the table.

        To go back in a video, it is decoded again from its beginning.

        Parameters
        ----------
        row
            A row of `list`, as `itertuples` gives it.

        Returns
        -------
        xarray.DataArray
            (y, x) in mm/h; NaN where not observed.

        Raises
        ------
        NowcastError
            If the file cannot be read; the message names it.
        """
        try:
            picture = self._reader.read(row.path, row.number)
        except NowcastError as error:
            raise NowcastError(f"{row.path} {error}") from error
        except Exception as error:  # Pillow and imageio raise errors of their own
            reason = str(error).partition("\n")[0]  # without ffmpeg's log
            raise NowcastError(f"{row.path} cannot be read ({reason}): save it again") from error

        grey = _brightness(picture)
        rows, columns = grey.shape
        x, y = self.pixel * np.arange(columns), -self.pixel * np.arange(rows)
        return frame((grey if self.north_up else grey[::-1]) * self.white, x, y)


def _find(place: Path) -> tuple[list[Path], list[Path]]:
    """The videos of a folder (or the one video) and the numbered pictures, in natural order."""
    files = sorted(place.iterdir() if place.is_dir() else [place], key=_natural_order)
    files = [path for path in files if path.is_file()]  # a pipe would block
    videos = [path for path in files if _is_video(path)]
    if not videos and not place.is_dir():
        raise NowcastError(
            f"{place} is not a folder or a video: give the one that holds the pictures or videos"
        )

    pictures = [
        path
        for path in files
        if path not in videos and path.suffix.lower() in PICTURES and re.search(r"\d", path.stem)
    ]
    return videos, pictures


def _rows_of_videos(videos: list[Path], spacing: float) -> Iterator[tuple[float, str, int]]:
    """(Minute, path, number within the file) of each frame of each video."""
    begin = 0
    for path in videos:
        minutes = [begin + number * spacing for number in range(_count_frames(path))]
        for number, minute in enumerate(minutes):
            yield minute, str(path), number

        # the next video begins at a full day, at least half a day after this one ends
        begin += DAY * (1 + round((minutes[-1] - begin) / DAY))


def _natural_order(path: Path) -> str:
    """Sort key: numbers within the name count as numbers."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), path.name.lower())


def _is_video(path: Path) -> bool:
    """Whether a file is a video or an animated GIF."""
    if path.suffix.lower() == ".gif":
        # a broken file is reported when it is read; Pillow raises many kinds of errors for it
        with contextlib.suppress(Exception), open_picture(path) as file:
            return getattr(file, "is_animated", False)
        return False
    return path.suffix.lower() in VIDEOS and path.is_file()


def _count_frames(path: Path) -> int:
    """Number of frames of a video that can be read; a truncated video keeps its first frames."""
    count = 0
    with contextlib.suppress(Exception):  # imageio and Pillow raise errors of their own
        for _ in _decode(path):
            count += 1
            if count > MAX_FRAMES:
                break
    if count > MAX_FRAMES:
        raise NowcastError(f"{path} has more than {MAX_FRAMES:,} frames: cut it into parts")
    if not count:
        raise NowcastError(f"{path} holds no frame that can be read: save it again, or remove it")
    return count


class _Reader:
    """Reads pictures of one file at a time, which stays open and is read forward only."""

    def __init__(self) -> None:
        self.path = ""
        self.passed = 0  # pictures of the file that were decoded
        self.pictures: Iterator[np.ndarray] = iter(())

    def read(self, path: str, number: int) -> np.ndarray:
        """Picture `number` of a file; a number that has passed opens the file again."""
        if path != self.path or number < self.passed:
            self.path, self.passed, self.pictures = path, 0, _decode(Path(path))

        for picture in self.pictures:
            self.passed += 1
            if self.passed > number:
                return picture
        raise EOFError(f"it ends before its frame {number}")


def _decode(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a file: grey (y, x) uint16, or colour (y, x, RGB or RGBA) uint8."""
    if path.suffix.lower() in VIDEOS:
        yield from _decode_video(path)
        return

    with open_picture(path) as file:
        for page in ImageSequence.Iterator(file):
            check_pixels(*page.size)
            # older versions of Pillow give 16-bit PNG the mode "I" too
            if page.mode == "F" or (page.mode == "I" and page.format != "PNG"):
                raise ValueError("its pixels have 32 bits; only 8 and 16 are supported")
            if page.mode.startswith("I"):
                yield np.asarray(page).astype("u2")
            else:
                yield np.asarray(page.convert("RGBA"))


def _decode_video(path: Path) -> Iterator[np.ndarray]:
    """The stored frames of a video, (y, x, RGB) uint8, each once, however long it is shown."""
    check_regular(path)
    options = {"input_params": LOCAL, "output_params": ["-fps_mode", "passthrough"]}
    frames = imageio_ffmpeg.read_frames(path, **options)
    columns, rows = next(frames)["size"]
    check_pixels(columns, rows)
    with contextlib.closing(frames):
        for frame_bytes in frames:
            yield np.frombuffer(frame_bytes, "u1").reshape(rows, columns, 3)


def _brightness(picture: np.ndarray) -> np.ndarray:
    """Brightness of each pixel, (y, x) float32 from 0 to 1; NaN where transparent."""
    values = picture / np.float32(np.iinfo(picture.dtype).max)
    if values.ndim == 2:
        return values

    # (y, x, RGB or RGBA) -> (y, x)
    grey, opacity = values[..., :3].mean(axis=-1), values[..., 3:]
    return np.where(opacity.all(axis=-1), grey, np.nan)
