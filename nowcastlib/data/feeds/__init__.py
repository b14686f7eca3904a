"""Feeds: where radar frames come from. Each feed is a module; `protocol.Feed` says what it offers.

Importing this package imports no feed: what a feed depends on is imported when it is asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
