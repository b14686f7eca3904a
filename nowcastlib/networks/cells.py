"""Recurrent cells: the fully connected LSTM, the ConvLSTM and the ConvGRU.

``RecurrentCell`` describes the interface and the shapes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nowcastlib.networks.cell_options import ConvCellOptions, ConvLSTMOptions
from nowcastlib.networks.norms import GroupNorm, PixelNorm
from nowcastlib.networks.recurrence import RecurrentCell, State

Gate = Callable[[Tensor], Tensor]  # activation of a gate


class LSTMCell(RecurrentCell):
    """The fully connected LSTM with peepholes; x is (B, N).

    Parameters
    ----------
    inputs : int
        Number N of inputs; 0 for a cell without input.
    hidden : int
        Number of hidden units.
    peephole : bool
        The gates see the cell state.

    References
    ----------
    Graves 2013, arXiv 1308.0850, equations 7 to 11.
    """

    gate_names = ("i", "f", "g", "o", "C", "H")
    n_states = 2

    def __init__(self, inputs: int, hidden: int, peephole: bool = True):
        super().__init__()
        self.hidden = hidden
        self.from_x = nn.Linear(inputs, 4 * hidden) if inputs else None
        self.from_h = nn.Linear(hidden, 4 * hidden, bias=not inputs)
        # w_ci, w_cf, w_co
        self.peephole = nn.Parameter(torch.zeros(3, hidden)) if peephole else None
        _set_forget_bias((self.from_x or self.from_h).bias, hidden, 1.0)

    def _inputs(self, x: Tensor | None) -> Tensor:
        return self.from_h.weight.new_zeros(()) if self.from_x is None else self.from_x(x)

    def _gates(self, inputs: Tensor, state: State) -> tuple[Tensor, ...]:
        return _lstm(inputs + self.from_h(state[0]), state[1], self.peephole)


class _ConvCell(RecurrentCell):
    """A cell whose states are stacks of maps.

    Parameters
    ----------
    in_channels : int
        Channels of the input; 0 for a cell without input.
    hidden : int
        Channels of the hidden state.
    kernel : int
        Size of the input convolution's kernel, px; odd.
    **options
        Fields of ``Options``.

    Raises
    ------
    ValueError
        For an even kernel or invalid options; when called, for a frame or a state of another shape.
    """

    Options: type[ConvCellOptions] = ConvCellOptions
    n_gates: int  # convolutions side by side

    def __init__(self, in_channels: int, hidden: int, kernel: int = 3, **options):
        super().__init__()
        self.options = self.Options(**options)
        self.in_channels = in_channels
        self.hidden = hidden

        state_kernel = self.options.state_kernel or kernel
        for size in (kernel, state_kernel):
            if size % 2 == 0:
                raise ValueError(
                    f"kernel size {size} is even and has no centre pixel: choose an odd one"
                )

        self.from_x = self._input_convolution(kernel) if in_channels else None

        # One bias is enough for the sum of both convolutions. A norm, however, amplifies near-zero
        # initial states to the size of the input; a bias beside them prevents that.
        needs_bias = self.options.norm or self.options.state_bias or not in_channels
        second_bias = self.options.bias and bool(needs_bias)
        channels = self.n_gates * hidden
        self.from_h = nn.Conv2d(
            hidden, channels, state_kernel, padding=state_kernel // 2, bias=second_bias
        )
        self._add_layers_without_convolution(channels)

    def _input_convolution(self, kernel: int) -> nn.Module:
        """(B, C, H, W) → (B, gates·hidden, H', W'), before any pooling."""
        options = self.options
        channels = self.n_gates * self.hidden
        padding = kernel // 2 if options.padding == "same" else 0
        if options.double == "transpose":
            return nn.ConvTranspose2d(
                self.in_channels, channels, kernel, 2, padding, output_padding=1, bias=options.bias
            )
        stride = 1 if options.pool else options.stride
        return nn.Conv2d(self.in_channels, channels, kernel, stride, padding, bias=options.bias)

    def _add_layers_without_convolution(self, channels: int) -> None:
        options = self.options
        nearest = options.double == "nearest"
        self.enlarge = nn.Upsample(scale_factor=2) if nearest else nn.Identity()
        self.pool = _half_size_pooling(options.pool) if options.pool else nn.Identity()
        self.norm_x = self._norm(channels) if self.in_channels else nn.Identity()
        self.norm_h = self._norm(channels)

        slope = options.leaky_slope
        self.activation = nn.LeakyReLU(slope) if slope else nn.Identity()

    def _norm(self, channels: int) -> nn.Module:
        """The normalisation of (B, channels, H', W') after a convolution."""
        if self.options.norm == "pixel":
            return PixelNorm(channels, self.options.size)
        if self.options.norm:
            groups = 1 if self.options.norm == "layer" else self.n_gates
            return GroupNorm(groups, channels)
        return nn.Identity()

    def _inputs(self, x: Tensor | None) -> Tensor:
        if self.from_x is None:
            if x is not None:
                raise ValueError("this cell has no input: give None as x")
            return self.from_h.weight.new_zeros(())
        if x is None or x.ndim != 4 or x.shape[1] != self.in_channels or not x.numel():
            shape = "None" if x is None else f"the shape {tuple(x.shape)}"
            raise ValueError(
                f"a frame is (B, C, H, W) with C = {self.in_channels}, none of them 0; "
                f"this one has {shape}"
            )
        convolved = _convolve(self.from_x, self.enlarge(x))  # (B, gates·hidden, …)
        return self.activation(self.norm_x(self.pool(convolved)))  # (B, gates·hidden, H', W')

    def _from_h(self, h: Tensor, inputs: Tensor) -> Tensor:
        """What the state (B, hidden, H', W') adds to the gates: (B, gates·hidden, H', W')."""
        is_initial = h.shape == (1, self.hidden, 1, 1)
        has_input = inputs.ndim > 0
        if has_input and not is_initial and h[:, 0].shape != inputs[:, 0].shape:
            raise ValueError(
                f"the state has the shape {tuple(h.shape)}, "
                f"but the input gives (B, …) = {tuple(inputs.shape)}"
            )
        return self.activation(self.norm_h(self.from_h(h)))


class ConvLSTMCell(_ConvCell):
    """ConvLSTM with peepholes; its options are the fields of ``ConvLSTMOptions``.

    References
    ----------
    Shi et al. 2015, arXiv 1506.04214, equations (3).

    Examples
    --------
    >>> import torch
    >>> cell = ConvLSTMCell(1, 8, kernel=3)
    >>> output, (h, c) = cell(torch.zeros(2, 1, 16, 16))
    >>> tuple(c.shape)
    (2, 8, 16, 16)
    """

    Options = ConvLSTMOptions
    options: ConvLSTMOptions
    gate_names = ("i", "f", "g", "o", "C", "H")
    n_states = 2
    n_gates = 4

    def __init__(self, in_channels: int, hidden: int, kernel: int = 3, **options):
        super().__init__(in_channels, hidden, kernel, **options)
        self.output = "o" if self.options.gate_out else "H"
        self.peephole = self._initial_peepholes() if self.options.peephole else None

        # A norm undoes the bias before it: the forget gate's bias is that of the last layer.
        norm = self.norm_h if self.from_x is None else self.norm_x
        bias = getattr(norm, "bias", None)
        if bias is None:
            bias = getattr(self.from_x or self.from_h, "bias", None)
        _set_forget_bias(bias, hidden, self.options.forget_bias)

    def _initial_peepholes(self) -> nn.Parameter:
        """W_ci, W_cf and W_co: (3, hidden, H', W'), or (3, hidden, 1, 1)."""
        weights = torch.zeros(3, self.hidden, *self.options.size)
        if self.options.peephole_init == "xavier":
            for weight in weights:
                nn.init.xavier_uniform_(weight)
        return nn.Parameter(weights)

    def _gates(self, inputs: Tensor, state: State) -> tuple[Tensor, ...]:
        h, c = state
        gates = inputs + self._from_h(h, inputs)  # (B, 4·hidden, H', W')
        if self.peephole is not None:
            size = self.peephole.shape[2:]
            if size not in ((1, 1), gates.shape[2:]):
                raise ValueError(
                    f"the peepholes are for maps of {tuple(size)} px, not {tuple(gates.shape[2:])}"
                )
        return _lstm(gates, c, self.peephole, GATES[self.options.gate])


class ConvGRUCell(_ConvCell):
    """ConvGRU: two gates and one state. Options: ``ConvCellOptions``.

    z decides how much of the old state is kept, r how much of it the new content g sees.

    References
    ----------
    Shi et al. 2017, arXiv 1706.03458, equation 1, with tanh.
    """

    gate_names = ("z", "r", "g", "H")
    n_gates = 3

    def _gates(self, inputs: Tensor, state: State) -> tuple[Tensor, ...]:
        (h,) = state
        x_z, x_r, x_g = inputs.chunk(3, dim=1) if inputs.ndim else (inputs,) * 3
        h_z, h_r, h_g = self._from_h(h, inputs).chunk(3, dim=1)  # each (B, hidden, H', W')

        z = torch.sigmoid(x_z + h_z)
        r = torch.sigmoid(x_r + h_r)
        g = torch.tanh(x_g + r * h_g)
        return z, r, g, (1 - z) * g + z * h


def hard_sigmoid(x: Tensor) -> Tensor:
    """The sigmoid in three straight pieces, as Keras 2 defines it: 0.2 x + 0.5, cut to 0…1.

    Keras 3 and ``torch.nn.Hardsigmoid`` have another slope, 1/6.
    """
    return (0.2 * x + 0.5).clamp(0, 1)


GATES: dict[str, Gate] = {
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": hard_sigmoid,
}
CELLS = {"convlstm": ConvLSTMCell, "convgru": ConvGRUCell}


def _set_forget_bias(bias: Tensor | None, hidden: int, value: float) -> None:
    """Initialise the bias of the forget gate, the second of four gates, to ``value``."""
    if bias is not None and value:
        with torch.no_grad():
            bias[hidden : 2 * hidden] = value


def _half_size_pooling(window: int) -> nn.MaxPool2d:
    """Max pooling that halves height and width, rounded up; windows above 2 px overlap."""
    if window % 2:
        return nn.MaxPool2d(window, 2, window // 2)
    return nn.MaxPool2d(window, 2, window // 2 - 1, ceil_mode=True)


def _convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)``; with one input channel, kernel rows become channels (2 to 3 times faster)."""
    if not isinstance(layer, nn.Conv2d) or layer.in_channels > 1 or layer.stride != (1, 1):
        return layer(x)
    k, margin = layer.kernel_size[0], int(layer.padding[0])
    rows = F.pad(x[:, 0], (0, 0, margin, margin)).unfold(1, k, 1)  # (B, H', W, k)
    rows = rows.movedim(3, 1).contiguous(memory_format=torch.channels_last)  # (B, k, H', W)
    return F.conv2d(rows, layer.weight.transpose(1, 2), layer.bias, padding=(0, margin))


def _lstm(
    gates: Tensor,
    c: Tensor,
    peephole: Tensor | None,
    gate: Gate = torch.sigmoid,
) -> tuple[Tensor, ...]:
    """LSTM equations: gates (B, 4·hidden, …) = W x + W h + b and the old C → i, f, g, o, C, H.

    The four parts are copied, because what follows is slower on slices than on copies.
    """
    i, f, g, o = (part.clone() for part in gates.chunk(4, dim=1))  # each (B, hidden, …)
    w_ci, w_cf, w_co = (0, 0, 0) if peephole is None else peephole

    i = gate(i + w_ci * c)
    f = gate(f + w_cf * c)
    g = torch.tanh(g)
    c = f * c + i * g
    o = gate(o + w_co * c)
    return i, f, g, o, c, o * torch.tanh(c)
