"""Recurrent cells: one step of a network with a memory.

Shapes: a frame is (B, C, H, W), a sequence (B, T, C, H, W); for the ``LSTMCell`` they are (B, N) and (B, T, N). All
cells share one interface: ``forward(x, state) -> (output, state)`` for one frame, ``sequence(x, state)`` for many. A
state is a tuple of tensors whose first is the output; None starts from zeros. A cell of no input channels takes x None.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]  # hidden state H and, of an LSTM, cell state C: each (B, hidden, H', W')


class _Cell(nn.Module):
    """What all cells have in common; ``_gates`` is what makes them different."""

    names: tuple[str, ...]  # of what ``_gates`` returns, the new state last
    output = "H"  # which of them is the output
    states = 1  # tensors in a state

    def forward(self, x: Tensor | None, state: State | None = None) -> tuple[Tensor, State]:
        """One frame (B, C, H, W), or None → output (B, hidden, H', W') and the new state."""
        return self._step(self._inputs(x), state)

    def sequence(
        self, x: Tensor | None, state: State | None = None, steps: int = 0
    ) -> tuple[Tensor, State]:
        """A known sequence (B, T, C, H, W), or None for ``steps`` frames → outputs (B, T, hidden, H', W') and state.

        The same as stepping frame by frame, but the input convolutions of all frames are one call.
        """
        outputs = []
        for inputs in self._all_inputs(x, steps):
            output, state = self._step(inputs, state)
            outputs.append(output)
        return torch.cat(outputs).unflatten(0, (len(outputs), -1)).transpose(
            0, 1
        ), state  # to keep channels last

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """All gates and states of a sequence by their names in the equations, each (B, T, hidden, H', W')."""
        found = []
        for inputs in self._all_inputs(x, 0):
            found.append(self._gates(inputs, state if state is not None else self._zeros(inputs)))
            state = self._state(found[-1])
        return {
            name: torch.stack(steps, 1)
            for name, steps in zip(self.names, zip(*found, strict=True), strict=True)
        }

    def _all_inputs(self, x: Tensor | None, steps: int):
        if x is None:
            return [self._inputs(None)] * steps
        x = x.transpose(0, 1)  # (T, B, C, H, W)
        return (
            self._inputs(x.flatten(0, 1)).unflatten(0, x.shape[:2]).unbind()
        )  # T times (B, gates·hidden, H', W')

    def _step(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        if state is None and self.from_x is None:
            raise ValueError("a cell without input needs a state to start from")
        gates = self._gates(inputs, self._zeros(inputs) if state is None else state)
        return gates[self.names.index(self.output)], self._state(gates)

    def _state(self, gates: tuple[Tensor, ...]) -> State:
        return tuple(reversed(gates[-self.states :]))

    def _zeros(self, inputs: Tensor) -> State:
        """A state before the first frame: one pixel of one sample that stands for all, convolved at no cost."""
        return (inputs.new_zeros(1, self.hidden, *(1,) * (inputs.ndim - 2)),) * self.states


class LSTMCell(_Cell):
    """The fully connected LSTM with peepholes (Graves 2013, arXiv 1308.0850, equations 7 to 11): x is (B, N)."""

    names, states = ("i", "f", "g", "o", "C", "H"), 2

    def __init__(self, inputs: int, hidden: int, peephole: bool = True):
        super().__init__()
        self.hidden = hidden
        self.from_x = nn.Linear(inputs, 4 * hidden) if inputs else None
        self.from_h = nn.Linear(hidden, 4 * hidden, bias=not inputs)
        self.peephole = (
            nn.Parameter(torch.zeros(3, hidden)) if peephole else None
        )  # w_ci, w_cf, w_co
        with torch.no_grad():
            (self.from_x or self.from_h).bias[hidden : 2 * hidden] = 1.0  # forget little at first

    def _inputs(self, x: Tensor | None) -> Tensor | float:
        return 0.0 if self.from_x is None else self.from_x(x)

    def _gates(self, inputs: Tensor, state: State) -> tuple[Tensor, ...]:
        return _lstm(inputs + self.from_h(state[0]), state[1], self.peephole)


class _ConvCell(_Cell):
    """A cell whose states are stacks of maps.

    ``stride`` 2 halves height and width by the input convolution, or with ``pool`` by max pooling after it (stride 1
    then); ``double`` doubles them, by a "transpose"d convolution or by "nearest" neighbours before a plain one; the
    states live at the size that comes out (odd sizes are rounded up). ``state_kernel`` 0 is the size of ``kernel``.
    ``norm`` layer normalises what comes out, after each convolution, over all channels and pixels, group each gate by
    itself; after that ``leaky_slope`` other than 0 is the slope of a LeakyReLU below zero.

    Raises ValueError for an even kernel, a stride other than 1 and 2, ``double`` together with a stride, ``pool``
    without one, or another name of a norm or a way to double; and, when called, for a frame or state of a wrong shape.
    """

    gates: int  # convolutions side by side

    def __init__(
        self, in_channels, hidden, kernel=3, stride=1, double="", pool=False, state_kernel=0, norm="", leaky_slope=0.0,
        bias=True,
    ):  # fmt: skip
        super().__init__()
        state_kernel = state_kernel or kernel
        for size in (kernel, state_kernel):
            if size % 2 == 0:
                raise ValueError(f"kernel {size} is even: it has no centre pixel; take an odd one")
        if stride not in (1, 2):
            raise ValueError(f"stride {stride} is neither 1 nor 2")
        if double not in ("", "transpose", "nearest"):
            raise ValueError(
                f"unknown way to double the size {double!r}: choose transpose or nearest, or none"
            )
        if double and stride != 1:
            raise ValueError(
                "one cell cannot both double the size and, by its stride, halve it: choose one"
            )
        if pool and stride != 2:
            raise ValueError("pooling halves the size: it needs stride 2")
        if norm not in ("", "layer", "group"):
            raise ValueError(f"unknown norm {norm!r}: choose layer or group, or none")
        self.in_channels, self.hidden = in_channels, hidden
        n = self.gates * hidden
        if not in_channels:
            self.from_x = None
        elif double == "transpose":
            self.from_x = nn.ConvTranspose2d(
                in_channels, n, kernel, 2, kernel // 2, output_padding=1, bias=bias
            )
        else:
            self.from_x = nn.Conv2d(
                in_channels, n, kernel, 1 if pool else stride, kernel // 2, bias=bias
            )
        # one bias is enough, but a norm makes the first faint states as loud as the input if nothing stands beside them
        second = bias and bool(norm or not in_channels)
        self.from_h = nn.Conv2d(hidden, n, state_kernel, padding=state_kernel // 2, bias=second)
        self.enlarge = nn.Upsample(scale_factor=2) if double == "nearest" else nn.Identity()
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if pool else nn.Identity()
        groups = {"": 0, "layer": 1, "group": self.gates}[norm]
        self.norm_x = nn.GroupNorm(groups, n) if groups and in_channels else nn.Identity()
        self.norm_h = nn.GroupNorm(groups, n) if groups else nn.Identity()
        self.bend = nn.LeakyReLU(leaky_slope) if leaky_slope else nn.Identity()

    def _inputs(self, x: Tensor | None) -> Tensor | float:
        if self.from_x is None:
            if x is not None:
                raise ValueError("this cell takes no input: its x is None")
            return 0.0
        if x is None or x.ndim != 4 or x.shape[1] != self.in_channels or not x.numel():
            got = "None" if x is None else f"the shape {tuple(x.shape)}"
            raise ValueError(
                f"a frame is (B, C, H, W) with C = {self.in_channels} and none of them 0; this has {got}"
            )
        return self.bend(self.norm_x(self.pool(_convolve(self.from_x, self.enlarge(x)))))

    def _from_h(self, h: Tensor, inputs: Tensor | float) -> Tensor:
        started = h.shape != (1, self.hidden, 1, 1)
        if (
            started
            and isinstance(inputs, Tensor)
            and (len(h), *h.shape[2:]) != (len(inputs), *inputs.shape[2:])
        ):
            raise ValueError(
                f"the state is for {tuple(h.shape)}, the input makes (B, …) = {tuple(inputs.shape)}"
            )
        return self.bend(self.norm_h(self.from_h(h)))


class ConvLSTMCell(_ConvCell):
    """ConvLSTM with peepholes, equations (3) of Shi et al. 2015 (arXiv 1506.04214); for the options see ``_ConvCell``.

    Peephole weights are one number a channel, so that a trained cell works at any size; with ``size`` (H', W') they
    are one a pixel, as in the paper, and the cell works at that size only. ``peephole`` off leaves them out. With
    ``gate_out`` the output is the output gate o instead of the hidden state H (Zampar 2025).
    """

    names, states, gates = ("i", "f", "g", "o", "C", "H"), 2, 4

    def __init__(
        self,
        in_channels,
        hidden,
        kernel=3,
        stride=1,
        peephole=True,
        size=(1, 1),
        gate_out=False,
        **options,
    ):
        super().__init__(in_channels, hidden, kernel, stride, **options)
        self.output = "o" if gate_out else "H"
        self.peephole = (
            nn.Parameter(torch.zeros(3, hidden, *size)) if peephole else None
        )  # W_ci, W_cf, W_co
        last = self.from_h if self.from_x is None else self.from_x
        for part in (
            self.norm_x if self.from_x is not None else self.norm_h,
            last,
        ):  # a norm undoes the bias before it
            if getattr(part, "bias", None) is not None:
                with torch.no_grad():
                    part.bias[hidden : 2 * hidden] = (
                        1.0  # forget little at first (Jozefowicz et al. 2015)
                    )
                break

    def _gates(self, inputs: Tensor | float, state: State) -> tuple[Tensor, ...]:
        h, c = state
        gates = inputs + self._from_h(h, inputs)
        if self.peephole is not None and self.peephole.shape[2:] not in (
            (1, 1),
            size := gates.shape[2:],
        ):
            raise ValueError(
                f"the peepholes are for maps of {tuple(self.peephole.shape[2:])} px, not {tuple(size)}"
            )
        return _lstm(gates, c, self.peephole)


class ConvGRUCell(_ConvCell):
    """ConvGRU (Shi et al. 2017, arXiv 1706.03458, equation 1, with tanh): two gates and one state.

    Z decides how much of the old state is kept, R how much of it the new content G sees. For the options see
    ``_ConvCell``.
    """

    names, gates = ("z", "r", "g", "H"), 3

    def _gates(self, inputs: Tensor | float, state: State) -> tuple[Tensor, ...]:
        (h,) = state
        x = inputs.chunk(3, dim=1) if isinstance(inputs, Tensor) else (inputs,) * 3
        z, r, g = self._from_h(h, inputs).chunk(3, dim=1)
        z, r = torch.sigmoid(x[0] + z), torch.sigmoid(x[1] + r)
        g = torch.tanh(x[2] + r * g)
        return z, r, g, (1 - z) * g + z * h


def _convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``; of one channel, its rows are first laid side by side as channels: two to three times as fast."""
    if not isinstance(layer, nn.Conv2d) or layer.in_channels > 1 or layer.stride != (1, 1):
        return layer(x)
    k = layer.kernel_size[0]
    rows = F.pad(x[:, 0], (0, 0, k // 2, k // 2)).unfold(1, k, 1)  # (B, H, W, k)
    rows = rows.movedim(3, 1).contiguous(memory_format=torch.channels_last)
    return F.conv2d(rows, layer.weight.transpose(1, 2), layer.bias, padding=(0, k // 2))


def _lstm(gates: Tensor, c: Tensor, peephole: Tensor | None) -> tuple[Tensor, ...]:
    """From the sums W x + W h + b of the four gates, (B, 4·hidden, …), and the old C: i, f, g, o, new C, new H."""
    i, f, g, o = (
        part.clone() for part in gates.chunk(4, dim=1)
    )  # what follows is slower on slices than on copies
    w_ci, w_cf, w_co = (0, 0, 0) if peephole is None else peephole
    i, f, g = torch.sigmoid(i + w_ci * c), torch.sigmoid(f + w_cf * c), torch.tanh(g)
    c = f * c + i * g
    o = torch.sigmoid(o + w_co * c)
    return i, f, g, o, c, o * torch.tanh(c)
