"""Options of ``live`` and ``forecast`` about places: when it will rain there."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nowcastlib.cli.reading import option
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from nowcastlib.data import Place


@dataclass(frozen=True, kw_only=True)
class Places:
    """Places for which the forecast rain is printed."""

    # Print when it will rain at a place, and how sure that is. Latitude and longitude are in
    # degrees, such as 46.07,13.24,Udine; south and west are negative, as in --place=-33.9,151.2.
    place: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        option("LAT,LON[,NAME]", "none; give it again for each further place"),
    ] = ()

    # Write the outlook of the places as JSON.
    json: Annotated[Path | None, option("FILE", "no file")] = None

    def parsed(self) -> "tuple[Place, ...]":
        """The places.

        Raises
        ------
        NowcastError
            If one is not a place, or if ``json`` is given without a place.
        """
        from nowcastlib.data import parse_places  # loads xarray, which --help does not need

        if self.json and not self.place:
            raise NowcastError("--json is the outlook of places: name one with --place")
        return parse_places(self.place)


PlaceOptions = Annotated[Places, tyro.conf.arg(name="")]
NO_PLACE = Places()
