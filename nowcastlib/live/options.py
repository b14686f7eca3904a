"""Options of a live forecast."""

from dataclasses import dataclass
from pathlib import Path

from nowcastlib.data import Place


@dataclass(frozen=True)
class LiveOptions:
    """Which frames a live forecast uses, how far it reaches, and how its page behaves."""

    minutes: float = 120  # age of the oldest frame that is used, counted from the newest
    leads: int = 0  # steps to forecast; 0: one hour
    size: int = 0  # side in px of the central square that is used; 0: the whole grid
    crop: tuple[int, int, int, int] | None = None  # x, y, width, height in px, as for ingest
    regrid: int = 0  # number of columns of a coarser grid, as for ingest; 0: the feed's grid
    reload: float = 0  # minutes after which the page loads itself again; 0: never
    progress: bool = True  # show a progress bar while frames are fetched
    places: tuple[Place, ...] = ()  # places whose rain the page tells
    json: Path | None = None  # file for the outlook of the places; None: none is written
