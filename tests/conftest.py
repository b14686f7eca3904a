"""Shared by all tests: the tiny preset, data in a temporary folder, and the real radar where there is some."""

import os
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

ARCHIVE = os.environ.get("NOWCAST_ARCHIVE")


def pytest_report_header() -> str:
    return f"real radar: {ARCHIVE or 'none (tests/test_real_radar.py runs where NOWCAST_ARCHIVE names a folder)'}"


collect_ignore = [] if ARCHIVE else ["test_real_radar.py"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def archive() -> Path:
    return Path(ARCHIVE)
