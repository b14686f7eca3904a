"""The project: matching environments, and pages that tell the truth."""

import importlib.util
import json
import pkgutil
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings it there
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}


def test_conda_environment_names_the_same_packages_as_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = set()
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        name, version = re.match(r"([\w.-]+)(?:\[\w+\])?([^;]*)", requirement).groups()
        ours.add(CONDA_NAMES.get(name, name).lower() + version)
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {d for d in listed if isinstance(d, str)} - {
        "pip",
        "python" + project["requires-python"],
    }
    assert conda == ours
    assert {"pip": ["--editable ."]} in listed


def test_readme_lists_every_notebook_and_its_commands_exist():
    readme = (ROOT / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"notebooks/{path.name}" in readme
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make (\w+)", readme, re.M)) <= targets
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / target).exists(), target


def test_weights_are_safetensors_and_the_repository_is_small():
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = [ROOT / name for name in tracked.split("\0") if name]
    assert sum(f.stat().st_size for f in files if f.exists()) < 40e6
    assert {f.suffix for f in files if f.parts[-3:-2] == ("weights",)} <= {
        ".safetensors",
        ".json",
        ".csv",
        ".md",
    }


def test_readme_and_site_show_the_same_table_of_notebooks():
    rows = r"^\| \[(\d\d .+?)\]\(.+?\) \| (.+) \|$"
    pages = ("README.md", "docs/course.md")
    tables = [re.findall(rows, (ROOT / page).read_text(), re.M) for page in pages]
    assert tables[0] == tables[1]
    assert len(tables[0]) == len(NOTEBOOKS)


def test_the_architecture_page_names_what_exists():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = "data|networks|training|forecasting|verification|display"
    names = set(re.findall(rf"`(?:nowcastlib\.)?((?:{rooms}|units|files|errors)[.\w]*)", text))
    assert len(names) > 20
    for name in names:
        pkgutil.resolve_name(f"nowcastlib.{name}")


