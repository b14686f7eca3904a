"""The time that an ODIM file states, compared with the one under which a server lists it."""

import pandas as pd

from nowcastlib.data.feeds.odim_fields import Attributes
from nowcastlib.errors import NowcastError, printable

SLACK = pd.Timedelta("1min")  # a list may round its times


def check_time(attributes: Attributes, listed: pd.Timestamp) -> None:
    """Refuse a file whose nominal time (`date` and `time`) is not the listed one.

    A file without them is not checked.

    Raises
    ------
    NowcastError
        If the times differ, or if that of the file cannot be read. The message does not name the
        file.
    """
    if not {"date", "time"} <= attributes.keys():
        return
    text = f"{attributes['date']}{attributes['time']}"
    stated = pd.to_datetime(text, format="%Y%m%d%H%M%S", errors="coerce")
    if stated is pd.NaT:
        raise NowcastError(f"states the time {printable(text)!r}, which is none: fetch it again")
    if abs(stated - listed) > SLACK:
        raise NowcastError(
            f"is of {stated:%Y-%m-%d %H:%M:%S}, but is listed as of {listed:%Y-%m-%d %H:%M:%S}: "
            "the list contradicts the file"
        )
