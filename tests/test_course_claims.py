"""What the notebooks say about stored experiments is what their tables show."""

from math import log
from pathlib import Path

import nbformat
import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


def prose(stem: str) -> str:
    """The text of a notebook on one line."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", 4)
    return " ".join(" ".join(c.source for c in notebook.cells if c.cell_type == "markdown").split())


def by_seed(name: str, score: str) -> pd.DataFrame:
    """A score of an experiment: one row a variant, one column a seed."""
    table = pd.read_csv(RESULTS / f"{name}.csv")
    return table.pivot_table(index="variant", columns="seed", values=score, sort=False)


def test_teacher_forcing_is_best_at_the_first_lead_and_worst_in_all():
    assert "**Teacher forcing** to the end is the worst" in prose("05_training")
    assert (by_seed("sampling", "mse").idxmax() == "teacher forcing").all()
    assert by_seed("sampling", "mse_lead_1").mean(axis=1).idxmin() == "teacher forcing"
    assert by_seed("sampling", "mse_lead_5").mean(axis=1).idxmax() == "teacher forcing"


def test_the_other_ways_of_feeding_back_differ_less_than_the_seeds():
    text = "The other five differ from each other by less than the seeds do"
    assert text in prose("05_training")
    others = by_seed("sampling", "mse").drop(index="teacher forcing")
    between_variants = others.mean(axis=1).max() - others.mean(axis=1).min()
    between_seeds = (others.max(axis=1) - others.min(axis=1)).max()
    assert between_variants < between_seeds


def test_the_mask_on_observed_frames_is_worse_than_both_others_with_each_seed():
    assert "With each seed, the network trained with his mask is worse than both" in prose(
        "05_training"
    )
    table = by_seed("mask", "bce")
    others = table.drop(index="Zampar's mask, observed frames")
    assert (table.loc["Zampar's mask, observed frames"] > others.max()).all()


def test_layer_norm_is_best_and_small_kernels_and_leaky_relu_are_worse():
    assert "**Layer norm** has the lowest error of the five variants for every seed" in prose(
        "05_training"
    )
    layers = by_seed("layers", "mse")
    assert len(layers) == 5
    assert (layers.idxmin() == "layer norm").all()
    plain = layers.loc["stride 2, kernel 5"].mean()
    assert layers.loc["kernel 3"].mean() > plain
    assert layers.loc["LeakyReLU 0.2"].mean() > plain
    assert layers.loc["max pooling"].mean() >= 0.99 * plain


def test_a_curriculum_helps_a_little_most_if_the_input_grows_too():
    curriculum = by_seed("curriculum", "mse").mean(axis=1)
    assert curriculum["frames to see, too"] < curriculum["frames to forecast"] < curriculum["off"]
    assert curriculum.min() > 0.8 * curriculum["off"]


def test_only_some_losses_keep_heavy_rain():
    heavy = by_seed("losses", "csi_5")
    assert heavy.loc[["kl", "mse"]].max().max() <= 0.002
    assert heavy.loc[["balanced", "mae", "ssim_mse"]].min().min() > 0.01


def test_numbers_worked_out_by_hand():
    page = prose("06_results")
    assert "3 / 6 = 0.50" in page
    members, truth = [0, 2, 4], 2
    error = sum(abs(m - truth) for m in members) / 3
    difference = sum(abs(a - b) for a in members for b in members) / 9
    assert f"{error:.2f} − {difference / 2:.2f} = {error - difference / 2:.2f} mm/h" in page
    assert f"8 / 20 = {8 / 20:.2f}" in page
    assert f"8 / 100 = {8 / 100:.2f}" in page

    entropy = -(0.48 * log(0.48) + 0.52 * log(0.52))
    assert f"{entropy:.2f}: the perfect forecast of a dry picture" in prose("05_training")
