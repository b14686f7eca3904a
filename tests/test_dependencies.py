"""Every package that is imported is declared, with a lower bound that has no known hole."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.version import Version

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings it there
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# brought by packages that are declared, and imported only beside them
BROUGHT = {
    "boto3": "moto",
    "cloudpickle": "dask",
    "docutils": "sphinx",
    "nbformat": "nbclient",
    "packaging": "pytest",
    "psutil": "distributed",
    "tomli": "pytest",
    "typing_extensions": "torch",  # read by the type checker only
}
BY_HAND = {"icechunk", "keras"}  # of a benchmark and of a reference, which say how to install it

SAFE = {  # the first version without a hole that was published
    "h5py": "3.15",  # brings HDF5 1.14.6: crafted files
    "jinja2": "3.1.6",  # CVE-2025-27516
    "jupyterlab": "4.4.8",  # CVE-2025-59842
    "numcodecs": "0.16",  # decodes no pickles by itself
    "opencv-python-headless": "4.12",  # CVE-2025-53644
    "pillow": "12.1.1",  # CVE-2025-48379, CVE-2026-25990
    "requests": "2.33",  # CVE-2024-47081, CVE-2026-25645
    "torch": "2.10",  # CVE-2025-32434, CVE-2026-24747: weights that run programs
    "tqdm": "4.66.3",  # CVE-2024-34062
    "urllib3": "2.6.3",  # CVE-2025-66418, CVE-2025-66471, CVE-2026-21441
}


def declared(requirements: list[str]) -> dict[str, str]:
    """Lower bound by name of the package."""
    bounds = {}
    for requirement in requirements:
        name, bound = re.match(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)", requirement).groups()
        bounds[name.lower().replace("_", "-")] = bound
    return bounds


LIBRARY = declared(PROJECT["dependencies"])
SCALE = declared(PROJECT["optional-dependencies"]["scale"])
ALL = LIBRARY | declared(PROJECT["optional-dependencies"]["dev"])


def imported(folder: str) -> dict[str, Path]:
    """Foreign modules that the Python files of a folder import, each with one of the files."""
    files = sorted((ROOT / folder).rglob("*.py"))
    recipes = [path.stem for path in (ROOT / "recipes").glob("*.py")]
    own = {
        "nowcastlib",
        "tests",
        *recipes,
        *(path.stem for path in files),
        *(p.parent.name for p in files),
    }
    found = {name: path for path in files for name in modules(ast.parse(path.read_text()))}
    return {n: p for n, p in found.items() if n not in {*sys.stdlib_module_names, *own}}


def modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


def undeclared(folder: str, packages: set[str]) -> list[str]:
    """Imports of a folder that belong to none of the packages."""
    providers = packages_distributions()
    missing = []
    for name, path in imported(folder).items():
        given = {p.lower().replace("_", "-") for p in providers.get(name, [name])}
        if not given & packages and BROUGHT.get(name) not in packages and name not in BY_HAND:
            missing.append(f"{name} in {path.name}")
    return missing


def test_every_import_of_the_library_is_declared():
    assert len(imported("nowcastlib")) > 20
    assert undeclared("nowcastlib", {*LIBRARY, *SCALE}) == []
    assert SCALE.items() <= ALL.items()  # so that the tests run


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "docs", "notebooks"])
def test_every_import_beside_the_library_is_declared(folder):
    assert undeclared(folder, {*ALL}) == []


def test_a_missing_declaration_is_found():
    assert "scipy" in " ".join(undeclared("nowcastlib", {*LIBRARY} - {"scipy"}))


@pytest.mark.parametrize("package", SAFE)
def test_lower_bound_has_no_known_hole(package):
    assert Version(ALL[package]) >= Version(SAFE[package])
