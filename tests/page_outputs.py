"""A pytest plugin: cells of notebooks print no warning and describe their pictures.

nbval runs the cells. A page shows everything that a cell prints, warnings with paths of the machine
that made the page, too. And a picture without a description shows nothing to a reader who cannot
see it. On other rain than the demo's, the library may caution its user; other warnings fail there,
too.
"""

import os
import re

import pytest


def faults(cell, outputs) -> list[str]:
    """What is wrong with the outputs of a cell of a notebook, one sentence each."""
    found = []
    for output in outputs:
        if output.output_type == "stream":
            is_caution = output.name == "stderr" and is_demo()
            if is_caution or re.search(r"\b\w+Warning\b", output.text):
                found.append(f"a warning would be on the page: {output.text.strip()}")
        elif "image/png" in output.get("data", {}) and not description(cell):
            found.append("its picture has no alternative text (metadata: mystnb.image.alt)")
    return found


def is_demo() -> bool:
    """Whether the course runs on synthetic rain, which gives no reason for a caution."""
    return not (os.environ.get("NOWCAST_ARCHIVE") or os.environ.get("NOWCAST_SOURCE"))


def description(cell) -> str:
    """The alternative text of a cell's picture, which the site takes from the cell's metadata."""
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a cell that ran, but whose outputs do not belong on a page."""
    result = yield
    outputs = getattr(item, "test_outputs", None)  # of nbval's cells only
    if outputs and (found := faults(item.cell, outputs)):
        pytest.fail("\n".join(found))
    return result
