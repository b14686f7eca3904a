"""Draw docs/architecture.svg: the rooms of nowcastlib, with an arrow for each import between them.

    .venv/bin/python docs/make_architecture.py

The arrows are read from the code, so the picture shows what is, not what was planned.
"""

import ast
from itertools import count
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "nowcastlib"
PICTURE = Path(__file__).parent / "architecture.svg"

ROOMS = {  # from the top down: what each holds
    "display": "rain scale · plots · diagrams · players",
    "verification": "counts · scores · evaluation",
    "forecasting": "baselines · networks as forecasters · probabilities",
    "training": "configuration · loop · checkpoints",
    "networks": "cells · networks · losses · motion",
    "data": "feeds · store · grid · frame table · windows",
}
WIDTH, LEFT, RIGHT = 800, 130, 670  # px: the picture, and the edges of a room
HEIGHT, GAP = 58, 34  # px: a room, and the space below it


def imports_between_rooms() -> list[tuple[str, str]]:
    """Pairs (room, room that it imports from), each once."""
    pairs = set()
    for room in ROOMS:
        for path in (PACKAGE / room).rglob("*.py"):
            for module in imported_modules(ast.parse(path.read_text())):
                parts = module.split(".")
                if parts[0] == "nowcastlib" and parts[1] in ROOMS and parts[1] != room:
                    pairs.add((room, parts[1]))
    return sorted(pairs)


def imported_modules(tree: ast.AST) -> list[str]:
    """Full names of what a module imports; for ``from nowcastlib import data`` too."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if "." in name]


def places() -> dict[str, tuple[float, float, float]]:
    """Left edge, right edge and top of each room; data and networks share the lowest row."""
    tops = (110 + k * (HEIGHT + GAP) for k in count())
    rows = {room: (LEFT, RIGHT, next(tops)) for room in list(ROOMS)[:4]}
    lowest, middle = next(tops), (LEFT + RIGHT) / 2
    return rows | {"data": (LEFT, middle - 8, lowest), "networks": (middle + 8, RIGHT, lowest)}


def draw() -> str:
    """The picture as SVG."""
    rooms = places()
    floor = rooms["data"][2] + HEIGHT + GAP
    parts = [box("doors", "cli · live · course", (LEFT, RIGHT, 18), "#f3e6cf")]
    parts += [box(room, holds, rooms[room], "#dcebf7") for room, holds in ROOMS.items()]
    parts += [box("ground floor", "units · errors · files", (LEFT, RIGHT, floor), "#e8e8e8")]
    parts += [arrow(rooms[a], rooms[b], to_data=b == "data") for a, b in imports_between_rooms()]
    height = floor + HEIGHT + 18
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" text-anchor="middle">\n'
        "<title>Rooms of nowcastlib and the imports between them</title>\n"
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#444"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def box(name: str, holds: str, place: tuple[float, float, float], colour: str) -> str:
    """A room with its name and what it holds."""
    left, right, top = place
    middle = (left + right) / 2
    size = 15 if right - left > 300 else 11.5
    return (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{HEIGHT}" rx="8" '
        f'fill="{colour}" stroke="#777"/>'
        f'<text x="{middle}" y="{top + 24}" font-size="18" font-weight="600">{name}</text>'
        f'<text x="{middle}" y="{top + 45}" font-size="{size}">{holds}</text>'
    )


def arrow(upper: tuple, lower: tuple, to_data: bool) -> str:
    """An arc from a room to a lower one: on the left to data, on the right to all others."""
    start, end = upper[2] + HEIGHT / 2 + 6, lower[2] + HEIGHT / 2 - 6
    bulge = 20 + (end - start) * 0.2
    edge, side = (LEFT, LEFT - bulge) if to_data else (RIGHT, RIGHT + bulge)
    return (
        f'<path d="M{edge} {start}C{side:.0f} {start} {side:.0f} {end} {edge} {end}" '
        'fill="none" stroke="#444" stroke-width="1.5" marker-end="url(#tip)"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
