"""Options of a single convolutional cell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvCellOptions:
    """Options of a convolutional cell. Raises ValueError for invalid or contradictory ones."""

    stride: int = 1  # 2 halves height and width (odd sizes are rounded up)
    pool: bool = False  # halve by max pooling after a convolution of stride 1, not by its stride
    double: str = ""  # double height and width: "transpose" (convolution) or "nearest" (neighbours)
    state_kernel: int = 0  # kernel size from state to state, px; 0: that of the input's kernel
    norm: str = ""  # after each convolution: "layer" over all channels, "group" over each gate's
    leaky_slope: float = 0.0  # slope below zero of a LeakyReLU after the norm; 0: none
    bias: bool = True  # the convolutions add a bias

    def __post_init__(self):
        if self.stride not in (1, 2):
            raise ValueError(f"stride is {self.stride}: choose 1 or 2")
        if self.double not in ("", "transpose", "nearest"):
            raise ValueError(
                f"unknown double {self.double!r}: choose transpose or nearest, or none"
            )
        if self.double and self.stride != 1:
            raise ValueError(
                "stride 2 halves the size and double doubles it: choose one of the two"
            )
        if self.pool and self.stride != 2:
            raise ValueError("pool halves the size: it needs stride 2")
        if self.norm not in ("", "layer", "group"):
            raise ValueError(f"unknown norm {self.norm!r}: choose layer or group, or none")


@dataclass(frozen=True)
class ConvLSTMOptions(ConvCellOptions):
    """Options of a ``ConvLSTMCell``."""

    peephole: bool = True  # the gates see the cell state
    # (H', W') of the states, px: one peephole weight a pixel, as in the paper, and the cell works
    # at this size only; (1, 1): one weight a channel, at any size
    size: tuple[int, int] = (1, 1)
    gate_out: bool = False  # the output is the output gate o, not the hidden state H (Zampar 2025)
