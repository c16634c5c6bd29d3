# SPDX-License-Identifier: Apache-2.0
"""The images that a network takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnorflow.core.network import NetworkSpec

__all__ = ["check_images"]


def check_images(images: Any, network: NetworkSpec) -> None:
    """Raise unless ``images`` is a uint8 array of (N >= 1, *network.image_shape).

    Raises
    ------
    TypeError
        If it is not a numpy array of uint8.
    ValueError
        If it has another shape, or no image at all.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = f"{images.dtype} array" if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"Images must be a numpy array of uint8, not {kind}")
    if images.ndim != 4 or images.shape[1:] != network.image_shape or len(images) == 0:
        expected = ", ".join(str(size) for size in network.image_shape)
        raise ValueError(
            f"Network {network.name!r} takes images (N >= 1, {expected}), not {images.shape}"
        )
