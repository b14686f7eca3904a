"""Scores of the guided network on rain of other services, beside the best of four baselines.

    python benchmarks/radar_folds.py FOLDER...    # after recipes/radar.sh has trained the networks

FOLDER holds stores of radar, such as data/radar. Each event is forecast by a network which has seen
no radar of the same service, or of the same block of days; see ``radar_events``. At most
``--cases`` forecasts of 12 leads of each event, spread evenly, from the central 256 × 256 px. Every
event is kept in data/radar/scores; an interrupted run continues when it is started again.

- docs/results/radar.csv: CSI, frequency bias and mean squared error by event, forecaster and
  threshold: means over the leads (``lead`` is "mean"), and some leads;
- docs/results/radar_services.csv: the CSI of ``radar`` over that of the best of the four baselines
  *of each event and threshold*: the geometric mean over the events of a fold, over the folds
  ("all"), and the share of the events in which it is ahead. Events in which the best of four has a
  CSI below 0.05 do not count; a ratio below 0.05 counts as 0.05. ``bias`` is the median of a fold.

With --last-block these networks are judged, once, on the stores that none of them has seen; that is
written to docs/results/radar_last_block.csv and radar_last_block_services.csv.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import radar_events
import torch
import xarray as xr

from nowcastlib.data import open_frames
from nowcastlib.files import write_atomically
from nowcastlib.forecasting import Network, forecaster
from nowcastlib.networks import build
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, score

RESULTS = Path("docs/results")
RUNS = Path("data/radar")
BASELINES = ("persistence", "extrapolation", "sprog", "anvil")
LEADS = (1, 3, 6, 9, 12)  # steps; shown by themselves
LEAST_CSI = 0.05  # of the best baseline; below, a ratio says nothing
LEAST_RATIO = 0.05  # smaller ratios count as this one, so that a CSI of 0 has a logarithm


def score_event(store: Path, fold: str, run: Path, judged: str, cases: int) -> pd.DataFrame:
    """One row for each forecaster, threshold and lead; kept in a file.

    ``judged`` is "network", the one in the folder ``run``, or "baselines". An untrained network is
    scored with the baselines: it needs as many frames as the trained one, and so all forecasters
    have the same cases.
    """
    kept = RUNS / "scores" / f"{run.name if judged == 'network' else judged}-{store.stem}.csv"
    if kept.exists():
        return pd.read_csv(kept, dtype={"lead": str}).assign(fold=fold)
    network = Network.load(run)
    forecasters = {"radar": network}
    if judged == "baselines":
        forecasters = {name: forecaster(name) for name in BASELINES}
        forecasters["untrained"] = untrained(network)
    frames = open_frames(store)
    possible = len(issue_times(frames, network.n_in, leads=12))
    options = EvaluationOptions(every=-(-possible // cases), scales=(16,))

    counts = evaluate(frames, forecasters, options, progress=False)
    table = event_table(counts.sum("case"))
    table.insert(0, "fold", fold)
    table.insert(1, "event", store.stem)
    table["cases"] = counts.sizes["case"]
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, table.to_csv(index=False).encode())
    return table


def untrained(network: Network) -> Network:
    """The same network before its training."""
    torch.manual_seed(0)
    model = build(network.config.model)
    return Network(model, network.config, trained_at=network.trained_at)


def event_table(counts: xr.Dataset) -> pd.DataFrame:
    """Scores by forecaster, threshold and lead, with the means over the leads."""
    scores = xr.Dataset({name: score(counts, name) for name in ("csi", "bias", "mse")})
    scores = scores.isel(lead_time=slice(1, None))  # without the observation itself
    scores = scores.assign_coords(lead_time=np.arange(1, scores.sizes["lead_time"] + 1))
    mean = scores.mean("lead_time").expand_dims(lead_time=["mean"])
    some = scores.sel(lead_time=list(LEADS))
    some = some.assign_coords(lead_time=[str(lead) for lead in LEADS])
    table = xr.concat([mean, some], "lead_time").rename(lead_time="lead")
    order = ["forecaster", "threshold", "lead"]
    return table.to_dataframe(dim_order=order)[["csi", "bias", "mse"]].reset_index().round(4)


def ratios(table: pd.DataFrame, name: str = "radar") -> pd.DataFrame:
    """CSI and squared error of a forecaster over the best of four, by event, threshold and lead."""
    keys = ["fold", "event", "threshold", "lead"]
    best = table[table.forecaster.isin(BASELINES)].groupby(keys, sort=False)
    best = best.agg(best_csi=("csi", "max"), best_mse=("mse", "min"))
    own = table[table.forecaster == name].set_index(keys)
    joined = own.join(best)
    ratio = (joined.csi / joined.best_csi).clip(lower=LEAST_RATIO)
    joined = joined.assign(csi=ratio, mse=joined.mse / joined.best_mse)
    return joined[joined.best_csi >= LEAST_CSI].reset_index()


def by_service(table: pd.DataFrame, name: str = "radar") -> pd.DataFrame:
    """Ratios of a forecaster by fold, threshold and lead; "all" gives each fold the same weight."""
    found = ratios(table, name)
    keys = ["fold", "threshold", "lead"]
    groups = found.assign(
        ratio=np.log(found.csi), error=np.log(found.mse), ahead=found.csi > 1
    ).groupby(keys, sort=False)
    summary = groups.agg(
        events=("event", "nunique"), ratio=("ratio", "mean"), ahead=("ahead", "mean"),
        bias=("bias", "median"), mse_ratio=("error", "mean"),
    )  # fmt: skip
    everything = summary.groupby(["threshold", "lead"], sort=False).mean()
    everything["events"] = summary.groupby(["threshold", "lead"], sort=False).events.sum()
    summary = pd.concat([summary, pd.concat({"all": everything}, names=["fold"])])
    logs = ["ratio", "mse_ratio"]
    summary[logs] = np.exp(summary[logs])
    summary = summary.round(3).reset_index().astype({"events": int})
    summary.insert(0, "forecaster", name)
    return summary


def score_events(events: list[tuple[Path, str, Path]], cases: int) -> pd.DataFrame:
    """Score events (store, fold, folder of a network) in two processes, baselines included."""
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        jobs = [
            pool.submit(score_event, *event, judged, cases)
            for event in events
            for judged in ("baselines", "network")
        ]
        return pd.concat([job.result() for job in jobs])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--cases", type=int, default=4, help="forecasts of an event, about")
    parser.add_argument("--last-block", action="store_true")
    options = parser.parse_args()
    if options.last_block:
        stores = radar_events.last_block(options.folders)
        events = [
            (store, name, RUNS / f"group_{name}")
            for name in radar_events.NETWORKS
            for store in stores
        ]
        names = "radar_last_block.csv", "radar_last_block_services.csv"
    else:
        events = [
            (store, fold, RUNS / f"group_{radar_events.network_of(fold)}")
            for fold in radar_events.FOLDS
            for store in radar_events.test_stores(options.folders, fold)
        ]
        names = "radar.csv", "radar_services.csv"
    table = score_events(events, options.cases)
    table.to_csv(RESULTS / names[0], index=False)
    summary = pd.concat([by_service(table, name) for name in ("radar", "untrained")])
    summary.to_csv(RESULTS / names[1], index=False)
    print(summary.query("lead in ('mean', '12')").to_string())


if __name__ == "__main__":
    main()
