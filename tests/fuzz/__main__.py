"""Give odd values to the library for some minutes, and count what it makes of them."""

import argparse
import logging
import time
import traceback
import warnings
from collections import Counter
from random import Random

from nowcastlib.errors import NowcastError
from tests.fuzz.inputs import KINDS


def outcome(kind: str, seed: int) -> str:
    """ "accepted", "refused", or what the traceback says and where."""
    try:
        KINDS[kind](Random(seed))
    except NowcastError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except Exception as error:  # a fuzzer counts whatever is raised
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "nowcastlib" in frame.filename] or frames
        where = f"{ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}"
        return f"traceback: {type(error).__name__} at {where} ({str(error)[:80]!r})"
    return "accepted"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of the kinds of input")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    counts: dict[str, Counter] = {kind: Counter() for kind in options.kinds.split(",")}
    first: dict[str, int] = {}  # seed of the first input with an outcome
    end, seed = time.monotonic() + 60 * options.minutes, options.seed
    while time.monotonic() < end:
        for kind, counter in counts.items():
            found = outcome(kind, seed)
            counter[found] += 1
            first.setdefault(f"{kind} {found}", seed)
        seed += 1

    tracebacks = 0
    for kind, counter in counts.items():
        print(f"{kind}: {counter['accepted']:,} accepted, {counter['refused']:,} refused")
        for found, number in counter.items():
            if found not in ("accepted", "refused"):
                tracebacks += number
                print(f"  {number} × {found}; seed {first[f'{kind} {found}']}")
    print(f"{tracebacks} tracebacks")
    return 1 if tracebacks else 0


if __name__ == "__main__":
    raise SystemExit(main())
