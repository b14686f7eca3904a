"""``nowcast train``: train a network on stores of rain."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from nowcastlib.cli.source_options import option
from nowcastlib.training import TrainConfig


@dataclass(frozen=True)
class Train:
    """Train a network on stores of rain, split by event into training, validation and test."""

    # One or several CF-Zarr stores of rain rate, each with the same share of the training batches;
    # or the word moving-mnist.
    data: tuple[Path, ...]

    # Folder for the weights, the configuration and the history.
    out: Path

    config: TrainConfig = field(default_factory=TrainConfig)

    # Shares of the events for training, validation and test; 0 leaves a part out.
    shares: Annotated[
        tuple[float, float, float], tyro.conf.arg(metavar="TRAIN VALIDATION TEST")
    ] = (
        0.7,
        0.15,
        0.15,
    )

    # Other stores to validate on; then all events of --data are used for training.
    validation: Annotated[tuple[Path, ...], option("[PATH ...]", "a share of --data")] = ()

    # Folder of another run, whose weights replace the random initial ones.
    start: Annotated[Path | None, option("RUN", "random weights")] = None

    # Continue an interrupted run in the folder --out.
    resume: bool = False

    # Number of processes that prepare batches beside the training.
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 0

    # Write a TensorBoard log to OUT/tensorboard.
    tensorboard: bool = False

    def run(self) -> None:
        """Train, then print the history and the lowest validation loss."""
        from accelerate import PartialState

        from nowcastlib.data import TrainingStores, WindowOptions, training_data
        from nowcastlib.training import fit

        c = self.config
        stores = TrainingStores(self.data, self.validation, self.shares)
        windows = WindowOptions(c.n_in, c.n_out, c.crop, c.strides, c.vary, c.least)
        train, validation, description = training_data(stores, windows, c.scale, c.seed)
        _, history = fit(
            c,
            train,
            validation,
            self.out,
            self.resume,
            description,
            workers=self.workers,
            tensorboard=self.tensorboard,
            start=self.start,
        )

        if PartialState().is_main_process:
            print(history.dropna(axis=1, how="all").to_string(index=False))
            print(f"{self.out}: lowest validation loss {history.validation.min():.4f}")
