"""For tests of the library and the notebooks: the tiny preset, and a data folder for this run."""

import os
import tempfile

pytest_plugins = ["page_outputs"]

# kernels of notebooks inherit the environment
os.environ.setdefault("NOWCAST_PRESET", "tiny")
os.environ.setdefault("NOWCAST_DATA", tempfile.mkdtemp(prefix="nowcast-test-"))

# tests/test_course_pages.py runs the solutions, without a kernel
collect_ignore_glob = ["notebooks/solutions/*"]
