"""Networks that forecast frames from frames: (B, T, C, H, W) → (B, n_out, C, H, W).

Inputs are in model units (0 = dry … 1), 0 where not observed; outputs are logits: ``sigmoid`` makes frames (of a
guided network: probabilities of more than each of ``RATES``, in place of the channels).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nowcastlib.networks import motion
from nowcastlib.networks import scales as rain_scales
from nowcastlib.networks.cells import ConvGRUCell, ConvLSTMCell, LSTMCell
from nowcastlib.units import RATES, RainScale

CELLS = {"convlstm": ConvLSTMCell, "convgru": ConvGRUCell}


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
            if self.size % self.coarsest:
                raise ValueError(
                    f"frames of {self.size} px do not divide by {self.coarsest} (patch and halvings)"
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
    def coarsest(self) -> int:
        """Frames are padded to a multiple of so many px: ``patch`` and, in a convedlstm, all halvings."""
        halves = self.kind == "convedlstm" and self.stride == 2
        return self.patch * 2 ** (len(self.hidden) // 2 if halves else 0)


def build(config: ModelConfig, channels: int = 1) -> nn.Module:
    """The network of a configuration; all have ``forward(x, n_out, truth=None, coins=None)``."""
    return KINDS[config.kind](config, channels)


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


def compile_cells(model: nn.Module) -> None:
    """Let torch.compile fuse one step of each cell, in place; the first batch then takes longer."""
    for cell in model.modules():
        if isinstance(cell, tuple(CELLS.values())):
            cell._gates = torch.compile(cell._gates)


class ConvEDLSTM(nn.Module):
    """Conv-Encoder-Decoder-LSTM (Zampar 2025): a stack of ConvLSTM cells through which one frame at a time passes up.

    Every cell keeps its state; what comes out at the top is the next frame, and the next input while forecasting.
    """

    def __init__(self, config: ModelConfig, channels: int = 1):
        super().__init__()
        self.config = config
        n, outs = len(config.hidden), channels * config.patch**2
        self.cells, c = nn.ModuleList(), outs
        double, size = (
            "nearest" if config.transpose is False else "transpose",
            config.size // config.patch,
        )
        for k, (hidden, kernel) in enumerate(zip(config.hidden, config.kernel, strict=True)):
            options, first = {}, k < n // 2
            if config.stride == 2:
                options = {"stride": 2, "pool": config.max_pool} if first else {"double": double}
                size = size // 2 if first else size * 2
            if config.cell == "convlstm":
                options |= {"gate_out": config.use_lstm_output} | (
                    {"size": (size, size)} if size else {}
                )
            self.cells.append(_cell(config, c, hidden, kernel, **options))
            c = hidden
        self.head = nn.Conv2d(c + (outs if config.skip else 0), outs, 1)
        if config.skip:  # untrained, it answers nearly with the frame that entered: training starts at persistence
            with torch.no_grad():
                self.head.weight[:, c:] = torch.eye(outs)[..., None, None]
                self.head.bias.zero_()

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``: (B, T, C, H, W) → (B, n_out, C, H, W); any height and width.

        Scheduled sampling (Bengio et al. 2015): where ``coins`` (B, n_out - 1; bool) is true the next input is the
        true frame of ``truth`` (B, n_out, C, H, W), else the network's own. Without coins: free rollout. (Coins may
        also be tossed for single pixels of patches: (B, n_out - 1, C·patch², H/patch, W/patch); it does not help.)
        """
        height, width = x.shape[-2:]
        x = _pack(x, self.config)  # (B, T, C·patch², H/patch, W/patch)
        up, states = x, []
        for cell in self.cells:  # the observed frames are all known: layer by layer
            up, state = cell.sequence(up)
            states.append(state)
        last, top = x[:, -1], up[:, -1]
        if coins is not None:
            truth, coins = _pack(truth, self.config), coins[(..., *[None] * (5 - coins.ndim))]
        outputs = []
        for t in range(n_out):
            if t:
                last = torch.sigmoid(outputs[-1])
                if coins is not None:
                    last = torch.where(coins[:, t - 1], truth[:, t - 1], last)
                top = last
                for k, cell in enumerate(self.cells):  # these are not: frame by frame
                    top, states[k] = cell(top, states[k])
            entered = [torch.logit(last, eps=0.01)] if self.config.skip else []
            outputs.append(self.head(torch.cat([top, *entered], 1)))
        logits = torch.stack(outputs, 1).contiguous()  # (B, n_out, C·patch², H/patch, W/patch)
        return F.pixel_shuffle(logits, self.config.patch)[..., :height, :width]


