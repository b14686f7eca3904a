"""Forecasters, with and without learning, and the forecasts that they make.

Imports ``training`` and the rooms below it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
