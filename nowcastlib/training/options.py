"""How a training runs: options that do not change what is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch.utils.data import Dataset

from nowcastlib.errors import NowcastError


@dataclass(frozen=True)
class FitOptions:
    """How ``fit`` runs; nothing here changes what is learned, except ``start``.

    Raises NowcastError for ``start`` together with ``resume``, and for ``minutes`` of 0 or less.
    """

    resume: bool = False  # carry on an interrupted run
    start: str | Path | None = None  # folder of a run from whose weights to start
    description: str = ""  # of the data, in words; written into config.json
    test: Dataset | None = None  # its loss is written into the history and decides nothing
    workers: int = 0  # processes that load batches beside the training
    progress: bool = True  # show a progress bar
    tensorboard: bool = False  # log the losses to OUT/tensorboard
    on_epoch: Callable[[pd.DataFrame], None] | None = None  # is called with the history
    device: str = "auto"  # cpu, cuda or mps; auto: an NVIDIA GPU where there is one
    # run each training step as one CUDA graph: the same numbers within rounding, in less time
    graph: bool = False
    # begin no epoch that would probably end after this number of minutes; None: no limit
    minutes: float | None = None

    def __post_init__(self):
        if self.resume and self.start:
            raise NowcastError(
                f"a resumed run carries on with its own weights, not with those of {self.start}: "
                "leave out start"
            )
        if self.minutes is not None and not self.minutes > 0:
            raise NowcastError(f"minutes is {self.minutes}: it must be above 0")
