"""For library tests and notebooks alike: the tiny preset and a data folder of the test run's own."""

import os
import tempfile

os.environ.setdefault("NOWCAST_PRESET", "tiny")
os.environ.setdefault(
    "NOWCAST_DATA", tempfile.mkdtemp(prefix="nowcast-test-")
)  # kernels inherit it
