"""Times of numbered pictures: a time in the name, or a number that counts the pictures."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from nowcastlib.errors import NowcastError, printable

FORMATS = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # of a time in a name, by its digits
MOST_MISSING = 1_000_000  # pictures between two that are there
YEARS = range(1950, 2100)  # a number of 12 or 14 digits outside of these years is no time


def time_in_name(path: Path) -> pd.Timestamp | None:
    """The time (UTC) that the name of a picture states; None if it states none.

    It is the last number of 12 or 14 digits that is a time, as in radar_202406011145.png.
    """
    for digits in reversed(re.findall(r"\d+", path.stem)):
        if len(digits) in FORMATS:
            time = pd.to_datetime(digits, format=FORMATS[len(digits)], errors="coerce")
            if time is not pd.NaT and time.year in YEARS:
                return time
    return None


def times_in_names(paths: Sequence[Path]) -> dict[pd.Timestamp, Path]:
    """The pictures by the times in their names, in ascending time; empty if no name has a time.

    Raises
    ------
    NowcastError
        If only some of the names have a time, or if two have the same.
    """
    times = [time_in_name(path) for path in paths]
    without = [path.name for path, time in zip(paths, times, strict=True) if time is None]
    if len(without) == len(paths):
        return {}
    if without:
        raise NowcastError(
            f"{without[0]} has no time such as 202406011145 in its name, and other pictures of the "
            "folder have one: rename or remove it"
        )
    return _sorted_by(times, paths, "time")


def steps_by_number(paths: Sequence[Path]) -> dict[int, Path]:
    """The pictures by the number of steps since the first, from the last number in their names.

    Numbers 1, 2, 3 and 10, 20, 30 both count pictures; a missing number is a missing picture.

    Raises
    ------
    NowcastError
        If the numbers jump unevenly, such as 1150, 1155, 1200, or if two are the same.
    """
    last_numbers = [int(re.findall(r"\d+", path.stem)[-1]) for path in paths]
    pictures = _sorted_by(last_numbers, paths, "number")

    pairs = list(pairwise(pictures))
    step = min((after - before for before, after in pairs), default=1)
    jumps = [(before, after) for before, after in pairs if after - before != step]
    is_clock = all(before % 100 == 59 and after % 100 == 0 for before, after in jumps)  # 1159, 1200
    if jumps and (step > 1 or is_clock):
        before, after = jumps[0]
        raise NowcastError(
            f"the numbers of {pictures[before].name} and {pictures[after].name} jump by "
            f"{after - before}, others by {step}: number the pictures 1, 2, 3, or put times such "
            "as 202406011145 into their names"
        )
    first = min(pictures)
    for (before, path), (after, next_path) in pairwise(pictures.items()):
        if after - before > MOST_MISSING * step:
            raise NowcastError(
                f"the numbers of {printable(path.name)} and {printable(next_path.name)} are "
                f"{after - before} apart: number the pictures 1, 2, 3"
            )
    return {(number - first) // step: path for number, path in pictures.items()}


def _sorted_by(keys: Sequence, paths: Sequence[Path], kind: str) -> dict:
    """The paths by their keys, in ascending order. NowcastError if a key occurs twice."""
    pictures: dict = {}
    for key, path in zip(keys, paths, strict=True):
        if key in pictures:
            raise NowcastError(
                f"{pictures[key].name} and {path.name} have the same {kind}: remove one"
            )
        pictures[key] = path
    return dict(sorted(pictures.items()))
