"""What notebook 07 says about the ablation is what the table of results holds."""

from pathlib import Path

import nbformat
import pandas as pd

ROOT = Path(__file__).parents[1]


def test_training_lowers_the_squared_error_and_hardly_changes_the_csi():
    notebook = nbformat.read(ROOT / "notebooks" / "07_guided.ipynb", 4)
    text = " ".join(" ".join(cell.source for cell in notebook.cells).split())
    claim = "training lowered the squared error by about 15 % and hardly changed the CSI"
    assert claim in text
    assert "Without the motion the CSI falls most." in text

    table = pd.read_csv(ROOT / "docs" / "results" / "radar_ablation.csv")
    mean = table.groupby(["variant", "threshold"])[["csi_unbiased", "mse"]].mean()
    base, untrained = mean.loc["base"], mean.loc["untrained"]
    ratio = base.mse / untrained.mse
    assert ((ratio > 0.82) & (ratio < 0.88)).all()
    assert ((base.csi_unbiased - untrained.csi_unbiased).abs() < 0.01).all()
    by_threshold = mean.csi_unbiased.unstack("threshold")
    assert (by_threshold.idxmin() == "no_motion").all()
