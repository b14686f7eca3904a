"""Options ``--config.…`` of the command line: those of the kind of network, and no others."""

import re

import pytest

from nowcastlib.cli import main
from nowcastlib.cli.config_options import train_config
from nowcastlib.cli.parser import parse
from nowcastlib.networks import FORECASTING, GuidedConfig
from nowcastlib.training import default_config

TRAIN = ["train", "--data", "frames.zarr", "--out", "run"]


@pytest.mark.parametrize("kind", FORECASTING)
def test_kind_alone_gives_its_default_configuration(kind):
    command = parse([*TRAIN, "--config.model.kind", kind])
    assert train_config(command.config) == default_config(kind)


def test_options_of_all_parts_are_given_without_the_names_of_the_parts():
    options = "--config.model.kind guided --config.model.hidden 4 4 --config.model.kernel 3 3"
    options += " --config.model.no-motion --config.n-in 4 --config.epochs 2 --config.lr 0.01"
    options += " --config.curriculum 1 2 --config.scale.rate-max 60"
    config = train_config(parse([*TRAIN, *options.split()]).config)
    assert config == default_config("guided").changed(
        model=GuidedConfig((4, 4), (3, 3), motion=False), n_in=4, epochs=2, lr=0.01,
        curriculum=(1, 2), rate_max=60.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--config.model.kind guided --config.model.max-pool",
            "max.pool is not an option of guided; it belongs to convedlstm",
        ),
        (
            "--config.model.kind fclstm --config.model.kernel 3",
            "kernel is not an option of fclstm; it belongs to",
        ),
        ("--config.model.kind=zzz", "unknown kind of network 'zzz': choose one of convedlstm"),
        ("--config.model.zzz 3", "zzz"),
        ("--config.gamma 0.5", "gamma has no effect here: it needs the schedule step"),
        ("--config.loss exceedance", "exceedance does not suit a convedlstm network"),
        ("--config.n-in 0", "n_in is 0: it must be 1 or more"),
        ("--config.least 3", "--config.least .*--config.min-windows"),
        ("--config.optimiser adamw", "--config.optimiser .*--config.weight-decay"),
    ],
)
def test_unused_unknown_and_replaced_options_are_refused_by_name(
    options, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, *options.split()]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
    assert not list(tmp_path.iterdir())
