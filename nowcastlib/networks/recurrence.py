"""The interface of all recurrent cells: one step, a sequence, and a trace of the gates."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

# Largest number of values in the frames that share a convolution if no gradient is asked for. More
# would only cost memory: a frame of a large grid keeps the device busy by itself.
MOST_VALUES = 2**20

# Hidden state H and, in an LSTM, the cell state C: each (B, hidden, H', W').
State = tuple[Tensor, ...]


class RecurrentCell(nn.Module):
    """A cell with a memory. A subclass defines ``_inputs`` and ``_gates``.

    A frame is (B, C, H, W) and a sequence (B, T, C, H, W); an ``LSTMCell`` takes (B, N) and
    (B, T, N). The first tensor of a state is the hidden state; ``None`` as a state stands for
    zeros. A cell without input channels takes ``None`` as its input.

    Attributes
    ----------
    gate_names : tuple of str
        Names, as in the paper's equations, of the tensors that ``_gates`` returns; the new state
        stands last.
    output : str
        The gate or state that the cell returns as its output.
    n_states : int
        Number of tensors in a state.
    """

    gate_names: tuple[str, ...]
    output = "H"
    n_states = 1
    hidden: int
    from_x: nn.Module | None

    def forward(self, x: Tensor | None, state: State | None = None) -> tuple[Tensor, State]:
        """One step in time.

        Parameters
        ----------
        x : Tensor or None
            One frame, (B, C, H, W).
        state : tuple of Tensor, optional
            State before this frame; zeros if not given.

        Returns
        -------
        output : Tensor
            (B, hidden, H', W').
        state : tuple of Tensor
            State after this frame.
        """
        return self._step(self._inputs(x), state)

    def sequence(
        self, x: Tensor | None, state: State | None = None, steps: int = 0
    ) -> tuple[Tensor, State]:
        """All steps of a known sequence; the input convolutions of all frames are one call.

        Parameters
        ----------
        x : Tensor or None
            The frames, (B, T, C, H, W); None for a cell without input.
        state : tuple of Tensor, optional
            State before the first frame; zeros if not given.
        steps : int
            Number of steps of a cell without input.

        Returns
        -------
        outputs : Tensor
            (B, T, hidden, H', W').
        state : tuple of Tensor
            State after the last frame.
        """
        outputs = []
        last: State = ()
        for inputs in self._inputs_of_all_frames(x, steps):
            output, last = self._step(inputs, last or state)
            outputs.append(output)

        # (T·B, …) → (T, B, …) → (B, T, …): unlike torch.stack, this keeps channels last in memory
        stacked = torch.cat(outputs).unflatten(0, (len(outputs), -1)).transpose(0, 1)
        return stacked, last

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """All gates and states of a sequence by their names, each (B, T, hidden, H', W').

        Parameters
        ----------
        x : Tensor
            The frames, (B, T, C, H, W).
        state : tuple of Tensor, optional
            State before the first frame; zeros if not given.
        """
        steps = []
        for inputs in self._inputs_of_all_frames(x, 0):
            gates = self._gates(inputs, self._zeros(inputs) if state is None else state)
            state = self._new_state(gates)
            steps.append(gates)

        by_name = zip(self.gate_names, zip(*steps, strict=True), strict=True)
        return {name: torch.stack(tensors, 1) for name, tensors in by_name}

    def _inputs(self, x: Tensor | None) -> Tensor:
        """What the input adds to the gates: (B, gates·hidden, H', W'), or a 0 without an input."""
        raise NotImplementedError

    def _gates(self, inputs: Tensor, state: State) -> tuple[Tensor, ...]:
        """The tensors named by ``gate_names``, each (B, hidden, H', W')."""
        raise NotImplementedError

    def _inputs_of_all_frames(self, x: Tensor | None, steps: int) -> Iterable[Tensor]:
        """``_inputs`` of each frame (B, …) of a sequence."""
        return [self._inputs(None)] * steps if x is None else self._convolved(x.transpose(0, 1))

    def _convolved(self, x: Tensor) -> Iterator[Tensor]:
        """T times (B, gates·hidden, H', W') of frames (T, B, C, H, W); many in one call."""
        few = max(1, MOST_VALUES // max(x[0].numel(), 1))
        for frames in x.split(len(x) if torch.is_grad_enabled() else few):
            inputs = self._inputs(frames.flatten(0, 1))  # (T·B, gates·hidden, H', W')
            # unlike unbind, the gradient of split keeps channels last in memory
            yield from inputs.split(x.shape[1])

    def _step(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        if state is None and self.from_x is None:
            raise ValueError("a cell without input needs an initial state")
        gates = self._gates(inputs, self._zeros(inputs) if state is None else state)
        return gates[self.gate_names.index(self.output)], self._new_state(gates)

    def _new_state(self, gates: tuple[Tensor, ...]) -> State:
        # The last of ``gate_names`` are the new states; an LSTM names C, H, its state is (H, C).
        return tuple(reversed(gates[-self.n_states :]))

    def _zeros(self, inputs: Tensor) -> State:
        """The state before the first frame.

        One pixel of one sample is broadcast to all: its convolution costs nothing. In mixed
        precision the state adds up in float32.
        """
        mixed = torch.is_autocast_enabled(inputs.device.type)
        shape = (1, self.hidden, *(1,) * (inputs.ndim - 2))
        pixel = inputs.new_zeros(shape, dtype=torch.float32 if mixed else inputs.dtype)
        return (pixel,) * self.n_states
