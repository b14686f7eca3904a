"""Pictures and players: the rain scale, plots, diagrams, coastlines.

Imports ``verification`` and the rooms below it; showing a frame needs none of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
