"""A Lagrangian ConvLSTM: rain is advected, its growth and decay are learned."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nowcastlib.networks import motion, past_frames, stacks
from nowcastlib.networks import scales as rain_scales
from nowcastlib.networks.base import ForecastNetwork
from nowcastlib.networks.coarse_level import CoarseLevel
from nowcastlib.networks.config import GuidedConfig
from nowcastlib.networks.packing import pack, pad, unpack
from nowcastlib.units import RATES, ModelScale

MOTION_FRAMES = 4  # newest frames from which the motion is estimated
TYPICAL_SPEED = 10.0  # px per step; velocities are divided by it before the cells see them
TYPICAL_CONVERGENCE = 0.05  # 1 per step; convergence is divided by it
LARGE_FRAME = 2**19  # px; from this size on, forecasts save memory rather than time
LEAST_SHARE = 1e-3  # of the pixels of a frame; smaller shares of rain count as this one
EDGE_DISTANCE = 32.0  # px; unit of the distance beyond the edge
SURE_SPREAD = (
    0.03  # model units; spread of the logistic distribution if nothing of the rain is lost
)
SPREAD_PER_LOSS = 0.55  # spread of a logistic distribution with standard deviation 1


class Past(NamedTuple):
    """The observed rain when the forecast starts."""

    velocity: Tensor  # (B, 2, H, W), px per step
    path: Tensor  # (B, steps, 2, H, W), px; see ``motion.follow``
    frames: list[Tensor]  # T of (B, 2, H, W); see ``past_frames.advect_to_last``
    scales: Tensor  # (B, scale, H, W), of the last frame
    intercept: Tensor  # (B, scale, 1, 1); see ``scales.persistence_of_scales``
    decay: Tensor  # (B, scale, 1, 1)
    energy: Tensor  # (B, scale, H, W), of the last frame
    surroundings: Tensor  # (B, C, H/patch, W/patch); see ``MotionGuided._surroundings``


class Corrections(NamedTuple):
    """What the cells answer for one lead time; all are 0 before training."""

    factor: Tensor  # (B, 1, H, W): relative growth or decay of the rain
    source: Tensor  # (B, 1, H, W): rain that is added, model units
    sureness: Tensor  # (B, 1, H, W): log of the factor by which the distribution is sharper
    kept: Tensor  # (B, scale, H, W): share of each scale that is kept in addition
    rates: Tensor  # (B, rate, H, W): correction of each logit


class Parcels(NamedTuple):
    """Forecasts for parcels of rain, at the place where each parcel is now."""

    path: Tensor  # (B, n_out, 2, H, W), px; see ``motion.follow``
    rain: Tensor  # (B, n_out, 1, H, W), model units
    logits: Tensor  # (B, n_out, rate, H, W)


class MotionGuided(ForecastNetwork):
    """Forecasts the probability that the rain rate exceeds each of ``RATES``.

    The motion of the rain is estimated, not learned. Past frames are advected to the time of the
    last one, so that cells of stride 1 see each parcel of rain grow or decay in its place. The same
    frames show how long each scale of this rain lasts. The forecast is a logistic distribution
    around the rain that is left; the more rain has decayed, the wider it is. For each lead time and
    pixel the cells return ``Corrections``. The probabilities are then advected along the motion,
    interpolated once. Beyond the edge the rain is taken to be like the rain at the edge, the less
    so the farther away. Untrained, all corrections are 0, and the network is S-PROG with
    probabilities. No forecast is fed back. One channel; any height and width.

    Parameters
    ----------
    config : GuidedConfig
    channels : int
        1; other numbers raise ValueError.

    References
    ----------
    Seed 2003, J. Appl. Meteorol. 42 (S-PROG). Germann and Zawadzki 2002, Mon. Weather Rev. 130.
    """

    config: GuidedConfig
    cells_in_bfloat16 = False  # all else in float32; training has its own precision

    def __init__(self, config: GuidedConfig, channels: int = 1):
        super().__init__(config)
        if channels != 1:
            raise ValueError(f"a guided network works on one channel, not {channels}")

        patch = config.patch**2
        around = 2 + config.lifetimes * (1 + 2 * rain_scales.N_SCALES)  # motion and what is known
        self.encoder = stacks.make_stack(config, 2 * patch + around)  # rain, its mask
        self.forecaster = stacks.make_stack(config, patch + around)  # rain
        self.split = [1, 1, 1, rain_scales.N_SCALES, len(RATES)]  # channels of the Corrections
        self.head = nn.Conv2d(config.hidden[-1], sum(self.split) * patch, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        if config.coarse:
            self.coarse = CoarseLevel(config, around, sum(self.split) * patch)

        self.levels = nn.Parameter(_levels(ModelScale()))  # the rates, model units
        # For each rate: log of the decay with the distance beyond the edge, and the logit far away
        self.beyond = nn.Parameter(torch.tensor([[-1.0], [-2.0]]).repeat(1, len(RATES)))
        if config.edge:  # for each rate: how much the logit far away follows that of the frame
            self.alike = nn.Parameter(torch.zeros(len(RATES)))

    def velocity(self, frames: Tensor) -> Tensor:
        """Motion (B, 2, H, W), px per step, of the rain in frames (B, T, H, W).

        Pixels that are not observed are NaN.
        """
        recent = frames[:, -MOTION_FRAMES:]
        observed = torch.isfinite(recent)
        return motion.flow(torch.nan_to_num(recent), observed=observed) * self.config.motion

    @torch.no_grad()
    def start_with_scale(self, scale: ModelScale) -> None:
        """Set ``levels`` to the rates in model units of a scale."""
        self.levels.copy_(_levels(scale))

    def forward(
        self, x: Tensor, n_out: int, truth: Tensor | None = None, coins: Tensor | None = None
    ) -> Tensor:
        """Logits of the probability that the rain rate exceeds each of ``RATES``.

        (B, T, 1, H, W) with T of 2 or more → (B, n_out, rate, H, W). See
        ``ForecastNetwork.forward``.
        """
        self.refuse_coins(coins)
        return torch.stack(list(self.leads(x, n_out)), 1)

    def leads(self, x: Tensor, n_out: int, past: Past | None = None) -> Iterator[Tensor]:
        """Logits (B, rate, H, W) of one lead time after another.

        They are those of ``forward``. Who needs one lead time only once saves the memory of the
        others, which decides how large a grid can be. ``past`` is what the method of that name
        measures, if it is known already.
        """
        past = past or self.past(x, n_out)
        far_away = self._far_away(x[:, -1])
        paths = past.path.unbind(1)
        for displacement, (_, logits) in zip(paths, self._each_lead(past, n_out), strict=False):
            yield self._advect(logits, displacement, far_away)

    def _advect(self, logits: Tensor, displacement: Tensor, far_away: Tensor) -> Tensor:
        """Logits (B, rate, H, W) of parcels where the parcels arrive; (B, 2, H, W) in px."""
        advected = motion.sample(logits, displacement)

        # Beyond the edge, the logits approach those of rain far away.
        decay = self.beyond[0].exp().view(-1, 1, 1)
        distance = motion.distance_outside(displacement)  # (B, 1, H, W)
        weight = torch.exp(-decay * distance / EDGE_DISTANCE)  # (B, rate, H, W)
        return far_away + (advected - far_away) * weight

    @staticmethod
    def probabilities(logits: Tensor) -> Tensor:
        """Probabilities that the rain rate exceeds each of ``RATES``, shaped as ``logits``."""
        return torch.sigmoid(logits)

    def parcels(self, x: Tensor, n_out: int) -> Parcels:
        """Forecast growth and decay of each parcel of rain, at the place where it is now.

        Parameters
        ----------
        x : Tensor
            Observed frames (B, T, 1, H, W) in model units, T of 2 or more; fewer raise ValueError.
        n_out : int
            Number of frames to forecast.
        """
        past = self.past(x, n_out)
        rain, logits = zip(*self._each_lead(past, n_out), strict=True)
        return Parcels(past.path[:, :n_out], torch.stack(rain, 1), torch.stack(logits, 1))

    def _each_lead(self, past: Past, n_out: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Rain (B, 1, H, W) and logits (B, rate, H, W) of the parcels, lead by lead."""
        size = past.velocity.shape[-2:]
        around = past.surroundings

        seen = (torch.cat([self._pack(frame), around], 1) for frame in past.frames)
        with self._precision():
            if size.numel() >= LARGE_FRAME and not torch.is_grad_enabled():
                states = stacks.read_one_by_one(self.encoder, seen)
            else:
                _, states = stacks.read(self.encoder, torch.stack(list(seen), 1))
            if self.config.coarse:
                coarse_states = self.coarse.read(past.frames, around)

        rain = past.frames[-1][:, :1]
        for lead in range(1, n_out + 1):
            inputs = torch.cat([self._pack(rain), around], 1)  # (B, patch² + C, …)
            with self._precision():
                top, states = stacks.step(self.forecaster, inputs, states)
                answer = self.head(top)
                if self.config.coarse:
                    added, coarse_states = self.coarse.step(rain, around, coarse_states)
                    answer = answer + added
            corrections = self._corrections(answer, size)

            left = past.intercept * past.decay**lead  # (B, scale, 1, 1)
            rain = self._rain_left(past, left, corrections)
            yield rain, self._logits(rain, past, left, corrections)

    def _precision(self) -> AbstractContextManager:
        """The context in which the cells run."""
        if not self.cells_in_bfloat16:
            return nullcontext()  # or that of the training, which is around this one
        return torch.autocast(self.levels.device.type, torch.bfloat16)

    @torch.no_grad()
    def past(self, x: Tensor, n_out: int) -> Past:
        """Measure motion and persistence, in float32 and without gradients.

        Parameters
        ----------
        x : Tensor
            Observed frames (B, T, 1, H, W) in model units, NaN where not observed.
        n_out : int
            Number of frames to forecast.

        Raises
        ------
        ValueError
            For a single frame.
        """
        if x.shape[1] < self.config.fewest_frames:
            raise ValueError("one frame has no motion: give 2 or more frames")
        with torch.autocast(x.device.type, enabled=False):
            steps = x.shape[1] - 1
            velocity = self.velocity(x[:, :, 0].float())
            path = motion.follow(velocity, max(n_out, steps))
            frames = past_frames.advect_to_last(x, path)

            now = rain_scales.decompose(frames[-1][:, :1])
            intercept, decay = past_frames.persistence(now, frames[-2::-1])
            energy = rain_scales.local_energy(now)
            around = self._surroundings(velocity, intercept, decay)
        return Past(velocity, path, frames, now, intercept, decay, energy, around)

    def _surroundings(self, velocity: Tensor, intercept: Tensor, decay: Tensor) -> Tensor:
        """What the cells see besides the rain, about 1: (B, C, H/patch, W/patch).

        The motion; with ``config.lifetimes`` also its convergence, and how long each scale lasts.
        """
        seen = velocity / TYPICAL_SPEED
        if self.config.lifetimes:
            convergence = motion.convergence(velocity) / TYPICAL_CONVERGENCE
            seen = torch.cat([seen, convergence], 1)
        means = F.avg_pool2d(pad(seen, self.config.size_multiple), self.config.patch)
        if not self.config.lifetimes:
            return means
        lasts = torch.cat([intercept, decay], 1).expand(-1, -1, *means.shape[-2:])
        return torch.cat([means, lasts], 1)

    def _far_away(self, last: Tensor) -> Tensor:
        """Logits (B or 1, rate, 1, 1) of rain far beyond the edge of the last frame (B, 1, H, W).

        With ``config.edge`` they follow the share of the observed pixels that exceed each rate.
        """
        logits = self.beyond[1].view(1, -1, 1, 1)
        if not self.config.edge:
            return logits
        observed = torch.isfinite(last).sum((-2, -1), keepdim=True).clamp(min=1)
        above = (torch.nan_to_num(last) > self.levels).sum((-2, -1), keepdim=True)
        share = (above / observed).clamp(LEAST_SHARE, 1 - LEAST_SHARE)  # (B, rate, 1, 1)
        return logits + self.alike.view(-1, 1, 1) * torch.logit(share)

    def _pack(self, frame: Tensor) -> Tensor:
        return pack(frame, self.config.patch, self.config.size_multiple)

    def _corrections(self, answer: Tensor, size: torch.Size) -> Corrections:
        """Maps of the frame's size from the output layer's (B, C·patch², H/patch, W/patch)."""
        maps = unpack(answer, self.config.patch, size).float()
        return Corrections(*maps.split(self.split, 1))

    def _rain_left(self, past: Past, left: Tensor, corrections: Corrections) -> Tensor:
        """Rain (B, 1, H, W), model units, if the share ``left`` (B, scale, 1, 1) is left."""
        kept = ((left + corrections.kept) * past.scales).sum(1, keepdim=True)
        return kept * (1 + corrections.factor) + corrections.source

    def _logits(self, rain: Tensor, past: Past, left: Tensor, corrections: Corrections) -> Tensor:
        """Logits (B, rate, H, W) of a logistic distribution about the rain (B, 1, H, W)."""
        # Standard deviation of what is lost: (B, 1, H, W)
        lost = ((1 - left**2) * past.energy).sum(1, keepdim=True).sqrt()
        spread = SURE_SPREAD + SPREAD_PER_LOSS * lost
        sharpness = corrections.sureness.clamp(-3, 3).exp()
        return (rain - self.levels) / spread * sharpness + corrections.rates


def _levels(scale: ModelScale) -> Tensor:
    """``RATES`` in model units, (rate, 1, 1)."""
    levels = scale.to_model(np.array(RATES))
    return torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1)
