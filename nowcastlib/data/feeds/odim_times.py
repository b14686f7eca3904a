"""The time that an ODIM file states, compared with that of the server's list or of its name."""

import re
from dataclasses import dataclass

import pandas as pd

from nowcastlib.data.feeds.odim_fields import Attributes
from nowcastlib.errors import NowcastError, printable

SLACK = pd.Timedelta("1min")  # a list may round its times
FORMATS = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # of date and time, by their digits
STEP = pd.Timedelta("15min")  # the longest usual step of radars, to which names may be rounded


@dataclass(frozen=True)
class ListedTime:
    """The time under which a file is listed.

    Parameters
    ----------
    time
        The time (UTC).
    is_of_name
        Whether the time is that of the file's name, which may be rounded to a step, or be the start
        or end of the measurement; else it is that of a server's list.
    """

    time: pd.Timestamp
    is_of_name: bool = False


def check_time(attributes: Attributes, listed: ListedTime) -> None:
    """Refuse a file whose times are not the listed one.

    That of a list must be the nominal time (`date` and `time`); that of a name may also be the
    start or end of the measurement. A file without a nominal time is not checked.

    Raises
    ------
    NowcastError
        If the times differ, or if that of a listed file cannot be read. The message does not name
        the file.
    """
    if not {"date", "time"} <= attributes.keys():
        return
    nominal = stated_time(attributes, "")
    if nominal is pd.NaT:
        if listed.is_of_name:  # archives have files of any maker, which may write it otherwise
            return
        text = f"{attributes['date']}{attributes['time']}"
        raise NowcastError(f"states the time {printable(text)!r}, which is none: fetch it again")

    stated, slack, words = [nominal], SLACK, ("is listed", "the list")
    if listed.is_of_name:
        stated += [stated_time(attributes, edge) for edge in ("start", "end")]
        slack, words = STEP, ("has a name", "the name")
    differences = abs(pd.DatetimeIndex(stated) - listed.time)
    if not (differences <= slack).any():  # never true of NaT
        raise NowcastError(
            f"is of {nominal:%Y-%m-%d %H:%M:%S}, but {words[0]} as of "
            f"{listed.time:%Y-%m-%d %H:%M:%S}: {words[1]} contradicts the file"
        )


def stated_time(attributes: Attributes, edge: str) -> pd.Timestamp:
    """The nominal time of a file, or that of its start or end.

    Parameters
    ----------
    attributes
        The attributes of the field.
    edge
        "start", "end", or "" for the nominal time.

    Returns
    -------
    pandas.Timestamp
        The time (UTC). The clock time may be HHMMSS, as in ODIM, or HHMM, which some makers write;
        of any other spelling it is NaT.
    """
    date, clock = (str(attributes.get(f"{edge}{part}")).strip() for part in ("date", "time"))
    if not re.fullmatch("[0-9]{8}", date) or not re.fullmatch("[0-9]{4}|[0-9]{6}", clock):
        return pd.NaT
    return pd.to_datetime(date + clock, format=FORMATS[len(date + clock)], errors="coerce")
