"""Options of all commands that read frames: what a store or file does not say, or says wrongly."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from nowcastlib.data import ReadOptions


DEVICE = Literal["auto", "cpu", "cuda", "mps"]  # names of ``devices.resolve_device``


def option(metavar: str, default: str):
    """How the help text of an option names its value and its default."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the frames are, where they do not say it or say it wrongly."""

    # Name of the rain variable; in ODIM HDF5 its quantity, such as DBZH.
    variable: Annotated[str | None, option("NAME", "the only one")] = None

    # Units of its values, such as mm/h, mm or dBZ.
    units: Annotated[str | None, option("UNITS", "as stated")] = None

    # Minutes in which an amount of rain (mm) fell.
    accumulation_minutes: Annotated[float | None, option("MINUTES", "as stated")] = None

    # Width and height of a pixel in km.
    pixel_km: Annotated[float | None, option("KM", "as stated")] = None

    # The first row of each frame is in the north, whatever the coordinates say.
    north_up: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # The first row of each frame is in the south, whatever the coordinates say.
    south_up: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    def options(self) -> "ReadOptions":
        """The options for ``open_frames`` and for feeds.

        Raises
        ------
        NowcastError
            If a value makes no sense, or if north is up and down.
        """
        from nowcastlib.data import ReadOptions

        if self.north_up and self.south_up:
            raise NowcastError("--north-up and --south-up contradict each other: give one of them")
        for name in ("accumulation_minutes", "pixel_km"):
            if getattr(self, name) == 0:
                raise NowcastError(f"--{name.replace('_', '-')} is 0: give a number above 0")
        return ReadOptions(
            variable=self.variable or "",
            units=self.units or "",
            accumulation_minutes=self.accumulation_minutes or 0.0,
            pixel_km=self.pixel_km or 0.0,
            north_up=self.north_up if self.north_up or self.south_up else None,
        )


ReadingOptions = Annotated[Reading, tyro.conf.arg(name="")]
AS_STATED = Reading()  # no option is given
