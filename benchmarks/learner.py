"""What the parts of the network of notebook 05 are worth, on storms that the course does not use.

    python benchmarks/learner.py docs/results/learner.csv [--seeds 1] [--preset laptop] [--steps 25]

Trains the network of a preset on as many synthetic storms as the preset has, of seed 101, and
variants of it with the same number of steps. Scores are those of 8 unseen storms (seed 202), 12
lead times, free forecasts of the whole frame; ``csi_…`` is the mean over the lead times that the
network was trained for, ``csi_12_…`` over all twelve; ``bias_…`` is the area forecast over the area
observed at the last lead time trained for and at the twelfth; ``largest`` is the highest rain rate
of a forecast over the highest one in its input frames, of the worst case. A variant takes 2 minutes
of one core; an interrupted benchmark continues when it is started again.
"""

import argparse
import tempfile
from pathlib import Path
from time import process_time

import pandas as pd
import xarray as xr
from held_out import count_all, largest, scores

from nowcastlib.course import PRESETS
from nowcastlib.data import ingest, open_frames
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.data.window_options import TrainingStores
from nowcastlib.data.windows import training_data
from nowcastlib.forecasting import Forecaster, Network, forecaster
from nowcastlib.training import FitOptions, TrainConfig, fit
from nowcastlib.verification import EvaluationOptions

VARIANTS = {
    "the network of notebook 05": {},
    "frames not compared": {"compare": 0},
    "frames not moved": {"move": 0},
    "neither": {"compare": 0, "move": 0},
    "no scheduled sampling": {"sampling": 0.0},
    "no curriculum": {"curriculum": ()},
    "no layer norm": {"norm": ""},
    "loss kl": {"loss": "kl"},
}
LEADS = 12
OPTIONS = EvaluationOptions(leads=LEADS, size=0, every=6, scales=(1,))


def storms(folder: Path, events: int, seed: int) -> Path:
    """A store of synthetic storms of 128 px."""
    return ingest(Demo(events, size=128, seed=seed), folder / f"storms_{seed}.zarr")


def row(frames: xr.DataArray, run: Forecaster, trained_for: int) -> dict[str, float]:
    """Scores of one forecaster; see above."""
    counts = count_all([frames], {"run": run}, OPTIONS).sel(forecaster="run")
    found = scores(counts, trained_for)
    over_all = {name.replace("_", "_12_"): value for name, value in scores(counts, LEADS).items()}
    return found | over_all | {"largest": largest(frames, run, OPTIONS)}


def trained(config: TrainConfig, store: Path, folder: Path) -> tuple[Network, dict]:
    """A trained network, and what its training cost."""
    train, validation, _ = training_data(TrainingStores([store]), config.windows)
    began = process_time()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        model, _ = fit(config, train, validation, Path(out) / "run", FitOptions(progress=False))
        network = Network.load(Path(out) / "run", device="cpu")
    weights = sum(p.numel() for p in model.parameters())
    return network, {"cpu_seconds": process_time() - began, "weights": weights}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", default="laptop", choices=PRESETS)
    parser.add_argument("--steps", type=int, help="batches an epoch; default: the preset's")
    options = parser.parse_args()

    preset = PRESETS[options.preset]
    rows = pd.read_csv(options.out).to_dict("records") if options.out.exists() else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = storms(folder, preset.events, seed=101)
        frames = open_frames(storms(folder, 8, seed=202)).load()
        trained_for = preset.radar.windows.n_out
        jobs = [("persistence", 0), ("extrapolation", 0)]
        jobs += [(variant, seed) for seed in range(options.seeds) for variant in VARIANTS]
        for variant, seed in jobs:
            if any((done["variant"], done["seed"]) == (variant, seed) for done in rows):
                continue
            cost: dict = {}
            if variant in VARIANTS:
                steps = options.steps or preset.radar.run.steps
                config = preset.radar.changed(**VARIANTS[variant], seed=seed, steps=steps)
                run, cost = trained(config, store, folder)
            else:
                run = forecaster(variant)
            rows.append({"variant": variant, "seed": seed} | cost | row(frames, run, trained_for))
            print(pd.Series(rows[-1]).to_string(), flush=True)
            pd.DataFrame(rows).round(4).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
