"""What a player shows when it opens."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from nowcastlib.display.player.levels import NOT_KNOWN
from nowcastlib.errors import NowcastError

ENOUGH = 0.5  # of the rain pixels of the frame that has most of them


class Opening(TypedDict, total=False):
    """What a player of forecasts shows when it opens.

    Attributes
    ----------
    lead : float
        Minutes after the time of issue; 0 is the newest observed frame.
    threshold : float
        Rain rate in mm/h above which scores are counted.
    layout : str
        "all side by side", "one beside it" or "swipe".
    view : str
        "rain rate", "outline of observed", "error" or "hits and misses".
    forecast : str
        Name of the forecast that is chosen.
    """

    lead: float
    threshold: float
    layout: str
    view: str
    forecast: str


class EnsembleOpening(TypedDict, total=False):
    """What a player of an ensemble shows when it opens.

    Attributes
    ----------
    lead : float
        Minutes after the time of issue; 0 is the newest observed frame.
    threshold : float
        Rain rate in mm/h of the outline and of the share of members.
    view : str
        "without outline" or "outline of observed".
    member : int
        Number of the member that is chosen, from 1 on.
    """

    lead: float
    threshold: float
    view: str
    member: int


def opening_state(
    opening: Mapping[str, Any], options: Mapping[str, tuple[str, Sequence]]
) -> dict[str, int]:
    """Return the traits of a player that opens as wished.

    Parameters
    ----------
    opening : mapping of str to the wished value
        As in Opening.
    options : mapping of str to (str, sequence)
        For each name: the trait, which is the number of an option, and the options.

    Raises
    ------
    NowcastError
        If a name or a value is not among the options.
    """
    state = {}
    for name, wanted in opening.items():
        if name not in options:
            raise NowcastError(f"the player has no setting {name!r}: choose among {_list(options)}")
        trait, values = options[name]
        if wanted not in values:
            raise NowcastError(
                f"the player cannot open with {name}={wanted!r}: choose among {_list(values)}"
            )
        state[trait] = list(values).index(wanted)
    return state


def first_with_rain(films: Sequence[np.ndarray]) -> int:
    """Return the first frame that has half as many rain pixels as the frame with most of them.

    Parameters
    ----------
    films : sequence of array, shape (time, y, x)
        Levels of rain.
    """
    wet = np.sum([((film > 0) & (film < NOT_KNOWN)).sum(axis=(1, 2)) for film in films], axis=0)
    return int(np.argmax(wet >= ENOUGH * wet.max()))


def _list(values) -> str:
    return ", ".join(v if isinstance(v, str) else f"{v:g}" for v in values)
