# SPDX-License-Identifier: Apache-2.0
"""The papers' ablations as named studies: variants of one recipe, at one budget, over seeds.

A study's runs lie in FOLDER/STUDY/VARIANT/seed-N; each is an ordinary run, and goes on where it
was cut off. What another study there has trained already is copied.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from xnorflow.train.overrides import override
from xnorflow.train.recipes import Recipe, recipe
from xnorflow.train.runs import Run, load_run
from xnorflow.train.trainer import train

__all__ = ["STUDIES", "Study", "Variant", "run_study", "study"]

PLAIN = ("schedule=cosine", "epochs=4")
"""What all studies set: a whole schedule at a budget that is affordable many times."""


def _layers(*settings: str, start: int = 0, stop: int = 8) -> tuple[str, ...]:
    """Settings of cnv's layers from ``start`` up to, not including, ``stop``; the last is 8."""
    return tuple(f"layers.{i}.{setting}" for i in range(start, stop) for setting in settings)


ALGORITHM_1 = _layers("prelu_first=true")
"""PReLU before BatchNorm; behind it, with slopes >= 0, no sign would ever see it."""


@dataclass(frozen=True)
class Variant:
    """Settings on top of the study's, and what the paper found, in its own measure."""

    name: str
    settings: tuple[str, ...]
    paper: str = ""


@dataclass(frozen=True)
class Study:
    """One question.

    Attributes
    ----------
    title : str
        What is compared.
    source : str
        Paper and table or figure; what its figures are.
    variants : tuple of Variant
        What is tried.
    settings : tuple of str
        Of all variants, as for ``train.overrides.override``.
    recipe : str
        What they start from.
    """

    title: str
    source: str
    variants: tuple[Variant, ...]
    settings: tuple[str, ...] = ()
    recipe: str = "cifar10-cnv-quarter-w1a1"


_COMPACT = "Tang, Hua, Wang 2017"
_IMAGENET = "ImageNet top-5/top-1, %"

STUDIES = {
    "learning-rate": Study(
        "Learning rate, and how many signs it changes",
        f"{_COMPACT}, table 2 and figure 2; {_IMAGENET}",
        (
            Variant("1e-2", ("lr=1e-2",), "43.5/20.9"),
            Variant("1e-3", ("lr=1e-3",)),
            Variant("1e-4", ("lr=1e-4",), "61.3/36.4"),
        ),
        (*_layers("relu=true"), *ALGORITHM_1),
    ),
    "activation-function": Study(
        "What stands between sums and BatchNorm",
        f"{_COMPACT}, table 2; {_IMAGENET}, at 1e-4",
        (
            Variant("nothing", ()),
            Variant("relu", _layers("relu=true"), "61.3/36.4"),
            Variant("prelu", _layers("prelu=true"), "65.6/41.2"),
        ),
        ALGORITHM_1,
    ),
    "regulariser": Study(
        "What hidden weights are drawn to",
        f"{_COMPACT}, equation 2 and figure 3c, a curve without figures",
        (
            Variant("none", ()),
            Variant("l2", ("l2=5e-7",)),
            Variant("bipolar", ("bipolar=5e-7",)),
        ),
    ),
    "last-layer": Study(
        "The last layer's weights, and what is behind them",
        f"{_COMPACT}, table 3; {_IMAGENET}",
        (
            Variant("real", ("layers.8.weights=real", "layers.8.head=raw"), "65.6/41.2"),
            Variant("binary", ("layers.8.head=raw",), "61.0/35.8"),
            Variant("binary-scale", ("layers.8.head=scale",), "64.6/39.3"),
            Variant("binary-norm", ("layers.8.head=norm",)),
        ),
    ),
    "lanes": Study(
        "m binarizations of each activation",
        f"{_COMPACT}, table 5; {_IMAGENET}",
        (
            Variant("m1", ("layers.*.lanes=1",), "64.6/39.3"),
            Variant("m2", ("layers.*.lanes=2",), "70.4/45.8"),
            Variant("m3", ("layers.*.lanes=3",)),
        ),
    ),
    "block-order": Study(
        "Order of a block: pool the activations, or the sums",
        "Rastegari and others 2016, table 3b; ImageNet top-1/top-5, %",
        (
            Variant("c-b-a-p", ("layers.*.pool_first=false",), "30.3/57.5"),
            Variant("b-a-c-p", ("layers.*.pool_first=true",), "44.2/69.2"),
        ),
    ),
    "scales": Study(
        "alpha of weights and K of inputs",
        "Rastegari and others 2016, section 4.2: without K under 1 % less top-1",
        (
            Variant("none", ()),
            Variant("alpha", _layers("weights=scaled", start=1, stop=9)),
            Variant("alpha-k", _layers("weights=scaled", "input_scale=true", start=1, stop=9)),
        ),
    ),
    "binary-gradient": Study(
        "Gradients as signs on their way back",
        "Rastegari and others 2016, section 4.2: 1.4 % less top-1",
        (
            Variant("real", ()),
            Variant("binary", ("layers.*.binary_gradient=true",)),
        ),
    ),
    "estimator": Study(
        "What stands in for sign's derivative",
        "BinaryNet; Bi-Real Net; BNN+",
        tuple(Variant(name, (f"estimator={name}",)) for name in ("identity", "approx", "swish")),
    ),
    "two-bits": Study(
        "Two bits an activation, three ways",
        f"{_COMPACT}, table 4 (residual 70.4/45.8, DoReFa -/40.3); XNOR-Net's q_k; DoReFa",
        tuple(
            Variant(name, ("layers.*.lanes=2", f"layers.*.activation={kind}"))
            for name, kind in (("residual", "binary"), ("q-k", "uniform"), ("dorefa", "dorefa"))
        ),
    ),
}


