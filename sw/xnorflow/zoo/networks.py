# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 networks by name, without weights: the yardsticks that the field measures itself by.

    BASE[-w1aM][-w8first]

| base | network |
|---|---|
| cnv | FINN's CNV: 64-64-P-128-128-P-256-256 3x3 without padding, 512-512-10 fully connected |
| cnv-padded | the same with zero padding and a third pool, as in BinaryNet |
| nin-cifar10 | Network in Network: 192-160-96-P-192-192-192-P-192-192-10, average pool |
| vgg11-cifar10 | VGG-11: 64-P-128-P-256-256-P-512-512-P-512-512-P-10 |

P is a max-pool. M = 1, 2 or 3 is the number of activation lanes (residual binarization where
M > 1); without the suffix it is 1. With ``-w8first`` the first layer has 8-bit weights, as eight
planes. Pixels enter as eight lanes. Inner layers pad with exactly 0; the first layer, whose pixels
have no code of value 0, pads with the code nearest to it.

Sources: Y. Umuroglu et al., FINN, FPGA 2017 (cnv); M. Courbariaux et al., BinaryNet, 2016 (the
padded form and its third pool); M. Lin, Q. Chen, S. Yan, Network In Network, ICLR 2014; K.
Simonyan, A. Zisserman, ICLR 2015 (VGG-11, with one fully connected layer as usual for CIFAR-10).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from xnorflow.core.epilogue import Affine, AveragePool, EpilogueOp
from xnorflow.core.layer import LayerSpec, Shape, pixel_scales
from xnorflow.core.network import NetworkSpec

__all__ = ["CLASSES", "LANE_SCALES", "named", "names", "normal_name"]

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""CIFAR-10's classes in the order of its labels."""

IMAGE: Shape = (32, 32, 3)
PIXEL_LANES = 8
BORDER = 128
"""Code of a padded pixel: its value, 2 * 128 - 255 = 1, is the smallest there is."""

LANE_SCALES = {1: (1,), 2: (51, 31), 3: (51, 31, 17)}
"""Lane weights for M lanes: round(64 * alpha), the alphas of a standard normal distribution,
0.798, 0.482 and 0.268; BatchNorm makes the binarizer's input roughly that."""


@dataclass(frozen=True)
class _Layer:
    """A convolution, or (``kernel`` 0) a fully connected layer; all is square."""

    channels: int
    kernel: int = 0
    padding: int = 0
    pool: int = 1
    pool_stride: int = 0


_AFFINE: tuple[EpilogueOp, ...] = (Affine(),)
_BASES: dict[str, tuple[tuple[_Layer, ...], tuple[EpilogueOp, ...]]] = {
    "cnv": (
        (
            _Layer(64, 3), _Layer(64, 3, pool=2),
            _Layer(128, 3), _Layer(128, 3, pool=2),
            _Layer(256, 3), _Layer(256, 3),
            _Layer(512), _Layer(512), _Layer(10),
        ),
        _AFFINE,
    ),
    "cnv-padded": (
        (
            _Layer(64, 3, 1), _Layer(64, 3, 1, pool=2),
            _Layer(128, 3, 1), _Layer(128, 3, 1, pool=2),
            _Layer(256, 3, 1), _Layer(256, 3, 1, pool=2),
            _Layer(512), _Layer(512), _Layer(10),
        ),
        _AFFINE,
    ),
    "nin-cifar10": (
        (
            _Layer(192, 5, 2), _Layer(160, 1), _Layer(96, 1, pool=3, pool_stride=2),
            _Layer(192, 5, 2), _Layer(192, 1), _Layer(192, 1, pool=3, pool_stride=2),
            _Layer(192, 3, 1), _Layer(192, 1), _Layer(10, 1),
        ),
        (Affine(), AveragePool()),
    ),
    "vgg11-cifar10": (
        (
            _Layer(64, 3, 1, pool=2),
            _Layer(128, 3, 1, pool=2),
            _Layer(256, 3, 1), _Layer(256, 3, 1, pool=2),
            _Layer(512, 3, 1), _Layer(512, 3, 1, pool=2),
            _Layer(512, 3, 1), _Layer(512, 3, 1, pool=2),
            _Layer(10),
        ),
        _AFFINE,
    ),
}  # fmt: skip
_NAME = re.compile(rf"({'|'.join(_BASES)})(?:-w1a([{min(LANE_SCALES)}-{max(LANE_SCALES)}]))?"
                   r"(-w8first)?")  # fmt: skip


def names() -> tuple[str, ...]:
    """All names, in full: every base with every number of lanes and both kinds of first layer."""
    return tuple(
        f"{base}-w1a{lanes}{first}"
        for base in _BASES
        for lanes in LANE_SCALES
        for first in ("", "-w8first")
    )


def _parse(name: str) -> tuple[str, int, bool]:
    """Base, lanes and whether the first layer has 8-bit weights; ValueError if it is no name."""
    if not isinstance(name, str):
        raise TypeError(f"A network's name must be a string, not {name!r}")
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(
            f"no network {name[:80]!r}{_nearest(name)}; a name is one of {', '.join(_BASES)}, "
            "then, if you like, -w1a1, -w1a2 or -w1a3, then -w8first"
        )
    return found[1], int(found[2] or 1), found[3] is not None


def _nearest(name: str) -> str:
    """The names nearest to what is none, in words; nothing if none is near."""
    near = [known for known in _BASES if name and known.startswith(name.lower())]
    near = near or get_close_matches(name, (*_BASES, *names()), n=3)
    return f"; near it: {', '.join(near)}" if near else ""


def normal_name(name: str) -> str:
    """The full form of a name: ``cnv`` is ``cnv-w1a1``; ValueError as :func:`named`."""
    base, lanes, wide = _parse(name)
    return f"{base}-w1a{lanes}{'-w8first' if wide else ''}"


def named(name: str, *, shrink: int = 1) -> NetworkSpec:
    """The network of that name.

    Parameters
    ----------
    name : str
        As in :func:`names`; ``-w1a1`` may be left out.
    shrink : int
        Divides every layer's channels but the last one's: the same structure with little work,
        for tests. Its name then ends in ``-by<shrink>``.

    Raises
    ------
    TypeError, ValueError
        If there is none of that name (the message lists the nearest ones), or ``shrink`` is not a
        positive integer.
    """
    base, lanes, wide = _parse(name)
    if not isinstance(shrink, int) or isinstance(shrink, bool) or shrink < 1:
        raise ValueError(f"shrink must be a positive integer, not {shrink!r}")
    plan, epilogue = _BASES[base]
    layers: list[LayerSpec] = []
    shape, scales = IMAGE, pixel_scales(PIXEL_LANES)
    for index, entry in enumerate(plan):
        first, last = index == 0, index == len(plan) - 1
        layer = LayerSpec(
            name=f"{'conv' if entry.kernel else 'fc'}{index + 1}",
            in_shape=shape,
            out_channels=entry.channels if last else max(1, entry.channels // shrink),
            kernel=(entry.kernel, entry.kernel) if entry.kernel else shape[:2],
            padding=(entry.padding, entry.padding),
            border=BORDER if first and entry.padding else None,
            in_scales=scales,
            weight_scales=pixel_scales(8) if first and wide else (1,),
            out_lanes=0 if last else lanes,
            pool=entry.pool,
            pool_stride=entry.pool_stride,
        )
        layers.append(layer)
        shape, scales = layer.out_shape, LANE_SCALES[lanes]
    full = normal_name(name) + (f"-by{shrink}" if shrink > 1 else "")
    return NetworkSpec(full, IMAGE, tuple(layers), epilogue, CLASSES)
