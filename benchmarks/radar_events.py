"""Which radar stores belong together: the folds in which `radar` is judged on unseen rain.

    python benchmarks/radar_events.py FOLDER... --network a    # the stores to train it on

A fold leaves out every radar of a service, or a block of days of one. The stores of ``LAST_BLOCK``
are in no training at all; they are scored once, when everything else is decided.
"""

import argparse
from pathlib import Path

# Name of the fold → how the names of its stores begin
FOLDS = {
    "meteoswiss": ("mch",),
    "fmi": ("fmi",),
    "knmi": ("knmi",),
    "melbourne": ("bom",),
    "dpc_february": ("dpc_nitaly_202502", "dpc_nitaly_20250301"),
    "dpc_march": ("dpc_nitaly_20250309", "dpc_nitaly_2025031"),
    "dpc_campania": ("dpc_campania",),
    "mrms": ("mrms",),
}
# Each network leaves out several folds and is judged on all of them
NETWORKS = {
    "a": ("meteoswiss", "knmi", "dpc_march"),
    "b": ("fmi", "melbourne", "mrms"),
    "c": ("dpc_february", "dpc_campania"),
}
LAST_BLOCK = ("dpc_italy",)
TRAINING_ONLY = ("mrms1", "mrms2", "mrms3", "synthetic")  # too large to score, or not real
TEST_ONLY = ("dpc_nitaly_20250309_2220",)  # an incomplete frame leaves it no whole window of 18
VALIDATION = "mrms4"  # its loss is shown; no choice depends on it


def stores(folders: list[Path]) -> list[Path]:
    """All stores of the folders that are neither in the last block nor for validation."""
    found = sorted(path for folder in folders for path in folder.glob("*.zarr"))
    return [path for path in found if not path.stem.startswith((*LAST_BLOCK, VALIDATION))]


def training_stores(folders: list[Path], network: str = "") -> list[Path]:
    """The stores to train on, without those of the folds of a network."""
    left_out = tuple(start for fold in NETWORKS.get(network, ()) for start in FOLDS[fold])
    return [path for path in stores(folders) if not path.stem.startswith((*left_out, *TEST_ONLY))]


def network_of(fold: str) -> str:
    """The network that is judged on a fold."""
    return next(name for name, folds in NETWORKS.items() if fold in folds)


def test_stores(folders: list[Path], fold: str) -> list[Path]:
    """The stores on which a fold is judged."""
    return [
        path
        for path in stores(folders)
        if path.stem.startswith(FOLDS[fold]) and path.stem not in TRAINING_ONLY
    ]


def last_block(folders: list[Path]) -> list[Path]:
    """The stores that no training and no choice has seen."""
    return sorted(
        path for folder in folders for path in folder.glob("*.zarr")
        if path.stem.startswith(LAST_BLOCK)
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--network", choices=["", *NETWORKS], default="", help="default: no fold is left out"
    )
    options = parser.parse_args()
    print("\n".join(map(str, training_stores(options.folders, options.network))))


if __name__ == "__main__":
    main()
