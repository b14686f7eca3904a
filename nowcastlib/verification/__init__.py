"""Verification: sums over cases, the scores computed from them, and whole evaluations.

Imports ``forecasting`` and the rooms below it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
