"""``nowcast plot``: draw the losses of runs again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Plot:
    """Draw the losses of runs again, as RUN/losses.png; also of a run that is still in training."""

    # Folders of runs.
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")]

    def run(self) -> None:
        """Draw each run, and print the names of the pictures."""
        from nowcastlib.display import save_losses
        from nowcastlib.errors import NowcastError

        if not self.runs:
            raise NowcastError("name one folder of a run, or several")
        for run in self.runs:
            print(save_losses(run))