def study(name: str) -> Study:
    """The study of that name; ValueError names the nearest ones."""
    if name not in STUDIES:
        near = get_close_matches(name, STUDIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown study {name!r}{hint}; known: {', '.join(STUDIES)}")
    return STUDIES[name]


def run_study(
    name: str,
    folder: Path,
    data: Path | None,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    settings: Sequence[str] = (),
    minutes: float | None = None,
    device: str | None = None,
    report: Callable[[str, Run], None] = lambda name, run: None,
) -> bool:
    """Train every variant with every seed; whether all are finished.

    Parameters
    ----------
    name : str
        Of ``STUDIES``.
    folder : Path
        Where the runs go, below a folder of the study's name.
    data : Path or None
        Folder of the data set's files.
    seeds : sequence of int
        All variants with the first, then with the second, ...
    settings : sequence of str
        On top of all others: the budget, as ``epochs=20``.
    minutes : float or None
        Stop at the last epoch that fits.
    device : str or None
        As for ``train``.
    report : callable
        Given each run's name and the run.

    Raises
    ------
    ValueError
        If there is no such study or setting, or a run was begun with others.
    """
    found = study(name)
    started = time.monotonic()
    finished = True
    for seed in seeds:
        for variant in found.variants:
            chosen = override(
                recipe(found.recipe), (*PLAIN, *found.settings, *variant.settings, *settings)
            )
            left = None if minutes is None else minutes - (time.monotonic() - started) / 60
            if left is not None and left <= 0:
                return False
            chosen = replace(chosen, seed=seed)
            target = folder / name / variant.name / f"seed-{seed}"
            _copy_finished(chosen, folder, target)
            run = train(chosen, data, target, minutes=left, device=device)
            finished = finished and run.finished
            report(f"{name}/{variant.name}/seed-{seed}", run)
    return finished


def _copy_finished(wanted: Recipe, folder: Path, target: Path) -> None:
    """Make ``target`` a copy of a finished run of the same recipe, if a study has one."""
    if target.exists():
        return
    for path in sorted(folder.glob("*/*/seed-*/checkpoint.pt")):
        found = load_run(path.parent)
        if found.recipe == wanted and found.finished:
            shutil.copytree(path.parent, target)
            return
