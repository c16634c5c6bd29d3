# SPDX-License-Identifier: Apache-2.0
"""docs/models.md, made from descriptions and accounting.

python -m xnorflow.zoo.document > docs/models.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xnorflow.zoo import architectures, networks
from xnorflow.zoo.accounting import Account, account, pruned_share, speedup

__all__ = ["PUBLISHED", "Published", "models_document"]

MIB = 1 << 20
_CIFAR10 = ("cnv", "nin-cifar10", "vgg11-cifar10")

_HEAD = """# Models and their sizes

This file is made from the code: `python -m xnorflow.zoo.document > docs/models.md`.

    xnorflow summary                      # the names
    xnorflow summary resnet18 [--json]    # layers, parameters, memory, compression, operations
    xnorflow summary mine.safetensors     # the same of an artifact

A name is a CIFAR-10 network of `sw/xnorflow/zoo/networks.py`, which the array runs, or a network of
the papers in `sw/xnorflow/zoo/architectures.py`, of which `sw/xnorflow/train/architectures.py`
builds torch modules for training.

## What is counted

- **Parameters**: 1-bit weights, and in 32 bits weights in full precision, biases, PReLU slopes,
  alpha of each filter, the thresholds of an artifact and the scale layer. The first and the last
  layer are included. Gains and shifts of BatchNorm are counted beside them (`parameters_norm`),
  since the compact-BNN paper leaves them out.
- **Memory**: `packed_bytes` is all of that without BatchNorm, `memory_bits` with it. `float_bytes`
  is the baseline in 32 bits, without alpha and thresholds, which a network in full precision does
  not have. `compression_rate` is their quotient. The baseline is the network itself, where a paper
  names no other one; `compression_rates` has them all.
- **Operations**: a multiply-accumulate (MAC) a weight and output position; a 1-bit MAC a pair of
  bit-planes, so m binarizations take m. FLOPs are full-precision MACs, 1-bit MACs / 64, and a
  multiplication an output for alpha and for K where a layer has them.

MB of the compact-BNN paper are MiB, 2^20 bytes; Mbit of the pruning paper are 10^6 bits.
"""

_NOTES = """
`difference` is ours over the paper's. What it comes from:

- **Full-precision sizes** agree: 28.97 MiB are its 29 MB, 232.56 its 232. It divides sizes that it
  has rounded: 29 / 4.82 is its 6.02, 232 / 7.43 its 31.2.
- **PReLU slopes** are one a filter, but for the last layer. That gives the sizes of the expanded
  NIN, of AlexNet and (as alphas) of XNOR-Net's AlexNet to the last digit, but for the plain NIN
  27.6 where the paper has 27.1. Two parameters a filter would give 27.2 there, and then 23.3 for
  the expanded one, which is 23.6: no one way to count gives both. Its supplement, which says how it
  counts, is not at hand.
- **ResNet-18's memory** is that of 3x3 filters of 1 bit; stem, shortcuts and classifier in 32 bits;
  alpha; BatchNorm. Which parameters the paper counts it does not say; 0.06 Mbit are some 1,800
  parameters of 32 bits.
- **ResNet-18's FLOPs** need both multiplications, by alpha and by K; without them they would be
  1.64e8.
- **The pruned ResNet-18**: the paper's filters a layer are in an appendix that is not at hand. The
  widths here were found by a search for its three totals. Filters of the binary layers alone cannot
  meet them: the fewest FLOPs found at 30.87 Mbit and 21.4 % are 1.478e8. One of the stem's 64
  filters goes too.
"""

_CURVE = """
## Speed-up of a binary convolution

64 c N_W / (c N_W + 64) for c input channels and N_W kernel positions (XNOR-Net, section 4.1 and
figure 4); points are the binary layers of ResNet-18. Made by `xnorflow summary resnet18 --plot
docs/speedup.svg`.

