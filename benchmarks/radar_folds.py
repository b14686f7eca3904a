"""Scores of the guided network on unseen events: each event by a network trained without it.

    python benchmarks/radar_folds.py          # after recipes/radar.sh has made stores and networks

For each event about a dozen forecasts of 12 leads from the central 256 × 256 km, pooled:

- docs/results/radar.csv: CSI, frequency bias, MSE, CRPS, and the power at 8 km of the forecast and
  of a member of its ensemble, by forecaster, threshold and lead;
- docs/results/radar_ablation.csv: means over the leads of networks that lack one part. They are
  trained for less time than the others, all for the same number of steps.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

from nowcastlib.data import open_frames
from nowcastlib.forecasting import MEMBERS, Network, forecaster
from nowcastlib.networks import build
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, score

FOLDS = ("mch2015", "mch2017", "fmi", "knmi", "bom")
VARIANTS = ("full", "no_pretraining", "no_motion", "no_balance")
CASES = 12  # for each event, about
RESULTS = Path("docs/results")
BASELINES = ("persistence", "extrapolation", "sprog", "anvil")


def pooled_counts(frames: xr.DataArray, forecasters: dict) -> xr.Dataset:
    """Sums of the forecasters over about a dozen cases, and the number of ``cases``."""
    possible = len(issue_times(frames, n_in=6, leads=12))
    options = EvaluationOptions(every=-(-possible // CASES), scales=(16,))
    counts = evaluate(frames, forecasters, options)
    return counts.sum("case").assign(cases=counts.sizes["case"])


def scores_table(counts: xr.Dataset, event: str) -> pd.DataFrame:
    """One row for each forecaster, threshold and lead."""
    scores = {name: score(counts, name) for name in ("csi", "bias", "mse", "crps")}
    for name in ("spectrum", "member_spectrum"):
        scores[f"{name}_8km"] = score(counts, name).sel(wavelength=8, method="nearest", drop=True)
    order = ["forecaster", "threshold", "lead_time"]
    table = xr.Dataset(scores).to_dataframe(dim_order=order)[list(scores)].reset_index()

    observed = (counts.hits + counts.misses).isel(forecaster=0).sum("lead_time").to_series()
    table.insert(0, "fold", event)
    table["cases"] = int(counts.cases)
    table["observed_px"] = table.threshold.map(observed).astype(int)
    return table.round(4)


def evaluate_fold(data: Path, event: str) -> pd.DataFrame:
    """Scores of the network that was trained without an event, of its ensemble and baselines."""
    run = data / f"fold_{event}"
    forecasters = {"radar": Network.load(run), "radar-members": Network.load(run, MEMBERS)}
    forecasters |= {name: forecaster(name) for name in BASELINES}
    frames = open_frames(data / f"{event}.zarr")
    return scores_table(pooled_counts(frames, forecasters), event)


def evaluate_ablation(data: Path) -> pd.DataFrame:
    """Scores of the networks that lack a part, and of an untrained one, on an unseen event."""
    forecasters = {name: Network.load(data / name) for name in VARIANTS}
    config = forecasters["full"].config
    forecasters["untrained"] = Network(build(config.model), config)
    counts = pooled_counts(open_frames(data / "mch2015.zarr"), forecasters)
    table = mean_over_leads(scores_table(counts, "mch2015"))
    return table.rename(columns={"forecaster": "variant"})


def mean_over_leads(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the lead times after 0, by event, threshold and forecaster."""
    by = ["fold", "threshold", "forecaster"]
    scores = ["csi", "bias", "mse", "crps"]
    return table[table.lead_time > 0].groupby(by, sort=False)[scores].mean().round(4).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/radar"), help="folder of the stores and networks"
    )
    data = parser.parse_args().data
    runs = [*(f"fold_{fold}" for fold in FOLDS), *VARIANTS]
    needed = [*(data / f"{fold}.zarr" for fold in FOLDS), *(data / run for run in runs)]
    if missing := [str(path) for path in needed if not path.exists()]:
        parser.error(f"make {', '.join(missing)} first: bash recipes/radar.sh ARCHIVE MRMS")
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        folds = [pool.submit(evaluate_fold, data, event) for event in FOLDS]
        ablation = pool.submit(evaluate_ablation, data).result()
        table = pd.concat([fold.result() for fold in folds])

    table.to_csv(RESULTS / "radar.csv", index=False)
    mean = mean_over_leads(table)
    print(mean.pivot_table("csi", ["fold", "threshold"], "forecaster", sort=False).round(3))
    ablation.to_csv(RESULTS / "radar_ablation.csv", index=False)
    print(ablation.pivot_table("csi", "variant", "threshold", sort=False).round(3))


if __name__ == "__main__":
    main()
