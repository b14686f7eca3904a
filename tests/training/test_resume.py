"""An interrupted run resumes bit for bit; other runs, data and broken files are refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_networks import CONFIG, Clock, one_thread, quiet, same, train, weights, windows  # noqa: F401

from nowcastlib.errors import NowcastError
from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.networks.losses import LOSSES, mse
from nowcastlib.training import checkpoint, fit, load, loop


class Kill(Exception):
    pass


def killed(out, epoch, config=CONFIG):
    def stop(history):
        if history.epoch.iloc[-1] == epoch:
            raise Kill

    with pytest.raises(Kill):
        train(out, config, on_epoch=stop)


def assert_same_run(ours, theirs):
    """Weights, optimiser and history of two folders, to the last bit; the seconds are their own."""
    assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert json.loads((ours / "config.json").read_text()) == json.loads(
        (theirs / "config.json").read_text()
    )
    a, b = (torch.load(out / "last.pt", weights_only=True) for out in (ours, theirs))
    assert len(a.pop("history")) == len(b.pop("history"))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    tables = [pd.read_csv(out / "history.csv").drop(columns="seconds") for out in (ours, theirs)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run's folder."""
    out = tmp_path_factory.mktemp("run") / "run"
    train(out)
    return out


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(run, tmp_path, epoch):
    killed(tmp_path, epoch)
    model, history = train(tmp_path, resume=True)
    assert_same_run(tmp_path, run)
    assert same(weights(model), weights(load(run)[0]))
    assert len(history) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"restart": True, "warmup": 0.5},
        {"weight_decay": 0.1, "schedule": "step"},
        {"loss": "ssim_mse", "decay": "inverse-sigmoid", "curriculum_in": True},
        {"precision": "bf16", "patience": 1, "schedule": "constant"},
        {"precision": "fp16", "decay": "exponential"},
        {"average": 0.7},
        {"model": ConvEDLSTMConfig((3, 4), (3, 3), size=16, norm="layer", use_lstm_output=True)},
    ],
    ids=str,
)
def test_every_kind_of_run_resumes_bit_for_bit(tmp_path, options):
    config = CONFIG.changed(**options)
    train(tmp_path / "whole", config)
    killed(tmp_path / "killed", 1, config)  # right before a new length
    train(tmp_path / "killed", config, resume=True)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The folder of two epochs, each better than the one before."""
    out = tmp_path_factory.mktemp("run") / "short"
    _, history = train(out, CONFIG.changed(epochs=2, lr=1e-2))
    assert history.validation.is_monotonic_decreasing
    return out


FILES = ["config.json", *["last.pt", "model.safetensors", "history.csv", "batches.csv"] * 2]


@pytest.mark.parametrize("whole", range(len(FILES) + 1))
def test_run_killed_during_any_write_can_be_resumed(short, tmp_path, monkeypatch, whole):
    config, write, written = CONFIG.changed(epochs=2, lr=1e-2), checkpoint.write_atomically, []

    def dying(path, content):
        if len(written) == whole:
            path.with_name(path.name + ".partial").write_bytes(content[: len(content) // 2])
            raise Kill
        write(path, content)
        written.append(path.name)

    monkeypatch.setattr(checkpoint, "write_atomically", dying)
    if whole < len(FILES):
        with pytest.raises(Kill):
            train(tmp_path, config)
    else:
        train(tmp_path, config)
    assert written == FILES[:whole]
    monkeypatch.undo()
    train(tmp_path, config, resume=(tmp_path / "last.pt").exists())
    assert_same_run(tmp_path, short)


def test_loss_scale_of_half_precision_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES, "mse", lambda *args, **scale: mse(*args, **scale) * 3e4)  # steep
    config = CONFIG.changed(precision="fp16")
    train(tmp_path / "whole", config)
    killed(tmp_path / "killed", 1, config)
    scale = torch.load(tmp_path / "killed" / "last.pt", weights_only=True)["scaler"]["scale"]
    assert scale < torch.amp.GradScaler("cpu").state_dict()["scale"]
    train(tmp_path / "killed", config, resume=True)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


SCRIPT = """
import os, sys, time
from pathlib import Path
from small_networks import CONFIG, train

