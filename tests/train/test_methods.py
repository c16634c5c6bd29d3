# SPDX-License-Identifier: Apache-2.0
"""Methods against their papers' formulas, written out once more here, number by number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from xnorflow.train.binarize import ResidualBinarizer, sign
from xnorflow.train.estimators import ESTIMATORS, SWISH_BETA
from xnorflow.train.layers import BinaryConv2d, BinaryLinear, binarize_gradient
from xnorflow.train.models import Layer, build
from xnorflow.train.uniform import DoReFa, Uniform
from xnorflow.train.weights import filter_scale, planes, quantized

torch.set_num_threads(1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradient_of(function, x: Tensor) -> Tensor:
    """d sum(function(x)) / dx by autograd."""
    x = x.clone().requires_grad_()
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad


# -- estimators: derivatives of the functions that they are said to be derivatives of -------------


def approx(x: np.ndarray) -> np.ndarray:
    """Bi-Real Net, equation 6."""
    return np.where(x < -1, -1, np.where(x < 0, 2 * x + x**2, np.where(x < 1, 2 * x - x**2, 1)))


def swish(x: np.ndarray) -> np.ndarray:
    """BNN+, equation 3."""
    sigma = 1 / (1 + np.exp(-SWISH_BETA * x))
    return 2 * sigma * (1 + SWISH_BETA * x * (1 - sigma)) - 1


SMOOTH = {"identity": lambda x: np.clip(x, -1, 1), "approx": approx, "swish": swish}


@pytest.mark.parametrize("name", SMOOTH)
def test_an_estimator_is_its_functions_derivative(name: str) -> None:
    x = np.linspace(-3, 3, 77) + 1e-3  # no point on a corner
    step = 1e-6
    expected = (SMOOTH[name](x + step) - SMOOTH[name](x - step)) / (2 * step)
    found = gradient_of(lambda v: sign(v, ESTIMATORS[name]), torch.from_numpy(x))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_values_get_no_gradient_and_no_overflow(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor([-3e4, -100.0, 100.0, 3e4], dtype=dtype)
    found = gradient_of(lambda v: sign(v, ESTIMATORS[name]), x)
    assert torch.equal(found, torch.zeros_like(x))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_residual_lanes_take_each_residues_own_slope(name: str) -> None:
    binarizer = ResidualBinarizer(2, estimator=ESTIMATORS[name]).eval()
    binarizer.running_alpha.copy_(torch.tensor([0.75, 0.5]))
    x = torch.linspace(-2, 2, 41) + 1e-3
    slope = ESTIMATORS[name]
    residue = x - 0.75 * sign(x)
    expected = 0.75 * slope(torch.ones(41), x) + 0.5 * slope(torch.ones(41), residue)
    torch.testing.assert_close(gradient_of(binarizer, x), expected)


# -- XNOR-Net -------------------------------------------------------------------------------------


def test_alpha_is_the_best_scale_of_a_filters_signs() -> None:
    weight = normal(3, 2, 3, 3)
    alpha = filter_scale(weight)

    def error(scale: Tensor) -> Tensor:  # equation 2
        return (weight - scale[:, None, None, None] * sign(weight)).square().sum((1, 2, 3))

    for change in (-1e-3, 1e-3):
        assert (error(alpha + change) > error(alpha)).all()
    # Equation 4: no other signs are nearer.
    few = weight[0, 0, 0]
    best = min(
        (float((few - few.abs().mean() * torch.tensor(signs)).square().sum()), signs)
        for signs in itertools.product((-1.0, 1.0), repeat=3)
    )
    assert list(best[1]) == sign(few).tolist()


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3, 3)])
def test_bwn_has_the_papers_gradient(shape: tuple[int, ...]) -> None:
    weight = (normal(*shape) * 0.8).requires_grad_()
    inputs = normal(5, 6) if len(shape) == 2 else normal(5, 2, 4, 4)
    wanted = normal(5, 4) if len(shape) == 2 else normal(5, 4, 2, 2)

    def product(w: Tensor) -> Tensor:
        return inputs @ w.T if len(shape) == 2 else torch.nn.functional.conv2d(inputs, w)

    spread = (-1, *[1] * (len(shape) - 1))
    alpha, n = weight.detach().abs().flatten(1).mean(1), weight[0].numel()
    # The layer: sums of signs, then alpha; any cost behind it.
    sums = product(quantized(weight, "scaled"))
    ours = sums * alpha.view(1, *spread[:-1] if len(shape) == 4 else spread[:1])
    (ours - wanted).square().sum().backward()
    # The paper: dC/dW_i = dC/dW~_i (1/n + dsign/dW_i alpha).
    estimate = (alpha.view(spread) * sign(weight.detach())).requires_grad_()
    theirs = product(estimate)
    (theirs - wanted).square().sum().backward()
    torch.testing.assert_close(ours, theirs)
    inside = (weight.detach().abs() <= 1).float()
    torch.testing.assert_close(weight.grad, estimate.grad * (1 / n + inside * alpha.view(spread)))
    assert 0 < inside.mean() < 1


def test_k_is_the_mean_magnitude_under_the_kernel() -> None:
    conv = BinaryConv2d(3, 2, 3, stride=2, padding=1)
    real = normal(2, 3, 7, 6)
    k = conv.input_factor(real.abs().mean(1, keepdim=True))
    padded = torch.nn.functional.pad(real.abs().mean(1), (1, 1, 1, 1))
    assert k.shape == (2, 1, 4, 3)
    for row, column in itertools.product(range(4), range(3)):
        window = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        torch.testing.assert_close(k[:, 0, row, column], window.sum((1, 2)) / 9)
    beta = BinaryLinear(12, 2).input_factor(real.abs().mean(1, keepdim=True))
    torch.testing.assert_close(beta[:, 0], real.abs().mean((1, 2, 3)))


def test_a_block_with_alpha_and_k_follows_equation_11() -> None:
    torch.manual_seed(0)
    layers = (Layer(6, kernel=3), Layer(5, kernel=3, weights="scaled", input_scale=True), Layer(3))
    model = build((8, 8, 1), 8, layers).eval()
    images = torch.randint(0, 256, (4, 8, 8, 1), dtype=torch.uint8)
    first, second = model.blocks[0], model.blocks[1]
    real = first.normalize(first.linear(model.input(images)))  # I
    signs, magnitude = first(model.input(images))
    weight = second.linear.weight
    plain = torch.nn.functional.conv2d(sign(real), sign(weight))
    k = torch.nn.functional.avg_pool2d(real.abs().mean(1, keepdim=True), 3, 1)
    alpha = weight.abs().mean((1, 2, 3))[:, None, None]
    expected = second.binarizer(second.norm(plain * k * alpha))
    torch.testing.assert_close(second(signs, magnitude), expected)
    # A closer estimate of the convolution itself than alpha alone.
    true = torch.nn.functional.conv2d(real, weight)
    ratio = (plain * alpha * real.abs().mean() - true).norm() / (plain * k * alpha - true).norm()
    assert ratio > 1
    assert model(images).shape == (4, 3)


def test_k_needs_activations_that_are_not_pooled() -> None:
    with pytest.raises(ValueError, match="layer 1 has input_scale, but layer 0 pools its act"):
        build(
            (8, 8, 1), 8, (Layer(6, kernel=3, pool=2, pool_first=False), Layer(3, input_scale=True))
        )
    with pytest.raises(ValueError, match="layer 0 sees pixels"):
        build((8, 8, 1), 8, (Layer(6, input_scale=True), Layer(3)))


def test_binary_gradients_are_signs_times_the_largest_magnitude() -> None:
    x = normal(3, 4, 5, 5).requires_grad_()
    gradient = normal(3, 4, 5, 5, seed=1)
    gradient[1, 2] = 0  # what a pool or an estimator cut off stays so
    passed = binarize_gradient(x)
    assert torch.equal(passed, x)
    passed.backward(gradient)
    for image in range(3):
        signs = (gradient[image] > 0).float() - (gradient[image] < 0).float()
        assert torch.equal(x.grad[image], signs * gradient[image].abs().max())


def test_a_layer_with_binary_gradients_sends_them_to_weights_and_inputs() -> None:
    torch.manual_seed(0)
    model = build((1, 1, 6), 8, (Layer(5, binary_gradient=True), Layer(3)))
    block = model.blocks[0]
    x = normal(4, 6).requires_grad_()
    arrived: list[Tensor] = []
    block.norm.register_full_backward_hook(lambda _, gradients, __: arrived.append(gradients[0]))
    block(x).sum().backward()
    binary = arrived[0].sign() * arrived[0].abs().amax(1, keepdim=True)
    weight = block.linear.weight
    torch.testing.assert_close(x.grad, binary @ sign(weight))
    torch.testing.assert_close(weight.grad, (binary.T @ x).detach())


@pytest.mark.parametrize("k", [1, 2, 3])
def test_q_k_is_the_papers_times_a_power_of_twos_share(k: int) -> None:
    x = torch.linspace(-1.5, 1.5, 1000)  # without 0, where rounding decides
    top = 2**k - 1
    cut = x.clamp(-1, 1)
    q_k = 2 * (torch.floor(top * (cut + 1) / 2 + 0.5) / top - 0.5)
    torch.testing.assert_close(Uniform(k)(x), q_k * top / 2**k)
    torch.testing.assert_close(gradient_of(Uniform(k), x), (x.abs() <= 1) * top / 2**k)
    if k == 1:
        assert torch.equal(Uniform(1)(x) * 2, sign(x))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_dorefa_is_the_papers_times_a_power_of_twos_share(k: int) -> None:
    x = torch.linspace(-0.5, 1.5, 1001)
    top = 2**k - 1
    quantized_k = torch.floor(top * x.clamp(0, 1) + 0.5) / top
    torch.testing.assert_close(DoReFa(k)(x), quantized_k * top / 2**k)
    torch.testing.assert_close(gradient_of(DoReFa(k), x), ((x >= 0) & (x <= 1)) * top / 2**k)


@pytest.mark.parametrize("kind", [Uniform, DoReFa])
def test_values_are_those_of_the_lanes(kind: type[Uniform]) -> None:
    binarizer = kind(3)
    x = torch.linspace(-2, 2, 999)
    codes = binarizer.codes(x).numpy().astype(int)
    assert (np.diff(codes) >= 0).all() and set(codes) == set(range(8))
    lanes = sum(
        s * (2 * (codes >> (2 - lane) & 1) - 1) for lane, s in enumerate(binarizer.scales())
    )
    np.testing.assert_array_equal(binarizer(x).numpy(), binarizer.unit * (lanes + binarizer.shift))
    with pytest.raises(ValueError, match=f"{kind.__name__}: lanes must be from 1 to 3, not 4"):
        kind(4)


def test_weights_of_8_bits_are_q_8_and_its_planes() -> None:
    weight = normal(4, 7)
    found = quantized(weight, "8bit")
    q_8 = 2 * (torch.floor(255 * (weight.clamp(-1, 1) + 1) / 2 + 0.5) / 255 - 0.5)
    torch.testing.assert_close(found, q_8 * 255 / 256)
    signs, scales, unit = planes(weight, "8bit")
    np.testing.assert_array_equal(np.tensordot(scales, signs, axes=1) * unit, found.numpy())
    gradient = gradient_of(lambda w: quantized(w, "8bit"), weight)
    assert torch.equal(gradient, (weight.abs() <= 1).float())
    assert torch.equal(quantized(weight, "real"), weight)
