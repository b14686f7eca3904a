"""The frames of videos and when they are."""

import logging
from collections.abc import Iterator
from pathlib import Path

from nowcastlib.data.feeds.brightness import colours_without_palette, has_colours
from nowcastlib.data.feeds.file_limits import MAX_FRAMES
from nowcastlib.data.feeds.picture_files import decode
from nowcastlib.data.feeds.video_times import warn_if_uneven
from nowcastlib.errors import NowcastError, printable

log = logging.getLogger("nowcastlib")

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
    begin = 0.0
    for path in videos:
        frames = _count_frames(path, needs_grey)
        warn_if_uneven(path)
        minutes = [begin + number * spacing for number in range(frames)]
        for number, minute in enumerate(minutes):
            yield minute, str(path), number

        begin = next_begin(begin, minutes[-1], spacing)


def next_begin(begin: float, last: float, spacing: float) -> float:
    """Minute at which the next video begins: a full day later, at least half a day after the last
    frame of this one, and two spacings, so that no window joins the two.
    """
    begin += DAY * (1 + round((last - begin) / DAY))
    while begin - last < 2 * spacing:
        begin += DAY
    return begin


def _count_frames(path: Path, needs_grey: bool) -> int:
    """Number of frames of a video that can be read; a truncated video keeps its first frames."""
    count, is_coloured, reason = 0, False, ""
    try:
        for picture in decode(path):
            count += 1
            is_coloured |= needs_grey and has_colours(picture)
            if count > MAX_FRAMES:
                break
    except Exception as error:  # imageio and Pillow raise errors of their own
        reason = printable(str(error).partition("\n")[0])  # without ffmpeg's log
    if count > MAX_FRAMES:
        raise NowcastError(f"{path} has more than {MAX_FRAMES:,} frames: cut it into parts")
    if not count:
        raise NowcastError(f"{path} holds no frame that can be read: save it again, or remove it")
    if is_coloured:
        raise colours_without_palette(path)
    if reason:
        log.warning("%s breaks off after %s frames (%s): the rest is left out", path, count, reason)
    return count
