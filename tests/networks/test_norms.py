"""Normalisations equal their formulas, gradients included, in the precision of the maps."""

import pytest
import torch
from torch import Tensor

from nowcastlib.networks.norms import GroupNorm, PixelNorm

SHAPE = (3, 8, 6, 4)  # (B, C, H, W)
NORMS = {
    "layer": (1, lambda: GroupNorm(1, 8)),
    "group": (4, lambda: GroupNorm(4, 8)),
    "pixel": (1, lambda: PixelNorm(8, (6, 4))),
}


def formula(maps: Tensor, groups: int, weight: Tensor, bias: Tensor) -> Tensor:
    """Maps minus their mean over the root of their variance, weighted; (B, C, H, W)."""
    parts = maps.reshape(len(maps), groups, -1)
    variance = parts.var(2, correction=0, keepdim=True)
    normed = (parts - parts.mean(2, keepdim=True)) / (variance + 1e-5).sqrt()
    per_channel = weight.ndim == 1
    weight, bias = (w[:, None, None] if per_channel else w for w in (weight, bias))
    return normed.view_as(maps) * weight + bias


def random(*shape: int, layout=torch.contiguous_format) -> Tensor:
    return torch.randn(shape, dtype=torch.double).to(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", NORMS)
def test_norm_equals_its_formula_with_all_gradients(name, layout):
    torch.manual_seed(0)
    groups, make = NORMS[name]
    norm = make().double()
    maps = random(*SHAPE, layout=layout).requires_grad_()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)

    weights = [maps, norm.weight, norm.bias]
    towards = random(*SHAPE)
    result, expected = norm(maps), formula(maps, groups, norm.weight, norm.bias)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=layout)
    torch.testing.assert_close(
        torch.autograd.grad(result, weights, towards),
        torch.autograd.grad(expected, weights, towards),
    )


@pytest.mark.parametrize("name", NORMS)
def test_under_autocast_maps_keep_their_type_and_gradients_that_of_the_weights(name):
    torch.manual_seed(0)
    groups, make = NORMS[name]
    norm = make()
    maps = random(*SHAPE).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = norm(maps)
    assert result.dtype == torch.bfloat16
    expected = formula(maps.double(), groups, norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(result.double(), expected, atol=0.02, rtol=0.01)
    result.float().sum().backward()
    assert maps.grad.dtype == torch.bfloat16
    assert norm.weight.grad.dtype == norm.bias.grad.dtype == torch.float32
