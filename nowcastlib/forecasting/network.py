"""A trained network as a forecaster."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from nowcastlib.data import Window
from nowcastlib.devices import multiplies_bfloat16
from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import ensembles, probabilities
from nowcastlib.networks import (
    ForecastNetwork,
    FrameNetwork,
    MotionGuided,
    network_input,
)
from nowcastlib.training import (
    TrainConfig,
    load,
    load_description,
    load_trained_scale,
    return_memory,
)
from nowcastlib.units import DRY, TrainedScale, exceeds

LARGE_GRID = 700 * 700  # px; from this size on, memory matters more than time
Note = Callable[[Tensor], None]  # gets the logits (case, rate, y, x) of one lead time


class Network:
    """Forecaster that runs a trained network.

    Any number of steps can be forecast, also more than the network was trained for. Dry frames
    give a dry forecast. Pixels that are lost in some of the frames are filled from the others, see
    ``networks.fill_unobserved``; pixels that no frame shows are dry. There is no forecast where
    the last frame is not observed; rain that comes from there is a guess of the network.

    Parameters
    ----------
    model : ForecastNetwork
        The network, see ``nowcastlib.networks``.
    config : TrainConfig
        The configuration with which it was trained.
    members : int
        Number of members of the ensemble; 0 for a single forecast. The same frames always give
        the same members.
    training_data : str
        What it was trained on, as ``training_data`` of the data room describes it; "" if unknown.
    trained_at : TrainedScale
        Pixels and time steps that it was trained at. This class takes frames as they are; see
        ``at_trained_scale`` for frames of other sizes.

    Raises
    ------
    NowcastError
        For members of a network that does not forecast probabilities.
    """

    def __init__(
        self,
        model: ForecastNetwork,
        config: TrainConfig,
        members: int = 0,
        training_data: str = "",
        trained_at: TrainedScale = TrainedScale(),  # noqa: B008 (frozen)
    ):
        if config.windows.channels > 1:
            raise NowcastError(
                "this network forecasts colours, not rain: load it with forecasting.forecaster, "
                "and give it frames of data.open_colours"
            )
        if config.model.classifies:
            raise NowcastError(
                f"a {config.model.kind} forecasts no frames: use nowcast classify predict, or name "
                "a network that forecasts"
            )
        if members and not config.model.gives_probabilities:
            raise NowcastError("only a network that forecasts probabilities has members")
        self.model = model.eval()
        if isinstance(model, MotionGuided):
            trained_in_bfloat16 = config.run.precision == "bf16"
            model.cells_in_bfloat16 = trained_in_bfloat16 and multiplies_bfloat16(self.device)
        self.config = config
        self.members = members
        self.training_data = training_data
        self.trained_at = trained_at

    @classmethod
    def load(cls, run: str | Path, members: int = 0, device: str = "auto") -> "Network":
        """The network with the best weights of a run's folder, on a GPU where there is one.

        Raises
        ------
        NowcastError
            If the folder holds no network that can be read, or if there is no such device.
        """
        model, config = load(run, device)
        return cls(model, config, members, load_description(run), load_trained_scale(run))

    @property
    def n_in(self) -> int:
        """Number of frames that it needs."""
        return self.config.windows.n_in

    @property
    def device(self) -> torch.device:
        """The device that it runs on: that of the model's weights."""
        return next(self.model.parameters()).device

    def __call__(self, observed: np.ndarray, n: int) -> np.ndarray:
        """Rain rate (n, y, x), or (member, n, y, x), in mm/h after ``observed`` (T, y, x)."""
        return self.of_cases(observed[None], n)[0]

    def with_chances(
        self, observed: np.ndarray, n: int, windows: Sequence[Window]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The forecast and, from the same run of the network, its probabilities at some places.

        Parameters
        ----------
        observed : np.ndarray
            Rain rate (T, y, x) in mm/h, NaN where not observed.
        n : int
            Number of steps to forecast.
        windows : sequence of Window
            Pixels of each place.

        Returns
        -------
        np.ndarray
            Rain rate (n, y, x), or (member, n, y, x), in mm/h.
        np.ndarray or None
            Probabilities (n, place, rate), see ``probabilities.chances``; None of an ensemble, and
            of a network that forecasts none.
        """
        by_lead: list[np.ndarray] = []

        def note(logits: Tensor) -> None:
            by_lead.append(probabilities.chances(logits[0], windows))

        rate = self.of_cases(observed[None], n, note if windows else None)[0]
        return rate, np.stack(by_lead) if by_lead else None

    @torch.inference_mode()
    def of_cases(self, observed: np.ndarray, n: int, note: Note | None = None) -> np.ndarray:
        """Forecasts of several cases at once, which keeps a GPU busy.

        Parameters
        ----------
        observed : np.ndarray
            Rain rate (case, T, y, x) in mm/h, NaN where not observed.
        n : int
            Number of steps to forecast.
        note : callable, optional
            Called with the logits (case, rate, y, x) of each lead time, where there are any.

        Returns
        -------
        np.ndarray
            Rain rate (case, n, y, x) in mm/h; of an ensemble (case, member, n, y, x).
        """
        self._check_size(*observed.shape[2:])
        if observed[0, 0].size >= LARGE_GRID:
            return_memory()
        scale = self.config.scale
        recent = torch.from_numpy(observed[:, -self.n_in :].astype("f4")).to(self.device)
        x = network_input(scale.to_model(recent)[:, :, None], self.config.model)  # (B, T, 1, H, W)

        if isinstance(self.model, MotionGuided):
            now = torch.where(
                torch.isnan(recent[:, -1]), scale.from_model(x[:, -1, 0]), recent[:, -1]
            )
            rate = self._rate_from_probabilities(now, x, n, note)
        else:
            logits = self.model(x, n)  # (B, n, channel, H, W)
            rate = cast(FrameNetwork, self.model).rain_rate(logits, scale)[:, :, 0]

        # (B, n, H, W), or (B, member, n, H, W)
        forecasts = rate.cpu().numpy()
        for forecast, frames in zip(forecasts, observed, strict=True):
            if not exceeds(frames[-self.n_in :].astype("f4"), DRY).any():
                forecast[:] = 0
            forecast[~exceeds(forecast, DRY)] = 0
            forecast[..., ~np.isfinite(frames[-1])] = np.nan
        return forecasts

    def _check_size(self, height: int, width: int) -> None:
        """NowcastError if the network works on another size of frames only."""
        size = self.config.model.fixed_size
        if size and (height, width) != (size, size):
            raise NowcastError(
                f"the frames have {height}×{width} px, and this network works on {size}×{size} px "
                f"only: cut them with --size {size} (in Python: data.centre)"
            )

    def _rate_from_probabilities(self, now: Tensor, x: Tensor, n: int, note: Note | None) -> Tensor:
        """Forecasts (B, n, H, W), or ensembles (B, member, n, H, W), in mm/h.

        ``now`` are the last frames (B, H, W) in mm/h, ``x`` (B, T, 1, H, W) all frames in model
        units. Pixels that no frame shows are NaN.
        """
        if self.members:
            return torch.stack([self._members_of(frames[None], n) for frames in x])

        scale = self.config.scale
        rates = []  # of each lead time: (B, H, W)
        for logits in cast(MotionGuided, self.model).leads(x, n):  # each (B, rate, H, W)
            if note:
                note(logits)
            thresholds = [
                probabilities.matched_threshold(*case) for case in zip(logits, now, strict=True)
            ]
            matched = torch.stack(thresholds)
            rates.append(probabilities.expected_within_class(logits, matched, scale))
        return torch.stack(rates, 1)

    def _members_of(self, x: Tensor, n: int) -> Tensor:
        """The members (member, n, H, W) in mm/h of one case (1, T, 1, H, W)."""
        network = cast(MotionGuided, self.model)
        past = network.past(x, n)
        logits = torch.cat(list(network.leads(x, n, past)))  # (n, rate, H, W)
        texture = torch.nan_to_num(x[0, -1, 0])
        memory = past.decay[0, :, 0, 0]
        noise = ensembles.correlated_noise(texture, past.path[0, :n], self.members, memory)
        return ensembles.ensemble(logits, noise, self.config.scale)
