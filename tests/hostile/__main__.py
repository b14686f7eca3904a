"""The long attack: ``python -m tests.hostile --minutes N`` prints counts of what happened."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the helpers of the tests

from hostile import fuzz, stores

HELP_STORES = (
    "attack stores and runs instead: readers beside writers, kills, second writers, full disks; "
    "1: 100 readings, 100 kills of ingest, 50 of an extension, 50 of train, 30 pairs, 20 full disks"
)


def main() -> int:
    """Attack all decoders; exit code 1 if one crashed, hung or gave a wrong result."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most so many of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="*", default=[], help="kinds of input (default: all)")
    parser.add_argument("--stores", type=float, metavar="TIMES", help=HELP_STORES)
    options = parser.parse_args()
    if options.stores:
        return stores.attack(options.stores)

    numbers = range(options.first, options.first + options.inputs)
    report = fuzz.run(numbers, 60 * options.minutes, options.only)
    print(report.table())
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
