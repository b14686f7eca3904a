"""Can a network tell synthetic rain from real rain? And a figure that sets both side by side.

    python benchmarks/real_or_synthetic.py STORE.zarr STORE.zarr …    # real radar

A small convolutional network sees squares of 64 km, three frames of ten minutes each, with at least
a tenth of rain. Both sorts of rain are rounded to whole decibels between 0.2 and 50 mm/h, so that
the network cannot answer by the digits of a radar's files. It is judged on events (and storms) that
it was not trained on, in two folds: docs/results/real_or_synthetic.json has the area under its ROC
curve, where 0.5 means that it guesses. docs/gallery/rain.png is the figure.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from rain_statistics import Window, real_windows
from sklearn.metrics import roc_auc_score
from torch import nn

from nowcastlib.data import storm_kinds, storms
from nowcastlib.display import rain_scale
from nowcastlib.units import DRY

SIZE = 64  # px of a square
MINUTES = 10  # between the three frames of a square
MIN_WET = 0.1
WEAKEST, STRONGEST = 10 * np.log10(0.2), 10 * np.log10(50)  # dB
EPOCHS, BATCH = 12, 32
STORMS = 24  # of each kind
RESULTS = Path("docs/results/real_or_synthetic.json")
FIGURE = Path("docs/gallery/rain.png")
SHOWN = {  # events of the figure, by the names of their stores
    "mrms_wave_039_SW": "United States (NOAA MRMS)",
    "dpc_nitaly_20250312_0400": "northern Italy (DPC, CC BY-SA 4.0)",
    "dpc_italy_20250416_north": "Italy, 16 April 2025 (DPC, CC BY-SA 4.0)",
    "dpc_nitaly_20250301_1330": "northern Italy (DPC, CC BY-SA 4.0)",
}


def squares(windows: list[Window], per_window: int, rng: np.random.Generator) -> np.ndarray:
    """Random squares (N, 3, y, x) of the windows, in model units 0 … 1."""
    drawn = []
    for rain, step in windows:
        lag = round(MINUTES / step)
        for _ in range(per_window):
            t = rng.integers(len(rain) - 2 * lag)
            y, x = rng.integers(rain.shape[1] - SIZE + 1, size=2)
            square = rain[t : t + 2 * lag + 1 : lag, y : y + SIZE, x : x + SIZE]
            if (square > 2 * DRY).mean() > MIN_WET:
                drawn.append(np.rot90(square, rng.integers(4), (1, 2)))
    return rounded(np.array(drawn, "f4").reshape(-1, 3, SIZE, SIZE))


def rounded(rain: np.ndarray) -> np.ndarray:
    """Rain rate in whole decibels, scaled to 0 (dry) … 1."""
    decibel = np.round(10 * np.log10(np.maximum(rain, 1e-3)))
    decibel = np.where(decibel < WEAKEST, np.floor(WEAKEST), np.minimum(decibel, STRONGEST))
    return ((decibel - WEAKEST) / (STRONGEST - WEAKEST)).astype("f4")


def day_of(store: str) -> str:
    """The part of a store's name that all stores of one weather share."""
    found = re.match(r"\D+_\d{6}|\D+_\d{3}|.*", store)
    return found[0] if found else store


def network() -> nn.Module:
    """Four convolutions, then the mean over the square: one number, large for synthetic rain."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((3, 16), (16, 32), (32, 48), (48, 48)):
        layers += [nn.Conv2d(n_in, n_out, 3, 2, 1), nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 1))


def auc(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Train on (real, synthetic) squares; the area under the ROC curve on others."""
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    sets = [[torch.from_numpy(half) for half in pair] for pair in (train, test)]

    n = min(len(half) for half in sets[0])
    for _ in range(EPOCHS):
        orders = [torch.randperm(len(half))[:n] for half in sets[0]]
        for k in range(0, n - BATCH // 2, BATCH // 2):
            parts = [
                half[order[k : k + BATCH // 2]] for half, order in zip(sets[0], orders, strict=True)
            ]
            labels = torch.cat([torch.full((len(part),), float(i)) for i, part in enumerate(parts)])
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(torch.cat(parts))[:, 0], labels
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    model.eval()
    with torch.no_grad():
        outputs = [model(half)[:, 0].numpy() for half in sets[1]]
    truth = np.repeat([0, 1], [len(half) for half in outputs])
    return float(roc_auc_score(truth, np.concatenate(outputs)))


def two_folds(real: dict[str, list[Window]], synthetic: list[Window]) -> dict:
    """AUC of both folds and their mean."""
    rng = np.random.default_rng(0)
    days = sorted({day_of(name) for name in real})
    halves = []
    for fold in (0, 1):
        windows = [w for name in real for w in real[name] if days.index(day_of(name)) % 2 == fold]
        others = [w for n, w in enumerate(synthetic) if n % 2 == fold]
        halves.append((squares(windows, 12, rng), squares(others, 12, rng)))

    areas = [round(auc(halves[1 - fold], halves[fold]), 3) for fold in (0, 1)]
    counts = {
        sort: sum(len(half[k]) for half in halves) for k, sort in enumerate(("real", "synthetic"))
    }
    return {
        "auc": areas,
        "mean_auc": round(float(np.mean(areas)), 3),
        "squares": counts,
        "days": days,
    }


def figure(real: dict[str, list[Window]], path: Path) -> None:
    """Real rain above, synthetic rain below: half an hour of one event in each column."""
    names = [name for name in SHOWN if name in real]
    figure, axes = plt.subplots(2, len(names), figsize=(10, 5.8), layout="constrained")
    for column, (name, kind) in enumerate(zip(names, storm_kinds.KINDS, strict=False)):
        window = real[name][0].rain
        storm = storm_kinds.draw(kind, np.random.default_rng([99, column]))
        pair = (window[len(window) // 2], storms.rain(storm, 19)[-1])
        for ax, rain, title in zip(axes[:, column], pair, (SHOWN[name], kind), strict=True):
            ax.imshow(rain, cmap=rain_scale.CMAP, norm=rain_scale.NORM, interpolation="nearest")
            ax.set_title(title, fontsize=7.5)
            ax.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("real radar")
    axes[1, 0].set_ylabel("synthetic")
    figure.savefig(path, dpi=80)


def main() -> None:
    """Read the stores, train the two networks, write the numbers and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="+", help="stores of real radar")
    stores = parser.parse_args().stores

    real = {Path(path).stem: real_windows(path) for path in stores}
    drawn = [
        storm_kinds.draw(kind, np.random.default_rng([7, n]))
        for n in range(STORMS)
        for kind in storm_kinds.KINDS
    ]
    result = two_folds(real, [Window(storms.rain(storm, 24), storm.step) for storm in drawn])
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    figure(real, FIGURE)


if __name__ == "__main__":
    main()
