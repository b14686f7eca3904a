"""Whether the frames of a video are evenly spaced in time, as its file states."""

import logging
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from nowcastlib.data.feeds.picture_files import LOCAL, VIDEOS

log = logging.getLogger("nowcastlib")

# in what ffmpeg prints: "#tb 0: 1/1000", the unit of all times, and one line a packet, with its
# stream, its times of decoding and of showing, and more
TIME_BASE = re.compile(r"^#tb 0: (\d+)/([1-9]\d*)$", re.MULTILINE)
PACKET = re.compile(r"^0, *-?\d+, *(-?\d{1,19}),", re.MULTILINE)
UNKNOWN = -(2**62)  # ffmpeg prints a number below it for a time that is not known
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

    base = TIME_BASE.search(packets)
    if base is None:
        return np.zeros(0)
    ticks = np.array([int(shown) for shown in PACKET.findall(packets)], "f8")
    ticks = np.sort(ticks[ticks > UNKNOWN])
    return ticks * int(base[1]) / int(base[2])
