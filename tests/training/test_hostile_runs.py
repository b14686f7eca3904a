"""Folders of runs that were damaged or made to harm: one line that names the file."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import CONFIG, one_thread, quiet, train  # noqa: F401

from nowcastlib.errors import NowcastError
from nowcastlib.forecasting import forecaster
from nowcastlib.training import load, load_config, load_description, saved_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    train(out)
    return out


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def edit(folder, change) -> None:
    path = folder / "config.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "3", "{", "null", '{"config": []}', ""])
def test_configuration_that_is_no_object_is_one_line(copy, content):
    (copy / "config.json").write_text(content)
    for read in (load, load_config, forecaster):
        with pytest.raises(NowcastError, match=r"config\.json|copy"):
            read(str(copy))
    if content != '{"config": []}':
        with pytest.raises(NowcastError, match=r"config\.json is not a readable configuration"):
            load_description(copy)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("hidden", [10**9, 10**9], r"model\.safetensors cannot be loaded"),
        ("hidden", [10**4, 10**4], r"cannot be loaded .*not that of the network in config\.json"),
        ("hidden", [10**30, 4], r"copy.*cannot be loaded|not a readable"),
        ("hidden", ["a", 4], "not a readable configuration"),
        ("kernel", [4, 4], "kernel size 4 must be odd"),
        ("kernel", [1_000_001, 3], "cannot be loaded"),
        ("patch", 0, "not a readable configuration"),
    ],
)
def test_network_that_is_not_that_of_the_weights_is_refused_before_it_is_built(
    copy, option, value, message
):
    edit(copy, lambda about: about["config"]["model"].update({option: value}))
    with pytest.raises(NowcastError, match=message):
        load(copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(copy, value):
    weights = load_file(copy / "model.safetensors")
    name = sorted(weights)[0]
    weights[name].view(-1)[0] = value
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(NowcastError, match=rf"not finite, such as {name}: train again"):
        load(copy)


def test_state_without_a_history_is_not_resumed(copy):
    saved = torch.load(copy / "last.pt", weights_only=True)
    torch.save(saved | {"history": []}, copy / "last.pt")
    with pytest.raises(NowcastError, match=r"last\.pt is not a whole .*history is empty"):
        train(copy, resume=True)


def test_empty_history_is_one_line(copy):
    (copy / "history.csv").write_text("")
    with pytest.raises(NowcastError, match=r"history\.csv cannot be read"):
        saved_run.finished(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_run_does_not_block(copy, name):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(NowcastError, match="not a regular file"):
        load(copy)


def test_the_run_itself_loads(run):
    assert load(run)[1] == CONFIG
