"""The settings of the course, read from environment variables: size, feed and folders.

NOWCAST_PRESET
    ``tiny`` (tests: seconds), ``laptop`` (minutes on two CPU cores), ``gpu``, or ``seed``: the
    network and training settings of the work that this course grew from (Zampar 2025), also for
    a GPU. All four run the same code. Default: ``gpu`` on a machine with a GPU, else ``laptop``.
NOWCAST_SOURCE
    ``demo`` (synthetic rain), ``archive`` or ``archive:PRODUCT``, ``fvg`` (the newest two hours),
    ``cloud:URL`` or ``images:FOLDER``. A period can follow, as in ``fvg@2024-06-01/2024-06-08``;
    its last day is not included.
    Default: ``archive`` if NOWCAST_ARCHIVE is set, else ``demo``.
NOWCAST_DATA
    The folder for data and training runs. Default: ``data/``.
NOWCAST_ARCHIVE
    The folder with the files of the feed ``archive``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
