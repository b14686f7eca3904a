"""Configurations of the networks."""

from dataclasses import dataclass

CELLS = ("convlstm", "convgru")


@dataclass(frozen=True)
class ModelConfig:
    """Kind and shape of a network."""

    hidden: tuple[int, ...] = (32, 64, 48, 16)  # hidden channels (fclstm: units) of each cell
    kernel: tuple[int, ...] = (5, 5, 5, 3)  # kernel size of each cell, px
    stride: int = 2  # convedlstm: 2 halves height and width in the first half of the cells, doubles in the second
    patch: int = 2  # space-to-depth before the first cell: patch × patch px become channels
    peephole: bool = True  # the gates see the cell state
    skip: bool = True  # convedlstm: the output layer also sees the frame that entered; details need no memory
    # or forecaster (the paper's encoder-forecaster), fclstm (its fully connected baseline), or guided (by the motion)
    kind: str = "convedlstm"
    cell: str = "convlstm"  # or convgru
    state_kernel: int = 0  # kernel from state to state, px; 0: that of the cell
    # height and width of the frames, px: needed by fclstm; gives convedlstm a peephole weight for each pixel, as in the
    # paper; such a network works at no other size
    size: int = 0
    norm: str = ""  # after each convolution: "layer" over all channels and pixels, "group" over those of each gate
    leaky_slope: float = 0.0  # slope below zero of a LeakyReLU after each convolution; 0: none
    bias: bool = True  # of the convolutions in the cells
    max_pool: bool = (
        False  # convedlstm: halve by max pooling after a convolution of stride 1, not by stride 2
    )
    # convedlstm: double by a transposed convolution (None: where the stride is 2), else by nearest neighbours
    transpose: bool | None = None
    use_lstm_output: bool = (
        False  # convedlstm: the next cell sees the output gate, not the hidden state
    )
    motion: bool = True  # guided: False lets the rain stand still, to see what motion is worth

    def __post_init__(self):
        if self.kind not in (kinds := ("convedlstm", "forecaster", "fclstm", "guided")):
            raise ValueError(
                f"unknown kind of network {self.kind!r}: choose one of {', '.join(kinds)}"
            )
        if self.cell not in CELLS:
            raise ValueError(f"unknown cell {self.cell!r}: choose one of {', '.join(CELLS)}")
        if self.kind != "fclstm" and len(self.hidden) != len(self.kernel):
            raise ValueError(
                f"{len(self.hidden)} cells but {len(self.kernel)} kernels: give one kernel for each cell"
            )
        if self.stride not in (1, 2):
            raise ValueError(f"stride {self.stride} is neither 1 nor 2")
        if not self.hidden or min(*self.hidden, *self.kernel, self.patch) < 1:
            raise ValueError(
                "hidden channels, kernels and patch must be 1 or more, and there must be a cell"
            )
        if self.kind == "convedlstm":
            if self.stride == 2 and len(self.hidden) % 2:
                raise ValueError(
                    f"{len(self.hidden)} cells cannot halve as often as they double: give an even number"
                )
            if self.stride == 1 and (self.max_pool or self.transpose):
                raise ValueError("stride 1 keeps the size: max_pool and transpose need stride 2")
            if self.size % self.size_multiple:
                raise ValueError(
                    f"frames of {self.size} px do not divide by {self.size_multiple} (patch and halvings)"
                )
            if self.size and self.cell != "convlstm":
                raise ValueError("only a convlstm has peepholes: leave size at 0")
            if self.size and not self.peephole:
                raise ValueError("size gives each pixel its peepholes: leave it at 0 without them")
            if self.use_lstm_output and self.cell != "convlstm":
                raise ValueError(
                    f"a {self.cell} has no output gate: use_lstm_output needs convlstm"
                )
        elif self.max_pool or self.transpose or self.use_lstm_output:
            raise ValueError(
                f"max_pool, transpose and use_lstm_output belong to convedlstm, not to a {self.kind}"
            )
        if self.kind == "fclstm" and (self.norm or self.leaky_slope or not self.bias):
            raise ValueError(
                "norm, leaky_slope and bias belong to convolutions: an fclstm has none"
            )
        if self.kind in ("forecaster", "guided") and self.size:
            raise ValueError(f"a {self.kind} network works at any size: leave size at 0")
        if self.kind == "fclstm" and not self.size:
            raise ValueError(
                "a fully connected network works at one size only: give its size in px"
            )

    @property
    def size_multiple(self) -> int:
        """Frames are padded to a multiple of so many px: ``patch`` and, in a convedlstm, all halvings."""
        halves = self.kind == "convedlstm" and self.stride == 2
        return self.patch * 2 ** (len(self.hidden) // 2 if halves else 0)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the logits are those of exceeding each of ``RATES``, not those of frames."""
        return self.kind == "guided"

    @property
    def fewest_frames(self) -> int:
        """Fewest frames that the network needs as its input."""
        return 2 if self.kind == "guided" else 1


# the best of Zampar (2025), for frames of 64 px
SEED = ModelConfig(
    (64, 32, 32, 16),
    (5, 5, 5, 5),
    patch=1,
    skip=False,
    size=64,
    norm="layer",
    max_pool=True,
    transpose=True,
)
