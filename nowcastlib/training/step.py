"""One step of training: forecast, loss, gradients, and the optimiser's step."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from nowcastlib.errors import is_lack_of_memory
from nowcastlib.networks import LOSSES, label_bce, ssim_mse, stop_compiling
from nowcastlib.training import schedules
from nowcastlib.training.checkpoint import TrainingState
from nowcastlib.training.config import TrainConfig
from nowcastlib.training.graph import CudaRecorder, GraphStep, set_capturable
from nowcastlib.training.precision import autocast

log = logging.getLogger("nowcastlib")
KERNELS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)  # layers whose weights l1 and l2 hold small
Criterion = Callable[[Tensor, Tensor], Tensor]  # logits, target → loss


class Step(Protocol):
    """What every way of running a training step has in common."""

    def __call__(self, x: Tensor, target: Tensor, coins: Tensor | None, time: float) -> Tensor:
        """Train on one batch.

        Parameters
        ----------
        x, target : Tensor
            Input (B, T, C, H, W), see ``network_input``, and the true frames after it
            (B, length, C, H, W), or the labels of clips (B, 1).
        coins : Tensor or None
            Scheduled sampling, (B, n_out - 1); see ``ForecastNetwork.forward``.
        time : float
            In epochs; learning rate and loss depend on it.

        Returns
        -------
        Tensor
            The loss, a scalar without gradient.
        """
        ...


@dataclass
class EagerStep:
    """A training step, operation by operation."""

    config: TrainConfig
    state: TrainingState
    network: nn.Module  # ``state.model``, in several processes wrapped by accelerate
    accelerator: Accelerator

    def __call__(self, x: Tensor, target: Tensor, coins: Tensor | None, time: float) -> Tensor:
        """Train on one batch; see ``Step``."""
        self.set_learning_rate(time)
        return self.run(x, target, coins, time)

    def set_learning_rate(self, time: float) -> None:
        """Set the learning rate: a number, or a tensor that a graph reads."""
        group = self.state.optimiser.param_groups[0]
        rate = schedules.learning_rate(self.config, time)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate

    def run(self, x: Tensor, target: Tensor, coins: Tensor | None, time: float) -> Tensor:
        """The step with the learning rate as it is set."""
        loss_of = criterion(self.config, time)
        try:
            loss = self._backward(x, target, coins, loss_of)
        except RuntimeError as error:
            # torch.compile compiles the gradients only now; without it the same step may work
            if is_lack_of_memory(error) or not stop_compiling(self.state.model, error):
                raise
            self.reset_gradients()
            loss = self._backward(x, target, coins, loss_of)
        self._update_weights()
        return loss

    def reset_gradients(self) -> None:
        """Drop gradients that an interrupted step has left."""
        self.state.optimiser.zero_grad()

    def _backward(
        self, x: Tensor, target: Tensor, coins: Tensor | None, loss_of: Criterion
    ) -> Tensor:
        """The loss of a batch; its gradients are left with the weights."""
        with autocast(self.config, self.accelerator.device):
            logits = self.network(x, target.shape[1], torch.nan_to_num(target), coins)
        loss = loss_of(logits.float(), target)
        options = self.config.optimisation
        if options.l1 or options.l2:
            loss = loss + penalty(self.state.model, options.l1, options.l2)
        self.accelerator.backward(self.state.scaler.scale(loss))
        return loss.detach()

    def _update_weights(self) -> None:
        """One step of the optimiser along the clipped gradient."""
        state = self.state
        state.scaler.unscale_(state.optimiser)
        if self.config.optimisation.clip:
            nn.utils.clip_grad_norm_(state.model.parameters(), self.config.optimisation.clip)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        state.optimiser.zero_grad()


def make_step(
    config: TrainConfig,
    state: TrainingState,
    network: nn.Module,
    accelerator: Accelerator,
    graph: bool = False,
) -> Step:
    """The training step, as one CUDA graph if ``graph`` asks for it and if that is possible."""
    eager = EagerStep(config, state, network, accelerator)
    reason = _why_no_graph(config, accelerator)
    if graph and reason:
        log.warning("no CUDA graph: %s; steps run operation by operation", reason)

    is_graph = graph and not reason
    set_capturable(state.optimiser, accelerator.device if is_graph else None)
    if not is_graph:
        return eager
    return GraphStep(eager, CudaRecorder(accelerator.device), partial(loss_phase, config))


def _why_no_graph(config: TrainConfig, accelerator: Accelerator) -> str:
    """Why a step cannot be a CUDA graph; "" if it can."""
    if accelerator.device.type != "cuda":
        return f"the device is {accelerator.device.type}, not cuda"
    if accelerator.num_processes > 1:
        return "several processes share each batch"
    if config.run.precision == "fp16":
        return "the loss scale of fp16 changes from step to step (use bf16)"
    return ""


def penalty(model: nn.Module, l1: float, l2: float) -> Tensor:
    """L1 and L2 penalty of the kernels and matrices of a network; biases and norms stay free."""
    matrices = [m.weight for m in model.modules() if isinstance(m, KERNELS)]
    return torch.stack([l1 * w.abs().sum() + l2 * w.square().sum() for w in matrices]).sum()


def criterion(config: TrainConfig, epoch: float | None = None) -> Criterion:
    """The loss function of an epoch; without an epoch, that of the run's end.

    It is the same throughout, except ``ssim_mse``: the weight of SSIM grows by 0.05 with each
    length of the curriculum.
    """
    options = config.optimisation
    if options.loss == "label_bce":
        return partial(label_bce, scale=config.scale, pos_weight=options.pos_weight)
    if options.loss != "ssim_mse":
        return partial(LOSSES[options.loss], scale=config.scale)
    at = schedules.last_phase(config) if epoch is None else schedules.phase(config, epoch)
    return partial(ssim_mse, scale=config.scale, alpha=max(0.0, 1 - 0.05 * at))


def loss_phase(config: TrainConfig, epoch: float) -> int:
    """A number that changes whenever ``criterion`` does."""
    return schedules.phase(config, epoch) if config.optimisation.loss == "ssim_mse" else 0
