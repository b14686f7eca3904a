"""Where rain comes from and how it is stored: feeds, stores, grid, frame table, training windows.

Imports only the ground floor (``units``, ``errors``, ``files``).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
