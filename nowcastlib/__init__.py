"""nowcastlib: from a weather radar's frames to a scored rain forecast, with ConvLSTM networks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
