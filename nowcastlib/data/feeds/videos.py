"""The frames of videos and when they are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nowcastlib.data.feeds.brightness import colours_without_palette, has_colours
from nowcastlib.data.feeds.file_limits import MAX_FRAMES
from nowcastlib.data.feeds.picture_files import decode
from nowcastlib.errors import NowcastError

DAY = 1440  # minutes


def rows_of_videos(
    videos: list[Path], spacing: float, needs_grey: bool
) -> Iterator[tuple[float, str, int]]:
    """The frames of videos, each of which begins a day after the one before.

    Parameters
    ----------
    videos
        The files.
    spacing
        Minutes between two frames.
    needs_grey
        Whether a video with colours is refused.

    Returns
    -------
    Iterator
        (Minute, path, number within the file) of each frame of each video.

    Raises
    ------
    NowcastError
        If a video has no frame that can be read, or too many.
    WrongSettings
        If a video has colours and grey ones are needed.
    """
    begin = 0
    for path in videos:
        frames = _count_frames(path, needs_grey)
        minutes = [begin + number * spacing for number in range(frames)]
        for number, minute in enumerate(minutes):
            yield minute, str(path), number

        # the next video begins at a full day, at least half a day after this one ends
        begin += DAY * (1 + round((minutes[-1] - begin) / DAY))


def _count_frames(path: Path, needs_grey: bool) -> int:
    """Number of frames of a video that can be read; a truncated video keeps its first frames."""
    count, is_coloured = 0, False
    with contextlib.suppress(Exception):  # imageio and Pillow raise errors of their own
        for picture in decode(path):
            count += 1
            is_coloured |= needs_grey and has_colours(picture)
            if count > MAX_FRAMES:
                break
    if count > MAX_FRAMES:
        raise NowcastError(f"{path} has more than {MAX_FRAMES:,} frames: cut it into parts")
    if not count:
        raise NowcastError(f"{path} holds no frame that can be read: save it again, or remove it")
    if is_coloured:
        raise colours_without_palette(path)
    return count
