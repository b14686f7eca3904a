"""What notebook 07 says about the ablation is what the table of results holds."""

from pathlib import Path

import nbformat
import pandas as pd

ROOT = Path(__file__).parents[1]


def test_training_lowers_the_squared_error_by_a_third_and_does_not_raise_the_csi():
    notebook = nbformat.read(ROOT / "notebooks" / "07_guided.ipynb", 4)
    summary = next(cell.source for cell in notebook.cells if "## Summary" in cell.source)
    text = " ".join(summary.split())
    assert "training lowered the squared error by about a third and did not raise the CSI" in text

    table = pd.read_csv(ROOT / "docs" / "results" / "radar_ablation.csv")
    full, untrained = (
        table[table.variant == v].set_index("threshold") for v in ("full", "untrained")
    )
    ratio = (full.mse / untrained.mse).unique()
    assert ((ratio > 0.62) & (ratio < 0.72)).all()
    assert (full.csi < untrained.csi + 0.001).all()
