"""What a feed is: a table of frames, and a way to read each of them."""

from typing import Any, Protocol

import pandas as pd
import xarray as xr

from nowcastlib.data.times import TimeLike
from nowcastlib.errors import NowcastError


class ServerUnreachable(NowcastError):
    """The server of a feed does not answer: stop, because the next frame would fail too."""


class WrongSettings(NowcastError):
    """A feed's settings do not suit its frames: stop, because others would be read wrongly."""


class Feed(Protocol):
    """A source of radar frames.

    A class that has these attributes and methods is a feed. A class that inherits from `Feed` gets
    the defaults of `licence`, `concurrency`, `is_local`, `product` and `source`.
    """

    @property
    def attribution(self) -> str:
        """Who made the data. It is written into the store and shown below pictures."""
        ...

    @property
    def licence(self) -> str:
        """The licence under which others may use the data; "" if unknown."""
        return ""

    @property
    def concurrency(self) -> int:
        """How many frames may be read at the same time."""
        return 1

    @property
    def is_local(self) -> bool:
        """Whether no server is asked: then any number of processes may read at the same time.

        Else `concurrency` is the limit of all processes together.
        """
        return False

    @property
    def product(self) -> str:
        """Name of the product; "" if the feed has one product only."""
        return ""

    @property
    def source(self) -> str:
        """The feed's name and what else decides its frames, apart from the product.

        A store is not continued from another source. "" if unknown: then nothing is compared.
        """
        return ""

    def list(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Table of the frames in [start, end), one row each.

        Parameters
        ----------
        start, end
            Times in UTC; None leaves that side open.

        Returns
        -------
        pandas.DataFrame
            The first column is `time` (UTC, without a zone, ascending). The other columns are the
            feed's own: what `read` needs to find a frame.

        Raises
        ------
        NowcastError
            If there are no frames to list.
        """
        ...

    def read(self, row: Any) -> xr.DataArray:
        """Read one frame.

        Parameters
        ----------
        row
            A row of `list`, as `itertuples` gives it.

        Returns
        -------
        xarray.DataArray
            `rainfall_rate(y, x)` in mm/h, north up; NaN where not observed, 0 where dry. See
            `nowcastlib.data.grid.frame`.

        Raises
        ------
        ServerUnreachable
            If the server does not answer, so that it is no use to read another frame.
        WrongSettings
            If this frame shows that the settings of the feed are wrong for the other frames, too.
        NowcastError
            If this frame is missing or broken.
        """
        ...
