"""The folder of a run is read as it was written."""

import json

import torch
from safetensors.torch import save_file

from nowcastlib.networks import ConvEDLSTMConfig, build
from nowcastlib.training import TrainConfig, load
from nowcastlib.training.config import to_dict


def test_weights_stored_as_16_bit_numbers_run_in_float32(tmp_path):
    config = TrainConfig().changed(model=ConvEDLSTMConfig(hidden=(3, 3), kernel=(3, 3)))
    stored = {name: w.half() for name, w in build(config.model).state_dict().items()}
    save_file(stored, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"config": to_dict(config)}))

    network, _ = load(tmp_path)

    weights = network.state_dict()
    assert {w.dtype for w in weights.values()} == {torch.float32}
    assert all(torch.equal(weights[name], stored[name].float()) for name in stored)
    assert network(torch.rand(1, 2, 1, 16, 16), 2).dtype == torch.float32
