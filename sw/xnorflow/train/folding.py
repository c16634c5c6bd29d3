# SPDX-License-Identifier: Apache-2.0
"""A trained network as signs, integer thresholds and a float epilogue with the same results.

With integer sums acc, a block's float sums are unit * (acc + offset): unit is the product of the
units of activations and weights, and offset, an integer a channel, is not 0 where activations are
not symmetric (DoReFa's).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine, AveragePool, EpilogueOp, PReLU
from xnorflow.train.blocks import BinaryNetwork, Block
from xnorflow.train.layers import BinaryConv2d, BinaryLinear
from xnorflow.train.thresholds import find_thresholds
from xnorflow.train.weights import planes

__all__ = ["to_artifact"]

Operations = tuple[tuple[EpilogueOp, dict[str, npt.NDArray[Any]]], ...]

EXACT = 1 << 24
"""Below this, float32 holds every integer."""


def to_artifact(
    model: BinaryNetwork,
    name: str,
    *,
    classes: tuple[str, ...] = (),
    provenance: dict[str, Any] | None = None,
) -> Artifact:
    """Fold a network into signs, thresholds and the float epilogue.

    Parameters
    ----------
    model : BinaryNetwork
        Its ``eval()`` arithmetic is what the artifact reproduces; it is left in ``eval()``.
    name : str
        The network's name.
    classes : tuple of str
        Names of the logits.
    provenance : dict or None
        Where the network came from; plain JSON.

    Raises
    ------
    ValueError
        If a channel's code is not monotone in its sum, or the network has a form that no
        artifact has; the message names layer and channel.
    """
    model.eval()
    blocks = model.named_blocks()
    check_exportable(blocks)
    last = [*blocks.values()][-1]
    builder = NetworkBuilder(
        name,
        image_shape=model.image_shape,
        pixel_lanes=model.input.lanes,
        flatten=isinstance(model.blocks[0].linear, BinaryLinear),
    )
    unit, shift, border = model.input.unit, 0, None
    for layer, block in blocks.items():
        sums = _add(builder, block, layer, unit, shift, border)
        if block.binarizer is not None:
            unit, shift = block.binarizer.unit, block.binarizer.shift
            border = block.binarizer.border
    epilogue = _epilogue(last, *sums, model.average)
    return builder.build(epilogue=epilogue, classes=classes, provenance=provenance or {})


def check_exportable(blocks: dict[str, Block]) -> None:
    """Raise ValueError, which names the layer, where an array cannot run what was trained."""
    last = [*blocks][-1]
    for layer, block in blocks.items():
        if block.linear.kind == "real":
            raise ValueError(
                f"layer {layer!r}: its weights are real; an array takes sign, scaled or 8bit ones"
            )
        if block.magnitude:
            raise ValueError(
                f"layer {layer!r}: the layer behind multiplies by K (input_scale), which an array "
                "cannot; train without it"
            )
        if (block.binarizer is None) != (layer == last):
            raise ValueError(
                f"layer {layer!r}: every block but the last needs a binarizer; real activations "
                "do not run on an array"
            )


def _add(
    builder: NetworkBuilder, block: Block, name: str, unit: float, shift: int, border: int | None
) -> tuple[float, npt.NDArray[np.int64]]:
    """Add a block's layer, whose inputs are unit * (integer + shift); unit and offset of its sums.

    ``border`` is the code of the input 0.
    """
    linear = block.linear
    signs, scales, weight_unit = planes(linear.weight, linear.kind)  # (planes, O, ...)
    whole = np.tensordot(scales, signs, axes=1)
    offset: npt.NDArray[np.int64] = shift * whole.reshape(len(whole), -1).sum(axis=1)
    unit *= weight_unit
    options: dict[str, Any] = {
        "name": name,
        "pool": block.pool,
        "pool_stride": block.pool_stride,
        "weight_scales": scales,
    }
    if isinstance(linear, BinaryConv2d):
        height, width = (int(size) for size in linear.padding)
        options |= {"stride": int(linear.stride[0]), "padding": (height, width)}
        if linear.border:
            # Of pixels: (2 code - (2^p - 1)) / 2^p is the border's value.
            levels = 1 << len(builder.scales)
            border = round((linear.border * levels + levels - 1) / 2)
        options["border"] = border if height or width else None
    bound = whole[0].size * sum(builder.scales) * sum(scales)
    if bound + abs(offset).max() >= EXACT:
        raise ValueError(f"layer {name!r}: sums up to {bound} do not fit float32 exactly")
    if block.binarizer is not None:
        found = find_thresholds(block, bound=bound, unit=unit, offset=offset, name=name)
        signs[:, found.falling] *= -1
        options |= {
            "thresholds": found.thresholds,
            # max(f(acc)) after pooling sums is f(max(acc)); where f falls, the stored sum is
            # -acc and the code rises with it, so the code of max(acc) is the smallest one.
            "pool_min": found.falling & (block.pool > 1 and block.pool_first),
            "out_scales": block.binarizer.scales(),
        }
    if isinstance(linear, BinaryConv2d):
        builder.conv(np.moveaxis(signs, 2, -1), **options)  # (.., O, I, kh, kw) -> (.., I) last
    else:
        builder.fc(signs, **options)
    return unit, offset


def _epilogue(
    block: Block, unit: float, offset: npt.NDArray[np.int64], average: bool
) -> Operations:
    """The last block's alpha, PReLU, BatchNorm or scale, then the mean of the map.

    Each is one operation on the block's float sums, as in ``Block.normalize``. ``unit`` is a
    power of two, so taking it into the first product changes no bit.
    """
    scale, shift = (t.detach().numpy() for t in block.norm.folded())
    alpha = block.scale()
    operations: list[tuple[EpilogueOp, dict[str, npt.NDArray[Any]]]] = []

    def affine(factor: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
        """The first of them takes ``unit`` in."""
        whole = factor if operations else factor * np.float32(unit)
        operations.append((Affine(), {"scale": whole, "bias": bias}))

    if offset.any():
        affine(np.ones_like(scale), offset * np.float32(unit))
    if alpha is not None:
        affine(alpha.numpy(), np.zeros_like(scale))
    if block.prelu_first and block.prelu is not None and not operations:
        affine(np.ones_like(scale), np.zeros_like(scale))
    prelu = (
        [] if block.prelu is None else [(PReLU(), {"slope": block.prelu.weight.detach().numpy()})]
    )
    operations += prelu if block.prelu_first else []
    affine(scale, shift)
    operations += [] if block.prelu_first else prelu
    if average:
        operations.append((AveragePool(), {}))
    return tuple(operations)
