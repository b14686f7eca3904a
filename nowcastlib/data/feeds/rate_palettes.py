"""Palettes of one's own: the rain rate of each colour, from Python or from a CSV or JSON file."""

import csv
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nowcastlib.data.feeds.colour_scales import Palette, as_rgb
from nowcastlib.data.feeds.text_files import read_text
from nowcastlib.data.rain_check import HIGHEST
from nowcastlib.errors import NowcastError

NOT_OBSERVED = {"none", "nodata", "nan", "null"}  # words for a rate that was not observed
TRANSPARENT = "transparent"  # word for the colour of transparent pixels
MOST_COLOURS = 250  # classes are bytes, and some are marks
EXAMPLE = "write rows such as #0a96ff,1.5"

Rows = Sequence[tuple[str, float | str | None]]  # (colour, rate in mm/h or a word)


@dataclass(frozen=True)
class RatePalette(Palette):
    """A palette that gives each colour a rain rate. `rate_palette` makes and checks it.

    Parameters
    ----------
    entries
        (Colour such as #0a96ff, rate in mm/h) of each class, by ascending rate; a rate of None is
        not observed.
    rate_of_transparent
        Rain rate of transparent pixels in mm/h; None: not observed.
    """

    entries: tuple[tuple[str, float | None], ...]
    rate_of_transparent: float | None = None

    @property
    def transparent(self) -> int:  # type: ignore[override]
        """Class of a transparent pixel: the one after those of the colours."""
        return len(self.entries)

    @cached_property
    def colours(self) -> np.ndarray:  # type: ignore[override]
        """Colour of each class, (class, RGB) uint8."""
        return as_rgb([colour for colour, _ in self.entries])

    @cached_property
    def rates(self) -> np.ndarray:  # type: ignore[override]
        """Rain rate of each class in mm/h, (256,) float32; NaN where not observed."""
        rates = np.full(256, np.nan, "f4")
        given = [*(rate for _, rate in self.entries), self.rate_of_transparent]
        rates[: len(given)] = [np.nan if rate is None else rate for rate in given]
        return rates

    @property
    def summary(self) -> str:
        """A short name, which differs for palettes that differ."""
        text = repr((self.entries, self.rate_of_transparent))
        return f"palette of {len(self.entries)} colours ({zlib.crc32(text.encode()):08x})"


def rate_palette(rows: Rows | str | Path) -> RatePalette:
    """Make a palette from (colour, rate) pairs, or from a file of them.

    Parameters
    ----------
    rows
        Pairs such as ("#0a96ff", 1.5), in any order: a colour, and its rain rate in mm/h. "none" or
        None is the rate of a colour that means not observed. The colour "transparent" stands for
        transparent pixels, which are not observed otherwise. Or a CSV file with one pair a row, or
        a JSON file with a list of pairs or an object {colour: rate}.

    Raises
    ------
    NowcastError
        If the file cannot be read, if a colour or a rate is invalid, if a colour has two rates, if
        no colour has a rate, or if there are more than 250 colours.
    """
    where = "the palette"
    if isinstance(rows, str | Path):
        where = str(rows)
        rows = _rows_of_file(Path(rows))

    rates: dict[str, float | None] = {}
    for number, row in enumerate(rows, start=1):
        colour, rate = _checked(row, f"row {number} of {where}")
        if colour in rates and rates[colour] != rate:
            raise NowcastError(
                f"{where} gives the colour {colour} two rates, {_text(rates[colour])} and "
                f"{_text(rate)}: remove one"
            )
        rates[colour] = rate

    of_transparent = rates.pop(TRANSPARENT, None)
    if all(rate is None for rate in rates.values()):
        raise NowcastError(f"{where} gives no colour a rain rate: {EXAMPLE}")
    if len(rates) > MOST_COLOURS:
        raise NowcastError(
            f"{where} has {len(rates)} colours, more than {MOST_COLOURS}: leave out every second"
        )
    by_rate = sorted(rates.items(), key=lambda pair: (pair[1] is None, pair[1] or 0.0, pair[0]))
    return RatePalette(tuple(by_rate), of_transparent)


def _text(rate: float | None) -> str:
    """A rate for readers."""
    return "none" if rate is None else f"{rate:g} mm/h"


def _checked(row: object, where: str) -> tuple[str, float | None]:
    """Colour in small letters and rate of a row; NowcastError if one of them is invalid."""
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != 2:
        raise NowcastError(f"{where} is no pair of a colour and a rate: {EXAMPLE}")
    colour, rate = str(row[0]).strip().lower(), row[1]
    if colour != TRANSPARENT and not re.fullmatch("#[0-9a-f]{6}", colour, re.ASCII):
        raise NowcastError(
            f"{where} begins with {str(row[0])!r}, which is no colour: {EXAMPLE}, or {TRANSPARENT}"
        )

    if rate is None or str(rate).strip().lower() in NOT_OBSERVED:
        return colour, None
    number = _number(rate)
    if number is None or not 0 <= number <= HIGHEST:
        raise NowcastError(
            f"{where} has the rate {rate!r}: give mm/h from 0 to {HIGHEST:g}, or none for a colour "
            "that means not observed"
        )
    return colour, number


def _number(rate: object) -> float | None:
    """A rate as a number; None if it is none."""
    if isinstance(rate, bool) or not isinstance(rate, str | int | float | np.number):
        return None
    try:
        return float(rate)
    except (ValueError, OverflowError):
        return None


def _rows_of_file(path: Path) -> Rows:
    """The pairs of a CSV or JSON file, without the title row of a CSV."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise NowcastError(
            f"the palette {path} cannot be read ({error}): give a CSV or JSON file of colours and "
            "rates"
        ) from error

    if path.suffix.lower() == ".json":
        return _rows_of_json(text, path)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(row)]
    except csv.Error as error:
        raise NowcastError(f"the palette {path} is no CSV ({error}): {EXAMPLE}") from error
    if rows and not rows[0][0].startswith("#") and rows[0][0].lower() != TRANSPARENT:
        is_title = len(rows[0]) == 2 and _number(rows[0][1]) is None
        rows = rows[1:] if is_title and rows[0][1].lower() not in NOT_OBSERVED else rows
    return rows  # type: ignore[return-value]  # each row is checked


def _rows_of_json(text: str, path: Path) -> Rows:
    """The pairs of a JSON text; an object may name a colour once only."""
    try:
        rows = json.loads(text, object_pairs_hook=list)  # a dict would drop all but the last pair
    except (ValueError, RecursionError) as error:
        raise NowcastError(f"the palette {path} is no JSON ({error}): correct it") from error
    if not isinstance(rows, Iterable) or isinstance(rows, str):
        raise NowcastError(f"the palette {path} holds no list of pairs: {EXAMPLE}")
    return list(rows)
