# SPDX-License-Identifier: Apache-2.0
"""The papers' networks by name, as descriptions.

| name | network |
|---|---|
| nin-imagenet | Network in Network, binary but for the first layer: compact-BNN paper, table 3 |
| nin-imagenet-w32last | the same with a last layer in full precision: table 2, PReLU |
| nin-imagenet-relu-w32last | the same with ReLU for PReLU: table 2, ReLU |
| nin-imagenet-expanded | wider and larger cccp layers, two binarizations: tables 1, 5 and 6 |
| alexnet | AlexNet of XNOR-Net: no groups, first and last layer in full precision |
| alexnet-caffe | AlexNet of Caffe, in groups, binary but for the first layer: the same, table 6 |
| alexnet-caffe-w32last | the same with a last layer in full precision and alphas: XNOR-Net's row |
| resnet18 | ResNet-18 of XNOR-Net, shortcuts of type B in full precision |
| resnet18-pruned | the same with a fifth of its binary filters gone: pruning paper, table 2 |
| resnet18-cifar10 | ResNet-18 for 32x32 images: 3x3 stem, no pool |
| googlenet-variant | XNOR-Net's: Darknet's Extraction, 21 convolutions of 1x1 and 3x3 |

Sources beside the papers: M. Lin's nin_imagenet in Caffe's model zoo; A. Krizhevsky, I. Sutskever,
G. Hinton, NIPS 2012, and Caffe's bvlc_alexnet; K. He and others, CVPR 2016 (ResNet-18), with
pre-activation order as binary layers need it; J. Redmon, Darknet, cfg/extraction.cfg.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from xnorflow.core.layer import Shape
from xnorflow.zoo.architecture import (
    Activation,
    Architecture,
    AveragePool,
    Convolution,
    MaxPool,
    Node,
    Norm,
    Residual,
    Scale,
)

__all__ = ["named", "names"]

_COMPACT = "W. Tang, G. Hua, L. Wang, AAAI 2017"
_XNOR = "M. Rastegari and others, ECCV 2016"
_POOL3 = MaxPool(3, 2)
_CAFFE_POOL = MaxPool(3, 2, ceil=True)
_POOL2 = MaxPool(2, 2)
_STEM = Convolution(
    "conv1", 64, 7, 2, 3, binary=False, activation="relu", pool=MaxPool(3, 2, 1)
)  # fmt: skip


def names() -> tuple[str, ...]:
    """All names."""
    return tuple(_MAKERS)


def named(name: str) -> Architecture:
    """The description of that name; ValueError lists the known ones."""
    if name not in _MAKERS:
        raise ValueError(f"no architecture {name[:80]!r}; known are {', '.join(_MAKERS)}")
    return replace(_MAKERS[name](), name=name)


def _nin(
    activation: Activation = "prelu", *, last: bool = True, expanded: bool = False
) -> Architecture:
    """Network in Network; ``last``: its last layer is binary, with a scale behind it."""
    lanes = 2 if expanded else 1
    side = 3 if expanded else 1  # kernel of the first four cccp layers
    low = 128 if expanded else 96  # channels of the first two

    def binary(
        name: str, channels: int, kernel: int = 1, *, pool: MaxPool | None = None
    ) -> Convolution:
        return Convolution(
            name, channels, kernel, padding=kernel // 2,
            lanes=lanes, activation=activation, pool=pool,
        )  # fmt: skip

    end: Convolution = binary("cccp8", 1000)
    end = replace(end, activation="none") if last else _exact_last("cccp8", 1000)
    return Architecture(
        name="",
        image_shape=(224, 224, 3),
        nodes=(
            Convolution("conv1", 96, 11, 4, binary=False, norm=False, activation=activation),
            binary("cccp1", low, side),
            binary("cccp2", low, side, pool=_CAFFE_POOL),
            binary("conv2", 256, 5),
            binary("cccp3", 256, side),
            binary("cccp4", 256, side, pool=_CAFFE_POOL),
            binary("conv3", 384, 3),
            binary("cccp5", 384),
            binary("cccp6", 384, pool=_CAFFE_POOL),
            binary("conv4", 1024, 3),
            binary("cccp7", 1024),
            end,
            AveragePool(),
            *((Scale(),) if last else ()),
        ),
        source=_COMPACT,
        baseline="nin-imagenet",
    )


def _exact_last(name: str, channels: int) -> Convolution:
    """A 1x1 layer in full precision that gives logits."""
    return Convolution(name, channels, binary=False, norm=False)


def _alexnet() -> Architecture:
    def binary(
        name: str, channels: int, kernel: int, padding: int = 0, pool: MaxPool | None = None
    ) -> Convolution:
        return Convolution(
            name, channels, kernel, padding=padding, alpha=True, input_scale=True, pool=pool
        )  # fmt: skip

    return Architecture(
        name="",
        image_shape=(224, 224, 3),
        nodes=(
            Convolution(
                "conv1", 96, 11, 4, 2, binary=False, activation="relu", pool=_POOL3
            ),
            binary("conv2", 256, 5, 2, _POOL3),
            binary("conv3", 384, 3, 1),
            binary("conv4", 384, 3, 1),
            binary("conv5", 256, 3, 1, _POOL3),
            binary("fc6", 4096, 6),
            binary("fc7", 4096, 1),
            Norm("norm"),
            Convolution("fc8", 1000, binary=False, norm=False, bias=True),
        ),
        source=_XNOR,
    )  # fmt: skip


def _alexnet_caffe(*, last: bool = True) -> Architecture:
    """``last``: the compact-BNN paper's, two binarizations; else XNOR-Net's, as it counts that."""

    def binary(
        name: str, channels: int, kernel: int, padding: int = 0,
        *, groups: int = 1, pool: MaxPool | None = None,
    ) -> Convolution:  # fmt: skip
        return Convolution(
            name, channels, kernel, padding=padding, groups=groups, pool=pool,
            lanes=2 if last else 1, activation="prelu" if last else "relu", alpha=not last,
        )  # fmt: skip

    end = Convolution("fc8", 1000, lanes=2) if last else _exact_last("fc8", 1000)
    return Architecture(
        name="",
        image_shape=(227, 227, 3),
        nodes=(
            Convolution(
                "conv1", 96, 11, 4, binary=False, norm=False, pool=_POOL3,
                activation="prelu" if last else "relu",
            ),
            binary("conv2", 256, 5, 2, groups=2, pool=_POOL3),
            binary("conv3", 384, 3, 1),
            binary("conv4", 384, 3, 1, groups=2),
            binary("conv5", 256, 3, 1, groups=2, pool=_POOL3),
            binary("fc6", 4096, 6),
            binary("fc7", 4096, 1),
            end,
            *((Scale(),) if last else ()),
        ),
        source=_COMPACT,
        baseline="alexnet-caffe",
    )  # fmt: skip


_STAGES = (64, 128, 256, 512)


def _resnet18(
    image: Shape,
    stem: Convolution,
    classes: int,
    widths: tuple[int, ...] = _STAGES,
    inner: tuple[int, ...] = (64, 64, 128, 128, 256, 256, 512, 512),
) -> Architecture:
    """Four stages of two blocks, each with two binary 3x3 layers and an identity around both.

    ``widths`` are the channels of each stage, ``inner`` those between a block's two layers.
    """
    nodes: list[Node] = [stem]
    for block, between in enumerate(inner):
        stage, second = divmod(block, 2)
        stride = 2 if stage and not second else 1
        name, width = f"conv{stage + 2}_{second + 1}", widths[stage]
        body = (
            Convolution(f"{name}a", between, 3, stride, 1, alpha=True, input_scale=True),
            Convolution(f"{name}b", width, 3, 1, 1, alpha=True, input_scale=True),
        )
        shortcut = Convolution(f"{name}s", width, 1, stride, binary=False)
        nodes.append(Residual(body, shortcut if stride > 1 else None))
    end = Convolution("fc", classes, binary=False, norm=False, bias=True)
    return Architecture("", image, (*nodes, Norm("norm"), AveragePool(), end), _XNOR)


def _resnet18_imagenet() -> Architecture:
    return _resnet18((224, 224, 3), _STEM, 1000)


def _resnet18_pruned() -> Architecture:
    """Filters a layer as found to meet table 2; those of the paper are in an appendix."""
    pruned = _resnet18(
        (224, 224, 3), replace(_STEM, channels=63), 1000,
        widths=(63, 122, 256, 512), inner=(11, 10, 21, 20, 39, 63, 436, 512),
    )  # fmt: skip
    return replace(pruned, source="Y. Xu and others, CVPR 2019", baseline="resnet18")


def _resnet18_cifar10() -> Architecture:
    stem = Convolution("conv1", 64, 3, 1, 1, binary=False, activation="relu")
    return _resnet18((32, 32, 3), stem, 10)


def _googlenet_variant() -> Architecture:
    """Extraction: 3x3 layers with 1x1 layers of half the channels between them."""
    plan = (
        (192, 3, True),
        (128, 1, False), (256, 3, False), (256, 1, False), (512, 3, True),
        *((256, 1, False), (512, 3, False)) * 4, (512, 1, False), (1024, 3, True),
        *((512, 1, False), (1024, 3, False)) * 2,
    )  # fmt: skip
    binary = tuple(
        Convolution(
            f"conv{index}", channels, kernel, padding=kernel // 2, alpha=True, input_scale=True,
            pool=_POOL2 if pooled else None,
        )
        for index, (channels, kernel, pooled) in enumerate(plan, start=2)
    )  # fmt: skip
    return Architecture(
        name="",
        image_shape=(224, 224, 3),
        nodes=(
            Convolution("conv1", 64, 7, 2, 3, binary=False, activation="relu", pool=_POOL2),
            *binary,
            Norm("norm"),
            Convolution("conv21", 1000, binary=False, norm=False, bias=True),
            AveragePool(),
        ),
        source=f"{_XNOR}; Darknet's Extraction",
    )


_MAKERS: dict[str, Callable[[], Architecture]] = {
    "nin-imagenet": _nin,
    "nin-imagenet-w32last": lambda: _nin(last=False),
    "nin-imagenet-relu-w32last": lambda: _nin("relu", last=False),
    "nin-imagenet-expanded": lambda: _nin(expanded=True),
    "alexnet": _alexnet,
    "alexnet-caffe": _alexnet_caffe,
    "alexnet-caffe-w32last": lambda: _alexnet_caffe(last=False),
    "resnet18": _resnet18_imagenet,
    "resnet18-pruned": _resnet18_pruned,
    "resnet18-cifar10": _resnet18_cifar10,
    "googlenet-variant": _googlenet_variant,
}
