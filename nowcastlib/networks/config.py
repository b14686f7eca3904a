"""Configurations: one frozen dataclass for each kind of network. Imports no torch.

A configuration class has only the options that its network uses, and tells what one has to know
about the network: whether it feeds its forecast back, how many frames it needs, and what its output
means.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

FRAME_LOSSES = ("balanced", "bce", "kl", "mse", "mae", "ssim_mse")
PROBABILITY_LOSSES = ("exceedance", "exceedance_unbalanced", "exceedance_areas")
LABEL_LOSSES = ("label_bce",)
SSIM_WINDOW = 11  # px; windows of the structural similarity, in the loss and in the score


@dataclass(frozen=True)
class NetworkConfig:
    """What all configurations of networks have in common. Invalid options raise ValueError."""

    kind: ClassVar[str]  # name of the kind of network
    feeds_back: ClassVar[bool] = False  # its forecast is its next input; scheduled sampling applies
    gives_probabilities: ClassVar[bool] = False  # of exceeding each of RATES; else: frames
    takes_unobserved: ClassVar[bool] = False  # pixels that no frame shows are NaN; else: 0
    classifies: ClassVar[bool] = False  # one answer for a clip, yes or no; else: forecasts frames
    losses: ClassVar[tuple[str, ...]] = FRAME_LOSSES  # losses for its output, the default first

    @property
    def fewest_frames(self) -> int:
        """Input frames required."""
        return 1

    @property
    def size_multiple(self) -> int:
        """Frames are padded to a height and width that divide by this number, px."""
        return 1

    @property
    def fixed_size(self) -> int:
        """The only height and width at which the network works, px; 0: any."""
        return 0


@dataclass(frozen=True)
class ConvStackConfig(NetworkConfig):
    """Options that all networks of convolutional cells share."""

    hidden: tuple[int, ...] = (32, 64, 48, 16)  # hidden channels of each cell
    kernel: tuple[int, ...] = (5, 5, 5, 3)  # kernel size of each cell, px; odd
    patch: int = 2  # space to depth before the first cell: patch × patch px become channels
    cell: Literal["convlstm", "convgru"] = "convlstm"  # kind of cell
    peephole: bool = True  # convlstm: the gates see the cell state
    state_kernel: int = 0  # kernel size from state to state, px; 0: that of the cell
    # normalisation after each convolution: "layer" over all channels and pixels, "group" over
    # those of each gate; "pixel" is "layer" with a weight and a bias for each pixel of ``size``
    norm: Literal["", "layer", "group", "pixel"] = ""
    leaky_slope: float = 0.0  # slope below zero of a LeakyReLU after each convolution; 0: none
    bias: bool = True  # the convolutions in the cells add a bias

    def __post_init__(self):
        check_choices(self)
        _check_at_least_1(self, "hidden", "kernel", "patch")
        if len(self.hidden) != len(self.kernel):
            raise ValueError(
                f"hidden has {len(self.hidden)} cells, but kernel has {len(self.kernel)}: "
                "give one kernel size for each cell"
            )
        for size in (*self.kernel, self.state_kernel or 1):
            if size % 2 == 0 or size < 1:
                raise ValueError(f"kernel size {size} must be odd and above 0")
        if self.cell == "convgru" and not self.peephole:
            raise ValueError("a convgru has no peepholes: peephole does not apply to it")

    @property
    def size_multiple(self) -> int:
        return self.patch


@dataclass(frozen=True)
class ConvEDLSTMConfig(ConvStackConfig):
    """Conv-Encoder-Decoder-LSTM (Zampar 2025): a stack of cells that feeds its forecast back."""

    kind = "convedlstm"
    feeds_back = True

    # 2: the first half of the cells halves height and width, the second half doubles them
    stride: Literal[1, 2] = 2
    max_pool: bool = False  # halve by max pooling after a convolution of stride 1, not by stride 2
    pool_window: int = 2  # window of max_pool, px; 0: that of the cell's kernel
    transpose: bool = True  # double by a transposed convolution, not by nearest neighbours
    skip: bool = True  # the output layer also sees the frame that entered
    # the first cell also sees how well the frame before, moved by up to this number of px in steps
    # of half a patch, fits the frame that enters; 0: it sees that frame only
    compare: int = 0
    # the frame that skips to the output layer is moved by up to this number of px, by kernels that
    # the network forecasts for each patch; 0: it stays where it is
    move: int = 0
    use_lstm_output: bool = False  # the next cell sees the output gate, not the hidden state
    # height and width of the frames, px: one peephole weight for each pixel, as in the paper, and
    # the network works at this size only; 0: one weight for each channel, at any size
    size: int = 0
    # initial weights of the peepholes: 0, or random and uniform (Glorot and Bengio 2010)
    peephole_init: Literal["zeros", "xavier"] = "zeros"
    # initial bias of the forget gates; 1 keeps the memory; 0: that of the other gates
    forget_bias: float = 1.0
    state_bias: bool = False  # the convolutions of the states have a bias, too
    head_bias: bool = True  # the output layer adds a bias

    def __post_init__(self):
        super().__post_init__()
        self._check_stride()
        if self.use_lstm_output and self.cell != "convlstm":
            raise ValueError(f"a {self.cell} has no output gate: use_lstm_output needs convlstm")
        self._check_motion()
        if self.size:
            self._check_size()
        if self.norm == "pixel" and not self.size:
            raise ValueError("the norm pixel has weights for each pixel: give the size of frames")
        self._check_initial_weights()

    def _check_stride(self) -> None:
        if self.stride == 2 and len(self.hidden) % 2:
            raise ValueError(f"stride 2 needs an even number of cells, not {len(self.hidden)}")
        if self.stride == 1 and (self.max_pool or not self.transpose):
            raise ValueError("stride 1 keeps the size: max_pool and transpose apply to stride 2")
        if self.pool_window < 0 or self.pool_window == 1:
            raise ValueError(f"pool_window is {self.pool_window}: 2 px or more, or 0")
        if self.pool_window != 2 and not self.max_pool:
            raise ValueError("pool_window is the window of max_pool: switch max_pool on")

    def _check_motion(self) -> None:
        for name in ("compare", "move"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be below 0")
        if self.compare % self.compare_step:
            raise ValueError(
                f"compare is {self.compare}: with patch {self.patch} it must be a multiple of "
                f"{self.compare_step} px"
            )
        if self.move and not self.skip:
            raise ValueError("move needs skip: it moves the frame that skips to the output layer")

    def _check_size(self) -> None:
        if self.size < 0 or self.size % self.size_multiple:
            raise ValueError(
                f"size {self.size} px does not divide by {self.size_multiple} (patch and halvings)"
            )
        has_peepholes = self.cell == "convlstm" and self.peephole
        if not has_peepholes and self.norm != "pixel":
            raise ValueError(
                "size is for peepholes of a convlstm and for the norm pixel: "
                "leave it at 0 without them"
            )

    def _check_initial_weights(self) -> None:
        has_peepholes = self.cell == "convlstm" and self.peephole
        if self.peephole_init != "zeros" and not has_peepholes:
            raise ValueError("peephole_init is for peepholes of a convlstm: leave it at zeros")
        has_forget_bias = self.cell == "convlstm" and (self.bias or self.norm)
        if self.forget_bias != 1 and not has_forget_bias:
            raise ValueError(
                "forget_bias is for a convlstm with bias or norm: leave it at 1 without them"
            )
        if self.state_bias and (self.norm or not self.bias):
            raise ValueError(
                "state_bias needs bias; with a norm, the states' convolutions have one anyway"
            )

    @property
    def size_multiple(self) -> int:
        halvings = len(self.hidden) // 2 if self.stride == 2 else 0
        return self.patch * 2**halvings

    @property
    def compare_step(self) -> int:
        """Distance between the displacements that are compared, px: half a patch if whole."""
        return self.patch if self.patch % 2 else self.patch // 2

    @property
    def displacements(self) -> int:
        """Number of displacements that are compared."""
        return (2 * self.compare // self.compare_step + 1) ** 2 if self.compare else 0

    @property
    def fewest_frames(self) -> int:
        return 2 if self.compare else 1

    @property
    def fixed_size(self) -> int:
        return self.size


@dataclass(frozen=True)
class EncoderForecasterConfig(ConvStackConfig):
    """The encoder-forecaster of the ConvLSTM paper (Shi et al. 2015)."""

    kind = "forecaster"

    # normalisation after each convolution: "layer" over all channels and pixels, "group" over
    # those of each gate
    norm: Literal["", "layer", "group"] = ""


@dataclass(frozen=True)
class FCLSTMConfig(NetworkConfig):
    """The fully connected LSTM of Shi et al. (2015), their baseline."""

    kind = "fclstm"

    hidden: tuple[int, ...] = (512,)  # hidden units of each cell
    peephole: bool = True  # the gates see the cell state
    size: int = 64  # height and width of the frames, px; the network works at this size only

    def __post_init__(self):
        _check_at_least_1(self, "hidden", "size")

    @property
    def fixed_size(self) -> int:
        return self.size


@dataclass(frozen=True)
class GuidedConfig(ConvStackConfig):
    """Lagrangian ConvLSTM: rain is advected along its motion, growth and decay are learned.

    It forecasts the probability that the rain rate exceeds each of ``RATES``.
    """

    kind = "guided"
    gives_probabilities = True
    takes_unobserved = True
    losses = PROBABILITY_LOSSES

    hidden: tuple[int, ...] = (32, 32)  # hidden channels of each cell
    kernel: tuple[int, ...] = (5, 3)  # kernel size of each cell, px; odd
    patch: int = 4  # space to depth before the first cell: patch × patch px become channels
    # normalisation after each convolution: "layer" over all channels and pixels, "group" over
    # those of each gate
    norm: Literal["", "layer", "group"] = "layer"
    motion: bool = True  # False: the rain stands still, to measure what the motion is worth
    # the cells also see how long each scale of this rain lasts, and where its motion converges
    lifetimes: bool = False
    # rain far beyond the edge is like that of the whole last frame; False: the same in all weathers
    edge: bool = False
    # hidden channels of further cells that see a region in pixels of 4 patches; 0: none
    coarse: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.coarse < 0:
            raise ValueError(f"coarse is {self.coarse}: it must not be below 0")

    @property
    def fewest_frames(self) -> int:
        return 2

    @property
    def size_multiple(self) -> int:
        return 4 * self.patch if self.coarse else self.patch


@dataclass(frozen=True)
class ClassifierConfig(ConvStackConfig):
    """A classifier of clips: cells with pooling between them, then one number for the clip."""

    kind = "classifier"
    classifies = True
    losses = LABEL_LOSSES

    hidden: tuple[int, ...] = (16, 32)  # hidden channels of each cell
    kernel: tuple[int, ...] = (3, 3)  # kernel size of each cell, px; odd
    # normalisation after each convolution: "layer" over all channels and pixels, "group" over
    # those of each gate
    norm: Literal["", "layer", "group"] = ""
    padding: Literal["same", "valid"] = "same"  # valid: the input convolutions see whole windows
    gate: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"  # convlstm: activation of the gates
    pool: int = 2  # window and step of max pooling between the cells, px; 1: none
    batch_norm: bool = True  # normalise the frames between the cells over the batch
    # map: a 1 × 1 convolution makes one map of the last hidden state, which is pooled to the
    # answer; dense: each channel is pooled, a linear layer makes the answer
    head: Literal["map", "dense"] = "map"
    pooling: Literal["max", "mean"] = "max"  # over all pixels
    dropout: float = 0.0  # share of the last channels that are left out in training

    def __post_init__(self):
        super().__post_init__()
        _check_at_least_1(self, "pool")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: it must be 0 or more and below 1")
        if self.gate != "sigmoid" and self.cell != "convlstm":
            raise ValueError("the gate hard_sigmoid is for a convlstm: leave it at sigmoid")
        if len(self.hidden) == 1 and (self.pool, self.batch_norm) != (1, False):
            raise ValueError(
                "pool and batch_norm stand between two cells, and there is only one: "
                "set pool to 1 and batch_norm to False"
            )


CONFIGS: dict[str, type[NetworkConfig]] = {
    config.kind: config
    for config in (
        ConvEDLSTMConfig,
        EncoderForecasterConfig,
        FCLSTMConfig,
        GuidedConfig,
        ClassifierConfig,
    )
}
FORECASTING = [kind for kind, config in CONFIGS.items() if not config.classifies]


def config_class(kind: str) -> type[NetworkConfig]:
    """The configuration class of a kind of network. Raises ValueError for an unknown kind."""
    if kind not in CONFIGS:
        raise ValueError(f"unknown kind of network {kind!r}: choose one of {', '.join(CONFIGS)}")
    return CONFIGS[kind]


def option_names(config: NetworkConfig | type[NetworkConfig]) -> list[str]:
    """Names of the options of a configuration, or of a configuration class."""
    return [field.name for field in fields(config)]


def check_choices(config) -> None:
    """Raise ValueError if a field of type Literal has another value."""
    for name, kind in get_type_hints(type(config)).items():
        if get_origin(kind) is not Literal:
            continue
        choices = get_args(kind)
        value = getattr(config, name)
        if value not in choices:
            shown = ", ".join(str(choice) or "''" for choice in choices)
            raise ValueError(f"unknown {name} {value!r}: choose one of {shown}")


def _check_at_least_1(config, *names: str) -> None:
    """Raise ValueError if a number, or one of several numbers, is below 1 or missing."""
    for name in names:
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers:
            raise ValueError(f"{name} is empty: the network needs at least one cell")
        if min(numbers) < 1:
            raise ValueError(f"{name} is {value}: it must be 1 or more")


# The network of the two best runs of Zampar (2025), for frames of 64 px: 4,273,424 weights
SEED = ConvEDLSTMConfig(
    hidden=(64, 32, 32, 16),
    kernel=(5, 5, 5, 5),
    patch=1,
    skip=False,
    size=64,
    norm="pixel",
    max_pool=True,
    pool_window=0,
    bias=False,
    head_bias=False,
    peephole_init="xavier",
    forget_bias=0.0,
)

# The shape of a classifier of videos in Keras, of a series of blog posts: two ConvLSTM2D layers
# without bias, max pooling and batch normalisation between them, global max pooling, one number
SEED_CLASSIFIER = ClassifierConfig(
    patch=1, peephole=False, bias=False, padding="valid", gate="hard_sigmoid", head="dense"
)
