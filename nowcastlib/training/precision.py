"""Number format and memory of training on this machine."""

from dataclasses import replace
from pathlib import Path
from time import monotonic

import torch
from accelerate.utils import broadcast_object_list
from torch import nn

from nowcastlib.devices import wait_for
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.saved_run import load_config

PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GAIN = 0.9  # bf16 is chosen if it takes less than this share of float32's time


def fastest_precision(device: torch.device | str = "cpu") -> str:
    """The faster of two precisions: ``bf16`` or ``no`` (float32).

    A convolution and its gradient are timed; bf16 has to win clearly.
    """
    device = torch.device(device)
    layer = nn.Conv2d(64, 128, 5, padding=2).to(device)
    x = torch.ones(8, 64, 32, 32, device=device)

    seconds: dict[str, float] = {}
    for name in ("no", "bf16") * 3:
        start = monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
            layer(x).sum().backward()
        wait_for(device)
        seconds[name] = min(seconds.get(name, float("inf")), monotonic() - start)
    return "bf16" if seconds["bf16"] < GAIN * seconds["no"] else "no"


def settle_precision(
    config: TrainConfig, device: torch.device, resumed: Path | None
) -> TrainConfig:
    """The configuration with its precision decided: that of the resumed run, or the faster one."""
    if config.run.precision != "auto":
        return config
    precision = load_config(resumed).run.precision if resumed else fastest_precision(device)
    first_process = broadcast_object_list([precision])[0]
    return replace(config, run=replace(config.run, precision=first_process))


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The context in which the network runs in the configuration's precision."""
    dtype = PRECISIONS.get(config.run.precision, torch.float32)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
