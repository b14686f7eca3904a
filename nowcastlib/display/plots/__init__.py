"""Plots: frames, scores, training runs, animations. All rain is drawn on the one rain scale.

A plot function takes ``ax``, labels the units and returns what it drew. Each is imported when it
is first used, so that showing a frame loads neither torch nor pysteps.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
