"""The house: which room may import from which, and what a room offers to the others."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "nowcastlib"

# from the ground floor up: a room imports only from rooms on lower floors
FLOORS = [
    {"errors", "_interrupts", "_local_cluster"},
    {"units", "files", "devices", "workers", "_pysteps"},
    {"data", "networks"},
    {"training"},
    {"forecasting"},
    {"verification"},
    {"display"},
    {"live", "course"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


class Import(NamedTuple):
    """``from module import name`` in a file of the library; ``import module`` has no name."""

    path: Path
    line: int
    module: str
    name: str

    def __str__(self) -> str:
        place = f"{self.path.parent.name}/{self.path.name}:{self.line}"
        return f"{place}: from {self.module} import {self.name}"


def imports_of(path: Path, package: Path = PACKAGE) -> Iterator[Import]:
    """The imports of the library's own modules in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # a relative import, as in a stub
                inside = path.parent.relative_to(package.parent).parts
                module = ".".join([*inside[: len(inside) - node.level + 1], module]).rstrip(".")
            for alias in node.names:
                yield Import(path, node.lineno, module, alias.name)


def library_imports(package: Path = PACKAGE) -> list[Import]:
    """All imports of the library's own modules in its Python files."""
    every = [i for path in sorted(package.rglob("*.py")) for i in imports_of(path, package)]
    return [i for i in every if i.module.split(".")[0] == "nowcastlib"]


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """The room in which a file lies: its folder or, on the package's own level, its name."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def target_of(i: Import) -> str:
    """The room from which something is imported; "__init__" is the public interface itself."""
    parts = i.module.split(".")
    if len(parts) > 1:
        return parts[1]
    return i.name if i.name in FLOOR else "__init__"


def offered_by(room: str, package: Path = PACKAGE) -> set[str]:
    """The names that a room's stub lists for other rooms; without a stub, the names it defines."""
    stub = package / room / "__init__.pyi"
    if stub.exists():
        return {i.name for i in imports_of(stub, package)}
    body = ast.parse((package / room / "__init__.py").read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def is_module(module: str, name: str, package: Path = PACKAGE) -> bool:
    """Whether ``from module import name`` imports a submodule."""
    folder = package.parent.joinpath(*module.split("."), name)
    return folder.is_dir() or folder.with_suffix(".py").exists()


def upward_imports(package: Path = PACKAGE) -> list[str]:
    """Imports that do not go down to a lower floor."""
    return [
        str(i)
        for i in library_imports(package)
        if room_of(i.path, package) != target_of(i)
        and FLOOR[room_of(i.path, package)] <= FLOOR[target_of(i)]
    ]


def private_imports(package: Path = PACKAGE) -> list[str]:
    """Imports of something that another room does not offer."""
    private = []
    for i in library_imports(package):
        room, target = room_of(i.path, package), target_of(i)
        if target == room or not (package / target).is_dir():
            continue
        in_the_room = i.module == f"nowcastlib.{target}"
        offered = in_the_room and i.name in offered_by(target, package)
        if i.name and not offered and not is_module(i.module, i.name, package):
            private.append(str(i))
    return private


def circles(package: Path = PACKAGE) -> list[list[str]]:
    """Circles of modules that import one another (imports inside functions left out)."""
    graph: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        module = module.removesuffix(".__init__")
        graph[module] = set(imported_at_the_top(path, package))

    closed: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            closed.append([*trail[trail.index(module) :], module])
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, [*trail, module])
            done.add(module)

    for module in graph:
        visit(module, [])
    return closed


def imported_at_the_top(path: Path, package: Path) -> Iterator[str]:
    """The library's modules that are imported when a file is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nowcastlib"):
            for alias in node.names:
                inside = is_module(node.module, alias.name, package)
                yield f"{node.module}.{alias.name}" if inside else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("nowcastlib"))


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")}
    assert rooms == set(FLOOR)


def test_imports_go_only_downwards():
    assert upward_imports() == []


def test_data_and_networks_do_not_know_each_other():
    between = [
        str(i) for i in library_imports() if {room_of(i.path), target_of(i)} == {"data", "networks"}
    ]
    assert between == []


def test_no_circle_of_imports():
    assert circles() == []


def test_rooms_import_only_what_another_room_offers():
    assert private_imports() == []


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("*.pyi")), ids=lambda p: p.parent.name)
def test_every_name_in_a_stub_exists(stub):
    package = ".".join(stub.parent.relative_to(PACKAGE.parent).parts)
    module = importlib.import_module(package)
    names = {i.name for i in imports_of(stub)}
    assert names == set(module.__all__)
    for name in names:
        value = getattr(module, name)
        assert isinstance(value, ModuleType) == is_module(package, name), f"two things named {name}"


@pytest.fixture
def small_house(tmp_path):
    """A package of three rooms, in which a test adds an import."""
    package = tmp_path / "nowcastlib"
    for room in ("data", "networks", "training"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    (package / "data" / "__init__.pyi").write_text("from .store import open_frames as open_frames")
    (package / "data" / "store.py").write_text("def open_frames(): ...\ndef close(): ...\n")
    (package / "networks" / "cells.py").touch()
    return package


@pytest.mark.parametrize(
    ("file", "line", "upward", "private"),
    [
        ("training/loop.py", "from nowcastlib.data import open_frames", 0, 0),
        ("training/loop.py", "from nowcastlib.data import store", 0, 0),
        ("training/loop.py", "import nowcastlib.data.store", 0, 0),
        ("training/loop.py", "from nowcastlib.data.store import open_frames", 0, 1),
        ("training/loop.py", "from nowcastlib.data import close", 0, 1),
        ("data/store.py", "from nowcastlib import training", 1, 0),
        ("data/store.py", "from nowcastlib.networks import cells", 1, 0),
        ("data/store.py", "def f():\n    from nowcastlib.networks import cells", 1, 0),
        ("networks/cells.py", "from nowcastlib.data import open_frames", 1, 0),
        ("networks/cells.py", "import nowcastlib", 1, 0),
    ],
)
def test_a_wrong_import_is_found(small_house, file, line, upward, private):
    (small_house / file).write_text(line)
    assert len(upward_imports(small_house)) == upward
    assert len(private_imports(small_house)) == private


def test_a_circle_is_found(small_house):
    (small_house / "data" / "store.py").write_text("from nowcastlib.data import grid")
    (small_house / "data" / "grid.py").write_text("from nowcastlib.data.store import close")
    assert circles(small_house) == [
        ["nowcastlib.data.store", "nowcastlib.data.grid", "nowcastlib.data.store"]
    ] or circles(small_house) == [
        ["nowcastlib.data.grid", "nowcastlib.data.store", "nowcastlib.data.grid"]
    ]
