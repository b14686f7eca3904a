"""Where rain comes from and how it is kept: feeds, the store, the grid, the table of frames, windows for training.

Imports only the ground floor (``units``, ``errors``, ``files``).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
