"""``nowcast evaluate`` on a store of colours."""

import json
from typing import TYPE_CHECKING

import numpy as np

from nowcastlib.cli.cluster_options import ALONE
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from nowcastlib.cli.evaluate import Evaluate

# options of the scores of rain
RAIN_ONLY = ("thresholds", "margin", "common", "size", "by_event", "counts")


def evaluate_colours(command: "Evaluate") -> None:
    """Print MSE, PSNR and SSIM by lead, and write them if ``json`` names a file.

    Raises
    ------
    NowcastError
        If an option for rain is given, or if a forecaster is for rain.
    """
    from nowcastlib.cli.values import names_of_forecasters
    from nowcastlib.data import open_colours, within
    from nowcastlib.files import write_atomically
    from nowcastlib.verification import score_colours

    for name in RAIN_ONLY:
        if getattr(command, name) != getattr(type(command), name):
            option = f"--{name.replace('_', '-')}"
            raise NowcastError(f"{option} is for rain, and {command.data} holds colours")
    if command.cluster != ALONE:
        raise NowcastError(
            f"--workers and --scheduler are for rain, and {command.data} holds colours"
        )
    command.reading.options().check_known((), "colours")

    films = open_colours(command.data)
    times = films.indexes["time"].to_series()
    films = films.isel(time=within(times, command.start, command.end).values)
    if not films.sizes["time"]:
        raise NowcastError(f"{command.data} holds no frames in that time: ask for other times")

    names = names_of_forecasters(command.forecasters)
    runs = {name: _colour_forecaster(name, command.device) for name in names}
    scores = score_colours(films, runs, command.leads, command.every)
    print(scores.round(4).to_string())
    if command.json:
        finite = scores.replace(np.inf, np.nan).astype(object)  # JSON has no infinity
        rows = finite.where(finite.notna(), None).reset_index().to_dict("records")
        protocol = {"data": str(command.data), "leads": command.leads, "every": command.every}
        text = json.dumps({"protocol": protocol, "scores": rows}, indent=1) + "\n"
        write_atomically(command.json, text.encode())
        print(command.json)


def _colour_forecaster(name: str, device: str):
    """A forecaster of colours by its name: persistence, or the folder of a run."""
    from nowcastlib.forecasting import ColourNetwork, ColourPersistence, forecaster

    if name == "persistence":
        return ColourPersistence()
    run = forecaster(name, device)
    if not isinstance(run, ColourNetwork):
        raise NowcastError(
            f"{name} forecasts rain, and the frames are colours: give --forecasters the folders "
            "of runs with --config.channels 3, and persistence"
        )
    return run
