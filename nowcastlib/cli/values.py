"""Values of options, checked before a command starts: finite, in range, and a place to write."""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowcastlib.cli.config_options import NESTED
from nowcastlib.errors import NowcastError, printable

if TYPE_CHECKING:
    from nowcastlib.forecasting import Forecaster

LARGE = 10**6
TINY = 1e-6
RANGES: dict[str, tuple[float, float]] = {  # smallest and largest value of an option
    "accumulation_minutes": (TINY, LARGE),
    "events": (1, 10_000),
    "every": (1, LARGE),
    "leads": (1, 1000),
    "margin": (0, LARGE),
    "max_gap": (TINY, LARGE),
    "max_mb": (TINY, LARGE),
    "max_seconds": (TINY, LARGE),
    "minutes": (TINY, LARGE),
    "pixel_km": (TINY, LARGE),
    "pixels": (8, 5000),
    "radar": (0, LARGE),
    "regrid": (0, LARGE),
    "shares": (0, 1),
    "size": (0, LARGE),
    "spacing": (TINY, LARGE),
    "wet": (0, 1000),
    "workers": (0, 256),
}
LIVE = {"every": (0, LARGE), "leads": (0, 1000)}  # 0: once, and one hour
PLACES = ("counts", "out", "json")
TIMES = ("start", "end", "at")


def check_values(command: Any) -> None:
    """Check the values of a command's options.

    Raises
    ------
    NowcastError
        For the first value that makes no sense; the message names option and value.
    """
    ranges = RANGES | LIVE if type(command).__name__ == "Live" else RANGES
    times = {}
    for name, value in _options(command):
        option = f"--{name.replace('_', '-')}"
        if not name.startswith("config."):  # there "" may mean: none
            _check_text(option, value)
        _check_number(option, value, ranges.get(name))
        if name in PLACES and isinstance(value, Path):
            _check_place(option, value)
        if name == "crop" and value:
            _check_crop(value)
        if name in TIMES and isinstance(value, str):
            times[name] = _time(option, value)

    if "start" in times and "end" in times and not times["start"] < times["end"]:
        raise NowcastError(f"--start {command.start} is not before --end {command.end}")


def _options(command: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of options, those of parts included, as the command line calls them."""
    for option in fields(command):
        value = getattr(command, option.name)
        if is_dataclass(value):
            is_shown = option.name in ("config", *NESTED)
            yield from _options(value, f"{prefix}{option.name}." if is_shown else prefix)
        else:
            yield prefix + option.name, value


def _check_text(option: str, value: Any) -> None:
    """NowcastError for an empty text, and for the letter NUL, which no file name may have."""
    for part in value if isinstance(value, tuple) else (value,):
        if not isinstance(part, str | Path):
            continue
        if "\0" in str(part):
            raise NowcastError(f"{option} {printable(part)!r} holds the letter NUL: leave it out")
        if not str(part).strip():
            raise NowcastError(f"{option} is empty: give a value, or leave it out")


def _check_number(option: str, value: Any, limits: tuple[float, float] | None) -> None:
    """NowcastError for a number that is not finite, or out of its range."""
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, bool) or not isinstance(part, int | float):
            continue
        if not math.isfinite(part):
            raise NowcastError(f"{option} {part} is not a finite number")
        if limits is None:
            continue
        smallest, largest = limits
        if part < smallest:
            least = "0 or below" if smallest == TINY else f"below {smallest:g}"
            raise NowcastError(f"{option} {part:g} is {least}: give a larger number")
        if part > largest:
            raise NowcastError(f"{option} {part:g} is above {largest:g}: give a smaller number")


def _check_crop(crop: tuple[int, int, int, int]) -> None:
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1:
        raise NowcastError(
            f"--crop {x} {y} {width} {height}: x and y must be 0 or more, width and height 1 or "
            "more"
        )


def _check_place(option: str, place: Path) -> None:
    """NowcastError for a folder in which the user lives, which would be replaced."""
    here = Path.cwd()
    target = place.resolve()
    if target == here or target in here.parents or target == Path.home():
        raise NowcastError(
            f"{option} {printable(place)} is a folder: name a file or store in it to write"
        )


def _time(option: str, value: str) -> Any:
    """The time of an option, as ``utc`` reads it."""
    from nowcastlib.data import utc  # loads pandas, which --help does not need

    try:
        return utc(value)
    except NowcastError as error:
        raise NowcastError(f"{option}: {error}") from error


def names_of_forecasters(text: str) -> list[str]:
    """The names of ``--forecasters``; NowcastError if it has none."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise NowcastError(f"--forecasters {text!r} has no name: write such as radar,sprog")
    return names


def forecasters_by_name(text: str, device: str) -> "dict[str, Forecaster]":
    """The forecasters of ``--forecasters``, networks on a device."""
    from nowcastlib.forecasting import forecaster  # loads torch, which --help does not need

    return {name: forecaster(name, device) for name in names_of_forecasters(text)}
