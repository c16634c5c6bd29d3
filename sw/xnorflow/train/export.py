# SPDX-License-Identifier: Apache-2.0
"""From a trained network to an artifact with the same logits, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xnorflow.core.artifact import Artifact
from xnorflow.core.builder import NetworkBuilder
from xnorflow.core.epilogue import Affine, AveragePool, EpilogueOp, PReLU
from xnorflow.golden.model import GoldenNetwork
from xnorflow.train.binarize import sign, unrounded_alphas
from xnorflow.train.data import Dataset, load
from xnorflow.train.layers import BinaryConv2d, BinaryLinear
from xnorflow.train.models import BinaryNetwork, Block
from xnorflow.train.runs import Run, load_run
from xnorflow.train.thresholds import find_thresholds

__all__ = ["export", "measure", "to_artifact"]


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
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    builder = NetworkBuilder(
        name,
        image_shape=model.image_shape,
        pixel_lanes=model.input.lanes,
        flatten=isinstance(blocks[0].linear, BinaryLinear),
    )
    unit = model.input.unit
    for index, block in enumerate(blocks):
        last = block is blocks[-1]
        kind = "conv" if isinstance(block.linear, BinaryConv2d) else "fc"
        layer = f"{kind}{index + 1}"
        if (block.binarizer is None) != last:
            raise ValueError(f"layer {layer!r}: only the last block goes without a binarizer")
        _add(builder, block, unit, layer)
        if block.binarizer is not None:
            unit = block.binarizer.unit
    epilogue = _epilogue(blocks[-1], unit, model.average)
    return builder.build(epilogue=epilogue, classes=classes, provenance=provenance or {})


def export(run_dir: str | Path, data_dir: str | Path | None = None) -> Artifact:
    """The artifact of a finished run, with its accuracy measured on all test images.

    Parameters
    ----------
    run_dir : path
        What ``train`` wrote.
    data_dir : path or None
        Folder of the data set's files; None for the cache or a download.

    Raises
    ------
    FileNotFoundError
        If there is no run.
    ValueError
        If the run is not finished, or its network cannot be exported.
    """
    run = load_run(run_dir)
    if not run.finished:
        raise ValueError(
            f"{run_dir}: {len(run.log)} of {run.recipe.epochs} epochs are done; go on with "
            "`xnorflow train` first"
        )
    data = load(run.recipe.dataset, data_dir)
    artifact = to_artifact(run.model, run.recipe.name, classes=data.classes)
    return Artifact(artifact.network, artifact.tensors, _provenance(run, data, artifact))


def measure(model: BinaryNetwork, artifact: Artifact, data: Dataset) -> dict[str, Any]:
    """Golden model against float model on all test images.

    Returns
    -------
    dict
        ``images``; ``accuracy`` of the golden model; ``float_accuracy``; ``argmax_changes``,
        images that the two put in different classes; ``equal_logits``, whether all logits are
        the same bits; ``unrounded_alpha_changes``, images that the float model would put in
        another class if its alphas were not in fixed point.
    """
    images = torch.from_numpy(data.test_images)
    logits = model.infer(images).numpy()
    with unrounded_alphas(model):
        unrounded = model.infer(images).numpy()
    golden = GoldenNetwork(artifact).infer(data.test_images)
    right, wanted = golden.argmax(axis=1), data.test_labels
    return {
        "images": len(wanted),
        "accuracy": float((right == wanted).mean()),
        "float_accuracy": float((logits.argmax(axis=1) == wanted).mean()),
        "argmax_changes": int((right != logits.argmax(axis=1)).sum()),
        "equal_logits": bool(np.array_equal(golden, logits)),
        "unrounded_alpha_changes": int((logits.argmax(1) != unrounded.argmax(1)).sum()),
    }


def _provenance(run: Run, data: Dataset, artifact: Artifact) -> dict[str, Any]:
    return {
        "recipe": run.recipe.to_json(),
        "seed": run.recipe.seed,
        "data": data.name,
        "test": measure(run.model, artifact, data),
        "torch": torch.__version__,
    }


def _add(builder: NetworkBuilder, block: Block, unit: float, name: str) -> None:
    """Add a block's layer; ``unit`` is what its input values are multiples of."""
    linear = block.linear
    signs = sign(linear.weight.detach()).numpy().astype(np.int64)
    options: dict[str, Any] = {
        "name": name,
        "pool": block.pool,
        "pool_stride": block.pool_stride,
    }
    if isinstance(linear, BinaryConv2d):
        signs = signs.transpose(0, 2, 3, 1)  # (O, I, kh, kw) -> (O, kh, kw, I)
        options |= {
            "stride": int(linear.stride[0]),
            "padding": _padding(linear),
            "border": _border(linear, builder),
        }
    if block.binarizer is not None:
        bound = signs[0].size * sum(builder.scales)
        found = find_thresholds(block, bound=bound, unit=unit, name=name)
        signs[found.falling] *= -1
        options |= {
            "thresholds": found.thresholds,
            # max(f(acc)) after pooling sums is f(max(acc)); where f falls, the stored sum is
            # -acc and the code rises with it, so the code of max(acc) is the smallest one.
            "pool_min": found.falling & (block.pool > 1 and block.pool_first),
            "out_scales": block.binarizer.scales(),
        }
    if isinstance(linear, BinaryConv2d):
        builder.conv(signs, **options)
    else:
        builder.fc(signs, **options)


def _padding(linear: BinaryConv2d) -> tuple[int, int]:
    height, width = (int(size) for size in linear.padding)
    return height, width


def _border(linear: BinaryConv2d, builder: NetworkBuilder) -> int | None:
    """The pixel code whose value the convolution pads with; None for the value 0."""
    lanes = len(builder.scales)
    return round((linear.border * 2**lanes + 2**lanes - 1) / 2) if linear.border else None


Operations = tuple[tuple[EpilogueOp, dict[str, npt.NDArray[Any]]], ...]


def _epilogue(block: Block, unit: float, average: bool) -> Operations:
    """The last block's BatchNorm or scale, for sums in integers, its PReLU, the mean of the map.

    ``unit`` is a power of two, so (acc * unit) * scale and acc * (unit * scale) are the same bits.
    """
    scale, shift = (t.detach().numpy() for t in block.norm.folded())
    operations: list[tuple[EpilogueOp, dict[str, npt.NDArray[Any]]]] = [
        (Affine(), {"scale": scale * np.float32(unit), "bias": shift})
    ]
    if block.prelu is not None:
        operations.append((PReLU(), {"slope": block.prelu.weight.detach().numpy()}))
    if average:
        operations.append((AveragePool(), {}))
    return tuple(operations)