config = CONFIG.changed(epochs=24, restart=True, loss="ssim_mse")
whole, out = Path(sys.argv[1]), Path(sys.argv[2])
last = out / "last.pt"
stamp = lambda: last.stat().st_mtime_ns if last.exists() else 0
for wait in (0.0, 0.007, 0.019, 0.031, 0.043, 0.058):  # seconds after an epoch is saved
    before, child = stamp(), os.fork()
    if not child:
        train(out, config, resume=last.exists())
        os._exit(0)
    while stamp() == before and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.001)
    time.sleep(wait)
    os.kill(child, 9)
    print(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
train(out, config, resume=True)
train(whole, config)
"""


def test_process_killed_repeatedly_ends_like_an_uninterrupted_one(tmp_path):
    folders = [str(tmp_path / name) for name in ("whole", "killed")]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *folders], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(int(signal.SIGKILL))] * 6
    assert_same_run(*map(Path, folders))


def test_a_second_training_into_a_folder_is_refused_and_the_first_goes_on(tmp_path, run):
    def begin_another(history):
        with pytest.raises(NowcastError, match=f"run is being written by process {os.getpid()} on"):
            train(tmp_path / "run", resume=len(history) > 1)

    train(tmp_path / "run", on_epoch=begin_another)
    assert_same_run(tmp_path / "run", run)
    assert not (tmp_path / "run" / ".lock").exists()


def test_resuming_a_finished_run_removes_what_a_killed_one_left(tmp_path, run):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / ".last.pt.12345678.partial").mkdir()
    train(tmp_path / "run", resume=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {p.name for p in run.iterdir()}


def test_resuming_a_finished_run_changes_nothing(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    model, history = train(run, resume=True)
    assert same(weights(model), weights(load(run)[0]))
    assert len(history) == 4
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_run_killed_in_its_first_epoch_can_start_again(tmp_path, monkeypatch):
    def kill(*_):
        raise Kill

    monkeypatch.setattr(loop, "validate", kill)
    with pytest.raises(Kill):
        train(tmp_path)
    monkeypatch.undo()
    with pytest.raises(NowcastError, match="holds no run to resume: train without resuming"):
        train(tmp_path, resume=True)
    assert len(train(tmp_path)[1]) == 4


@pytest.mark.parametrize("precision", ["no", "auto"])
def test_folder_of_another_run_is_refused(run, tmp_path, precision):
    config = CONFIG.changed(precision=precision)
    with pytest.raises(
        NowcastError, match="already holds a run: resume it, or train into another folder"
    ):
        train(run, config)
    with pytest.raises(NowcastError, match="holds no run to resume"):
        train(tmp_path / "nowhere", config, resume=True)
    with pytest.raises(
        NowcastError, match="trained with another lr, seed: resume with the same configuration"
    ):
        train(run, config.changed(lr=0.5, seed=3), resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_weights_without_their_run_are_not_overwritten(run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(NowcastError, match="already holds a run"):
        train(tmp_path)


def fit_sets(sets, out, **options):
    """Train on named datasets, one of them for the test loss."""
    options = quiet(test=sets["test"], **options)
    return fit(CONFIG, sets["train"], sets["validation"], out, options)


@pytest.mark.parametrize("which", ["train", "validation"])
def test_other_data_of_the_same_shape_is_refused(tmp_path, which):
    sets = {
        name: windows(random=False, seed=k)
        for k, name in enumerate(("train", "validation", "test"))
    }
    fit_sets(sets, tmp_path)
    assert len(fit_sets(sets, tmp_path, resume=True)[1]) == 4
    other = sets | {which: windows(random=False, seed=9)}
    with pytest.raises(
        NowcastError, match=rf"trained with other data \({which}\): resume with the same data"
    ):
        fit_sets(other, tmp_path, resume=True)
    fewer = windows(random=False, seed=list(sets).index(which))
    fewer.rows = fewer.rows[:-1]
    with pytest.raises(NowcastError, match=rf"other data \({which}\)"):
        fit_sets(sets | {which: fewer}, tmp_path, resume=True)


@pytest.mark.parametrize(
    "content",
    [
        lambda last: last.read_bytes()[:-1000],
        lambda last: b"",
        lambda last: b"a letter",
        lambda last: (last.parent / "model.safetensors").read_bytes(),
    ],
    ids=["truncated", "empty", "a letter", "only weights"],
)
def test_broken_checkpoint_is_named(tmp_path, content):
    killed(tmp_path, 0)
    last = tmp_path / "last.pt"
    last.write_bytes(content(last))
    with pytest.raises(NowcastError, match=r"last\.pt is not a whole checkpoint"):
        train(tmp_path, resume=True)


@pytest.mark.parametrize("foreign", ["another network", "no optimiser", "no history"])
def test_foreign_checkpoint_is_named(run, tmp_path, foreign):
    killed(tmp_path, 0)
    state = torch.load(run / "last.pt", weights_only=True)
    if foreign == "another network":
        state["model"] = torch.nn.Linear(2, 2).state_dict()
    else:
        del state[foreign.removeprefix("no ")]
    torch.save(state, tmp_path / "last.pt")
    kept = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(NowcastError, match=r"last\.pt is not a whole checkpoint"):
        train(tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == kept


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(tmp_path, monkeypatch, bad):
    killed(tmp_path, 1)
    good, _ = load(tmp_path)
    monkeypatch.setitem(LOSSES, "mse", lambda *args, **scale: mse(*args, **scale) * bad)
    with pytest.raises(
        NowcastError,
        match=f"the loss is {bad} at epoch 2, batch 0: lower lr; .* keeps the last good",
    ):
        train(tmp_path, resume=True)
    kept, _ = load(tmp_path)
    assert same(weights(kept), weights(good))
    assert len(pd.read_csv(tmp_path / "history.csv")) == 2
    assert all(torch.isfinite(w).all() for w in weights(kept).values())
    with pytest.raises(
        NowcastError, match=f"the loss is {bad} at epoch 0, batch 0: lower lr; no weights were kept"
    ):
        train(tmp_path / "new")


def test_validation_that_is_not_finite_is_not_the_best(tmp_path):
    validation, kept = windows(random=False), []

    def spoil(history):
        kept.append((tmp_path / "model.safetensors").read_bytes())
        validation.values = validation.values + float("inf")  # no number stands for it

    with pytest.raises(NowcastError, match="the loss is nan at epoch 1, validation"):
        fit(CONFIG, windows(), validation, tmp_path, quiet(on_epoch=spoil))
    assert [(tmp_path / "model.safetensors").read_bytes()] == kept
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1
