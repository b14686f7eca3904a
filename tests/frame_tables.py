"""Tables of frames for tests."""

import numpy as np
import pandas as pd


def storms_table(*sizes: int, mean=1.0) -> pd.DataFrame:
    """A table of storms, an hour apart, with ``sizes`` frames each, one every 5 minutes.

    ``mean`` is the mean rain rate (mm/h): a number, or one for each storm.
    """
    starts = np.cumsum([0, *(5 * n + 60 for n in sizes[:-1])])
    minutes = np.concatenate(
        [start + 5 * np.arange(n) for n, start in zip(sizes, starts, strict=True)]
    )
    sequence = np.repeat(np.arange(len(sizes)), sizes)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2024-06-01") + pd.to_timedelta(minutes, unit="min"),
            "gap": np.diff(minutes, prepend=np.nan),
            "sequence": sequence,
            "mean": np.broadcast_to(mean, len(sizes))[sequence],
        }
    )
