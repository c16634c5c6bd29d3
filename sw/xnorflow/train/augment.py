# SPDX-License-Identifier: Apache-2.0
"""Random changes of uint8 images, so that a network sees more than it was given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """A random affine map an image, then a shift by whole pixels; what comes in is 0.

    Parameters
    ----------
    shift : float
        Largest shift in pixels, in both directions, interpolated.
    rotate : float
        Largest turn in degrees.
    zoom : float
        Largest relative change of size: 0.1 is from 0.9 to 1.1.
    shear : float
        Largest horizontal shift, as a share of the vertical distance from the middle.
    flip : bool
        Mirror left and right, every second image.
    crop : int
        Largest shift in whole pixels, in both directions: only indexing, so several times faster.
    """

    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    flip: bool = False
    crop: int = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 images (N, H, W, C) to others of the same shape; unchanged if all is 0."""
        if self.shift or self.rotate or self.zoom or self.shear:
            images = self._affine(images, generator)
        if self.flip or self.crop:
            images = self._crop(images, generator)
        return images

    def _affine(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, height, width, _ = images.shape
        # One row an image, each uniform in [-1, 1].
        turn, size, skew, right, down, _ = (
            torch.rand(count, 6, generator=generator).mul(2).sub(1).unbind(1)
        )
        angle = turn * math.radians(self.rotate)
        factor = 1 + size * self.zoom
        cos, sin = torch.cos(angle) * factor, torch.sin(angle) * factor
        shear = skew * self.shear
        # Rows of the map from output to input positions, both in [-1, 1].
        across = torch.stack([cos, cos * shear - sin, right * 2 * self.shift / width], 1)
        along = torch.stack([sin, sin * shear + cos, down * 2 * self.shift / height], 1)
        planes = images.permute(0, 3, 1, 2).float()
        grid = F.affine_grid(torch.stack([across, along], 1), list(planes.shape), False)
        moved = F.grid_sample(planes, grid, padding_mode="zeros", align_corners=False)
        return moved.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    def _crop(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, height, width, _ = images.shape
        down, right = torch.randint(0, 2 * self.crop + 1, (2, count, 1), generator=generator)
        mirror = torch.rand(count, 1, generator=generator) < (0.5 if self.flip else 0.0)
        rows, columns = torch.arange(height).expand(count, -1), torch.arange(width)
        columns = torch.where(mirror, width - 1 - columns, columns)
        padded = F.pad(images, (0, 0, self.crop, self.crop, self.crop, self.crop))
        image = torch.arange(count)[:, None, None]
        return padded[image, (rows + down)[:, :, None], (columns + right)[:, None, :]]
