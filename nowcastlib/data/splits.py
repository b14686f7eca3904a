"""Splits of the frames into training, validation and test, so that no event is in two of them."""

import numpy as np
import pandas as pd

from nowcastlib.data.window_options import SHARES, Shares, check_shares
from nowcastlib.errors import NowcastError

SPLITS = ("train", "validation", "test")
NEW_EVENT = 60.0  # minutes without a frame after which a new event begins


def split_by_event(
    table: pd.DataFrame,
    shares: Shares = SHARES,
    new_event: float | None = None,
    pause: float = 30.0,
) -> pd.DataFrame:
    """Split frames into training, validation and test; all frames of an event into the same one.

    An event ends where no frame comes for more than ``new_event`` minutes; a video is an event.
    After a shorter gap a new sequence begins, but it is still the same storm. The split is
    deterministic: the events are taken in the order of their rain, the one with most rain first,
    and each goes to the split that lacks most of its share of frames and rain.

    Two events: the wetter one is for the test, since scores need rain, and the other is cut in time
    into training and validation. One event: it is cut into all three. The blocks have equal length,
    because each must hold whole windows, and ``pause`` minutes between them stay unused, so that no
    forecast is made of rain whose next minutes were trained on.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of frames, with ``gap`` and ``mean``.
    shares : tuple of float
        Of training, validation and test; their sum is 1, and 0 leaves a split out.
    new_event : float, optional
        Minutes without a frame after which a new event begins. By default 60, or 1.5 times the
        usual step where that is more.
    pause : float
        Unused minutes between two splits of the same event.

    Returns
    -------
    pandas.DataFrame
        The table with the column ``split``: "train", "validation", "test", or "" for unused.

    Raises
    ------
    NowcastError
        If the shares are negative or do not sum to 1.
    """
    check_shares(shares)
    shares_by_name = {name: s for name, s in zip(SPLITS, shares, strict=True) if s}
    names = list(shares_by_name)
    if new_event is None:
        usual_step = table.gap.mode().min() if table.gap.notna().any() else 0.0
        new_event = max(NEW_EVENT, 1.5 * usual_step)
    event_of = (table.gap > new_event).cumsum()
    rain = table.groupby(event_of)["mean"]
    events = pd.DataFrame({"frames": rain.size().astype(float), "rain": rain.sum()})
    events = events.sort_values(["rain", "frames"], ascending=False)

    if len(events) >= len(names):
        return table.assign(split=event_of.map(_split_of_events(events, shares_by_name)))

    groups = [names[-1:], names[:-1]] if len(events) == 2 else [names]
    split = pd.Series("", table.index, dtype=object)
    for event, group in zip(events.index, groups, strict=True):
        of_event = event_of == event
        split[of_event] = _blocks(table.gap[of_event], group, pause)
    return table.assign(split=split)


def _split_of_events(events: pd.DataFrame, shares: dict[str, float]) -> dict[int, str]:
    """The split of each event (frames, rain), so that every split gets about its share of both."""
    total = events.sum().replace(0, 1)
    given = pd.DataFrame(0.0, index=list(shares), columns=events.columns)
    splits = {}
    for k, (event, amount) in enumerate(events.iterrows()):
        lacking = pd.Series(shares) - (given / total).mean(axis=1)
        empty = given.index[given.frames == 0]
        if len(events) - k <= len(empty):  # the last events are for splits that have none
            lacking = lacking[empty]
        splits[event] = lacking.idxmax()
        given.loc[splits[event]] += amount
    return splits


def _blocks(gaps: pd.Series, names: list[str], pause: float) -> list[str]:
    """Split of each frame of one event: equal blocks with unused frames between them."""
    step = gaps.iloc[1:].median() if len(gaps) > 1 else np.inf
    unused = int(np.ceil(pause / step))  # frames
    length = max(len(gaps) - unused * (len(names) - 1), 0) // len(names)

    split = [""] * len(gaps)
    for k, name in enumerate(names):
        start = k * (length + unused)
        split[start : start + length] = [name] * length
    return split


def check_leakage(
    table: pd.DataFrame, seen: np.ndarray, unseen: np.ndarray, pause: float = 30.0
) -> None:
    """Check that no window for evaluation overlaps the training windows or is close to them.

    Parameters
    ----------
    table : pandas.DataFrame
        The table of frames.
    seen, unseen : arrays (window, length)
        Numbers of the frames to train on and to evaluate on.
    pause : float
        Minutes between them, at least.

    Raises
    ------
    NowcastError
        If a frame of ``unseen`` is among those of ``seen`` or within ``pause`` minutes of one.
    """
    times = table.time.astype("datetime64[s]")
    training = times.loc[np.unique(seen)].to_numpy()
    evaluation = times.loc[np.unique(unseen)].to_numpy()

    margin = np.timedelta64(round(60 * pause), "s")
    first_near = np.searchsorted(training, evaluation - margin, side="left")
    first_after = np.searchsorted(training, evaluation + margin, side="right")
    leaks = first_after > first_near
    if leaks.any():
        raise NowcastError(
            f"{leaks.sum()} frames for evaluation are in the training data or within "
            f"{pause:g} minutes of it, from {pd.Timestamp(evaluation[leaks][0])}"
        )
