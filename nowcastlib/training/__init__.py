"""Training: configuration, schedules, the loop, checkpoints.

Imports ``networks``, ``data`` and the ground floor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
