"""torch.compile for the cells of a network, and the way back where it fails."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowcastlib.errors import is_lack_of_memory
from nowcastlib.networks.recurrence import RecurrentCell

VARIANTS = 8  # compiled variants of one cell, at most

log = logging.getLogger("nowcastlib")


class CompiledGates:
    """The gates of a cell, compiled; if that fails, as they were."""

    def __init__(self, model: nn.Module, plain: Callable[..., tuple[Tensor, ...]]):
        self.model = [model]  # in a list, so that the cell does not hold its own network
        self.plain = plain
        self.compiled = torch.compile(plain)

    def __call__(self, *arguments) -> tuple[Tensor, ...]:
        """The gates, see ``RecurrentCell``."""
        try:
            return self.compiled(*arguments)
        except RuntimeError as error:  # of torch.compile and of its compilers
            if is_lack_of_memory(error):
                raise
            stop_compiling(self.model[0], error)
        return self.plain(*arguments)


def compile_cells(model: nn.Module) -> None:
    """Let torch.compile fuse one step of each cell of ``model``, in place.

    The first batch then takes longer. If compilation fails, the cells run as they are, and one
    warning says so.
    """
    from torch._dynamo import config  # it takes seconds to import

    # Each cell is compiled for its first step, later ones, and with and without gradients. All
    # cells share the limit of the compiler, beyond which it would leave the others as they are.
    cells = _cells(model)
    config.recompile_limit = max(config.recompile_limit, VARIANTS * len(cells))
    for cell in cells:
        setattr(cell, "_gates", CompiledGates(model, cell._gates))  # noqa: B010 (a method)


def stop_compiling(model: nn.Module, reason: Exception) -> bool:
    """Undo ``compile_cells`` with a warning; False if nothing was compiled."""
    compiled = [cell for cell in _cells(model) if isinstance(cell._gates, CompiledGates)]
    for cell in compiled:
        del cell._gates  # the method of its class appears again
    if compiled:
        log.warning(
            "torch.compile fails here (%s): the training goes on without it",
            str(reason).strip().partition("\n")[0],
        )
    return bool(compiled)


def _cells(model: nn.Module) -> list[RecurrentCell]:
    return [cell for cell in model.modules() if isinstance(cell, RecurrentCell)]
