"""Whether the frames of a video are evenly spaced in time, as its file states."""

import logging
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from nowcastlib.data.feeds.picture_files import LOCAL, VIDEOS

log = logging.getLogger("nowcastlib")

UNEVEN = 1.5  # times the median duration of a frame; rounding of times stays below
LONGEST = 60  # seconds that reading the times may take


def warn_if_uneven(path: Path) -> None:
    """Warn of a video whose frames are shown for different times: all are taken as evenly spaced.

    Animated pictures are left out: their last one is often shown longer, to end the loop.
    """
    if path.suffix.lower() not in VIDEOS:
        return
    seconds = np.diff(frame_times(path))
    if len(seconds) > 1 and seconds.max() > UNEVEN * np.median(seconds):
        log.warning(
            "%s has a variable frame rate (%.3g to %.3g s between frames): its frames are taken as "
            "evenly spaced; encode it with a constant rate if they are not",
            path,
            seconds.min(),
            seconds.max(),
        )


def frame_times(path: Path) -> np.ndarray:
    """Times in seconds at which the frames of a video are shown, in ascending order.

    The packets of the file tell them; nothing is decoded. Empty if they cannot be read.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *LOCAL, "-i", str(path)]
    command += ["-map", "0:v:0", "-c", "copy", "-copyts", "-f", "framecrc", "-"]
    try:
        packets = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False
        ).stdout.decode("ascii", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return np.zeros(0)

    unit, ticks = 1.0, []
    for line in packets.splitlines():
        if line.startswith("#tb 0:"):  # such as "#tb 0: 1/1000"
            numerator, denominator = line.partition(":")[2].split("/")
            unit = float(numerator) / float(denominator)
        elif not line.startswith("#"):  # stream, decoding time, showing time, duration, size, sum
            ticks.append(int(line.split(",")[2]))
    return unit * np.sort(np.array(ticks, "f8"))
