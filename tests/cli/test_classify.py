"""``nowcast classify``: train on a store, answer for another one, as a table; mistakes."""

import pandas as pd
import pytest
import torch

from nowcastlib.cli import main
from nowcastlib.data import ingest
from nowcastlib.data.feeds.demo import Demo
from nowcastlib.networks import ConvEDLSTMConfig
from nowcastlib.training import TrainConfig
from nowcastlib.training.loop import initial_state

OPTIONS = """
--config.model.hidden 4 4 --config.model.kernel 3 3 --config.crop 0 --config.n-in 3
--config.n-out 3 --config.first-lead 2 --config.rate 1.0 --config.share 0.05 --config.centre 16
--config.epochs 2 --config.steps 2 --config.precision no
"""
SMALL = OPTIONS.split()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ingest(Demo(3, frames=20, size=32), tmp_path_factory.mktemp("store") / "frames.zarr")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    words = ["classify", "train", "--data", str(store), "--out", str(out), *SMALL]
    assert main([*words, "--shares", "0.5", "0.5", "0"]) == 0
    return out


def test_trained_run_answers_with_valid_times(run, store, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    words = ["classify", "predict", "--weights", str(run), "--data", str(store)]
    assert main([*words, "--out", str(out)]) == 0
    table = pd.read_csv(out, parse_dates=["issued", "valid_from", "valid_to"])
    assert 30 < len(table) <= 3 * 18  # three events of 20 frames, some lost; a clip has 3
    assert (table.valid_from - table.issued == pd.Timedelta("10min")).all()  # lead 2
    assert (table.valid_to - table.issued == pd.Timedelta("15min")).all()  # lead 3
    assert table.probability.between(0, 1).all()
    ends = table.issued.diff().shift(-1) > pd.Timedelta("1h")
    assert table.observed[ends | (table.index == len(table) - 1)].isna().all()  # nothing follows
    known = table.observed.notna().sum()
    assert 20 < known < len(table)
    assert f"{known} of them with what happened" in capsys.readouterr().out
    assert out.read_text().splitlines()[1].startswith("2024-06-01T")


def test_a_store_that_ends_too_early_says_so_without_a_base_rate(run, tmp_path, capsys):
    short = ingest(Demo(1, frames=3, size=32), tmp_path / "short.zarr")
    words = ["classify", "predict", "--weights", str(run), "--data", str(short)]
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "answers.csv")]) == 0
    printed = capsys.readouterr().out
    assert "1 answers; the store ends before one can be checked" in printed
    assert "nan" not in printed


def test_training_leaves_a_log_and_a_picture_and_is_resumed(run, store, capsys):
    assert {"train.log", "losses.png", "model.safetensors"} <= {p.name for p in run.iterdir()}
    words = ["classify", "train", "--data", str(store), "--out", str(run), *SMALL]
    assert main([*words, "--shares", "0.5", "0.5", "0", "--resume"]) == 0
    assert "validation clips, base rate 0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("classify", "nowcast classify train or nowcast classify predict"),
        ("classify zzz", "there is no command 'zzz': the commands are train, predict"),
        ("classify train --out r", "--data is required"),
        ("train --data STORE --out r --config.model.kind classifier", "use nowcast classify train"),
        (
            "classify train --data STORE --out r --config.crop 0 --config.rate 900 --config.n-in 2 "
            "--config.n-out 2 --config.first-lead 1 --shares 0.5 0.5 0",
            "label no",
        ),
        ("classify train --data STORE --out r --config.curriculum 1 2", "--config.curriculum"),
        ("classify predict --weights RUN --data STORE --out a.txt", "a.txt does not end in .csv"),
        ("classify predict --weights FORECASTER --data STORE --out a.csv", "forecasts frames"),
        ("forecast --weights RUN --data STORE --out f.zarr", "nowcast classify predict"),
    ],
)
def test_mistakes_give_one_line(words, message, run, store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "FORECASTER" in words:
        save_forecaster(tmp_path / "other")
    places = {"STORE": store, "RUN": run, "FORECASTER": tmp_path / "other"}
    before = set(tmp_path.iterdir())
    assert main([str(places.get(word, word)) for word in words.split()]) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("nowcastlib: error")]
    assert len(lines) == 1
    assert message in lines[0]
    assert set(tmp_path.iterdir()) == before


def save_forecaster(folder):
    """The folder of a run of a network that forecasts frames."""
    from safetensors.torch import save_file

    from nowcastlib.training.checkpoint import start
    from nowcastlib.units import TrainedScale

    config = TrainConfig().changed(model=ConvEDLSTMConfig((2, 2), (3, 3)), crop=16)
    folder.mkdir()
    start(folder, config, "", {}, TrainedScale())
    state = initial_state(config, None, torch.device("cpu")).model.state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
