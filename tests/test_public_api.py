"""``import nowcastlib``: its public names, the example of its docstring, what it loads."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import nowcastlib

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "pysteps", "xarray", "pandas", "matplotlib", "accelerate", "IPython"}
COMMANDS = ["ingest", "train", "forecast", "evaluate", "live"]


def example() -> str:
    """The Python of the package's docstring."""
    docstring = inspect.getdoc(nowcastlib)
    return dedent(docstring.split(".. code-block:: python\n")[1]).strip() + "\n"


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after running some code."""
    report = (
        "import sys, json; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_public_names_are_those_of_the_stub_and_all_exist():
    assert set(nowcastlib.__all__) == {
        "ForecastPlayer",
        "NowcastError",
        "evaluate",
        "feed",
        "fit",
        "forecast",
        "forecaster",
        "ingest",
        "load",
        "open_frames",
    }
    for name in nowcastlib.__all__:
        assert callable(getattr(nowcastlib, name))


def test_docstring_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example(), names)
    assert dict(names["rain"].sizes) == {"lead_time": 12, "y": 128, "x": 128}
    assert names["rain"].valid_time.values[-1] == names["frames"].time.values[-1]
    assert len(names["frames"]) == 36


def test_readme_shows_the_example_of_the_docstring():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert example() in blocks


def test_import_loads_nothing_heavy():
    loaded = modules_after("import nowcastlib")
    assert "nowcastlib" in loaded
    assert not loaded & (HEAVY | {"numpy"})


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_loads_nothing_heavy(words):
    """So it answers at once. (The time itself depends on the machine and is not tested.)"""
    loaded = modules_after(
        "from nowcastlib.cli import main\n"
        f"try: main({[*words, '--help']})\n"
        "except SystemExit as stop: assert not stop.code"
    )
    assert "tyro" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", ["radar", "radar-members"])
def test_shipped_network_is_loaded_without_pysteps_and_its_seconds(name):
    loaded = modules_after(f"from nowcastlib import forecaster; forecaster({name!r})")
    assert "torch" in loaded
    assert not loaded & {"pysteps", "matplotlib"}
