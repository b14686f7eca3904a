"""The guided network on rain that it has never seen: every event judged by a network that was trained without it.

    python benchmarks/radar_folds.py          # after recipes/radar.sh has made stores and networks

For each fold, a dozen forecasts of 12 leads from the central 256 × 256 km, pooled: docs/results/radar.csv (CSI,
frequency bias, MSE, power at 8 km of a forecast and of a member of its ensemble, CRPS; by forecaster, threshold and
lead) and radar_ablation.csv (means over the leads, of networks trained for less than the others, all for as long).
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

from nowcastlib.data import store
from nowcastlib.forecasting import MEMBERS, Network, forecaster
from nowcastlib.networks import build
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, score

FOLDS = ("mch2015", "mch2017", "fmi", "knmi", "bom")
VARIANTS = ("full", "no_pretraining", "no_motion", "no_balance")
RESULTS = Path("docs/results")
BASELINES = ("persistence", "extrapolation", "sprog", "anvil")


def judged(frames: xr.DataArray, runs: dict) -> xr.Dataset:
    """Pooled counts of the forecasters on about a dozen cases (see ``verification.evaluate``)."""
    cases = len(issue_times(frames, 6, 12, 1))
    counts = evaluate(frames, runs, EvaluationOptions(every=-(-cases // 12), scales=(16,)))
    return counts.sum("case").assign(cases=counts.sizes["case"])


def rows(pooled: xr.Dataset, fold: str) -> pd.DataFrame:
    """One row a forecaster, threshold and lead."""
    scores = {name: score(pooled, name) for name in ("csi", "bias", "mse", "crps")}
    for name in ("spectrum", "member_spectrum"):
        scores[f"{name}_8km"] = score(pooled, name).sel(wavelength=8, method="nearest", drop=True)
    order = ["forecaster", "threshold", "lead_time"]
    found = xr.Dataset(scores).to_dataframe(dim_order=order)[list(scores)].reset_index()
    observed = (pooled.hits + pooled.misses).isel(forecaster=0).sum("lead_time").to_series()
    found.insert(0, "fold", fold)
    return found.assign(
        cases=int(pooled.cases), observed_px=found.threshold.map(observed).astype(int)
    ).round(4)


def judge(data: Path, fold: str) -> pd.DataFrame:
    """A fold's network, an ensemble of it, and what there is to beat."""
    run = data / f"fold_{fold}"
    runs = {"radar": Network.load(run), "radar-members": Network.load(run, MEMBERS)}
    runs |= {name: forecaster(name) for name in BASELINES}
    return rows(judged(store.open_frames(data / f"{fold}.zarr"), runs), fold)


def judge_ablation(data: Path) -> pd.DataFrame:
    """The networks of the ablation, and one that was not trained at all, on the event that none of them has seen."""
    runs = {name: Network.load(data / name) for name in VARIANTS}
    config = runs["full"].config
    runs["untrained"] = Network(build(config.model), config)
    found = rows(judged(store.open_frames(data / "mch2015.zarr"), runs), "mch2015")
    return of_leads(found, ["fold", "threshold", "forecaster"]).rename(
        columns={"forecaster": "variant"}
    )


def of_leads(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means over the leads after the first."""
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
        of_folds = [pool.submit(judge, data, fold) for fold in FOLDS]
        ablation = pool.submit(judge_ablation, data).result()
        table = pd.concat([of_fold.result() for of_fold in of_folds])
    table.to_csv(RESULTS / "radar.csv", index=False)
    mean = of_leads(table, ["fold", "threshold", "forecaster"])
    print(mean.pivot_table("csi", ["fold", "threshold"], "forecaster", sort=False).round(3))
    ablation.to_csv(RESULTS / "radar_ablation.csv", index=False)
    print(ablation.pivot_table("csi", "variant", "threshold", sort=False).round(3))


if __name__ == "__main__":
    main()
