"""The processes of a training, and the device of each: Hugging Face accelerate."""

from time import monotonic

from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from nowcastlib.devices import resolve_device


def process_state(device: str = "auto") -> PartialState:
    """This process among all processes of the training, set to a device.

    "auto" is an NVIDIA GPU where there is one, else the CPU: training on Apple GPUs is not tested.
    Raises NowcastError if there is no such device.
    """
    wanted = resolve_device(device)
    if device == "auto" and wanted.type == "mps":
        wanted = resolve_device("cpu")
    state = PartialState(cpu=wanted.type == "cpu")
    if state.device.type != wanted.type and state.num_processes == 1:
        # accelerate keeps the device of an earlier training in this process
        AcceleratorState._reset_state(reset_partial_state=True)
        state = PartialState(cpu=wanted.type == "cpu")
    return state


def accelerator_on(device: str = "auto") -> Accelerator:
    """An accelerator on a device. Raises NowcastError if there is no such device."""
    return Accelerator(cpu=process_state(device).device.type == "cpu")


class Clock:
    """The time that a training has left.

    Parameters
    ----------
    minutes : float or None
        The time in all; None: no limit.
    """

    def __init__(self, minutes: float | None):
        self.began = monotonic()
        self.minutes = minutes

    def is_over(self, history: list[dict]) -> bool:
        """Whether another epoch as long as the last one of ``history`` would end too late.

        The first process decides for all. A training of a new run does at least one epoch.
        """
        if self.minutes is None or not history:
            return False
        end = monotonic() - self.began + history[-1]["seconds"]
        return bool(broadcast_object_list([end > 60 * self.minutes])[0])
