"""A training step as one CUDA graph on a GPU. Collected only where there is one (conftest.py)."""

import numpy as np
import pytest
from small_networks import CONFIG, windows

from nowcastlib.training import FitOptions, default_config, fit

LONG = CONFIG.changed(steps=6)  # enough to record the step of each length


@pytest.mark.parametrize("kind", ["convedlstm", "guided"])
def test_graph_on_cuda_trains_like_no_graph(tmp_path, kind, caplog):
    config = LONG.changed(precision="bf16")
    if kind == "guided":
        config = default_config(kind).changed(
            n_in=3, n_out=2, crop=16, epochs=2, steps=8, batch=2, precision="bf16"
        )
    data = windows(random=False)
    runs = {}
    for graph in (False, True):
        options = FitOptions(progress=False, device="cuda", graph=graph)
        _, history = fit(config, data, data, tmp_path / f"graph {graph}", options)
        runs[graph] = history[["train", "validation"]].to_numpy()
    assert "CUDA graph" not in caplog.text
    np.testing.assert_allclose(runs[True], runs[False], rtol=0.02)
