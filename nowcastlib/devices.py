"""The device that networks run on: a CPU, an NVIDIA GPU (CUDA) or an Apple GPU (MPS)."""

import torch

from nowcastlib.errors import NowcastError, did_you_mean

GPUS = {"cuda": "NVIDIA GPU (CUDA)", "mps": "Apple GPU (MPS)"}
NAMES = ("auto", "cpu", *GPUS)


def resolve_device(name: str = "auto") -> torch.device:
    """The device of a name.

    Parameters
    ----------
    name : str
        "cpu", "cuda" or "mps"; "auto" is a GPU where there is one, else the CPU. The variable
        CUDA_VISIBLE_DEVICES of the environment chooses one of several NVIDIA GPUs.

    Raises
    ------
    NowcastError
        If there is no such device on this machine.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device(next(filter(_is_available, GPUS), "cpu"))
    if name not in NAMES:
        hint = did_you_mean(name, NAMES)
        raise NowcastError(f"unknown device {name!r}{hint}: choose one of {', '.join(NAMES)}")
    if name in GPUS and not _is_available(name):
        raise NowcastError(
            f"PyTorch finds no {GPUS[name]} on this machine: choose the device cpu, or auto"
        )
    return torch.device(name)


def _is_available(gpu: str) -> bool:
    if gpu == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16, which make convolutions faster there.

    Other processors compute bfloat16 as well, but slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def wait_for(device: torch.device) -> None:
    """Wait until a device has done its work, so that its time can be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
