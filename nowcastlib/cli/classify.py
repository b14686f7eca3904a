"""``nowcast classify``: will it pour? Train a classifier of clips, or let it answer."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from nowcastlib.cli.config_options import flat_config, train_config
from nowcastlib.cli.reading import AS_STATED, DEVICE, ReadingOptions, option
from nowcastlib.cli.train import SHARES
from nowcastlib.errors import NowcastError

KIND_OF_CLASSIFIER = "classifier"
DEFAULTS: Any = flat_config(KIND_OF_CLASSIFIER)
Options: Any = type(DEFAULTS)


@dataclass(frozen=True)
class Classify:
    """Train a classifier of clips of rain, or let it answer: "classify train", "classify predict".

    The question: does at least a share of the centre exceed a rain rate within some of the next
    frames? See "nowcast classify train --help" and "nowcast classify predict --help".
    """

    def run(self) -> None:
        """Say which two commands there are."""
        raise NowcastError(f"say which: nowcast classify {' or nowcast classify '.join(CLASSIFY)}")


@dataclass(frozen=True)
class ClassifyTrain:
    """Train a classifier on stores of rain, split by event into training, validation and test.

    The label of a clip of N-IN frames is 1 if, at any of the frames FIRST-LEAD to N-OUT after it,
    at least SHARE of the middle CENTRE x CENTRE px have more rain than RATE.
    """

    # One or several CF-Zarr stores or NetCDF files of rain, each with the same share of the
    # training batches.
    data: tuple[Path, ...]

    # Folder for the weights, the configuration and the history.
    out: Path

    # Options --config.…: parts of a TrainConfig.
    config: Options = DEFAULTS

    # Shares of the events for training, validation and test; their sum is 1.
    shares: Annotated[tuple[float, float, float], SHARES] = (0.7, 0.15, 0.15)

    # Other stores to validate on; then all events of --data are used for training.
    validation: Annotated[tuple[Path, ...], option("[PATH ...]", "a share of --data")] = ()

    # Folder of another run, whose weights replace the random initial ones.
    start: Annotated[Path | None, option("RUN", "random weights")] = None

    # Continue an interrupted run in the folder --out.
    resume: bool = False

    # Where the network is trained; auto: on an NVIDIA GPU where there is one.
    device: DEVICE = "auto"

    # Begin no epoch that would probably end after this number of minutes; --resume carries on.
    minutes: Annotated[float | None, option("MINUTES", "no limit")] = None

    # What the frames of all stores are, where these do not say it or say it wrongly.
    reading: ReadingOptions = AS_STATED

    def run(self) -> None:
        """Train, then print the history and the scores of the validation clips."""
        from nowcastlib.cli.train_log import training_log
        from nowcastlib.data import TrainingStores, labels_of, training_clips
        from nowcastlib.display import save_losses
        from nowcastlib.forecasting import answers
        from nowcastlib.training import FitOptions, fit, process_state
        from nowcastlib.verification import auc, brier

        config = train_config(self.config)
        stores = TrainingStores(self.data, self.validation, self.shares, self.reading.options())
        train, validation, description = training_clips(
            stores, config.windows, config.clips, config.scale, config.run.seed
        )
        options = FitOptions(
            resume=self.resume,
            start=self.start,
            description=description,
            device=self.device,
            minutes=self.minutes,
        )
        is_main = process_state(self.device).is_main_process
        with training_log(self.out, f"classifier, {description}") as note_epoch:
            options = replace(options, on_epoch=note_epoch if is_main else None)
            model, history = fit(config, train, validation, self.out, options)

        if is_main:
            save_losses(self.out)
            labels, forecast = labels_of(validation), answers(model, validation)
            print(history.dropna(axis=1, how="all").to_string(index=False))
            print(
                f"{self.out}: {len(labels)} validation clips, base rate {labels.mean():.3f}, "
                f"AUC {auc(labels, forecast):.3f}, Brier score {brier(labels, forecast):.4f}"
            )


@dataclass(frozen=True)
class ClassifyPredict:
    """Answer at every time of a store that has enough frames, and write a table (CSV).

    Columns: issued (UTC, the last frame used), valid_from and valid_to (UTC), probability, and
    observed, 1 or 0 where the store shows what happened.
    """

    # Folder of a run of "nowcast classify train".
    weights: Path

    # CF-Zarr store or NetCDF file of rain with the observed frames.
    data: Path

    # The table to write, such as answers.csv; an older one there is replaced.
    out: Path

    # Where the network runs; auto: on a GPU where there is one.
    device: DEVICE = "auto"

    # What the frames of --data are, where the store does not say it or says it wrongly.
    reading: ReadingOptions = AS_STATED

    def run(self) -> None:
        """Write the table, then print one line about it."""
        from nowcastlib.data import open_frames
        from nowcastlib.files import write_atomically
        from nowcastlib.forecasting import classify, load_classifier, warn_of_other_scale
        from nowcastlib.verification import auc

        if self.out.suffix != ".csv":
            raise NowcastError(f"{self.out} does not end in .csv: name the table so")
        model, config = load_classifier(self.weights, self.device)
        frames = open_frames(self.data, options=self.reading.options())
        warn_of_other_scale(self.weights, frames)
        table = classify(model, config, frames)
        text = table.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
        write_atomically(self.out, text.encode())

        known = table.dropna()
        if known.empty:
            print(f"{self.out}: {len(table)} answers; the store ends before one can be checked")
            return
        score = ""
        if known.observed.nunique() == 2:
            score = f", AUC {auc(known.observed.to_numpy(), known.probability.to_numpy()):.3f}"
        print(
            f"{self.out}: {len(table)} answers, {len(known)} of them with what happened (base rate "
            f"{known.observed.mean():.3f}{score})"
        )


CLASSIFY: dict[str, Any] = {"train": ClassifyTrain, "predict": ClassifyPredict}
