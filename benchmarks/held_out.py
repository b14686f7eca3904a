"""Scores of forecasters on groups of held-out stores: skill, fading, explosion.

    python benchmarks/held_out.py docs/results/convedlstm.csv convedlstm,persistence,extrapolation \
        NAME=STORE,STORE… NAME=STORE… [--size 256] [--every 3]

One row for each group of stores and forecaster, over all its cases: mean CSI over 12 lead times
(``csi_0.5`` …), the forecast area over the observed area at the last of them (``bias_0.5`` …), and
``largest``: the highest rain rate of a forecast over the highest one in its input frames, of the
case where this is largest. Forecasts are those of the central square of ``--size`` px. A pixel
without a forecast counts as dry. Groups that OUT holds already are left as they are.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.data import centre, open_frames
from nowcastlib.forecasting import Forecaster, at_trained_scale, forecast, forecaster
from nowcastlib.verification import EvaluationOptions, evaluate, issue_times, mean_csi, score


def count_all(
    stores: list[xr.DataArray], runs: Mapping[str, Forecaster], options: EvaluationOptions
) -> xr.Dataset:
    """Counts of several stores together, for lead times above 0."""
    counts = [evaluate(frames, runs, options, progress=False).sum("case") for frames in stores]
    total = sum(counts[1:], counts[0])
    return total.sel(lead_time=total.lead_time > 0)


def scores(counts: xr.Dataset, leads: int) -> dict[str, float]:
    """Mean CSI over the first lead times, and the frequency bias at the last of them."""
    first = counts.isel(lead_time=slice(0, leads))
    csi = mean_csi(first).to_series()
    bias = score(first, "bias").isel(lead_time=-1).to_series()
    found = {f"csi_{threshold:g}": value for threshold, value in csi.items()}
    return found | {f"bias_{threshold:g}": value for threshold, value in bias.items()}


def largest(frames: xr.DataArray, run: Forecaster, options: EvaluationOptions) -> float:
    """The highest rain rate of a forecast over that of its input frames; of the worst case."""
    frames = centre(frames, options.size) if options.size else frames
    run = at_trained_scale(run, frames, "the forecaster")
    ratios = [0.0]
    for at in issue_times(frames, run.n_in, options.leads, options.every):
        seen = float(frames.sel(time=slice(None, at))[-run.n_in :].max())
        if seen > 0:
            ratios.append(float(forecast(run, frames, at, options.leads).max()) / seen)
    return float(np.nanmax(ratios))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("forecasters", help="names or folders of runs, with commas between")
    parser.add_argument("groups", nargs="+", metavar="NAME=STORE,STORE…")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--every", type=int, default=3)
    given = parser.parse_args()

    options = EvaluationOptions(size=given.size, every=given.every, scales=(1,))
    runs = {Path(name).name: forecaster(name) for name in given.forecasters.split(",")}
    rows = pd.read_csv(given.out).to_dict("records") if given.out.exists() else []
    for group in given.groups:
        name, _, paths = group.partition("=")
        if name in {row["group"] for row in rows}:
            continue
        stores = [open_frames(path).load() for path in paths.split(",")]
        counts = count_all(stores, runs, options)
        for label, run in runs.items():
            found = scores(counts.sel(forecaster=label), options.leads)
            worst = max(largest(frames, run, options) for frames in stores)
            rows.append({"group": name, "forecaster": label} | found | {"largest": worst})
        pd.DataFrame(rows).round(4).to_csv(given.out, index=False)
        print(pd.DataFrame(rows).round(3).tail(len(runs)).to_string(), flush=True)


if __name__ == "__main__":
    main()
