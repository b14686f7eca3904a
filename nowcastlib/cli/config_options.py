"""The options ``--config.…`` of ``nowcast train``, made from the configuration classes.

The kind of network decides which options there are. It is therefore looked up in the arguments
before tyro reads them.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, make_dataclass
from typing import Annotated, Any

import tyro

from nowcastlib.errors import NowcastError
from nowcastlib.networks import CONFIGS, FORECASTING, option_names
from nowcastlib.training import TrainConfig, default_config

KIND = "config.model.kind"
NESTED = ("model", "scale")  # parts whose name stands in their options: --config.model.hidden
# Parts that only networks that forecast frames have, and only classifiers
ONLY_FORECASTS, ONLY_CLASSIFIES = ("rollout",), ("clips",)
# Options of version 0.1, and what to use instead
REPLACED = {
    "--config.least": "use --config.min-windows",
    "--config.optimiser": "use --config.weight-decay alone: above 0 it is AdamW, at 0 it is Adam",
}


def kind_of_network(arguments: Sequence[str]) -> str:
    """The kind of network that the arguments ask for, or the default.

    Raises
    ------
    NowcastError
        For an unknown kind, and for an option of version 0.1 that was replaced.
    """
    kind = TrainConfig().model.kind
    for k, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name in REPLACED:
            raise NowcastError(f"there is no {name} any more: {REPLACED[name]}")
        if name == f"--{KIND}":
            kind = value or "".join(arguments[k + 1 : k + 2])
    if kind in CONFIGS and kind not in FORECASTING:
        raise NowcastError(f"a {kind} forecasts no frames: use nowcast classify train")
    if kind not in FORECASTING:
        known = ", ".join(FORECASTING)
        raise NowcastError(f"unknown kind of network {kind!r}: choose one of {known}")
    return kind


def flat_config(kind: str) -> Any:
    """Defaults for a kind of network, in a dataclass that tyro shows without parts' names."""
    defaults = default_config(kind)
    options = []
    for part in fields(defaults):
        if part.name in (ONLY_FORECASTS if defaults.model.classifies else ONLY_CLASSIFIES):
            continue
        value = getattr(defaults, part.name)
        annotation: Any = type(value)
        if part.name not in NESTED:
            annotation = Annotated[annotation, tyro.conf.arg(name="")]
        options.append((part.name, annotation, value))
    return make_dataclass("FlatConfig", options, frozen=True)()


def train_config(options: Any) -> TrainConfig:
    """The configuration from the dataclass of ``flat_config``, as tyro filled it.

    Raises
    ------
    NowcastError
        For invalid or contradictory settings.
    """
    try:
        return TrainConfig(**{part.name: getattr(options, part.name) for part in fields(options)})
    except ValueError as error:
        raise NowcastError(str(error)) from error


def explain_unused(complaint: str, kind: str) -> str:
    """The sentence about an unknown option, or a better one if another kind of network has it."""
    option = re.search(r"--config\.model\.(?:no-)?([\w-]+)", complaint)
    if not (option and complaint.startswith("unknown option")):
        return complaint

    name = option[1].replace("-", "_")
    kinds = [other for other, config in CONFIGS.items() if name in option_names(config)]
    if not kinds:
        return complaint
    return f"{option[0]} is not an option of {kind}; it belongs to {', '.join(kinds)}"
