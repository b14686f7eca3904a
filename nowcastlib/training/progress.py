"""What one sees of a running training: progress bar, TensorBoard, callback."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from nowcastlib.errors import NowcastError
from nowcastlib.training.config import RunConfig

SHOWN_BATCHES = 20  # the bar shows the mean loss of this number of batches


class ProgressBar:
    """A bar with one step a batch."""

    def __init__(self, run: RunConfig, finished_epochs: int, disable: bool):
        self.epochs = run.epochs
        self.bar = tqdm(
            total=run.epochs * run.steps, initial=finished_epochs * run.steps, disable=disable
        )

    def step(self, epoch: int, losses: list[float]) -> None:
        """Show one more batch; ``losses`` are those of this epoch so far."""
        loss = np.mean(losses[-SHOWN_BATCHES:])
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs} loss {loss:.4f}", refresh=False)
        self.bar.update()

    def close(self) -> None:
        """End the bar."""
        self.bar.close()


def tensorboard_logger(out: Path) -> Callable[[pd.DataFrame], None]:
    """A function that logs the losses of a history's last epoch to ``out/tensorboard``.

    Raises NowcastError if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise NowcastError(
            "TensorBoard is not installed: pip install tensorboard, or train without it"
        ) from error
    writer = SummaryWriter(str(out / "tensorboard"))

    def log(history: pd.DataFrame) -> None:
        last = history.iloc[-1]
        losses = {name: last[name] for name in ("train", "validation", "test")}
        writer.add_scalars("loss", losses, int(last["epoch"]))
        writer.flush()

    return log
