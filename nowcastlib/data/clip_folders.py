"""Clips of your own with labels: folders named by class, with videos or folders of pictures."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nowcastlib.data.clips import GivenClips, check_labels
from nowcastlib.data.feeds.images import Images
from nowcastlib.data.feeds.picture_files import VIDEOS
from nowcastlib.data.splits import SPLITS
from nowcastlib.data.times import usual_step
from nowcastlib.data.window_options import SHARES, Shares, check_shares
from nowcastlib.errors import NowcastError

log = logging.getLogger("nowcastlib")

WHITE = 1.0  # a white pixel is 1 in a clip, a black one 0
MOVING = VIDEOS | {".gif"}


@dataclass(frozen=True)
class ClassFolders:
    """A folder with two folders of clips, one for each class.

    Each of the two holds videos, or folders of numbered pictures. All have one size.

    Raises
    ------
    NowcastError
        If there are not two folders, or ``yes`` is none of them.
    """

    root: str | Path  # the folder that holds the two
    yes: str  # name of the folder whose clips have the label 1
    n_in: int = 6  # frames of a clip; a video of more frames gives several clips, side by side

    def __post_init__(self):
        names = [path.name for path in self._classes()]
        if len(names) != 2:
            raise NowcastError(
                f"{self.root} holds {len(names)} folders ({', '.join(names) or 'none'}): a "
                "classifier tells two classes apart, give one folder for each"
            )
        if self.yes not in names:
            raise NowcastError(f"{self.root} has no folder {self.yes!r}: name one of {names}")

    def films(self) -> dict[Path, float]:
        """The videos and folders of pictures, in order of their names, each with its label."""
        found: dict[Path, float] = {}
        for folder in self._classes():
            inside = sorted(folder.iterdir())
            films = [path for path in inside if path.is_dir() or path.suffix.lower() in MOVING]
            if not films:
                raise NowcastError(f"{folder} holds no video and no folder of pictures: add some")
            found |= {path: float(folder.name == self.yes) for path in films}
        return found

    def _classes(self) -> list[Path]:
        root = Path(self.root)
        if not root.is_dir():
            raise NowcastError(f"{root} is not a folder: give the one that holds the two classes")
        return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def clips_of_folders(
    folders: ClassFolders, shares: Shares = SHARES, oversample: bool = False
) -> dict[str, GivenClips]:
    """Read clips of two classes, split by video.

    A clip never spans missing pictures. All clips of a video go to the same split. Both
    classes have about the same share of videos in each split. The names of the videos alone decide
    which videos these are.

    Parameters
    ----------
    folders : ClassFolders
    shares : tuple of float
        Of training, validation and test; their sum is 1, and 0 leaves a split out.
    oversample : bool
        Draw clips of both labels equally often in training.

    Returns
    -------
    dict of str to GivenClips
        Clips (clip, n_in, 1, H, W), grey values 0…1, by the name of the split.

    Raises
    ------
    NowcastError
        If a video cannot be read or has nowhere as many frames in a row as a clip; if the sizes
        differ; if two videos are equal, because a label would cross a split or contradict the
        other; if a split lacks one of the labels.
    """
    check_shares(shares)
    films = folders.films()
    clips = {path: _clips_of(path, folders.n_in) for path in films}
    _check_all_different(clips)
    sizes = {tuple(c.shape[-2:]): path for path, c in clips.items()}
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise NowcastError(
            f"{first} has frames of {one} px and {second} of {other}: bring them to one size"
        )

    sets = {}
    for name, paths in _split(films, shares).items():
        labels = np.array([films[path] for path in paths for _ in clips[path]])
        check_labels(labels, name)
        sets[name] = GivenClips(torch.cat([clips[p] for p in paths]), labels, oversample)
    return sets


def _clips_of(path: Path, n_in: int) -> torch.Tensor:
    """The clips of a video or a folder of pictures, (clip, n_in, 1, H, W)."""
    feed = Images(str(path), white=WHITE, brightness=True)
    rows = feed.list()
    if len(rows) < n_in:
        raise NowcastError(f"{path} has {len(rows)} frames, and a clip {n_in}: leave it out")

    wanted = rows.iloc[_in_clips(path, pd.DatetimeIndex(rows.time), n_in)]
    frames = [feed.read(row).values for _, row in wanted.iterrows()]
    grey = torch.from_numpy(np.stack(frames).astype("f4"))  # (T, H, W)
    return grey.unflatten(0, (-1, n_in))[:, :, None]


def _in_clips(path: Path, times: pd.DatetimeIndex, n_in: int) -> list[int]:
    """Numbers of the frames of all clips, clip by clip; no clip spans missing frames."""
    gaps, step = pd.Series(times).diff(), usual_step(times)
    is_gap = (gaps - step).abs() > step / 3
    runs = [list(run) for run in gaps.groupby(is_gap.cumsum()).groups.values()]
    kept = [k for run in runs for k in run[: len(run) // n_in * n_in]]
    if not kept:
        raise NowcastError(
            f"{path} has no {n_in} frames in a row, because frames are missing: add them, or "
            "leave it out"
        )
    if is_gap.any():
        log.warning(
            "%s: %d frames are missing; no clip spans such a gap, so that %d of %d frames are in "
            "no clip", path, round((gaps[is_gap] / step - 1).sum()), len(times) - len(kept),
            len(times),
        )  # fmt: skip
    return kept


def _check_all_different(clips: dict[Path, torch.Tensor]) -> None:
    """NowcastError if two videos show the same."""
    seen: dict[int, Path] = {}
    for path, values in clips.items():
        checksum = zlib.crc32(values.numpy().tobytes())
        if checksum in seen:
            raise NowcastError(
                f"{seen[checksum]} and {path} show the same: keep one, so that no clip is in two "
                "classes or two splits"
            )
        seen[checksum] = path


def _split(films: dict[Path, float], shares: Shares) -> dict[str, Sequence[Path]]:
    """The videos of each split that has a share."""
    split: dict[str, list[Path]] = {n: [] for n, s in zip(SPLITS, shares, strict=True) if s}
    for label in (0.0, 1.0):
        paths = [path for path, of_path in films.items() if of_path == label]
        paths.sort(key=lambda path: zlib.crc32(path.name.encode()))  # a fixed random order
        borders = np.rint(np.cumsum([0, *shares]) * len(paths)).astype(int)
        for name, start, stop in zip(SPLITS, borders, borders[1:], strict=False):
            if name in split:
                split[name] += paths[start:stop]
    return dict(split)
