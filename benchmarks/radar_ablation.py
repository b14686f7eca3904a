"""What the parts, the loss and the data of the guided network are worth, on unseen services.

    OMP_NUM_THREADS=1 python benchmarks/radar_ablation.py FOLDER... [--steps 300 --only NAME...]

FOLDER holds stores of radar, such as data/radar after recipes/radar.sh has filled it. Every variant
is trained for the same number of steps on the stores of network "a" of ``radar_events``: no
MeteoSwiss, no KNMI, and none of the days of March of the Italian service. On these three folds it
is judged: at most ``--cases`` forecasts of 12 leads of each event, from the central 256 × 256 px.

A run is kept in data/radar/ablation; an interrupted one continues when it is started again. About
seven minutes of one core (AMD EPYC with bfloat16) for a variant, and 6 GB of memory.

docs/results/radar_ablation.csv has one row for each variant, seed, fold and threshold; means
over events and leads:

- ``csi`` of the forecast, its squared error ``mse`` in (mm/h)², and its ``bias``: the area of all
  rain that was forecast over that of all observed rain;
- ``csi_unbiased``: CSI if the area of the forecast were that of the observed rain at each lead:
  of the pixels with the highest probabilities. It compares networks at equal frequency bias;
- ``brier``: Brier score of the probabilities.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import radar_events
import torch

from nowcastlib.data import (
    TrainingStores,
    centre,
    frames_at,
    mark_complete,
    open_frames,
    time_step,
    training_data,
)
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import Network
from nowcastlib.networks import GuidedConfig, build
from nowcastlib.training import FitOptions, TrainConfig, finished, fit
from nowcastlib.units import RATES, exceeds
from nowcastlib.verification import issue_times

RESULTS = Path("docs/results/radar_ablation.csv")
RUNS = Path("data/radar/ablation")
THRESHOLDS = (0.5, 2.0, 5.0)  # mm/h
LEADS = 12
SIZE = 256  # px
MEANS = ["csi", "csi_unbiased", "mse", "brier"]  # over the events
AREAS = ["area", "observed"]  # px; added up

ALL_PARTS = {"lifetimes": True, "edge": True, "coarse": 32}


class Variant(NamedTuple):
    """One network and its training."""

    model: dict = {}  # changes of the GuidedConfig  # noqa: RUF012
    loss: str = "exceedance"
    seed: int = 0
    events: int = 0  # stores of real rain to train on; 0: all, and synthetic rain
    trained: bool = True
    average: float = 0.0  # decay of an average of the weights


VARIANTS = {
    "base": Variant(),
    "all_parts": Variant(ALL_PARTS),
    "untrained": Variant(trained=False),
    "areas": Variant(loss="exceedance_areas"),
    "coarse": Variant({"coarse": 32}),
    "lifetimes": Variant({"lifetimes": True}),
    "edge": Variant({"edge": True}),
    "unbalanced": Variant(loss="exceedance_unbalanced"),
    "no_motion": Variant({"motion": False}),
    "average": Variant(average=0.98),
    "events_5": Variant(events=5),
    "events_10": Variant(events=10),
    "events_20": Variant(events=20),
    "base_seed_1": Variant(seed=1),
    "all_parts_seed_1": Variant(ALL_PARTS, seed=1),
    "base_seed_2": Variant(seed=2),
    "all_parts_seed_2": Variant(ALL_PARTS, seed=2),
}


def config_of(variant: Variant, steps: int) -> TrainConfig:
    """The configuration of recipes/radar.sh with the changes of a variant."""
    model = GuidedConfig((32, 32), (5, 3), patch=4, norm="layer", **variant.model)
    return TrainConfig().changed(
        model=model, n_in=6, n_out=LEADS, crop=160, vary=0.3, min_windows=1000,
        epochs=max(1, steps // 100), steps=min(steps, 100), batch=2, loss=variant.loss,
        weight_decay=1e-4, warmup=0.05, keep="last", precision="bf16", average=variant.average,
        seed=variant.seed,
    )  # fmt: skip


def stores_for(variant: Variant, folders: list[Path]) -> list[Path]:
    """The stores that a variant is trained on."""
    stores = radar_events.training_stores(folders, "a")
    if not variant.events:
        return stores
    real = [store for store in stores if store.stem != "synthetic"]
    return sorted(random.Random(0).sample(real, len(real))[: variant.events])


def network_of(name: str, folders: list[Path], steps: int) -> Network:
    """The network of a variant, trained if it is not yet."""
    variant, run = VARIANTS[name], RUNS / name
    config = config_of(variant, steps)
    if not variant.trained:
        torch.manual_seed(0)
        return Network(build(config.model), config)
    if not finished(run):
        validation = next(p for f in folders for p in f.glob(f"{radar_events.VALIDATION}.zarr"))
        data = TrainingStores(stores_for(variant, folders), [validation])
        train, held_out, description = training_data(data, config.windows, config.scale)
        options = FitOptions(resume=(run / "last.pt").exists(), description=description)
        fit(config, train, held_out, run, options)
    return Network.load(run)


def scores_of_event(network: Network, store: Path, cases: int) -> pd.DataFrame:
    """Scores of one event: one row for each threshold, means over the leads."""
    frames = mark_complete(centre(open_frames(store), SIZE))
    step = pd.Timedelta(minutes=time_step(frames))
    possible = issue_times(frames, n_in=network.n_in, leads=LEADS)
    forecasts, probabilities, observed = [], [], []
    for time in possible[:: -(-len(possible) // cases)]:
        past = frames_at(frames, time - step * np.arange(network.n_in)[::-1])
        future = frames_at(frames, time + step * np.arange(1, LEADS + 1))
        by_lead: list[np.ndarray] = []
        forecast = network.of_cases(
            past.values[None], LEADS, lambda logits, keep=by_lead: keep.append(probability(logits))
        )
        forecasts.append(forecast[0])
        probabilities.append(np.stack(by_lead))
        observed.append(future.values)
    return scores_of(np.stack(forecasts), np.stack(probabilities), np.stack(observed))


def probability(logits: torch.Tensor) -> np.ndarray:
    """Probabilities (threshold, y, x) of one lead, which do not rise with the threshold."""
    falling = torch.sigmoid(logits[0]).cummin(0).values
    return falling[[RATES.index(threshold) for threshold in THRESHOLDS]].numpy()


def scores_of(forecast: np.ndarray, probability: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Scores by threshold of forecasts (case, lead, y, x), pooled over the cases.

    ``probability`` is (case, lead, threshold, y, x). Pixels that were not observed do not count;
    pixels without a forecast are dry.
    """
    known = np.isfinite(observed)
    forecast = np.nan_to_num(forecast)
    error = [np.mean((forecast[:, i] - observed[:, i])[known[:, i]] ** 2) for i in range(LEADS)]
    rows = []
    for number, threshold in enumerate(THRESHOLDS):
        by_lead = []
        for lead in range(LEADS):
            seen = known[:, lead]
            truth = exceeds(observed[:, lead][seen], threshold)
            answer = exceeds(forecast[:, lead][seen], threshold)
            chance = probability[:, lead, number][seen]
            by_lead.append(scores_of_lead(truth, answer, chance))
        rows.append({"threshold": threshold, "mse": np.mean(error)} | averaged(by_lead))
    return pd.DataFrame(rows)


