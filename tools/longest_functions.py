"""The longest functions of the library, and those of many parameters.

    python tools/longest_functions.py [FOLDER]      (default: nowcastlib)

Lines are counted from ``def`` to the last line, docstring included; methods count without ``self``.
"""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

SHOWN = 10  # longest functions
PARAMETERS = 5  # a function with more than these is listed


class Function(NamedTuple):
    """A function and its size."""

    name: str  # file and qualified name
    lines: int
    body: int  # lines without the docstring
    parameters: int


def functions(path: Path, root: Path) -> list[Function]:
    """All functions and methods of a file, nested ones included."""
    all_functions = []

    def visit(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(root)}: {'.'.join((*names, child.name))}"
                all_functions.append(Function(name, *size(child)))
            inner = getattr(child, "name", "")
            visit(child, (*names, inner) if isinstance(inner, str) and inner else names)

    visit(ast.parse(path.read_text()), ())
    return all_functions


def size(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int, int]:
    """Lines, lines without the docstring, parameters."""
    lines = (node.end_lineno or 0) - node.lineno + 1
    first = node.body[0]
    docstring = 0
    if ast.get_docstring(node) is not None:
        docstring = (first.end_lineno or 0) - first.lineno + 1

    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = sum(argument.arg not in ("self", "cls") for argument in arguments)
    return lines, lines - docstring, parameters


def main() -> None:
    """Print both lists."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "nowcastlib")
    all_functions = [f for path in sorted(root.rglob("*.py")) for f in functions(path, root)]

    print(f"{len(all_functions)} functions; the longest (lines, of which code and comments):")
    for f in sorted(all_functions, key=lambda f: -f.lines)[:SHOWN]:
        print(f"{f.lines:5d} {f.body:4d}  {f.name}")

    many = [f for f in all_functions if f.parameters > PARAMETERS]
    print(f"\n{len(many)} functions have more than {PARAMETERS} parameters:")
    for f in sorted(many, key=lambda f: -f.parameters):
        print(f"{f.parameters:5d}  {f.name}")


if __name__ == "__main__":
    main()
