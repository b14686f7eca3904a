"""Cells that warn, or that show a picture without a description, fail when a notebook is tested."""

from types import SimpleNamespace

import pytest
from nbformat.v4 import new_code_cell, new_output
from page_outputs import faults, pytest_runtest_call


@pytest.fixture(autouse=True)
def demo(monkeypatch):
    for name in ("NOWCAST_ARCHIVE", "NOWCAST_SOURCE"):
        monkeypatch.delenv(name, raising=False)


PICTURE = new_output("display_data", {"image/png": "iVBORw0KGgo="})
CELL = new_code_cell("draw()")
DESCRIBED = new_code_cell("draw()", metadata={"mystnb": {"image": {"alt": "A blue square"}}})


def printed(text: str, name: str = "stdout"):
    return new_output("stream", name=name, text=text)


def run(cell, *outputs):
    """Let the plugin see a cell that nbval has run."""
    hook = pytest_runtest_call(SimpleNamespace(cell=cell, test_outputs=[*outputs]))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(None)


def test_the_plugin_watches_all_notebooks(request):
    assert request.config.pluginmanager.hasplugin("page_outputs")


def test_words_and_described_pictures_pass():
    run(CELL, printed("warning from 0.30 on"), new_output("execute_result", {"text/plain": "1"}))
    run(DESCRIBED, PICTURE)
    run(CELL)


@pytest.mark.parametrize(
    "output",
    [printed("1 frame skipped", "stderr"), printed("page.py:1: UserWarning: no rain")],
    ids=["log", "warning"],
)
def test_a_warning_fails(output):
    with pytest.raises(pytest.fail.Exception, match="warning would be on the page"):
        run(CELL, output)


def test_on_real_rain_the_library_may_caution_but_nothing_else_may_warn(monkeypatch):
    monkeypatch.setenv("NOWCAST_ARCHIVE", "archive")
    run(CELL, printed("the rain seems to move more than 42 px", "stderr"))
    with pytest.raises(pytest.fail.Exception, match="Singular"):
        run(CELL, printed("cleansing.py:242: UserWarning: Singular matrix", "stderr"))


def test_a_picture_without_a_description_fails():
    with pytest.raises(pytest.fail.Exception, match="no alternative text"):
        run(CELL, PICTURE)


def test_all_faults_of_a_cell_are_named():
    assert len(faults(CELL, [printed("no rain", "stderr"), PICTURE])) == 2
