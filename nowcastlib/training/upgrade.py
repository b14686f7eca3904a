"""Configurations of earlier versions, read as those of today."""

from nowcastlib.data import WindowOptions
from nowcastlib.networks import CONFIGS, config_class, option_names
from nowcastlib.training.config import TrainConfig

RENAMED_OPTIONS = {"least": "min_windows"}
RENAMED_LOSSES = {"exceedance_alike": "exceedance_unbalanced"}
REFLECTIVITY = ("zr_a", "zr_b", "no_echo")  # options of the scale without effect on training


def upgrade(written: dict) -> dict:
    """The dictionaries of ``config.to_dict`` from those of an earlier version.

    Version 0.1 wrote all options of training side by side, and for each network the options of all
    kinds. Options that had no effect are left out: they are refused today.

    Parameters
    ----------
    written : dict
        The entry ``config`` of a run's ``config.json``.

    Raises
    ------
    ValueError
        For an option that no version had.
    """
    if "run" in written:
        return _without_idle_options(written)
    flat = {RENAMED_OPTIONS.get(name, name): value for name, value in written.items()}
    model = _upgrade_model(flat.pop("model", {}))
    scale = {k: v for k, v in flat.pop("scale", {}).items() if k not in REFLECTIVITY}

    flat.pop("optimiser", None)  # Adam is AdamW without weight decay
    if flat.get("loss") in RENAMED_LOSSES:
        flat["loss"] = RENAMED_LOSSES[flat["loss"]]
    if flat.get("schedule", "cosine") != "step":
        flat.pop("gamma", None)
    if not flat.get("sampling"):
        flat.pop("decay", None)

    nested: dict[str, dict] = {"model": model, "scale": scale}
    for part in ("windows", "rollout", "optimisation", "run"):
        names = option_names(getattr(TrainConfig(), part))
        nested[part] = {name: flat.pop(name) for name in names if name in flat}
    if flat:
        raise ValueError(f"unknown options {', '.join(sorted(flat))}")
    return _without_idle_options(nested)


def _without_idle_options(written: dict) -> dict:
    """A configuration without the options of its rollout that had no effect with its lengths."""
    windows = {"n_in": WindowOptions.n_in, "n_out": WindowOptions.n_out}
    windows |= written.get("windows", {})
    rollout = dict(written.get("rollout", {}))
    lengths = rollout.get("curriculum") or [windows["n_out"]]

    if len(lengths) == 1:
        rollout.pop("restart", None)
    if min(lengths) >= windows["n_in"]:
        rollout.pop("curriculum_in", None)
    if max(lengths) == 1:
        rollout.pop("sampling", None)
        rollout.pop("decay", None)
    return written | {"rollout": rollout}


def _upgrade_model(written: dict) -> dict:
    """The options of a network, without those that its kind did not use."""
    model = dict(written)
    kind = model.pop("kind", "convedlstm")
    names = option_names(config_class(kind))
    of_other_kinds = {name for config in CONFIGS.values() for name in option_names(config)}
    model = {k: v for k, v in model.items() if k in names or k not in of_other_kinds}
    if model.get("use_lstm_output"):
        raise ValueError(
            "the output layer of version 0.1 saw the output gate where use_lstm_output was on; "
            "today it sees the hidden state: train the network again"
        )

    if model.get("transpose") is None or model.get("stride") == 1:
        model.pop("transpose", None)  # None stood for the default
    if model.get("cell") == "convgru":
        model.pop("peephole", None)
    return {"kind": kind} | model
