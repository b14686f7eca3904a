"""``python -m nowcastlib``: the command line of ``nowcastlib.cli``."""

import sys

from nowcastlib.cli import main

sys.exit(main())
