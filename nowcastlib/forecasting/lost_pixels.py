"""Pixels that some of the observed frames show and others do not."""

import numpy as np
import torch

from nowcastlib.networks import fill_unobserved
from nowcastlib.units import ModelScale


def fill_lost(observed: np.ndarray) -> np.ndarray:
    """Fill lost pixels from the other frames, as networks get them: see ``fill_unobserved``.

    Parameters
    ----------
    observed : np.ndarray
        Rain rate (T, y, x) in mm/h, NaN where not observed.

    Returns
    -------
    np.ndarray
        Rain rate (T, y, x) in mm/h; ``observed`` itself if nothing is lost.
    """
    is_observed = np.isfinite(observed)
    if not (~is_observed & is_observed.any(axis=0)).any():
        return observed

    scale = ModelScale()
    frames = scale.to_model(torch.from_numpy(observed.astype("f4")))
    filled = scale.from_model(fill_unobserved(frames[None])[0]).numpy()
    return np.where(is_observed, observed, filled).astype(observed.dtype)