def test_the_architecture_picture_shows_the_imports():
    path = ROOT / "docs" / "make_architecture.py"
    spec = importlib.util.spec_from_file_location("make_architecture", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    picture = script.PICTURE.read_text()
    assert picture == script.draw(), "draw it again: .venv/bin/python docs/make_architecture.py"
    assert picture.count("marker-end") == len(script.imports_between_rooms()) > 5


def results_page() -> str:
    return (ROOT / "docs/results.md").read_text()


FORECASTERS = ("radar", "untrained", "sprog", "extrapolation", "persistence", "anvil")


def fold_csi() -> pd.Series:
    """CSI by fold, threshold and forecaster, averaged over the leads and the events."""
    table = pd.read_csv(ROOT / "docs/results/radar.csv").query("lead == 'mean'")
    return table.groupby(["fold", "threshold", "forecaster"]).csi.mean()


def test_results_of_convedlstm_are_those_of_the_table():
    page = results_page()
    table = pd.read_csv(ROOT / "docs/results/convedlstm.csv")
    assert len(table) >= 9
    columns = ["csi_0.5", "csi_2", "csi_5", "bias_0.5", "bias_2", "bias_5", "largest"]
    for row in table.itertuples(index=False):
        values = " | ".join(
            f"{value:.3f}" if name.startswith("csi") else f"{value:.2f}"
            for name, value in zip(table.columns, row, strict=True)
            if name in columns
        )
        assert f"| {row.group} | {row.forecaster} | {values} |" in page


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_mean_csi_of_the_folds_is_that_of_the_table(page):
    mean = fold_csi().groupby(["threshold", "forecaster"]).mean()
    for threshold in (0.5, 2.0, 5.0):
        shown = {name: f"{mean[threshold, name]:.3f}" for name in FORECASTERS}
        highest = max(shown.values())
        cells = [f"**{csi}**" if csi == highest else csi for csi in shown.values()]
        row = f"| {threshold:g} mm/h | {' | '.join(cells)} |"
        assert row in (ROOT / page).read_text(), row


@pytest.mark.parametrize("table", ["radar", "radar_last_block"])
def test_ratios_to_the_best_of_four_are_those_of_the_table(table):
    page = results_page()
    name = f"{table}_services.csv"
    table = pd.read_csv(ROOT / "docs/results" / name, dtype={"lead": str})
    for (forecaster, fold, lead), rows in table.query("lead in ('mean', '12')").groupby(
        ["forecaster", "fold", "lead"]
    ):
        if fold != "all" and (lead == "12" or "last_block" in name):
            continue
        rows = rows.set_index("threshold").reindex([0.5, 2.0, 5.0])
        cells = [ratio_cell(row) for row in rows.itertuples()]
        error = rows.mse_ratio.dropna().iloc[0]
        label = fold if lead == "mean" else f"{fold}, last lead"
        row = f"| {forecaster} | {label} | {' | '.join(cells)} | {error:.2f} |"
        assert row in page, row


def ratios_in_words(table: str, forecaster: str) -> str:
    """The ratios of "all", mean of the leads, at the three thresholds: "1.06, 1.03 and 0.99"."""
    rows = pd.read_csv(ROOT / "docs/results" / f"{table}_services.csv", dtype={"lead": str})
    rows = rows.query("forecaster == @forecaster and fold == 'all' and lead == 'mean'")
    low, middle, high = (f"{ratio:.2f}" for ratio in rows.sort_values("threshold").ratio)
    return f"{low}, {middle} and {high}"


def test_readme_states_the_ratios_of_the_tables():
    text = (ROOT / "README.md").read_text()
    assert f"its CSI is {ratios_in_words('radar', 'radar')} times as high" in text
    last = "radar_last_block"
    assert f"the ratios are {ratios_in_words(last, 'radar')}, those of the untrained" in text
    assert f"network {ratios_in_words(last, 'untrained')}: three windows" in text
    rows = pd.read_csv(ROOT / "docs/results/radar_services.csv").query("fold == 'all'")
    error = rows.query("forecaster == 'radar' and lead == 'mean' and threshold == 0.5").mse_ratio
    assert f"its squared error {1 - error.item():.0%} lower".replace("%", " %") in text


def ratio_cell(row) -> str:
    """As the page writes it: ratio, events that count, share of them in which it is ahead."""
    if pd.isna(row.ratio):
        return "–"
    return f"{row.ratio:.2f} ({row.events:.0f}, {row.ahead:.0%})".replace("%", " %")


def test_results_of_the_ablation_are_those_of_the_table():
    page = results_page()
    table = pd.read_csv(ROOT / "docs/results/radar_ablation.csv")
    mean = table.groupby(["variant", "threshold"])[["csi_unbiased", "mse"]].mean()
    for variant in table.variant.unique():
        scores = " | ".join(f"{csi:.3f}" for csi in mean.csi_unbiased[variant])
        row = f"| `{variant}` | {scores} | {mean.mse[variant].iloc[0]:.2f} |"
        assert row in page, row


MOTIONS = ("ours", "lucas_kanade", "vet", "proesmans")


def test_results_of_the_motion_are_those_of_the_table():
    page = results_page()
    table = pd.read_csv(ROOT / "docs/results/motion.csv")
    assert len(table) == 8 * 7 * len(MOTIONS)
    error = table.groupby(["movement", "method"]).error_px
    for movement in table.movement.unique():
        shown = [
            f"{error.median()[movement, name]:.2f} ({error.max()[movement, name]:.2f})"
            for name in MOTIONS
        ]
        assert f"| {movement} | {' | '.join(shown)} |" in page
    seconds = table.groupby("method").seconds.median()
    shown = [f"{seconds[name]:.2f} s" for name in MOTIONS]
    assert f"| processor time | {' | '.join(shown)} |" in page


def test_motion_is_as_exact_as_the_best_of_pysteps():
    table = pd.read_csv(ROOT / "docs/results/motion.csv")
    error = table.pivot(index=["scene", "movement"], columns="method", values="error_px")
    others = error.drop(columns="ours").min(axis=1)
    assert (error.ours <= others + 0.3).all()


def signed_percent(change: float) -> str:
    """As the page writes it: "+0.8 %", "−1.1 %", "0.0 %"."""
    shown = f"{change:+.1f} %"
    return shown[1:] if shown[1:] == "0.0 %" else shown.replace("-", "−")


def test_results_of_other_scales_are_those_of_the_table():
    page = results_page()
    table = pd.read_csv(ROOT / "docs/results/scales.csv")
    names = {"2.5 minutes": "every 2.5 minutes", "15 minutes": "every 15 minutes"}
    names |= {f"{n} minutes": f"every {n} minutes" for n in (20, 30)}
    names["10 minutes"] = "every 10 minutes (taken as they are)"
    names["0.5 km, bilinear, 15 minutes"] = "0.5 km every 15 minutes"
    for name, scores in table.groupby("frames"):
        label = names.get(name, name.replace("bilinear", "divided smoothly"))
        shown = " | ".join(
            f"{native:.3f} | {signed_percent(change)}"
            for native, change in zip(scores.native, scores["change_%"], strict=True)
        )
        assert f"| {label} | {shown} |" in page


def test_results_on_moving_mnist_are_those_of_the_report():
    report = json.loads((ROOT / "docs/results/mnist.json").read_text())
    for n in (6, 8, 10):
        scores = report[f"{n} to {n}"]
        row = f"| {n} → {n} | {scores['bce']:.4f} | {scores['mse']:.1f} | {scores['ssim']:.3f} |"
        assert row in results_page()


def test_results_of_zampars_network_are_those_of_the_table():
    table = pd.read_csv(ROOT / "docs/results/seed_network.csv")
    assert len(table) == 6
    for row in table.itertuples():
        scores = f"{row.bce:.4f} | {row.mse:.1f} | {row.ssim:.3f}"
        assert f"| {row.network} | {row.frames} → {row.frames} | {scores} |" in results_page()


def test_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    releases = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == version


def test_continuous_integration_runs_the_commands_of_the_makefile():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    job = workflow["jobs"]["test"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert {"make lint", "make test"} <= set(commands)
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={min(job['strategy']['matrix']['python'])}" == lowest


def test_other_environments_are_readable():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert "make setup" in container["onCreateCommand"]
    binder = yaml.safe_load((ROOT / "binder/environment.yml").read_text())
    assert {"pip": ["--editable .."]} in binder["dependencies"]
