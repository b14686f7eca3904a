"""The long attack: ``python -m tests.hostile --minutes N`` prints counts of what happened."""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the helpers of the tests

from hostile import fuzz, stores

HELP_STORES = (
    "how often the trials of stores and runs are repeated: readers beside writers, kills, second "
    "writers, full disks; 1: 100 readings, 100 kills of ingest, 50 of an extension, 50 of train, "
    "30 pairs, 20 full disks; 0: none (default: 1 in 100 minutes, in proportion)"
)


def main() -> int:
    """Attack stores, runs and decoders; exit code 1 if anything crashed, hung or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--inputs", type=int, default=10**9, help="largest number of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="*", default=[], help="kinds of input (default: all)")
    parser.add_argument("--stores", type=float, metavar="TIMES", help=HELP_STORES)
    options = parser.parse_args()
    begun = time.monotonic()
    times = options.minutes / 100 if options.stores is None else options.stores
    wrong = stores.attack(times) if times and not options.only else 0

    numbers = range(options.first, options.first + options.inputs)
    seconds = max(60 * options.minutes - (time.monotonic() - begun), 0)
    report = fuzz.run(numbers, seconds, options.only, partial(print, flush=True))
    print(report.table())
    return 1 if wrong or report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
