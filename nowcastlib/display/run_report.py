"""Pictures that a training run leaves in its folder: its losses and films of its forecasts."""

from collections.abc import Mapping, Sized
from io import BytesIO
from pathlib import Path
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch.utils.data import Dataset

from nowcastlib.display.plots import save_animation, show_history
from nowcastlib.errors import NowcastError
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import ColourNetwork, Network
from nowcastlib.training import BATCHES, HISTORY, load_config

LOSSES = "losses.png"
FILM_CANDIDATES = 20  # the film shows the wettest of this number of samples


def save_losses(run: str | Path) -> Path:
    """Draw the losses of a run again, from the tables in its folder, as ``losses.png``.

    Parameters
    ----------
    run : str or Path
        Folder of a run.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    NowcastError
        If the folder has no history.
    """
    run = Path(run)
    history = _table(run / HISTORY)
    has_batches = (run / BATCHES).exists()  # not in runs of version 0.1
    batches = _table(run / BATCHES) if has_batches else None

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    show_history(history, ax, batches=batches)
    figure.suptitle(run.resolve().name, fontsize=10)  # above the lengths of the curriculum
    return _save(figure, run / LOSSES)


def save_films(run: str | Path, datasets: Mapping[str, Dataset], grey: bool = False) -> list[Path]:
    """Forecast one sample of each dataset, and save truth and forecast side by side as a GIF.

    Parameters
    ----------
    run : str or Path
        Folder of a run, which has weights.
    datasets : mapping of str to Dataset
        Samples (T, C, H, W) in model units by the name of the GIF.
    grey : bool
        The samples are pictures from 0 (black) to 1 (white), not rain. Those of a run on colours
        are shown in colour.

    Returns
    -------
    list of Path
        One GIF for each dataset, in the folder of the run.
    """
    run = Path(run)
    if load_config(run).windows.channels > 1:
        return _save_colour_films(run, datasets)
    network = Network.load(run)
    n_in, scale = network.config.windows.n_in, network.config.scale

    paths = []
    for name, dataset in datasets.items():
        sample = _wettest(dataset)[:, 0]  # (T, H, W)
        rate = scale.from_model(sample).numpy()
        forecast = np.concatenate([rate[:n_in], network(rate[:n_in], len(rate) - n_in)])
        panels = {"truth": rate, "input, then forecast": forecast}
        if grey:
            panels = {title: scale.to_model(film) for title, film in panels.items()}
        titles = [_title(t, n_in) for t in range(len(rate))]
        paths.append(save_animation(panels, run / f"{name}.gif", titles=titles, grey=grey))
    return paths


def _save_colour_films(run: Path, datasets: Mapping[str, Dataset]) -> list[Path]:
    """``save_films`` of a run on colours."""
    network = ColourNetwork.load(run)
    n_in = network.n_in

    paths = []
    for name, dataset in datasets.items():
        truth = _wettest(dataset).numpy()  # (T, C, H, W)
        forecast = np.concatenate([truth[:n_in], network(truth[:n_in], len(truth) - n_in)])
        panels = {"truth": truth, "input, then forecast": forecast}
        pictures = {title: np.moveaxis(np.nan_to_num(f), 1, -1) for title, f in panels.items()}
        titles = [_title(t, n_in) for t in range(len(truth))]
        paths.append(save_animation(pictures, run / f"{name}.gif", titles=titles, grey=True))
    return paths


def _wettest(dataset: Dataset) -> torch.Tensor:
    """The sample (T, C, H, W) with most rain, or the brightest, of the first ones."""
    size = min(len(cast(Sized, dataset)), FILM_CANDIDATES)
    samples = [torch.as_tensor(dataset[i]) for i in range(size)]
    return max(samples, key=lambda sample: float(sample.nanmean()))


def _title(t: int, n_in: int) -> str:
    """What frame t of a film is."""
    return f"input frame {t + 1}" if t < n_in else f"forecast frame {t - n_in + 1}"


def _table(path: Path) -> pd.DataFrame:
    """A table of a run. Raises NowcastError if it is missing or broken."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise NowcastError(
            f"{path} is not a readable table ({error}): name the folder of a run that has finished "
            "an epoch"
        ) from error
    if table.empty or "length" not in table:
        raise NowcastError(f"{path} has no losses: name the folder of a run")
    return table


def _save(figure: Figure, path: Path) -> Path:
    """Write a figure whole or not at all, and close it."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=150, format=path.suffix[1:])
    plt.close(figure)
    write_atomically(path, buffer.getvalue())
    return path
