"""The Python examples of CONTRIBUTING.md run as printed, one after the other."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_examples_run(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 3
    assert all("assert" in block for block in blocks)

    # in a process of their own, because they add to the library's registries
    (tmp_path / "examples.py").write_text("\n".join(blocks))
    command = [sys.executable, "examples.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_room_is_described():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "nowcastlib").glob("[a-z]*")}
    for room in rooms - {"weights", "py.typed", "__pycache__"}:
        assert f"`{room}`" in text, room


def test_make_targets_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"\bmake ([a-z]+)", text)) <= set(targets)