class EncoderForecaster(nn.Module):
    """The encoding-forecasting network of Shi et al. 2015 (arXiv 1506.04214, section 3.2).

    The encoder's cells read the frames; the forecaster's start from copies of their last states. The first of them
    takes no input, each other the one below; all their hidden states together make a frame, by a 1 × 1 convolution.
    No forecast is fed back, so there is nothing to sample: ``coins`` are refused with a ValueError.
    """

    def __init__(self, config: ModelConfig, channels: int = 1):
        super().__init__()
        self.config, outs = config, channels * config.patch**2
        below = [outs, *config.hidden]  # channels that enter each cell
        shapes = list(zip(config.hidden, config.kernel, strict=True))
        self.encoder = nn.ModuleList(
            _cell(config, c, *shape) for c, shape in zip(below, shapes, strict=False)
        )
        below[0] = 0
        self.forecaster = nn.ModuleList(
            _cell(config, c, *shape) for c, shape in zip(below, shapes, strict=False)
        )
        self.head = nn.Conv2d(sum(config.hidden), outs, 1)

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``: (B, T, C, H, W) → (B, n_out, C, H, W); any height and width."""
        if coins is not None:
            raise ValueError(
                "an encoder-forecaster feeds nothing back, there is nothing to sample: set sampling to 0"
            )
        height, width = x.shape[-2:]
        hidden = self._unroll(_pack(x, self.config), n_out)
        logits = self.head(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2]).contiguous()
        return F.pixel_shuffle(logits, self.config.patch)[..., :height, :width]

    def _unroll(self, up: Tensor, n_out: int) -> Tensor:
        """All hidden states of the forecaster: (B, T, …) → (B, n_out, sum of hidden, …)."""
        states = []
        for cell in self.encoder:
            up, state = cell.sequence(up)
            states.append(state)
        up, seen = None, []
        for cell, state in zip(self.forecaster, states, strict=True):
            up, _ = cell.sequence(up, state, n_out)
            seen.append(up)
        return torch.cat(seen, 2)


class FCLSTM(EncoderForecaster):
    """The fully connected LSTM of Shi et al. 2015 as their baseline: a frame is one vector, a state has no place.

    For frames of ``config.size`` px only; others raise ValueError. ``patch`` has no meaning here.
    """

    def __init__(self, config: ModelConfig, channels: int = 1):
        nn.Module.__init__(self)
        self.config, self.frame = config, (channels, config.size, config.size)
        pixels = channels * config.size**2
        self.encoder = nn.ModuleList(
            LSTMCell(n, h, config.peephole)
            for n, h in zip((pixels, *config.hidden), config.hidden, strict=False)
        )
        self.forecaster = nn.ModuleList(
            LSTMCell(n, h, config.peephole)
            for n, h in zip((0, *config.hidden), config.hidden, strict=False)
        )
        self.head = nn.Linear(sum(config.hidden), pixels)

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the ``n_out`` frames after ``x``: (B, T, C, H, W) → (B, n_out, C, H, W)."""
        if coins is not None:
            raise ValueError(
                "an encoder-forecaster feeds nothing back, there is nothing to sample: set sampling to 0"
            )
        if x.shape[2:] != self.frame:
            raise ValueError(
                f"this network is for frames of {self.frame}, not {tuple(x.shape[2:])}"
            )
        return self.head(self._unroll(x.flatten(2), n_out)).unflatten(2, self.frame)


