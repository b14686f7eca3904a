"""Every value is checked where it is parsed; what remains is one line, too."""

import logging
import re
import subprocess
import sys

import pytest
from command_line import complaints, nowcast

from nowcastlib.cli import main
from nowcastlib.cli.ingest import Ingest
from nowcastlib.data.feeds.server_limits import Limits

STORE = "--data {frames} --forecasters persistence"
VALUES = {
    "ingest --out {new} --every 0": "--every 0 is below 1",
    "ingest --out {new} --every -2": "--every -2 is below 1",
    "ingest --out {new} --events -1": "--events -1 is below 1",
    "ingest --out {new} --events 99999999999": "--events .* is above 10000",
    "ingest --out {new} --pixels 0": "--pixels 0 is below 8",
    "ingest --out {new} --pixels 1000000": "--pixels .* is above 5000",
    "ingest --out {new} --regrid -1": "--regrid -1 is below 0",
    "ingest --out {new} --crop 0 0 0 5": "--crop 0 0 0 5: .*1 or more",
    "ingest --out {new} --crop -1 0 5 5": "--crop -1 0 5 5: x and y must be 0",
    "ingest --out {new} --start Jun": "--start: 'Jun' is not a time",
    "ingest --out {new} --end now": "--end: 'now' is not a time",
    "ingest --out {new} --start 2024-06-02 --end 2024-06-01": "--start 2024-06-02 is not before",
    "ingest --out {new} --source images --path {files} --spacing nan": "--spacing nan is not",
    "ingest --out {new} --source images --path {files} --spacing 0": "--spacing 0 is 0 or below",
    "ingest --out {new} --source fvg --radar -1": "--radar -1 is below 0",
    "ingest --out {new} --source fvg --max-seconds nan": "--max-seconds nan is not a finite",
    "ingest --out {new} --source fvg --max-mb 0": "--max-mb 0 is 0 or below",
    "ingest --out {new} --max-mb 3": "--max-mb is not an option of the source demo",
    "ingest --out .": "--out . is a folder",
    "ingest --out ..": "--out .. is a folder",
    "ingest --out /": "--out / is a folder",
    "train --data {frames} --out .": "--out . is a folder",
    "train --data {frames} --out {new} --shares nan 1 1": "--shares nan is not a finite",
    "train --data {frames} --out {new} --shares -1 1 1": "--shares -1 is below 0",
    "train --data {frames} --out {new} --workers -1": "--workers -1 is below 0",
    "train --data {frames} --out {new} --config.lr nan": "lr nan must be above 0",
    "forecast --data {frames} --out {new} --leads 0": "--leads 0 is below 1",
    "forecast --data {frames} --out {new} --leads 1000000": "--leads .* is above 1000",
    "forecast --data {frames} --out {new} --size -4": "--size -4 is below 0",
    "forecast --data {frames} --out {new} --at 12:00": "--at: '12:00' is not a time",
    "forecast --data {frames} --out /": "--out / is a folder",
    f"evaluate {STORE} --thresholds nan": "not rain rates",
    f"evaluate {STORE} --thresholds -1,2": "not rain rates",
    f"evaluate {STORE} --thresholds inf": "not rain rates",
    f"evaluate {STORE} --json .": "--json . is a folder",
    f"evaluate {STORE} --leads -1": "--leads -1 is below 1",
    "live --out {new} --minutes nan": "--minutes nan is not a finite",
    "live --out {new} --minutes -5": "--minutes -5 is 0 or below",
    "live --out {new} --every inf": "--every inf is not a finite",
    "live --out {new} --leads -1": "--leads -1 is below 0",
}


@pytest.mark.parametrize("line", VALUES)
def test_value_out_of_range_is_one_line_and_exit_2(place, capsys, line):
    assert nowcast(place, line) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert re.search(VALUES[line], complaint), complaint
    assert not place.new.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ingest", "--out", ""], "--out . is a folder"),
        (["ingest", "--out", "a\0b"], "--out 'a b' holds the letter NUL"),
        (["ingest", "--out", "new", "--source", "archive", "--path", ""], "--path is empty"),
        (["ingest", "--out", "new", "--source", "archive", "--path", "\0"], "letter NUL"),
        (["ingest", "--out", "new", "--source", "fvg", "--base", " "], "--base is empty"),
        (["forecast", "--data", "a\0", "--out", "new"], "--data 'a ' holds the letter NUL"),
        (["forecast", "--data", "a", "--out", "new", "--weights", ""], "--weights is empty"),
        (["ingest", "--out", "x" * 300 + "/f.zarr"], "File name too long"),
    ],
)
def test_empty_and_impossible_names_are_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert message in complaint
    assert list(tmp_path.iterdir()) == []


def test_limits_of_the_command_line_reach_the_feed(tmp_path):
    chosen = {"max_seconds": 20.0, "max_mb": 2.0, "redirects": True}
    feed = Ingest(out=tmp_path, source="fvg", **chosen).feed()
    assert feed.limits == Limits(file_seconds=20.0, file_bytes=2 << 20, other_hosts=True)
    assert Ingest(out=tmp_path, source="fvg").feed().limits == Limits()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_lack_of_memory_is_one_line(monkeypatch, capsys, error):
    class Command:
        def run(self):
            raise error

    monkeypatch.setattr("nowcastlib.cli.parse", lambda _: Command())
    assert main(["forecast"]) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert "there is not enough memory: give fewer pixels" in complaint


def test_a_mistake_of_the_library_is_not_hidden(monkeypatch):
    class Command:
        def run(self):
            raise RuntimeError("a bug")

    monkeypatch.setattr("nowcastlib.cli.parse", lambda _: Command())
    with pytest.raises(RuntimeError, match="a bug"):
        main(["forecast"])


def test_head_ends_a_command_quietly():
    command = f"{sys.executable} -m nowcastlib train --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("usage")
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_warnings_are_printable_and_short(capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    class Command:
        def run(self):
            logging.getLogger("nowcastlib").warning("radar \x1b[2J %s", "x" * 200_000)

    monkeypatch.setattr("nowcastlib.cli.parse", lambda _: Command())
    assert main(["forecast"]) == 0
    printed = capsys.readouterr().err.rstrip("\n")
    assert printed.isprintable()
    assert len(printed) < 1100
