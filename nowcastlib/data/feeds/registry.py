"""Feeds by name. A feed and what it depends on are imported when the feed is asked for."""

import pkgutil
from dataclasses import MISSING, fields
from typing import Any

from nowcastlib.data.feeds.protocol import Feed
from nowcastlib.errors import NowcastError

FEEDS = {  # name: "module:class"
    "demo": "nowcastlib.data.feeds.demo:Demo",
    "archive": "nowcastlib.data.feeds.archive:Archive",
    "fvg": "nowcastlib.data.feeds.fvg:Fvg",
    "cloud": "nowcastlib.data.feeds.cf_zarr:CfZarr",
    "images": "nowcastlib.data.feeds.images:Images",
}


def feed(name: str, **options: Any) -> Feed:
    """Make a feed by its name.

    Parameters
    ----------
    name
        A name in `FEEDS`: demo, archive, fvg, cloud or images.
    **options
        Options of the feed's class. Empty ones ("" or None) keep their defaults.

    Returns
    -------
    Feed
        The feed.

    Raises
    ------
    NowcastError
        If the name is unknown, if the feed has no such option or lacks one that it needs, or if a
        package that it depends on is not installed.

    Examples
    --------
    >>> feed("demo", events=2).list().time.iloc[0]
    Timestamp('2024-06-01 12:00:00')
    """
    feed_class = _feed_class(name)
    given = {key: value for key, value in options.items() if value not in ("", None)}
    defaults = {field.name: field.default for field in fields(feed_class)}

    for key in given:
        if key not in defaults:
            raise NowcastError(
                f"the source {name} has no option {key!r}: its options are {', '.join(defaults)}"
            )
    for key, default in defaults.items():
        if default is MISSING and key not in given:
            raise NowcastError(f"the source {name} needs a {key}")
    return feed_class(**given)


def _feed_class(name: str) -> Any:
    """The class of a feed, imported now."""
    if name not in FEEDS:
        raise NowcastError(f"unknown source {name!r}: choose one of {', '.join(FEEDS)}")
    try:
        return pkgutil.resolve_name(FEEDS[name])
    except ModuleNotFoundError as error:
        raise NowcastError(
            f"the source {name} needs the package {error.name}: install it first"
        ) from error
