"""``python -m nowcastlib``: the command line of ``nowcastlib.cli``."""

import sys

from nowcastlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
