"""How far a forecast moves what is in a film, compared with the truth."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nowcastlib.errors import NowcastError
from nowcastlib.verification.film_scores import check_range, check_shapes

FLOOR = 0.1  # darker pixels belong to the background


def motion_covered(
    last: Tensor | np.ndarray,
    forecast: Tensor | np.ndarray,
    truth: Tensor | np.ndarray,
) -> pd.Series:
    """Share of the true way that the centre of mass covers in the forecast, by lead.

    For films of one moving object. The way of a film is measured from its last input frame; the way
    in the forecast is projected onto the true one. The sum over all films is divided by the true
    sum, so that films which hardly move have little weight.

    Parameters
    ----------
    last : Tensor | np.ndarray
        The last input frame of each film, (B, C, H, W), with values from 0 to 1.
    forecast, truth : Tensor | np.ndarray
        Films (B, T, C, H, W), with values from 0 to 1. Pixels below 0.1 count as background. If a
        forecast frame is all background, its object counts as not moved.

    Returns
    -------
    pd.Series
        One share for each lead, from 1: 1 if the forecast moves as far as the truth, 0 if it does
        not move, NaN if the truth does not move.

    Raises
    ------
    NowcastError
        If the shapes do not match, if a value is not within 0 to 1, or if a true frame is empty.
    """
    last, forecast, truth = (torch.as_tensor(f).detach().cpu() for f in (last, forecast, truth))
    check_shapes(forecast, truth)
    check_shapes(last[:, None], truth[:, :1])
    for name, films in (("last input frame", last), ("forecast", forecast), ("truth", truth)):
        check_range(name, films)

    start = _centre_of_mass(last[:, None])  # (B, 1, 2)
    true_way = _centre_of_mass(truth) - start  # (B, T, 2)
    if not true_way.isfinite().all():
        raise NowcastError(
            f"a frame of the truth or of the input has no pixel of {FLOOR} or more, so nothing "
            "moves in it: leave out empty films"
        )
    way = torch.nan_to_num(_centre_of_mass(forecast) - start)
    shares = (way * true_way).sum((0, 2)) / (true_way**2).sum((0, 2))  # (T,)
    return pd.Series(shares.numpy(), pd.RangeIndex(1, len(shares) + 1, name="lead"))


def _centre_of_mass(films: Tensor) -> Tensor:
    """Row and column (B, T, 2) of the brightness' centre in films (B, T, C, H, W); NaN if empty."""
    mass = torch.where(films < FLOOR, 0, films.double()).sum(2)  # (B, T, H, W)
    height, width = (torch.arange(n, dtype=torch.float64) for n in mass.shape[-2:])
    row = (mass.sum(-1) * height).sum(-1)
    column = (mass.sum(-2) * width).sum(-1)
    return torch.stack([row, column], -1) / mass.sum((-1, -2))[..., None]
