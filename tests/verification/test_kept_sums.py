"""A folder of counts: an interrupted evaluation carries on, and nothing stale is taken."""

import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from child_processes import exit_code, fork
from small_networks import seeded

from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer
from nowcastlib.forecasting import BASELINES, Baseline, Network, baselines
from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.networks.conv_ed_lstm import ConvEDLSTM
from nowcastlib.training import TrainConfig
from nowcastlib.verification import EvaluationOptions, evaluate, mean_csi

OPTIONS = EvaluationOptions(leads=2, thresholds=(0.5,), size=0, scales=(2,))
STEPS = {"steps": BASELINES["steps"]}


class Fragile:
    """Persistence, which breaks at one call, or kills its process there."""

    def __init__(self, kills=False):
        self.calls = 0
        self.broken = 3  # number of the call
        self.kills = kills

    def __call__(self, observed, n):
        self.calls += 1
        if self.calls == self.broken and self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.calls == self.broken:
            raise NowcastError("out of order")
        return baselines.persistence(observed, n)


def kept(folder) -> EvaluationOptions:
    return replace(OPTIONS, counts=folder / "counts")


def test_an_interrupted_evaluation_carries_on_to_the_same_counts(storm, tmp_path):
    fragile = Fragile()
    runs = {"fragile": Baseline(fragile)} | STEPS
    with pytest.raises(NowcastError, match="out of order"):
        evaluate(storm, runs, kept(tmp_path), progress=False)
    assert len(list((tmp_path / "counts").glob("*.npz"))) == 2

    counts = evaluate(storm, runs, kept(tmp_path), progress=False)
    assert fragile.calls == 3 + counts.sizes["case"] - 2
    xr.testing.assert_identical(counts, evaluate(storm, runs, OPTIONS, progress=False))
    before = fragile.calls
    again = evaluate(storm, runs, kept(tmp_path), progress=False)
    assert fragile.calls == before
    xr.testing.assert_identical(again, counts)


def test_after_a_kill_a_new_run_carries_on_to_the_same_counts(storm, tmp_path):
    deadly = Fragile(kills=True)
    child = fork(lambda: evaluate(storm, {"a": Baseline(deadly)}, kept(tmp_path), progress=False))
    assert exit_code(child) == -signal.SIGKILL
    assert len(list((tmp_path / "counts").glob("*.npz"))) == 2

    alive = Fragile()
    alive.broken = -1
    counts = evaluate(storm, {"a": Baseline(alive)}, kept(tmp_path), progress=False)
    assert alive.calls == counts.sizes["case"] - 2
    whole = evaluate(storm, {"a": Baseline(alive)}, OPTIONS, progress=False)
    xr.testing.assert_identical(counts, whole)


def test_cases_whose_frames_have_changed_are_counted_again(storm, tmp_path):
    fragile = Fragile()
    fragile.broken = -1
    runs = {"fragile": Baseline(fragile)}
    first = evaluate(storm, runs, kept(tmp_path), progress=False)
    changed = storm.copy()
    changed[0, 5, 5] += 3.0
    fragile.calls = 0
    counts = evaluate(changed, runs, kept(tmp_path), progress=False)
    assert 1 <= fragile.calls < first.sizes["case"]
    xr.testing.assert_identical(counts, evaluate(changed, runs, OPTIONS, progress=False))


def test_a_broken_file_is_counted_again(storm, tmp_path):
    runs = {"persistence": BASELINES["persistence"]}
    counts = evaluate(storm, runs, kept(tmp_path), progress=False)
    files = sorted((tmp_path / "counts").glob("*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].unlink()
    again = evaluate(storm, runs, kept(tmp_path), progress=False)
    xr.testing.assert_identical(again, counts)


def network(weight: float) -> Network:
    config = TrainConfig().changed(model=ConvEDLSTMConfig((4, 4), (3, 3)), n_in=3)
    run = Network(seeded(lambda: ConvEDLSTM(config.model), dtype=None), config)
    next(run.model.parameters()).data.fill_(weight)
    return run


def test_counts_of_another_evaluation_are_refused(storm, tmp_path):
    def refused(match, runs, frames=storm, **changes):
        with pytest.raises(NowcastError, match=match):
            evaluate(frames, runs, replace(kept(tmp_path), **changes), progress=False)

    runs = {"network": network(0.1)}
    evaluate(storm, runs, kept(tmp_path), progress=False)
    evaluate(storm, {"network": network(0.1)}, kept(tmp_path), progress=False)
    refused(r"counts of another evaluation \(other forecasters\)", {"network": network(0.2)})
    refused(r"other forecasters", {"network": BASELINES["sprog"]})
    refused(r"other options\): give a new folder", runs, leads=1)
    refused(r"other grid", runs, frames=storm.assign_coords(x=storm.x + 1000.0))

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    refused("mine holds no counts: give a new folder", runs, counts=tmp_path / "mine")
    with one_writer(tmp_path / "counts"):
        refused("counts is being written by process", runs)
    shutil.rmtree(tmp_path / "counts")


def test_the_counts_of_an_event_are_the_sum_of_its_cases(storm):
    times = [*storm.time.values[:6], *(storm.time.values[6:] + np.timedelta64(90, "m"))]
    frames = storm.assign_coords(time=times)
    runs = {"persistence": BASELINES["persistence"]} | STEPS
    cases = evaluate(frames, runs, OPTIONS, progress=False)
    events = evaluate(frames, runs, replace(OPTIONS, by_event=True), progress=False)
    assert cases.sizes["case"] == cases.attrs["cases"] == events.attrs["cases"] == 4
    assert events.sizes["case"] == 2
    assert events.event.values.tolist() == np.unique(cases.event).tolist()
    assert events.issued.values.tolist() == cases.issued.values[[0, 2]].tolist()
    expected = cases.groupby("event").sum()
    for name in ("hits", "false_alarms", "pixels", "ranks"):
        values = events[name].transpose("case", ...).values
        np.testing.assert_array_equal(
            np.nan_to_num(values), expected[name].transpose("event", ...).values
        )
    xr.testing.assert_allclose(mean_csi(events.sum("case")), mean_csi(cases.sum("case")))