class MotionGuided(nn.Module):
    """A forecaster that is given the motion of the rain and learns only what becomes of it; one channel.

    ``motion.flow`` finds the motion; past frames are laid over the last one along it, so that cells of stride 1 see
    each parcel of rain grow or decay in its place. From the same frames ``rain_scales.memory`` measures how long each
    scale of this very rain lasts; what is lost of it becomes doubt. So each parcel has a probability of more than each
    of ``RATES``: a logistic distribution about the rain that is left. For each lead the cells then answer, pixel by
    pixel, how much more or less of each scale to keep, by which factor to change the rain, what to add, how sure that
    is, and a correction for each rate. The probabilities are carried along the motion, interpolated once; what comes
    from beyond the edge is taken to be like the rain at the edge, the less so the farther it comes. All corrections
    start at zero: untrained, this is S-PROG (Seed 2003) with probabilities. Nothing is fed back, so there is nothing to
    sample: ``coins`` are refused with a ValueError.
    """

    recent = 4  # frames of which the motion is found

    def __init__(self, config: ModelConfig, channels: int = 1):
        super().__init__()
        if channels != 1:
            raise ValueError(f"a guided network carries one channel, not {channels}")
        self.config, squares = config, config.patch**2
        below = [2 * squares + 2, *config.hidden]  # a frame, where it is known, and the motion
        shapes = list(zip(config.hidden, config.kernel, strict=True))
        self.encoder = nn.ModuleList(
            _cell(config, c, *shape) for c, shape in zip(below, shapes, strict=False)
        )
        below[0] = squares + 2
        self.forecaster = nn.ModuleList(
            _cell(config, c, *shape) for c, shape in zip(below, shapes, strict=False)
        )
        self.head = nn.Conv2d(config.hidden[-1], (3 + rain_scales.SCALES + len(RATES)) * squares, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        levels = torch.tensor(RainScale().to_model(np.array(RATES)), dtype=torch.float32)
        self.levels = nn.Parameter(levels.view(-1, 1, 1))  # model units
        self.beyond = nn.Parameter(
            torch.tensor([[-1.0], [-2.0]]).repeat(1, len(RATES))
        )  # log decay, and towards what

    def velocity(self, frames: Tensor) -> Tensor:
        """Motion (B, 2, H, W) in px per step of the rain in frames (B, T, H, W)."""
        return motion.flow(frames[:, -self.recent :]) * self.config.motion

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the probability of more than each of ``RATES`` in the frames after ``x``.

        (B, T, 1, H, W) with T of 2 or more → (B, n_out, len(RATES), H, W).
        """
        if coins is not None:
            raise ValueError(
                "a guided network feeds nothing back, there is nothing to sample: set sampling to 0"
            )
        path, _, logits = self.parcels(x, n_out)
        keep = torch.exp(
            -self.beyond[0].exp().view(-1, 1, 1) * motion.outside(path) / 32
        )  # (B, n_out, rate, H, W)
        elsewhere = self.beyond[1].view(-1, 1, 1)
        carried = motion.sample(logits.flatten(0, 1), path.flatten(0, 1)).unflatten(
            0, path.shape[:2]
        )
        return elsewhere + (carried - elsewhere) * keep

    def parcels(self, x: Tensor, n_out: int) -> tuple[Tensor, Tensor, Tensor]:
        """What becomes of each parcel of rain, where it is now: ``path`` (B, n_out, 2, H, W) of ``motion.follow``, the
        rain (B, n_out, 1, H, W; model units), and logits (B, n_out, len(RATES), H, W)."""
        if x.shape[1] < 2:
            raise ValueError("one frame has no motion: give 2 or more")
        steps, (height, width) = x.shape[1] - 1, x.shape[-2:]
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            velocity = self.velocity(x[:, :, 0].float())
            path = motion.follow(velocity, max(n_out, steps))  # (B, leads, 2, H, W)
            known = [(x[:, -1 - k], path[:, k - 1]) for k in range(steps, 0, -1)]
            known = [
                motion.sample(torch.cat([f, torch.ones_like(f)], 1).float(), d, "zeros")
                for f, d in known
            ]
            now = x[:, -1].float()
            known.append(torch.cat([now, torch.ones_like(now)], 1))
            scales = [rain_scales.divide(f[:, :1]) for f in known]  # of each frame (B, scale, H, W)
            laid = [f[:, 1:] > 0.99 for f in known[-2::-1]]
            at_once, each_step = rain_scales.memory(
                scales[-1], torch.stack(scales[-2::-1], 1), torch.stack(laid, 1).to(now.dtype)
            )
            energy = rain_scales.energy(scales[-1])
        wind = F.avg_pool2d(_pad(velocity, self.config) / 10, self.config.patch)  # about 1
        up = torch.stack([torch.cat([_pack(f, self.config), wind], 1) for f in known], 1)
        states, rain, logits = [], [now], []
        for cell in self.encoder:
            up, state = cell.sequence(up)
            states.append(state)
        for k in range(n_out):
            up = torch.cat([_pack(rain[-1], self.config), wind], 1)
            for i, cell in enumerate(self.forecaster):
                up, states[i] = cell(up, states[i])
            change = F.pixel_shuffle(self.head(up), self.config.patch)[..., :height, :width].float()
            factor, source, sure, more, each = change.split(
                [1, 1, 1, rain_scales.SCALES, len(RATES)], 1
            )
            left = at_once * each_step ** (k + 1)  # (B, scale, 1, 1)
            rain.append(((left + more) * scales[-1]).sum(1, keepdim=True) * (1 + factor) + source)
            doubt = (
                ((1 - left**2) * energy).sum(1, keepdim=True).sqrt()
            )  # standard deviation of what is lost
            logits.append(
                (rain[-1] - self.levels) / (0.03 + 0.55 * doubt) * sure.clamp(-3, 3).exp() + each
            )
        return path[:, :n_out], torch.stack(rain[1:], 1), torch.stack(logits, 1)


KINDS = {
    "convedlstm": ConvEDLSTM,
    "forecaster": EncoderForecaster,
    "fclstm": FCLSTM,
    "guided": MotionGuided,
}


def _cell(config: ModelConfig, channels: int, hidden: int, kernel: int, **options) -> nn.Module:
    if config.cell == "convlstm":
        options["peephole"] = config.peephole
    for name in ("state_kernel", "norm", "leaky_slope", "bias"):
        options[name] = getattr(config, name)
    return CELLS[config.cell](channels, hidden, kernel, **options)


def _pad(x: Tensor, config: ModelConfig) -> Tensor:
    """Height and width become what the network needs."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % config.coarsest, 0, -height % config.coarsest))


def _pack(x: Tensor, config: ModelConfig) -> Tensor:
    """Pad, then space to depth."""
    return F.pixel_unshuffle(_pad(x, config), config.patch)
