"""Are the members of `radar` right? Reliability, ranks and power on rain of other services.

    OMP_NUM_THREADS=1 python benchmarks/radar_members.py FOLDER... [--events 2 --cases 2]

FOLDER holds stores of radar, such as data/radar after recipes/radar.sh. The networks of the folds
of ``radar_events`` forecast ten members of 12 leads: some cases of the first and the last events of
each fold, from the central 256 × 256 px. docs/results/radar_members.csv has a row for each number:

- ``reliability``: how often it rained more than the threshold where ``at`` was forecast, all leads;
- ``rank``: share of the observations with the rank ``at`` among the members, times 11, so that 1 is
  flat; all leads, pixels with rain in a member or the observation;
- ``power``: power of a member at a wavelength of 8 px (about 8 km) over the observed one, after
  ``at`` leads.

Every fold weighs alike in "all"; there, ``power`` is the geometric mean. About ten minutes of one
core.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import radar_events
import xarray as xr

from nowcastlib.data import open_frames
from nowcastlib.forecasting import Network
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times

RESULTS = Path("docs/results/radar_members.csv")
RUNS = Path("data/radar")
MEMBERS, LEADS = 10, 12
SIZE = 256  # px; side of the square that is forecast
POWER_LEADS = (3, 6, 12)
WAVELENGTH = 8.0  # px
SUMS = ["probability_events", "probability_forecasts", "ranks", "member_power", "observed_power"]


def sums_of_event(network: Network, store: Path, cases: int) -> xr.Dataset:
    """Sums over the cases of an event."""
    frames = open_frames(store)
    possible = len(issue_times(frames, network.n_in, LEADS))
    every = -(-possible // cases)
    options = EvaluationOptions(LEADS, (0.5, 2.0), SIZE, every=every, scales=(16,))
    counts = evaluate(frames, {"members": network}, options, progress=False)
    counts = counts[SUMS].sum("case").isel(forecaster=0, lead_time=slice(1, None), drop=True)
    steps = np.arange(1, LEADS + 1)
    waves = np.arange(1, counts.sizes["wavelength"] + 1)  # in the frame
    return counts.assign_coords(lead_time=steps, wavelength=SIZE / waves)


def rows_of_fold(counts: xr.Dataset) -> pd.DataFrame:
    """The numbers of a fold from its sums."""
    over_leads = counts.sum("lead_time")
    found = over_leads.probability_events / over_leads.probability_forecasts
    reliability = found.to_series().rename_axis(index={"probability": "at"}).rename("value")
    ranks = over_leads.ranks / over_leads.ranks.sum() * (MEMBERS + 1)
    ranks = ranks.to_series().rename_axis(index={"rank": "at"}).rename("value")
    power = counts.member_power / counts.observed_power
    power = power.sel(wavelength=WAVELENGTH, lead_time=list(POWER_LEADS))
    power = power.drop_vars("wavelength").to_series()
    power = power.rename_axis(index={"lead_time": "at"}).rename("value")
    named = {"reliability": reliability, "rank": ranks, "power": power}
    return pd.concat([s.reset_index().assign(score=name) for name, s in named.items()])


def averaged(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the folds; of the power the geometric mean."""
    keys = ["score", "threshold", "at"]
    logs = table.score == "power"
    values = table.assign(value=table.value.where(~logs, np.log(table.value)))
    mean = values.groupby(keys, dropna=False, sort=False).value.mean().reset_index()
    mean["value"] = mean.value.where(mean.score != "power", np.exp(mean.value))
    return mean.assign(fold="all")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--events", type=int, default=2, help="events of a fold")
    parser.add_argument("--cases", type=int, default=2, help="forecasts of an event, about")
    options = parser.parse_args()

    tables = []
    for fold in radar_events.FOLDS:
        run = RUNS / f"group_{radar_events.network_of(fold)}"
        network = Network.load(run, members=MEMBERS)
        stores = radar_events.test_stores(options.folders, fold)
        chosen = sorted({round(i) for i in np.linspace(0, len(stores) - 1, options.events)})
        counts = sum(sums_of_event(network, stores[number], options.cases) for number in chosen)
        tables.append(rows_of_fold(counts).assign(fold=fold))
        print(tables[-1].to_string(), flush=True)
    table = pd.concat(tables)
    table = pd.concat([table, averaged(table)])[["fold", "score", "threshold", "at", "value"]]
    table.round(3).to_csv(RESULTS, index=False)
    print(table[table.fold == "all"].to_string())


if __name__ == "__main__":
    main()
