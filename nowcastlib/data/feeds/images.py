"""Your own numbered pictures, or videos, as frames: anything that moves can be forecast."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data.colours import colour_frame
from nowcastlib.data.feeds.brightness import brightness, colours_without_palette, has_colours
from nowcastlib.data.feeds.grey_check import GreyCheck, sample
from nowcastlib.data.feeds.palettes import rates_of_pixels
from nowcastlib.data.feeds.picture_colours import colours
from nowcastlib.data.feeds.picture_files import VIDEOS, PictureReader, find
from nowcastlib.data.feeds.picture_masks import checksum, masked, read_mask
from nowcastlib.data.feeds.picture_names import steps_by_number, time_in_name, times_in_names
from nowcastlib.data.feeds.protocol import Feed, TimeLike
from nowcastlib.data.feeds.rate_palettes import RatePalette, Rows, rate_palette
from nowcastlib.data.feeds.videos import rows_of_videos
from nowcastlib.data.grid import frame
from nowcastlib.data.times import utc, within
from nowcastlib.errors import NowcastError, printable

log = logging.getLogger("nowcastlib")

LEAST_REPORTED = 0.001  # a smaller fraction of pixels outside the palette is not reported
FIRST, LAST = pd.Timestamp("1700-01-01"), pd.Timestamp("2250-01-01")  # times that a store can hold


@dataclass(frozen=True)
class Images(Feed):
    """Pictures or videos: rain by the colours of a palette or by brightness, or colours as such.

    The brightness of a radar's colours is no measure of rain: pictures with colours are refused
    unless `palette`, `brightness` or `colours` says how to read them. Transparent pixels are not
    observed.

    Each video is an event of its own and begins a day after the one before; `a2.mp4` comes before
    `a10.mp4`. Most videos are compressed with loss, so that black is not exactly 0.

    Parameters
    ----------
    path
        A folder of pictures, a video, or a folder of videos. The pictures have times (UTC) in their
        names, such as radar_202406011145.png, 20240601_1145.png or 2024-06-01T11-45.png, or are
        numbered in the order of time. A picture with several pages is a video, too.
    start
        Time of the first picture, UTC or with a zone, if the names have no times. By default, one
        video starts at the time in its name, if there is one.
    spacing
        Minutes between pictures, if the names have no times.
    palette
        Rain rate of each colour: (colour, mm/h) pairs such as ("#0a96ff", 1.5), or a CSV or JSON
        file of them; see `rate_palettes.rate_palette`. Pixels of other colours, such as coastlines
        and text, take the rate of the nearest pixel that has one.
    brightness
        Whether brighter means more in pictures with colours too.
    colours
        Whether frames are colours instead of rain: red, green and blue from 0 to 1, as three
        channels. They are for networks that forecast colours.
    mask
        A picture of the size of the frames: pixels where it is black are not observed.
    white
        Rain rate of a white pixel in mm/h, without a palette; black is 0. For pictures that do not
        show rain it may be any unit.
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
    palette: Rows | str | Path | None = None
    brightness: bool = False
    colours: bool = False
    mask: str | Path | None = None
    white: float = 100.0
    pixel: float = 1000.0
    attribution: str = "own pictures"
    north_up: bool = True

    @cached_property
    def _reader(self) -> PictureReader:
        return PictureReader()

    @cached_property
    def _grey(self) -> GreyCheck:
        return GreyCheck()

    @cached_property
    def _mask(self) -> np.ndarray | None:
        """Where pixels are observed, (y, x); None: everywhere."""
        return None if self.mask is None else read_mask(self.mask)

    @cached_property
    def _palette(self) -> RatePalette | None:
        """The palette, checked; NowcastError if it or another option is invalid."""
        for name in ("palette", "brightness", "white") if self.colours else ():
            if getattr(self, name) != getattr(Images, name):
                raise NowcastError(f"colours are no rain rates: leave out {name}, or colours")
        if self.palette is None:
            return None
        for name in ("brightness", "white"):
            if getattr(self, name) != getattr(Images, name):
                raise NowcastError(f"a palette gives the rain rates: leave out {name}")
        return rate_palette(self.palette)

    @property
    def product(self) -> str:
        """The palette, so that a store is not continued with another one; "" without."""
        return self._palette.summary if self._palette else ""

    @property
    def is_local(self) -> bool:
        """True: no server is asked."""
        return True

    @property
    def source(self) -> str:
        """What decides rates and times: the options and, without times in the names, the place."""
        words = ["images"]
        words += ["colours"] * self.colours
        if not (self._palette or self.colours):
            words.append(f"white {self.white:g}")
        words += ["brightness"] * self.brightness + ["south up"] * (not self.north_up)
        words.append(f"pixel {self.pixel:g} m")
        if self._mask is not None:
            words.append(f"mask {checksum(self._mask)}")

        place = Path(self.path)
        videos, pictures = find(place)
        if videos or not times_in_names(pictures):
            words.append(f"start {self._first_time:%Y-%m-%dT%H:%M:%S}")
            words.append(f"spacing {self.spacing:g} min")
            words.append(f"path {printable(place.resolve(), longest=None)}")
        return " ".join(words)

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the pictures in [start, end).

        Returns
        -------
        pandas.DataFrame
            Columns: `time` (UTC), `path` of the file and `number` of the picture within the file. A
            video is decoded to count its frames, and a picture to look for colours if there is no
            palette and its header does not tell that it is grey.

        Raises
        ------
        NowcastError
            If there are no pictures, if there are both pictures and videos, if a number or time
            occurs twice, if numbers jump unevenly, if no frame of a video can be read, if the
            palette or the mask is invalid.
        WrongSettings
            If a picture has colours and there is neither a palette nor `brightness` nor `colours`.
            The grey ones beside it may be its dry frames, so that all are refused.
        """
        place = Path(self.path)
        needs_grey = not (self._palette or self.brightness or self.colours)
        videos, pictures = find(place)

        if videos and pictures:
            raise NowcastError(
                f"{place} holds both videos and numbered pictures: keep them in separate folders"
            )
        if videos:
            minutes = rows_of_videos(videos, self.spacing, needs_grey)
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
        is_wanted = within(table.time, start, end)
        if needs_grey and not videos:
            self._grey.check(table.path[is_wanted])
            self._grey.check(sample(table.path[~is_wanted]))
        return table[is_wanted].reset_index(drop=True)

    @property
    def _first_time(self) -> pd.Timestamp:
        """The start; by default the time in the name, if the path is a video that has one."""
        if self.start == Images.start and Path(self.path).is_file():
            return time_in_name(Path(self.path)) or utc(self.start)
        return utc(self.start)

    def _time(self, minute: float) -> pd.Timestamp:
        """The time of a picture, `minute` minutes after the first one."""
        return self._first_time + pd.Timedelta(minutes=minute)

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
            (y, x) in mm/h, or colours (channel, y, x) from 0 to 1; NaN where not observed.

        Raises
        ------
        NowcastError
            If the file cannot be read, has other colours than the palette, or another size than the
            mask; the message names it.
        WrongSettings
            If the picture has colours and there is no palette.
        """
        try:
            is_still = self._is_still(Path(row.path))
            picture = self._reader.read(row.path, row.number, is_still)
        except NowcastError as error:
            raise NowcastError(f"{row.path} {error}") from error
        except Exception as error:  # Pillow and imageio raise errors of their own
            reason = str(error).partition("\n")[0]  # without ffmpeg's log
            raise NowcastError(f"{row.path} cannot be read ({reason}): save it again") from error

        values = colours(picture) if self.colours else self._rate(picture, row.path)
        if self._mask is not None:
            values = masked(values, self._mask, str(self.mask), row.path)
        rows, columns = values.shape[-2:]
        x, y = self.pixel * np.arange(columns), -self.pixel * np.arange(rows)
        make = colour_frame if self.colours else frame
        return make(values if self.north_up else values[..., ::-1, :], x, y)

    def _is_still(self, path: Path) -> bool:
        """Whether a file must hold one picture: it is no video, and not the path itself."""
        return path != Path(self.path) and path.suffix.lower() not in {*VIDEOS, ".gif"}

    def _rate(self, picture: np.ndarray, path: str) -> np.ndarray:
        """Rain rate (y, x) in mm/h of a decoded picture."""
        if not self._palette:
            if not self.brightness and has_colours(picture):
                raise colours_without_palette(path)
            return brightness(picture) * self.white

        if picture.dtype != np.uint8:
            raise NowcastError(
                f"{path} is grey with 16 bits, and has no colours: leave out palette"
            )
        rate, unsure = rates_of_pixels(picture, self._palette, path)
        if unsure > max(2 * self._reader.reported, LEAST_REPORTED):
            self._reader.reported = unsure
            log.warning(
                "%.1f%% of %s has colours that are not in the palette: these pixels take the rate "
                "of the nearest one that has (pictures with up to twice as many are not reported)",
                100 * unsure,
                path,
            )
        return rate
