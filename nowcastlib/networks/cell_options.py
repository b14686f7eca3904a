"""Options of a single convolutional cell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvCellOptions:
    """Options of a convolutional cell. Raises ValueError for invalid or contradictory ones."""

    stride: int = 1  # 2 halves height and width (odd sizes are rounded up)
    # window of max pooling, px, which halves after a convolution of stride 1; 0: the stride halves
    pool: int = 0
    double: str = ""  # double height and width: "transpose" (convolution) or "nearest" (neighbours)
    state_kernel: int = 0  # kernel size from state to state, px; 0: that of the input's kernel
    # after each convolution: "layer" over all channels and pixels, "group" over each gate's;
    # "pixel" is "layer" with a weight and a bias for each pixel, and needs ``size``
    norm: str = ""
    leaky_slope: float = 0.0  # slope below zero of a LeakyReLU after the norm; 0: none
    bias: bool = True  # the convolutions add a bias
    # the convolution of the input keeps height and width ("same"), or sees whole windows only
    # ("valid"), which takes kernel - 1 px from both
    padding: str = "same"
    # the convolution of the state has a bias of its own, too, as it always has with a norm
    state_bias: bool = False
    # (H', W') of the states, px: peepholes have one weight a pixel, as in the paper, and the cell
    # works at this size only; (1, 1): one weight a channel, at any size
    size: tuple[int, int] = (1, 1)

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
        if self.padding not in ("same", "valid"):
            raise ValueError(f"unknown padding {self.padding!r}: choose same or valid")
        if self.padding == "valid" and (self.double or self.stride != 1):
            raise ValueError("the padding valid is for cells that neither halve nor double")
        if self.pool and self.stride != 2:
            raise ValueError("pool halves the size: it needs stride 2")
        if self.pool < 0 or self.pool == 1:
            raise ValueError(f"pool is {self.pool}: a window has 2 px or more")
        if self.norm not in ("", "layer", "group", "pixel"):
            raise ValueError(f"unknown norm {self.norm!r}: choose layer, group or pixel, or none")
        if self.norm == "pixel" and self.size == (1, 1):
            raise ValueError("the norm pixel has weights for each pixel: it needs size")


@dataclass(frozen=True)
class ConvLSTMOptions(ConvCellOptions):
    """Options of a ``ConvLSTMCell``."""

    peephole: bool = True  # the gates see the cell state
    # initial weights of the peepholes: 0, or random and uniform (Glorot and Bengio 2010)
    peephole_init: str = "zeros"
    # initial bias of the forget gate; 1 keeps the memory (Jozefowicz et al. 2015); 0: that of the
    # other gates
    forget_bias: float = 1.0
    gate_out: bool = False  # the output is the output gate o, not the hidden state H (Zampar 2025)
    gate: str = "sigmoid"  # activation of the gates, see ``cells.GATES``

    def __post_init__(self):
        super().__post_init__()
        if self.peephole_init not in ("zeros", "xavier"):
            raise ValueError(
                f"unknown peephole_init {self.peephole_init!r}: choose zeros or xavier"
            )
        if self.gate not in ("sigmoid", "hard_sigmoid"):
            raise ValueError(f"unknown gate {self.gate!r}: choose sigmoid or hard_sigmoid")
