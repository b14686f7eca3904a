"""Files of pictures: which files of a folder are pictures or videos, and how they are decoded.

Sources: ffmpeg reads videos; Pillow reads pictures and animated GIF.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

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
    animations = {".gif"} if place.is_dir() else PICTURES
    videos = [path for path in files if _is_video(path, animations)]
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


def _is_video(path: Path, animations: set[str]) -> bool:
    """Whether a file is a video, or an animation or pages of one of these suffixes."""
    if path.suffix.lower() in animations:
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

    turn = Lock()  # tasks of one process share a reader; of the class, because it cannot be pickled

    def __init__(self) -> None:
        self.path = ""
        self.reported = 0.0  # largest fraction of pixels outside the palette that was reported
        self.passed = 0  # pictures of the file that were decoded
        self.pictures: Iterator[np.ndarray] = iter(())

    def read(self, path: str, number: int, is_still: bool = False) -> np.ndarray:
        """Picture `number` of a file; a number that has passed opens the file again.

        NowcastError if the file is to be a still picture, but has several.
        """
        with self.turn:
            if path != self.path or number < self.passed:
                self.path, self.passed, self.pictures = path, 0, decode(Path(path))
                if is_still:
                    _check_still(Path(path))

            for picture in self.pictures:
                self.passed += 1
                if self.passed > number:
                    return picture
            raise EOFError(f"it ends before its frame {number}")


def _check_still(path: Path) -> None:
    """NowcastError if a file holds several pictures: their times are not known."""
    with open_picture(path) as file:
        count = getattr(file, "n_frames", 1)
        if count > 1 and file.format != "MPO":  # cameras add a preview to a JPEG
            raise NowcastError(
                f"holds {count} pictures, whose times are not known: save each as a file, or give "
                "this file itself as --path, which is read as a video"
            )


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
