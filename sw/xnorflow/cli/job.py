# SPDX-License-Identifier: Apache-2.0
"""The main job: classify images on a device and compare every layer with the golden model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnorflow.cli.console import progress
from xnorflow.cli.images import ImageSet, untrained
from xnorflow.core.artifact import Artifact
from xnorflow.core.geometry import Geometry

if TYPE_CHECKING:
    from xnorflow.driver.compare import Comparison
    from xnorflow.driver.result import RunResult
    from xnorflow.golden.model import GoldenResult

__all__ = ["Report", "golden_result", "run_job"]


@dataclass(frozen=True)
class Report:
    """What a device did with a batch of images, and whether it did it right.

    ``predicted_cycles`` is what the compiler says; ``result.cycles`` is what the device counted.
    ``untrained`` says how the weights of an untrained network were made.
    """

    network: str
    device: str
    geometry: str
    test: ImageSet
    result: RunResult
    predicted_cycles: int
    comparison: Comparison
    jobs: int
    untrained: str | None

    @property
    def accuracy(self) -> float | None:
        """Share of images classified as labelled; None without labels."""
        labels = self.test.labels
        return None if labels is None else float((self.result.classes == labels).mean())

    @property
    def identical(self) -> bool:
        """Whether every bit is the golden model's."""
        return self.comparison.identical

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        result = self.result
        return {
            "network": self.network,
            "untrained": self.untrained is not None,
            "device": self.device,
            "geometry": self.geometry,
            "data": self.test.source,
            "images": result.images,
            "layers": self.comparison.layers,
            "accuracy": self.accuracy,
            "jobs": self.jobs,
            "seconds": result.seconds,
            "cycles": result.cycles,
            "predicted_cycles": self.predicted_cycles,
            "cycles_per_image": result.cycles_per_image,
            "utilisation": result.utilisation,
            "images_per_second": result.images_per_second,
            "cycles_per_second": result.cycles_per_second,
            "identical_to_golden": self.identical,
            "first_difference": self.comparison.first,
        }


def golden_result(artifact: Artifact, images: npt.NDArray[np.uint8]) -> GoldenResult:
    """What the integer model in PyTorch computes: every layer's codes and the logits."""
    from xnorflow.golden.model import GoldenNetwork

    result: GoldenResult = GoldenNetwork(artifact)(images)
    return result


def run_job(
    artifact: Artifact,
    test: ImageSet,
    *,
    device: str,
    geometry: Geometry,
    jobs: int | None = None,
    trace: Path | None = None,
) -> Report:
    """Run images through a device and compare the logits, and what it shows of its layers.

    Parameters
    ----------
    artifact : Artifact
        The network.
    test : ImageSet
        The images.
    device : str
        ``"sim"``, or another transport's name.
    geometry : Geometry
        The array's.
    jobs : int or None
        Simulator processes; None for one a core.
    trace : Path or None
        Write a VCD file there; the simulator only.
    """
    from xnorflow.driver.evaluate import evaluate

    options: dict[str, Any] = {} if trace is None else {"trace": trace}
    name = artifact.network.name
    with progress(name) as advance:
        evaluation = evaluate(
            artifact,
            test.images,
            device=device,
            geometry=geometry,
            jobs=jobs,
            golden=lambda images: golden_result(artifact, images),
            record=device == "sim",  # a board does not show its layers' codes
            progress=advance,
            **options,
        )
    assert evaluation.comparison is not None  # for mypy: there was a golden model
    return Report(
        network=name,
        device=device,
        geometry=str(geometry),
        test=test,
        result=evaluation.result,
        predicted_cycles=evaluation.predicted_cycles,
        comparison=evaluation.comparison,
        jobs=evaluation.jobs,
        untrained=untrained(artifact),
    )
