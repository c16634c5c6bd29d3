# SPDX-License-Identifier: Apache-2.0
"""What a run on a device gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RunResult"]


@dataclass(frozen=True)
class RunResult:
    """Outputs and counters of one run.

    Parameters
    ----------
    logits : float32 array (images, classes)
        After the epilogue.
    accumulators : int64 array (images, height, width, channels)
        Of the last layer, as the device gave them.
    cycles : int
        Device cycles, without those that waited for the host.
    wait_cycles : int
        Device cycles that waited for pixels or for room for results.
    blocks : int
        Device blocks that the images were cut into.
    seconds : float
        Time on the host's clock that the blocks took, from start to counters read.
    useful_xnors : int
        XNORs on real inputs.
    array_xnors : int
        XNORs that the array could have done in ``cycles``.
    codes : dict of str to uint8 array, or None
        If recorded: the codes (images, height, width, channels) of every layer that gives codes.
    """

    logits: npt.NDArray[np.float32]
    accumulators: npt.NDArray[np.int64]
    cycles: int
    wait_cycles: int
    blocks: int
    seconds: float
    useful_xnors: int
    array_xnors: int
    codes: dict[str, npt.NDArray[np.uint8]] | None = None

    @property
    def images(self) -> int:
        """Images in the run."""
        return len(self.logits)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Index of the largest logit of each image."""
        classes: npt.NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        return classes

    @property
    def cycles_per_image(self) -> float:
        """Device cycles an image, without waiting."""
        return self.cycles / self.images

    @property
    def utilisation(self) -> float:
        """Useful share of the array: useful XNORs / array XNORs."""
        return self.useful_xnors / self.array_xnors

    @property
    def images_per_second(self) -> float:
        """Images a second of the host's clock."""
        return self.images / self.seconds

    @property
    def cycles_per_second(self) -> float:
        """Device cycles, waiting included, a second of the host's clock."""
        return (self.cycles + self.wait_cycles) / self.seconds
