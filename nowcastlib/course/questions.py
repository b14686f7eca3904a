"""Clips of the course's rain for notebook 08, with a question that has both answers."""

from functools import cache
from pathlib import Path

from torch.utils.data import ConcatDataset

from nowcastlib.course.presets import preset
from nowcastlib.course.rain import data_folder, frames
from nowcastlib.data import TrainingStores, feeds, ingest, labels_of, training_clips
from nowcastlib.errors import NowcastError
from nowcastlib.training import TrainConfig

QUESTIONS = (5.0, 2.0, 1.0, 0.5, 0.2)  # rain rates to ask for, mm/h


def clips_of_rain(config: TrainConfig) -> tuple[TrainConfig, ConcatDataset, ConcatDataset]:
    """Clips of the course's rain, with a question that has both answers.

    Parameters
    ----------
    config : TrainConfig
        Configuration of a classifier; its rate is replaced.

    Returns
    -------
    config : TrainConfig
        With the highest of ``QUESTIONS`` that at least a twentieth of the clips of each part answer
        with yes, and a twentieth with no; if there is none, the rate with the rarer answer most
        frequent.
    training, unseen : ConcatDataset
        Clips of 60 % and of 40 % of the events.

    Notes
    -----
    If the course's rain has no such question, for example because it is a single event, the clips
    are those of synthetic rain, and a printed line says so.
    """
    path = data_folder() / "frames.zarr"
    if not path.exists():
        frames()
    try:
        return _question(config, path)
    except NowcastError as mistake:
        synthetic = feeds.demo.Demo(preset().events, size=preset().pixels, seed=1)
        _print_once(f"These clips are synthetic rain. In the course's own rain: {mistake}")
        return _question(config, ingest(synthetic, data_folder() / "synthetic.zarr"))


@cache
def _print_once(text: str) -> None:
    """Print a line, unless this process has printed it before."""
    print(text)


def _question(config: TrainConfig, path: Path) -> tuple[TrainConfig, ConcatDataset, ConcatDataset]:
    """Configuration and clips of ``clips_of_rain``; NowcastError if no rate has both answers."""
    stores = TrainingStores([path], shares=(0.6, 0.4, 0))
    found = []
    for rate in QUESTIONS:
        asked = config.changed(rate=rate)
        try:
            parts = training_clips(stores, asked.windows, asked.clips, asked.scale)[:2]
        except NowcastError as error:
            mistake = error
            continue
        rarer = min(min(r, 1 - r) for r in (labels_of(part).mean() for part in parts))
        found.append((rarer, asked, *parts))
        if rarer >= 0.05:
            break
    if not found:
        raise mistake
    return max(found, key=lambda question: question[0])[1:]
