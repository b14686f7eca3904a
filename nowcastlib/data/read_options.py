"""What the user says about frames where a store or file does not say it, or says it wrongly."""

import logging
from dataclasses import dataclass, fields

from nowcastlib.errors import NowcastError
from nowcastlib.units import kind_of_rain

log = logging.getLogger("nowcastlib")

FLAGS: dict[tuple[str, object], str] = {  # option of the command line that sets a field to a value
    ("north_up", True): "--north-up",
    ("north_up", False): "--south-up",
}


@dataclass(frozen=True)
class ReadOptions:
    """How to read frames. An option wins over what the store or file says, with a warning.

    Parameters
    ----------
    variable : str
        Name of the variable of rain; in ODIM HDF5 the quantity, such as DBZH, or the dataset's
        path. "" takes the only one.
    units : str
        Units of its values, such as mm/h, mm or dBZ. Reflectivity becomes rain by Z = 200 R^1.6.
        "" takes the units that the file states.
    accumulation_minutes : float
        Minutes in which an amount of rain fell. 0 takes the time that the file states.
    pixel_km : float
        Width and height of a pixel in km. 0 takes those of the coordinates.
    north_up : bool, optional
        Whether the first row of each frame is in the north. None lets the coordinates decide.

    Raises
    ------
    NowcastError
        If the units are none of rain, or if a number is negative or not finite.
    """

    variable: str = ""
    units: str = ""
    accumulation_minutes: float = 0.0
    pixel_km: float = 0.0
    north_up: bool | None = None

    def __post_init__(self):
        if self.units and not kind_of_rain(self.units)[0]:
            raise NowcastError(
                f"--units {self.units!r} is no unit of rain: give one such as mm/h, kg m-2 s-1, "
                "mm or dBZ"
            )
        for name in ("accumulation_minutes", "pixel_km"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise NowcastError(
                    f"{option_name(name)} is {getattr(self, name):g}: give a number above 0"
                )

    def given(self) -> dict[str, object]:
        """The options that differ from their defaults, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }

    def described(self) -> str:
        """The given options as on the command line, such as "--units mm/h --pixel-km 1"."""
        words = []
        for name, value in self.given().items():
            flag = FLAGS.get((name, value))
            number = f"{value:g}" if isinstance(value, float) else str(value)
            words.append(flag or f"{option_name(name)} {number}")
        return " ".join(words)

    def check_known(self, known: tuple[str, ...], what: str) -> None:
        """NowcastError if an option is given that does not apply to something."""
        for name, value in self.given().items():
            if name not in known:
                option = FLAGS.get((name, value), option_name(name))
                raise NowcastError(f"{option} does not apply to {what}: leave it out")


AS_STATED = ReadOptions()  # no option: everything is as the store or file states it


def option_name(field: str) -> str:
    """The option of the command line for a field."""
    return f"--{field.replace('_', '-')}"


def warn_of_contradiction(where: str, stated: str, option: str) -> None:
    """Say that an option wins over what a file states."""
    log.warning("%s states %s; %s is used instead", where, stated, option)