![Speed-up over channels and over the kernel's side](speedup.svg)
"""


@dataclass(frozen=True)
class Published:
    """A figure of a paper, and ours.

    Parameters
    ----------
    what : str
        Which quantity of which network.
    where : str
        Paper and table.
    figure : float
        As printed there.
    unit : str
        Its unit.
    ours : callable
        Counts it.
    """

    what: str
    where: str
    figure: float
    unit: str
    ours: Callable[[], float]


def _of(name: str) -> Account:
    return account(architectures.named(name))


def _rate(name: str, baseline: str) -> Callable[[], float]:
    return lambda: _of(baseline).float_bytes / _of(name).packed_bytes


def _packed(name: str) -> Callable[[], float]:
    return lambda: _of(name).packed_bytes / MIB


_COMPACT, _PRUNING, _XNOR = "compact BNN", "pruning", "XNOR-Net"
PUBLISHED = (
    Published("NIN, full precision", f"{_COMPACT}, 6", 29, "MiB",
              lambda: _of("nin-imagenet").float_bytes / MIB),
    Published("NIN, last layer full, ReLU", f"{_COMPACT}, 2", 6.02, "x",
              _rate("nin-imagenet-relu-w32last", "nin-imagenet")),
    Published("NIN, last layer full, PReLU", f"{_COMPACT}, 2", 5.98, "x",
              _rate("nin-imagenet-w32last", "nin-imagenet")),
    Published("NIN, last layer binary", f"{_COMPACT}, 3", 27.1, "x",
              _rate("nin-imagenet", "nin-imagenet")),
    Published("NIN, expanded", f"{_COMPACT}, 5", 23.6, "x",
              _rate("nin-imagenet-expanded", "nin-imagenet")),
    Published("NIN, expanded", f"{_COMPACT}, 6", 189, "x of AlexNet",
              _rate("nin-imagenet-expanded", "alexnet-caffe")),
    Published("NIN, expanded", f"{_COMPACT}, 6", 1.23, "MiB", _packed("nin-imagenet-expanded")),
    Published("AlexNet (Caffe), full precision", f"{_COMPACT}, 6", 232, "MiB",
              lambda: _of("alexnet-caffe").float_bytes / MIB),
    Published("AlexNet (Caffe), last layer full", f"{_COMPACT}, 6", 22.6, "MiB",
              _packed("alexnet-caffe-w32last")),
    Published("AlexNet (Caffe), last layer full", f"{_COMPACT}, 6", 10.3, "x",
              _rate("alexnet-caffe-w32last", "alexnet-caffe")),
    Published("AlexNet (Caffe), last layer binary", f"{_COMPACT}, 6", 7.43, "MiB",
              _packed("alexnet-caffe")),
    Published("AlexNet (Caffe), last layer binary", f"{_COMPACT}, 6", 31.2, "x",
              _rate("alexnet-caffe", "alexnet-caffe")),
    Published("AlexNet, full precision", f"{_XNOR}, 1", 249, "MB",
              lambda: _of("alexnet").float_bytes / 1e6),
    Published("ResNet-18, full precision", f"{_PRUNING}, 2", 374.1, "Mbit",
              lambda: 8e-6 * _of("resnet18").float_bytes + 32e-6 * _of("resnet18").parameters_norm),
    Published("ResNet-18, XNOR-Net", f"{_PRUNING}, 2", 33.70, "Mbit",
              lambda: _of("resnet18").memory_bits / 1e6),
    Published("ResNet-18, pruned", f"{_PRUNING}, 2", 30.87, "Mbit",
              lambda: _of("resnet18-pruned").memory_bits / 1e6),
    Published("ResNet-18, full precision", f"{_PRUNING}, 2", 1.81e9, "FLOPs",
              lambda: _of("resnet18").float_flops),
    Published("ResNet-18, XNOR-Net", f"{_PRUNING}, 2", 1.67e8, "FLOPs",
              lambda: _of("resnet18").flops),
    Published("ResNet-18, pruned", f"{_PRUNING}, 2", 1.46e8, "FLOPs",
              lambda: _of("resnet18-pruned").flops),
    Published("ResNet-18, XNOR-Net", f"{_PRUNING}, 2", 10.86, "x faster",
              lambda: _of("resnet18").float_flops / _of("resnet18").flops),
    Published("ResNet-18, pruned", f"{_PRUNING}, 2", 12.39, "x faster",
              lambda: _of("resnet18").float_flops / _of("resnet18-pruned").flops),
    Published("ResNet-18, pruned filters (PFR)", f"{_PRUNING}, 1", 21.4, "%",
              lambda: 100 * pruned_share(architectures.named("resnet18"),
                                         architectures.named("resnet18-pruned"))),
    Published("Binary 3x3 convolution of 256 channels", f"{_XNOR}, 4.1", 62.27, "x faster",
              lambda: speedup(256, 9)),
)  # fmt: skip
"""Every figure of the papers that follows from the networks alone."""


def _digits(value: float, like: float) -> str:
    """``value`` with one digit more than the paper printed of ``like``."""
    if like >= 1e6:
        return f"{value:.3e}"
    decimals = len(f"{like:g}".partition(".")[2])
    return f"{value:.{decimals + 1}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def models_document() -> str:
    """The text of docs/models.md."""
    rows = [
        (
            each.what, each.where, f"{each.figure:g} {each.unit}".replace("e+0", "e"),
            _digits(each.ours(), each.figure).replace("e+0", "e"),
            f"{100 * (each.ours() / each.figure - 1):+.1f} %",
        )
        for each in PUBLISHED
    ]  # fmt: skip
    head = ("what", "paper, table", "published", "ours", "difference")
    text = [_HEAD, "\n## The papers' figures\n\n", _table(head, rows), _NOTES]
    text += ["\n## All models\n\n", _table(_COLUMNS, [_model(name) for name in _all()]), _CURVE]
    return "".join(text)


_COLUMNS = (
    "model", "1-bit parameters", "32-bit", "BatchNorm", "packed bytes", "bytes in full precision",
    "FLOPs", "in full precision",
)  # fmt: skip


def _all() -> tuple[str, ...]:
    return (*_CIFAR10, *architectures.names())


def _model(name: str) -> tuple[str, ...]:
    spec = networks.named(name) if name in _CIFAR10 else architectures.named(name)
    it = account(spec)
    sizes = (
        it.parameters_1bit, it.parameters_32bit, it.parameters_norm,
        it.packed_bytes, it.float_bytes,
    )  # fmt: skip
    flops = (f"{count:.3e}".replace("e+0", "e") for count in (it.flops, it.float_flops))
    return (f"`{name}`", *(f"{size:,}" for size in sizes), *flops)


if __name__ == "__main__":
    print(models_document(), end="")
