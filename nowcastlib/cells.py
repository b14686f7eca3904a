"""Recurrent cells: one step of a network with a memory that is a stack of maps.

Shapes: a frame is (B, C, H, W), a sequence (B, T, C, H, W). All cells share one interface,
``forward(x, state) -> (output, state)``; ``state`` None starts from zeros.
"""

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # hidden state H and cell state C, both (B, hidden, H', W')


class ConvLSTMCell(nn.Module):
    """ConvLSTM with peepholes, equations (3) of Shi et al. 2015 (arXiv 1506.04214).

    ``stride`` 2 halves height and width by the input convolution, ``transpose`` doubles them by a transposed one;
    the states live at the size that comes out. Peephole weights are one number a channel, so that a trained cell
    works at any size.

    Raises ValueError for an even kernel, or ``transpose`` together with a stride.
    """

    def __init__(self, in_channels, hidden, kernel=3, stride=1, transpose=False, peephole=True):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} is even: it has no centre pixel; take an odd one")
        if transpose and stride != 1:
            raise ValueError("transpose doubles the size, stride halves it: choose one")
        self.hidden = hidden
        if transpose:
            self.from_x = nn.ConvTranspose2d(in_channels, 4 * hidden, kernel, 2, kernel // 2, output_padding=1)
        else:
            self.from_x = nn.Conv2d(in_channels, 4 * hidden, kernel, stride, kernel // 2)
        self.from_h = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=False)
        self.peephole = nn.Parameter(torch.zeros(3, hidden, 1, 1)) if peephole else None  # W_ci, W_cf, W_co
        with torch.no_grad():
            self.from_x.bias[hidden : 2 * hidden] = 1.0  # forget little at first (Jozefowicz et al. 2015)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One frame: (B, C, H, W) → output (B, hidden, H', W') and the new state."""
        return self._step(self.from_x(x), state)

    def sequence(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """A known sequence: (B, T, C, H, W) → outputs (B, T, hidden, H', W') and the last state.

        The same as stepping frame by frame, but the input convolutions of all frames are one call.
        """
        gates = self.from_x(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # (B, T, 4·hidden, H', W')
        outputs = []
        for g in gates.unbind(1):
            h, state = self._step(g, state)
            outputs.append(h)
        return torch.stack(outputs, 1), state

    def _step(self, gates: Tensor, state: State | None) -> tuple[Tensor, State]:
        if state is None:
            c = gates.new_zeros(len(gates), self.hidden, *gates.shape[2:])
        else:
            h, c = state
            gates = gates + self.from_h(h)
        i, f, g, o = gates.chunk(4, dim=1)
        w_ci, w_cf, w_co = (0, 0, 0) if self.peephole is None else self.peephole
        i = torch.sigmoid(i + w_ci * c)
        f = torch.sigmoid(f + w_cf * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + w_co * c)
        h = o * torch.tanh(c)
        return h, (h, c)
