"""Players: scrub through frames, forecasts, or the inside of a ConvLSTM cell.

One interface, drawn by JavaScript, serves JupyterLab (as an ipywidget, through anywidget) and
saved pages, which need neither a kernel nor a network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
