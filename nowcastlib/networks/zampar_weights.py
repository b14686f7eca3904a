"""Weights of Zampar's own Conv-ED-LSTM, read into a ``ConvEDLSTM`` of the same configuration.

Names in its ``.pth`` files, for the cell number K, and names of the same weights here:

==================================  ====================================================
there                               here
==================================  ====================================================
``cell_list.K.conv_x.0.weight``     ``cells.K.from_x.weight`` (``.bias`` likewise)
``cell_list.K.conv_x.J.weight``     ``cells.K.norm_x.weight`` (``.bias``; J above 0)
``cell_list.K.conv_h.0.weight``     ``cells.K.from_h.weight`` (``.bias`` likewise)
``cell_list.K.conv_h.J.weight``     ``cells.K.norm_h.weight`` (``.bias``; J above 0)
``cell_list.K.w_ci``                ``cells.K.peephole[0]``, then ``w_cf`` and ``w_co``
``conv_last.weight``                ``head.weight`` (``.bias`` likewise)
==================================  ====================================================

The gates are in the same order, i, f, g, o.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nowcastlib.errors import NowcastError
from nowcastlib.networks.config import SEED, ConvEDLSTMConfig
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM

PEEPHOLES = ("w_ci", "w_cf", "w_co")
LAYERS = {"conv_x": ("from_x", "norm_x"), "conv_h": ("from_h", "norm_h")}
LAYER = re.compile(r"cell_list\.(\d+)\.(conv_x|conv_h)\.(\d+)\.(weight|bias)")
PEEPHOLE = re.compile(rf"cell_list\.(\d+)\.({'|'.join(PEEPHOLES)})", re.IGNORECASE)
HEAD = re.compile(r"conv_last\.(weight|bias)")


def load_zampar_weights(path: str | Path, config: ConvEDLSTMConfig = SEED) -> ConvEDLSTM:
    """Build the network of a ``.pth`` file that Zampar's training wrote.

    Parameters
    ----------
    path : str or Path
        A state dictionary that ``torch.save`` wrote. Only tensors are read from it.
    config : ConvEDLSTMConfig
        Configuration of that training.

    Raises
    ------
    NowcastError
        If the file is no state dictionary, or if names or shapes do not fit the configuration.

    References
    ----------
    Zampar 2025 (Conv-ED-LSTM).
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise NowcastError(f"{path} is no file of weights: {error}") from error
    if not isinstance(saved, Mapping) or not all(torch.is_tensor(w) for w in saved.values()):
        raise NowcastError(f"{path} is no state dictionary: save model.state_dict() alone")

    network = ConvEDLSTM(config)
    weights = _renamed(saved, str(path))
    _check_fit(weights, network.state_dict(), str(path))
    network.load_state_dict(weights)
    return network


def _renamed(saved: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The weights by their names here."""
    weights: dict[str, Tensor] = {}
    peepholes: dict[str, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        if match := LAYER.fullmatch(name):
            cell, convolution, position, kind = match.groups()
            layer = LAYERS[convolution][int(position) > 0]
            weights[f"cells.{cell}.{layer}.{kind}"] = tensor
        elif match := PEEPHOLE.fullmatch(name):
            peepholes.setdefault(match[1], {})[match[2].lower()] = tensor
        elif match := HEAD.fullmatch(name):
            weights[f"head.{match[1]}"] = tensor
        else:
            raise NowcastError(f"{path} has unknown weights {name}: see the table of names")

    for cell, parts in peepholes.items():
        if missing := [name for name in PEEPHOLES if name not in parts]:
            raise NowcastError(f"{path} lacks {', '.join(missing)} of cell {cell}")
        # (hidden, H, W) or (1, hidden, H, W) → (3, hidden, H, W)
        stacked = torch.stack([parts[name].reshape(parts[name].shape[-3:]) for name in PEEPHOLES])
        weights[f"cells.{cell}.peephole"] = stacked
    return weights


def _check_fit(weights: dict[str, Tensor], expected: dict[str, Tensor], path: str) -> None:
    """Raise NowcastError if a weight is missing, superfluous or of another shape."""
    if missing := sorted(expected.keys() - weights.keys()):
        raise NowcastError(f"{path} lacks {missing[0]} and the like: is it another configuration?")
    if superfluous := sorted(weights.keys() - expected.keys()):
        raise NowcastError(
            f"{path} has {superfluous[0]}, which this configuration has not: name that of its run"
        )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise NowcastError(
                f"{path} has {name} of the shape {tuple(tensor.shape)}, "
                f"but this configuration needs {tuple(expected[name].shape)}"
            )
