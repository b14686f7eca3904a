"""Files of pictures: which files of a folder are pictures or videos, and how they are decoded.

Sources: ffmpeg reads videos; Pillow reads pictures and animated GIF.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import ImageSequence

from nowcastlib.data.feeds.file_limits import check_pixels, check_regular
from nowcastlib.data.feeds.pictures import open_picture
from nowcastlib.errors import NowcastError

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm"}  # and animated .gif
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp"}
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"}  # of Pillow
LOCAL = ["-protocol_whitelist", "file"]  # a playlist in disguise must not reach the network


def find(place: Path) -> tuple[list[Path], list[Path]]:
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


def is_grey_by_header(path: Path) -> bool:
    """Whether the header of a picture tells that it has no colours, so that no pixel is decoded."""
    with open_picture(path) as picture:
        if picture.mode == "P":
            levels = np.array(picture.getpalette("RGB")).reshape(-1, 3)
            return bool((levels == levels[:, :1]).all())
        return picture.mode in GREY_MODES


class PictureReader:
    """Reads pictures of one file at a time, which stays open and is read forward only."""

    def __init__(self) -> None:
        self.path = ""
        self.reported = 0.0  # largest fraction of pixels outside the palette that was reported
        self.passed = 0  # pictures of the file that were decoded
        self.pictures: Iterator[np.ndarray] = iter(())

    def read(self, path: str, number: int) -> np.ndarray:
        """Picture `number` of a file; a number that has passed opens the file again."""
        if path != self.path or number < self.passed:
            self.path, self.passed, self.pictures = path, 0, decode(Path(path))

        for picture in self.pictures:
            self.passed += 1
            if self.passed > number:
                return picture
        raise EOFError(f"it ends before its frame {number}")


def decode(path: Path) -> Iterator[np.ndarray]:
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
