"""A whole training step as one CUDA graph: recorded once for each shape, then replayed.

A GPU often waits for Python, which starts thousands of small operations in each step. A CUDA graph
starts them all at once. It always reads and writes the same memory, so a batch is copied into
buffers before each replay, and the learning rate is a tensor on the GPU.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

log = logging.getLogger("nowcastlib")
Work = Callable[[], Tensor]
Batch = tuple[Tensor, Tensor, Tensor | None]  # x, target and coins, see ``step.Step``
WARM_UP = 3  # steps of each shape that run operation by operation before one is recorded


class Recorder(Protocol):
    """What can record work on a GPU."""

    def warm_up(self, work: Work) -> Tensor:
        """Do the work, where it will be recorded later."""
        ...

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """Record the work without doing it: a function that does it, and where its result lies."""
        ...


class CudaRecorder:
    """Records CUDA graphs, which share one pool of memory because they never run together."""

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Work) -> Tensor:
        """Do the work on the stream that records later."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream), warnings.catch_warnings():
            # The optimiser is made for graphs, and warns when it runs without one.
            warnings.filterwarnings("ignore", ".*capturable=True", UserWarning)
            result = work()
        current.wait_stream(self.stream)
        return result

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """Capture the work. Raises RuntimeError if it contains what a graph cannot hold."""
        graph = torch.cuda.CUDAGraph()
        # Threads that pin the memory of batches must not disturb the capture: thread_local.
        with torch.cuda.graph(
            graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"
        ):
            result = work()
        return graph.replay, result


class Recording(NamedTuple):
    """A recorded step and the memory that it reads and writes."""

    buffers: Batch
    replay: Callable[[], None]
    loss: Tensor

    def run(self, batch: Batch) -> Tensor:
        """Copy a batch into the buffers, replay the step, and return a copy of the loss."""
        for buffer, tensor in zip(self.buffers, batch, strict=True):
            if buffer is not None and tensor is not None:
                buffer.copy_(tensor)
        self.replay()
        return self.loss.clone()


class PlainStep(Protocol):
    """The step to record; see ``step.EagerStep``."""

    def set_learning_rate(self, time: float) -> None:
        """Write the learning rate into the optimiser's tensor."""
        ...

    def run(self, x: Tensor, target: Tensor, coins: Tensor | None, time: float) -> Tensor:
        """Train on one batch with that learning rate."""
        ...

    def reset_gradients(self) -> None:
        """Drop gradients that an interrupted step has left."""
        ...


class GraphStep:
    """A training step that is recorded once for each shape of a batch; see ``step.Step``.

    The first batches of a shape are trained operation by operation. If recording fails, all batches
    are, and one warning says so.

    Parameters
    ----------
    eager : PlainStep
        The step to record.
    recorder : Recorder
    loss_phase : callable
        Time in epochs → a number that changes whenever the loss function does.
    """

    def __init__(self, eager: PlainStep, recorder: Recorder, loss_phase: Callable[[float], int]):
        self.eager = eager
        self.recorder = recorder
        self.loss_phase = loss_phase
        self.warmed_up: Counter = Counter()
        self.recordings: dict[tuple, Recording] = {}
        self.has_failed = False

    def __call__(self, x: Tensor, target: Tensor, coins: Tensor | None, time: float) -> Tensor:
        """Train on one batch; see ``Step``."""
        self.eager.set_learning_rate(time)
        batch = (x, target, coins)
        shapes = tuple(None if tensor is None else tensor.shape for tensor in batch)
        key = (*shapes, self.loss_phase(time))

        is_warm = self.warmed_up[key] >= WARM_UP
        if is_warm and key not in self.recordings and not self.has_failed:
            self._record(key, batch, time)
        if key in self.recordings:
            return self.recordings[key].run(batch)

        self.warmed_up[key] += 1
        return self.recorder.warm_up(lambda: self.eager.run(x, target, coins, time))

    def _record(self, key: tuple, batch: Batch, time: float) -> None:
        """Record the step of a shape; recording trains nothing."""
        x, target, coins = batch
        buffers = (x.clone(), target.clone(), None if coins is None else coins.clone())
        try:
            replay, loss = self.recorder.record(lambda: self.eager.run(*buffers, time))
        except RuntimeError as error:  # CUDA's errors, lack of memory among them
            self.has_failed = True
            self.eager.reset_gradients()
            reason = str(error).partition("\n")[0]
            log.warning(
                "the training step cannot be recorded as a CUDA graph (%s): the training goes on "
                "operation by operation",
                reason,
            )
        else:
            self.recordings[key] = Recording(buffers, replay, loss)


def set_capturable(optimiser: torch.optim.Optimizer, device: torch.device | None) -> None:
    """Prepare an optimiser for CUDA graphs on a device; None: for steps without a graph.

    A graph needs the learning rate and the numbers of steps on the GPU. Those of a resumed run come
    from its last state, which may have been written with a graph or without one.
    """
    for group in optimiser.param_groups:
        group["capturable"] = device is not None
        rate = float(group["lr"])
        group["lr"] = rate if device is None else torch.tensor(rate, device=device)
    for state in optimiser.state.values():
        if "step" in state:
            state["step"] = state["step"].to("cpu" if device is None else device)
