"""Pictures and players: the rain scale, plots, diagrams, coastlines.

Imports ``verification`` and the rooms below it, when they are needed: showing a frame needs
neither torch nor pysteps.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
