"""Times of numbered pictures: a time in the name, or a number that counts the pictures."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from nowcastlib.errors import NowcastError, printable

TIME = re.compile(  # overlapping matches: a number before the time must not hide it
    r"(?<!\d)(?=(\d{4})([-_]?)(\d\d)\2(\d\d)[-_T ]?(\d\d)([-_:]?)(\d\d)(?:\6(\d\d))?(?!\d))"
)
DAY_FIRST = re.compile(  # DDMMYYYYHHMM, and the same with separators
    r"(?<!\d)(\d\d)[-_.]?(\d\d)[-_.]?(\d{4})[-_T ]?(\d\d)[-_:]?(\d\d)(?:[-_:]?\d\d)?(?!\d)"
)
# since 1970, in seconds or thousandths, millionths or billionths of one
UNIX_TIME = re.compile(r"(?<!\d)(\d{10})(?:\d{3}){0,3}(?!\d)")
DAYS = (  # a day without a clock at the end of a name, year first or last
    re.compile(r"(?<!\d)(?P<year>\d{4})([-_.]?)(?P<month>\d\d)\2(?P<day>\d\d)\D*$"),
    re.compile(r"(?<!\d)(?P<day>\d\d)([-_.]?)(?P<month>\d\d)\2(?P<year>\d{4})\D*$"),
)
NOT_UTC = re.compile(  # after a time: an offset to the east, am or pm, or a zone other than UTC
    r"[-_ ]?(?:\+\d\d:?\d\d|(?i:[ap]m)|(?:[CEMP][SD]T|[CEW]ES?T|BST|MSK|IST|JST|KST|HKT|SGT|"
    r"A[CEW][SD]T|NZ[SD]T))(?![A-Za-z0-9])"
)
LIKELY_YEARS = range(2001, 2041)  # such numbers outside of these years are counters
SPELLINGS = "202406011145, 20240601_1145 or 2024-06-01T11-45 (seconds may follow)"
MOST_MISSING = 1_000_000  # pictures between two that are there
YEARS = range(1950, 2100)  # a number of 12 or 14 digits outside of these years is no time


def time_in_name(path: Path) -> pd.Timestamp | None:
    """The time (UTC) that the name of a picture states; None if it states none.

    It is the last one of year, month, day, hour, minute and, if there are, seconds, with or without
    separators, as in radar_202406011145.png, 20240601_1145.png or 2024-06-01T11-45-00.png.

    Raises
    ------
    NowcastError
        If am, pm or a time zone other than UTC follows.
    """
    for match in reversed(list(TIME.finditer(path.stem))):
        year, _, month, day, hour, _, minute, second = match.groups(default="00")
        time = _time(year, month, day, hour, minute, second)
        if time is not None:
            _check_is_utc(path, max(match.end(7), match.end(8)))
            return time
    return None


def _check_is_utc(path: Path, end: int) -> None:
    """NowcastError if am, pm or a zone other than UTC follows the time that ends at ``end``."""
    if other := NOT_UTC.match(path.stem, end):
        raise NowcastError(
            f"in the name of {printable(path.name)}, {other.group().strip('-_ ')} follows the "
            f"time: write times in UTC, as {SPELLINGS}"
        )


def _time(year: str, month: str, day: str, *clock: str) -> pd.Timestamp | None:
    """The time of hour, minute and second of a day; None if there is none, or long ago."""
    text = " ".join([year, month, day, *clock])
    time = pd.to_datetime(text, format="%Y %m %d %H %M %S", errors="coerce")
    return None if time is pd.NaT or time.year not in YEARS else time


def _check_is_number(path: Path) -> None:
    """NowcastError if a name seems to state its time in another spelling than those known."""
    times = [
        _time(year, month, day, hour, minute, "00")
        for day, month, year, hour, minute in DAY_FIRST.findall(path.stem)
    ]
    likely = [pd.to_datetime(int(digits), unit="s") for digits in UNIX_TIME.findall(path.stem)]
    matches = [match for days in DAYS if (match := days.search(path.stem))]
    likely += [_time(m["year"], m["month"], m["day"], "00", "00", "00") for m in matches]
    times += [time for time in likely if time is not None and time.year in LIKELY_YEARS]
    if any(time is not None for time in times):
        raise NowcastError(
            f"the name of {printable(path.name)} seems to hold a time, which would be taken for a "
            f"number: write the time as {SPELLINGS}, or number the pictures 1, 2, 3"
        )


def times_in_names(paths: Sequence[Path]) -> dict[pd.Timestamp, Path]:
    """The pictures by the times in their names, in ascending time; empty if no name has a time.

    Raises
    ------
    NowcastError
        If only some of the names have a time, if two have the same, or if a name seems to state its
        time in a spelling that is not known.
    """
    times = [time_in_name(path) for path in paths]
    without = [path.name for path, time in zip(paths, times, strict=True) if time is None]
    if len(without) == len(paths):
        for path in paths:
            _check_is_number(path)
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
        If the numbers jump unevenly, such as 1150, 1155, 1200, if two are the same, or if another
        number in the names changes, too, such as the hour in 11h45, 12h00.
    """
    numbers = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    for path, others in zip(paths, numbers, strict=True):
        if others[:-1] != numbers[0][:-1]:
            raise NowcastError(
                f"the names of {printable(paths[0].name)} and {printable(path.name)} differ in "
                "more than their last number: number the pictures 1, 2, 3, or put times such as "
                "202406011145 into their names"
            )
    last_numbers = [found[-1] for found in numbers]
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
