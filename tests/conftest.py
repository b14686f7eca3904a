"""Shared by all tests: small frames, no figure left open, the real radar if there is one."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fvg_server import server  # noqa: F401 (a fixture)
from matplotlib import pyplot as plt

from nowcastlib.data import as_frames
from nowcastlib.forecasting import forecast, forecaster

ARCHIVE = os.environ.get("NOWCAST_ARCHIVE")


def pytest_report_header() -> str:
    none = "none (tests/test_real_*.py need NOWCAST_ARCHIVE, a folder of radar files)"
    return f"real radar: {ARCHIVE or none}"


MRMS = Path(ARCHIVE or ".").parent / "mrms-20190610.zarr"  # beside the folder of radar files

collect_ignore = [] if ARCHIVE else ["test_real_radar.py"]
if not (ARCHIVE and MRMS.exists()):
    collect_ignore.append("test_real_mrms.py")
if not torch.cuda.is_available():
    collect_ignore.append("training/test_graph_on_cuda.py")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def archive() -> Path:
    return Path(ARCHIVE)


@pytest.fixture(scope="session")
def mrms() -> Path:
    return MRMS


@pytest.fixture
def frames():
    """Nine frames of 8 × 8 px; frame t is t + 0.2 mm/h, but NaN in the first column."""
    rate = np.zeros((9, 8, 8), "f4") + np.arange(9, dtype="f4")[:, None, None] + 0.2
    rate[:, :, 0] = np.nan
    return as_frames(rate)


@pytest.fixture
def made(frames):
    """Persistence of the fifth of these frames, four leads."""
    return forecast(forecaster("persistence"), frames, frames.time.values[4], 4)
