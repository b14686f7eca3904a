"""Whether all pictures of a folder are grey, so that their brightness may be a measure of rain."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nowcastlib.data.feeds.brightness import colours_without_palette, has_colours
from nowcastlib.data.feeds.picture_files import decode, is_grey_by_header

SAMPLE = 8  # pictures of other times than those asked for in which colours are looked for, too


class GreyCheck:
    """Looks for colours in pictures; each version of a file is looked at once."""

    def __init__(self) -> None:
        # path, time of change and size of the pictures that were found to be grey
        self.grey: set[tuple[str, int, int]] = set()

    def check(self, paths: Iterable[str]) -> None:
        """WrongSettings if a picture has colours."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # it is reported when it is read
                stat = Path(path).stat()
                version = (path, stat.st_mtime_ns, stat.st_size)
                if version in self.grey:
                    continue
                if _is_coloured(Path(path)):
                    raise colours_without_palette(path)
                self.grey.add(version)


def sample(paths: pd.Series) -> pd.Series:
    """Some paths, evenly chosen."""
    every = -(-len(paths) // SAMPLE) or 1  # rounded up
    return paths.iloc[::every]


def _is_coloured(path: Path) -> bool:
    """Whether a picture has colours; False for a broken one, which is reported when it is read."""
    with contextlib.suppress(Exception):  # Pillow raises errors of its own
        return not is_grey_by_header(path) and has_colours(next(decode(path)))
    return False
