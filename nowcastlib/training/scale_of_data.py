"""The pixels and time steps of training data, for the run that is trained on them."""

import numpy as np
from torch.utils.data import ConcatDataset, Dataset

from nowcastlib.data import LabelledClips, RadarWindows, pixel_size
from nowcastlib.units import TrainedScale

Span = tuple[float, float]  # smallest and largest value


def trained_scale(dataset: Dataset) -> TrainedScale:
    """Find the range of pixel sizes and time steps of training data.

    Parameters
    ----------
    dataset : Dataset
        ``RadarWindows`` or ``LabelledClips``, or a ConcatDataset of them.

    Returns
    -------
    TrainedScale
        A range is None if it is not known of one of the parts: Moving MNIST has neither pixels in
        km nor minutes.
    """
    parts = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    parts = [part.windows if isinstance(part, LabelledClips) else part for part in parts]
    sides = [_sides(part) for part in parts]
    steps = [_steps(part) for part in parts]
    return TrainedScale(_union(sides), _union(steps))


def _sides(part: Dataset) -> Span | None:
    """Shorter and longer side of the middle pixel, km."""
    size = pixel_size(part.frames) if isinstance(part, RadarWindows) else None
    return (float(min(size)), float(max(size))) if size else None


def _steps(part: Dataset) -> Span | None:
    """Shortest and longest time step of the windows, minutes; each is the mean of its window."""
    if not isinstance(part, RadarWindows):
        return None
    times = part.frames.indexes["time"].to_numpy("datetime64[s]")[part.rows]  # (window, T)
    seconds = (times[:, -1] - times[:, 0]) / np.timedelta64(1, "s")
    steps = np.round(seconds / 60 / (times.shape[1] - 1), 1)
    return float(steps.min()), float(steps.max())


def _union(spans: list[Span | None]) -> Span | None:
    """From the smallest to the largest value of all spans, rounded; None if one is not known."""
    known = [span for span in spans if span]
    if len(known) < len(spans):
        return None
    return round(min(low for low, _ in known), 3), round(max(high for _, high in known), 3)
