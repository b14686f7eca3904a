"""Compiled cells give the same numbers, and a failing compiler changes nothing but the speed."""

import logging

import pytest
import torch
from small_networks import CONFIG, same, seeded, train, weights

from nowcastlib.networks import build, compile_cells

X = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def failing(function):
    """A torch.compile whose compiler fails when the function is called."""

    def compiled(*_):
        raise RuntimeError("PassManager::run failed\nand a long report")

    return compiled


def failing_backwards(function):
    """A torch.compile whose compiler fails when the gradients are needed."""

    class Fail(torch.autograd.Function):
        @staticmethod
        def forward(context, tensor):
            return tensor.clone()

        @staticmethod
        def backward(context, gradient):
            raise RuntimeError("PassManager::run failed in backward")

    def compiled(*arguments):
        return tuple(Fail.apply(tensor) for tensor in function(*arguments))

    return compiled


def test_cells_that_cannot_be_compiled_run_as_they_are_with_one_warning(monkeypatch, caplog):
    model = seeded(lambda: build(CONFIG.model), dtype=torch.float32)
    expected = model(X, 3)
    monkeypatch.setattr(torch, "compile", failing)
    compile_cells(model)
    for _ in range(2):
        assert torch.equal(model(X, 3), expected)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "torch.compile fails here (PassManager::run failed)" in caplog.text


@pytest.mark.parametrize("compiler", [failing, failing_backwards])
def test_training_goes_on_where_compilation_fails(tmp_path, monkeypatch, caplog, compiler):
    model, _ = train(tmp_path / "plain")
    monkeypatch.setattr(torch, "compile", compiler)
    fallen_back, _ = train(tmp_path / "compiled", CONFIG.changed(compile=True))
    assert same(weights(fallen_back), weights(model))
    assert caplog.text.count("torch.compile fails here") == 1


def test_an_error_of_the_network_itself_is_not_hidden(monkeypatch):
    model = build(CONFIG.model)
    monkeypatch.setattr(torch, "compile", failing)
    compile_cells(model)
    with pytest.raises(ValueError, match="a frame is"):
        model(X.expand(2, 3, 2, 16, 16), 3)


def test_lack_of_memory_is_no_failed_compilation(monkeypatch):
    def full(function):
        def compiled(*_):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

        return compiled

    model = build(CONFIG.model)
    monkeypatch.setattr(torch, "compile", full)
    compile_cells(model)
    with pytest.raises(RuntimeError, match="out of memory"):
        model(X, 3)
