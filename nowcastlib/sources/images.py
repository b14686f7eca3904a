"""A folder of one's own pictures, numbered in the order of time, as frames."""

import re
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
import xarray as xr

from .. import NowcastError
from . import frame, within


@dataclass(frozen=True)
class Images:
    """Grey or colour pictures (png, jpg, gif, tif, bmp); their brightness, 0 to white, becomes 0 to ``white`` mm/h."""

    path: str
    start: str = "2000-01-01"  # time of the first picture, UTC
    spacing: float = 5.0  # minutes between pictures
    white: float = 100.0  # mm/h (or any unit, for pictures that are not of rain) of a white pixel
    pixel: float = 1000.0  # metres
    attribution: str = "own pictures"

    def list(self, start=None, end=None) -> pd.DataFrame:
        """Table of pictures by their last number: ``time`` and ``path``. Raises NowcastError if there are none."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise NowcastError(f"{folder} is not a folder: give the one that holds the pictures")
        paths = [p for p in folder.iterdir() if p.suffix.lower() in {".png", ".jpg", ".jpeg", ".gif", ".tif", ".bmp"}]
        numbered = sorted((int(n[-1]), str(p)) for p in paths if (n := re.findall(r"\d+", p.stem)))
        if not numbered:
            raise NowcastError(f"{folder} holds no numbered pictures, such as frame_001.png")
        number, path = zip(*numbered, strict=True)
        minutes = pd.to_timedelta((np.array(number) - number[0]) * self.spacing, unit="min")
        table = pd.DataFrame({"time": pd.Timestamp(self.start) + minutes, "path": path})
        return table[within(table.time, start, end)].reset_index(drop=True)

    def read(self, row) -> xr.DataArray:
        """One picture as a frame, (y, x); raises NowcastError, naming the file, if it cannot be read."""
        try:
            picture = iio.imread(row.path)
        except Exception as error:  # each of imageio's plugins has errors of its own
            raise NowcastError(f"{row.path} cannot be read ({error}): save it again") from error
        grey = picture.astype("f4") / np.iinfo(picture.dtype).max
        grey = grey if grey.ndim == 2 else grey[..., :3].mean(axis=-1)
        rows, columns = grey.shape
        return frame(grey * self.white, self.pixel * np.arange(columns), -self.pixel * np.arange(rows))
