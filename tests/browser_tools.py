"""How the tests start Chromium."""

import shutil

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Path of Chromium or Google Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    paths = [path for name in names if (path := shutil.which(name))]
    assert paths, (
        "the browser tests need Chromium: apt-get install chromium (or Google Chrome on the PATH)"
    )
    return paths[0]
