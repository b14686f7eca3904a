"""What users install: the wheel holds every file of the library, and forecasts far from here."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import xarray as xr

ROOT = Path(__file__).parents[1]
BACKEND = "import sys; from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"


def files_of_the_project() -> list[str]:
    """The files that Git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if (ROOT / name).is_file()]


def build(kind: str, source: Path, folder: Path) -> Path:
    """Let the build backend write a wheel or an sdist of the project in ``source``."""
    command = [sys.executable, "-c", BACKEND.format(f"build_{kind}"), str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """A source archive of a clean copy: no egg-info or build folder of an earlier time counts."""
    copy = tmp_path_factory.mktemp("copy")
    for name in files_of_the_project():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    return build("sdist", copy, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """A wheel of the source archive, so that this must be whole, too."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (source,) = folder.iterdir()
    return build("wheel", source, sdist.parent)


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel; the other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*command, "--no-deps", "--no-index", str(wheel)], check=True)

    # after the installation, else pip would find this environment's nowcastlib
    (site_packages,) = folder.glob("lib/python*/site-packages")
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site_packages / "packages_of_the_tests.pth").write_text("\n".join(packages))
    return folder


def run(environment: Path, *command: str) -> str:
    """The output of a command of the fresh environment, run in its own folder."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    program, *arguments = command
    done = subprocess.run(
        [environment / "bin" / program, *arguments],
        cwd=environment.parent,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_every_file_of_the_library_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in files_of_the_project() if name.startswith("nowcastlib/")}
    for name in ("py.typed", "__init__.pyi", "display/borders.xz", "weights/radar/config.json"):
        assert f"nowcastlib/{name}" in names


def test_sdist_holds_the_library_but_no_recipes(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in files_of_the_project() if name.startswith("nowcastlib/")} < names
    assert {"LICENSE", "README.md", "pyproject.toml"} < names
    assert not [name for name in names if name.startswith("recipes")]


def test_installed_library_forecasts_outside_the_repository(environment):
    where = run(environment, "python", "-c", "import nowcastlib; print(nowcastlib.__file__)")
    assert Path(where.strip()).is_relative_to(environment)

    run(
        environment,
        "nowcast",
        *["ingest", "--events", "1", "--pixels", "64", "--out", "storm.zarr"],
    )
    forecast = "forecast --weights radar --data storm.zarr --leads 2 --out forecast.zarr"
    assert "2 leads by radar" in run(environment, "nowcast", *forecast.split())

    with xr.open_zarr(environment.parent / "forecast.zarr", decode_timedelta=False) as saved:
        assert dict(saved.rainfall_rate.sizes) == {"lead_time": 2, "y": 64, "x": 64}
        assert saved.rainfall_rate.max() > 1
