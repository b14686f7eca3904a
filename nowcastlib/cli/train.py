"""``nowcast train``: train a network on stores of rain."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from nowcastlib.cli.config_options import KIND, flat_config, train_config
from nowcastlib.cli.reading import AS_STATED, DEVICE, ReadingOptions, option
from nowcastlib.networks import FORECASTING
from nowcastlib.training import default_config

SHARES = tyro.conf.arg(metavar="TRAIN VALIDATION TEST")
KIND_OPTION = tyro.conf.arg(name=KIND, metavar="{" + ",".join(FORECASTING) + "}")


@dataclass(frozen=True)
class Train:
    """Train a network on stores of rain, split by event into training, validation and test.

    The folder of the run also gets a log, a picture of the losses, and GIFs of a forecast from the
    training set and one from the validation set. "nowcast train --jobs FILE" trains several
    networks, with the options of one run in each line of the file.
    """

    # One or several CF-Zarr stores or NetCDF files of rain, each with the same share of the
    # training batches. Or the word moving-mnist, for generated films of digits, or
    # moving-mnist:FOLDER, for the official films in FOLDER/MovingMNIST/mnist_test_seq.npy.
    data: tuple[Path, ...]

    # Folder for the weights, the configuration and the history.
    out: Path

    # Kind of network: it decides which --config.model options there are.
    kind: Annotated[str, KIND_OPTION] = "convedlstm"

    # Options --config.…: parts of a TrainConfig, replaced for each kind by ``train_command``.
    config: Any = field(default_factory=lambda: default_config("convedlstm"))

    # Shares of the events (of moving-mnist:FOLDER the films) for training, validation and test;
    # their sum is 1. Training does not use the test events, so that they can be evaluated later;
    # give test 0 to use all events.
    shares: Annotated[tuple[float, float, float], SHARES] = (0.7, 0.15, 0.15)

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

    # Where the network is trained; auto: on an NVIDIA GPU where there is one.
    device: DEVICE = "auto"

    # Run each training step as one CUDA graph: the same results within rounding, in less time.
    graph: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # Begin no epoch that would probably end after this number of minutes; --resume carries on.
    minutes: Annotated[float | None, option("MINUTES", "no limit")] = None

    # What the frames of all stores are, where these do not say it or say it wrongly.
    reading: ReadingOptions = AS_STATED

    def run(self) -> None:
        """Train, then print the history and the lowest validation loss."""
        from nowcastlib.cli.train_log import training_log
        from nowcastlib.data import TrainingStores, training_data
        from nowcastlib.display import save_films, save_losses
        from nowcastlib.training import FitOptions, fit, process_state

        config = train_config(self.config)
        stores = TrainingStores(self.data, self.validation, self.shares, self.reading.options())
        train, validation, description = training_data(
            stores, config.windows, config.scale, config.run.seed
        )
        options = FitOptions(
            resume=self.resume,
            start=self.start,
            description=description,
            workers=self.workers,
            tensorboard=self.tensorboard,
            device=self.device,
            graph=self.graph,
            minutes=self.minutes,
        )
        is_main = process_state(self.device).is_main_process
        with training_log(self.out, f"{config.model.kind} network, {description}") as note_epoch:
            options = replace(options, on_epoch=note_epoch if is_main else None)
            _, history = fit(config, train, validation, self.out, options)

        if is_main:
            save_losses(self.out)
            films = {"train": train, "validation": validation}
            save_films(self.out, films, grey=stores.is_moving_mnist)
            print(history.dropna(axis=1, how="all").to_string(index=False))
            print(f"{self.out}: lowest validation loss {history.validation.min():.4f}")


def train_command(network: str) -> type[Train]:
    """The command with the options of one kind of network."""
    defaults = flat_config(network)
    options = type(defaults)

    @dataclass(frozen=True)
    class TrainKind(Train):
        __doc__ = Train.__doc__

        # Kind of network: it decides which --config.model options there are.
        kind: Annotated[str, KIND_OPTION] = network
        config: options = defaults  # type: ignore[valid-type]

    return TrainKind
