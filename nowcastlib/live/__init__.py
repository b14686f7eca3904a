"""A live forecast: a feed's newest frames become a page with the rain of the next hour."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