def scores_of_lead(truth: np.ndarray, answer: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    """Scores of yes-no forecasts and of probabilities, all (pixel,); NaN where nothing rained."""
    area = truth.sum()
    hits = (truth & answer).sum()
    best = np.argpartition(-chance, area - 1)[:area] if area else []
    hits_unbiased = truth[best].sum()
    either = area + answer.sum() - hits
    return {
        "csi": hits / either if either else np.nan,
        "csi_unbiased": hits_unbiased / (2 * area - hits_unbiased) if area else np.nan,
        "brier": np.mean((chance - truth) ** 2),
        "area": answer.sum(),
        "observed": area,
    }


def averaged(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over the leads; leads without rain are left out."""
    return pd.DataFrame(rows).mean().to_dict()


def score(name: str, network: Network, folders: list[Path], cases: int) -> pd.DataFrame:
    """One row for each fold and threshold."""
    variant = VARIANTS[name]
    tables = [
        scores_of_event(network, store, cases).assign(fold=fold)
        for fold in radar_events.NETWORKS["a"]
        for store in radar_events.test_stores(folders, fold)
    ]
    by_fold = pd.concat(tables).groupby(["fold", "threshold"], sort=False)
    areas = by_fold[AREAS].sum()
    means = by_fold[MEANS].mean().assign(bias=areas.area / areas.observed)
    means = means.round(4).reset_index()
    means.insert(0, "seed", variant.seed)
    means.insert(0, "variant", name.split("_seed_")[0])
    return means


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--cases", type=int, default=3, help="forecasts of an event, about")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()

    RUNS.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        kept = RUNS / f"{name}.csv"
        if not kept.exists():
            network = network_of(name, options.folders, options.steps)
            table = score(name, network, options.folders, options.cases)
            write_atomically(kept, table.to_csv(index=False).encode())
        table = pd.read_csv(kept)
        print(name, table.groupby("threshold")[[*MEANS, "bias"]].mean().round(3), flush=True)
    kept = [RUNS / f"{name}.csv" for name in VARIANTS]
    pd.concat([pd.read_csv(path) for path in kept if path.exists()]).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
