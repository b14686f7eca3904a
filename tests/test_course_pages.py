"""The pages of the course: one template, no code without prose, exercises that can be solved."""

import contextlib
import io
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
START = ["Goals", "Prerequisites", "Minutes", "Imports"]
END = ["Summary", "Exercises", "Next", "References"]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, 4)


def sources(path: Path, kind: str) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == kind]


def tagged(path: Path, *tags: str) -> list[tuple[str, str]]:
    """Tag and source of the code cells with one of these tags, in order."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    return [(tag, c.source) for c in cells for tag in c.metadata.get("tags", []) if tag in tags]


def sections(path: Path) -> dict[str, str]:
    """Texts of a notebook by the heading above them."""
    text = "\n".join(sources(path, "markdown"))
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def page_name(path: Path) -> str:
    return path.stem


def test_the_course_is_numbered_without_a_gap():
    assert [p.name[:2] for p in NOTEBOOKS] == [f"{k:02d}" for k in range(len(NOTEBOOKS))]


def test_the_folder_holds_notebooks_only():
    files = [p for p in (ROOT / "notebooks").rglob("*") if p.is_file()]
    unknown = [p.name for p in files if p.suffix != ".ipynb" and ".ipynb_" not in str(p)]
    assert unknown == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_headings_are_those_of_the_template(path):
    title = re.match(r"# (\d\d)(?: ·)? \w", sources(path, "markdown")[0])
    assert title.group(1) == path.name[:2]
    headings = list(sections(path))
    assert headings[:4] == START
    assert headings[-4:] == END


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_a_page_says_what_it_needs_and_what_it_rests_on(path):
    section = sections(path)
    assert 3 <= len(re.findall(r"^- ", section["Goals"], re.M)) <= 5
    assert re.search(r"^\|.*necessary", section["Prerequisites"], re.M | re.I)
    assert re.search(r"^\|.*helpful", section["Prerequisites"], re.M | re.I)
    for word in ("learning", "two CPU cores", "GPU"):
        assert word in section["Minutes"]
    assert "https://doi.org/" in section["References"]
    assert "docs/glossary.md" in "".join(section.values())
    assert f"solutions/{path.name}" in section["Exercises"]
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell for cell in code if "imports" in cell.metadata.get("tags", [])] == code[:1]


@pytest.mark.parametrize("path", NOTEBOOKS + SOLUTIONS, ids=page_name)
def test_cells_are_stripped_and_short(path):
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    # The training loop of notebook 05 is shown whole
    short = [c for c in code if "loop" not in c.metadata.get("tags", [])]
    assert max(code_lines(cell.source) for cell in short) <= 30
    assert len(code) - len(short) <= 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_code_is_explained_by_prose(path):
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert statistics.median(code_lines(cell.source) for cell in code) <= 8
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    assert "ccc" not in kinds, "three code cells in a row without prose"


def test_links_between_notebooks_lead_somewhere():
    for path in NOTEBOOKS + SOLUTIONS:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", "\n".join(sources(path, "markdown"))):
            assert (path.parent / target).exists(), f"{path.name} → {target}"


def test_links_to_the_glossary_name_a_term():
    terms = re.findall(r"^### (.+)$", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    anchors = {re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-") for term in terms}
    assert len(anchors) == len(terms)
    for path in NOTEBOOKS + SOLUTIONS:
        text = "\n".join(sources(path, "markdown"))
        for anchor in re.findall(r"docs/glossary\.md#([^)]+)\)", text):
            assert anchor in anchors, f"{path.name} → {anchor}"


def test_pytest_collects_every_cell_of_every_notebook():
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--collect-only", "-q", "notebooks"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in NOTEBOOKS:
        assert collected.count(f"notebooks/{path.name}::") == len(sources(path, "code")), path.name


def outcomes(path: Path) -> list[str]:
    """What the checks of a notebook print, if only imports, exercises and checks are run."""
    imports, *rest = tagged(path, "imports", "exercise", "check")
    assert [tag for tag, _ in [imports, *rest]] == ["imports"] + len(rest) // 2 * [
        "exercise",
        "check",
    ]
    names = {"__name__": "__main__"}
    exec(imports[1], names)

    printed = []
    for (_, exercise), (_, check) in zip(rest[::2], rest[1::2], strict=True):
        space = dict(names)  # an exercise needs nothing from the one before it
        exec(exercise, space)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(check, space)
        printed.append(output.getvalue().strip())
    return printed


@pytest.fixture
def in_folder_of_notebooks(monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_untouched_exercises_are_not_solved_yet(path, in_folder_of_notebooks):
    printed = outcomes(path)
    assert printed
    for number, text in enumerate(printed, start=1):
        assert text.startswith(f"Exercise {number}: not solved yet: "), text


@pytest.mark.parametrize("path", SOLUTIONS, ids=page_name)
def test_solutions_are_accepted(path, in_folder_of_notebooks):
    printed = outcomes(path)
    assert printed == [f"Exercise {k}: solved" for k in range(1, len(printed) + 1)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_each_exercise_has_a_solution_that_the_same_check_accepts(path):
    solution = path.parent / "solutions" / path.name
    assert tagged(path, "check") == tagged(solution, "check")
    headings = [
        re.findall(r"^### (Exercise \d+: .+)$", "\n".join(sources(p, "markdown")), re.M)
        for p in (path, solution)
    ]
    assert headings[0] == headings[1]
    assert len(headings[0]) == len(tagged(path, "check"))
    assert len(tagged(solution, "imports", "exercise", "check")) == len(sources(solution, "code"))
    assert tagged(path, "exercise") != tagged(solution, "exercise")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=page_name)
def test_every_check_gives_a_hint(path):
    for _, check in tagged(path, "check"):
        assert re.match(r'with course\.checking\("Exercise \d+"\):\n', check)
        conditions = re.findall(r"^ +assert ", check, re.M)
        hints = re.findall(r'f?"[^"\n]+"\n?(?= *\)?$)', check, re.M)
        assert 1 <= len(conditions) <= len(hints), check
