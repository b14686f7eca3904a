"""Two processes that share a batch train as one with the whole of it, and only the first writes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import CONFIG, one_thread, train  # noqa: F401

from nowcastlib.training import load_config

SCRIPT = """
import sys
from pathlib import Path

from accelerate import PartialState
from small_networks import CONFIG, train
from nowcastlib.training import checkpoint, precision, step

state = PartialState(cpu=True)
out, me = Path(sys.argv[1]), state.process_index
assert state.num_processes == 2
write, autocast = checkpoint.write_atomically, step.autocast


def noted(path, content):
    with open(out / f"written by {me}", "a") as log:
        print(path.relative_to(out), file=log)
    write(path, content)


def stop(history):
    if len(history) == 2:
        raise KeyError


checkpoint.write_atomically = noted
config = CONFIG.changed(restart=True)
train(out / "whole", config)
try:
    train(out / "resumed", config, on_epoch=stop)
except KeyError:
    train(out / "resumed", config, resume=True)

precision.fastest_precision = lambda device: ["bf16", "no"][me]
used = []
step.autocast = lambda config, _: used.append(config.run.precision) or autocast(config, _)
train(out / "auto", config.changed(precision="auto"))
(out / f"precision of {me}").write_text(" ".join(set(used)))
"""


NOTEBOOK = """
import sys
from pathlib import Path

from accelerate import notebook_launcher
from small_networks import CONFIG, train

arguments = Path(sys.argv[1]), CONFIG.changed(restart=True)
notebook_launcher(train, arguments, num_processes=2, use_port=sys.argv[2])
"""


def python(*arguments):
    """Run Python where the tests' helpers are found and no GPU is."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    alone = {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | alone, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder of runs of two processes."""
    out = tmp_path_factory.mktemp("launched")
    (out / "script.py").write_text(SCRIPT)
    python(
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        f"--master_port={free_port()}",
        out / "script.py",
        out,
    )
    return out


def test_two_processes_train_as_one_with_twice_the_batch(launched, tmp_path):
    _, history = train(tmp_path, CONFIG.changed(restart=True, batch=2 * CONFIG.run.batch))
    ours, alone = (
        torch.load(out / "last.pt", weights_only=True) for out in (launched / "whole", tmp_path)
    )
    torch.testing.assert_close(ours["model"], alone["model"], rtol=0, atol=1e-5)
    of_two = pd.read_csv(launched / "whole" / "history.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(of_two, history.drop(columns="seconds"), rtol=1e-4)
    _, other = train(tmp_path / "other", CONFIG.changed(restart=True))
    assert (np.abs(other.train / history.train - 1) > 1e-3).all()  # half the batch is not the same


def test_notebook_launcher_gives_the_same_weights(launched, tmp_path):
    python("-c", NOTEBOOK, tmp_path, free_port())
    assert (tmp_path / "model.safetensors").read_bytes() == (
        launched / "whole" / "model.safetensors"
    ).read_bytes()


def test_two_processes_resume_exactly(launched):
    ours, whole = (
        torch.load(launched / name / "last.pt", weights_only=True) for name in ("resumed", "whole")
    )
    torch.testing.assert_close(ours["model"], whole["model"], rtol=0, atol=0)
    torch.testing.assert_close(ours["optimiser"], whole["optimiser"], rtol=0, atol=0)


def test_only_the_first_process_writes(launched):
    written = (launched / "written by 0").read_text().split()
    assert written.count("whole/config.json") == 1
    assert written.count("whole/last.pt") == 4
    assert not (launched / "written by 1").exists()


def test_processes_agree_on_a_precision(launched):
    assert [(launched / f"precision of {k}").read_text() for k in range(2)] == ["bf16", "bf16"]
    assert load_config(launched / "auto").run.precision == "bf16"
