# SPDX-License-Identifier: Apache-2.0
"""Where the cycles of a compiled network go, layer by layer and reason by reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xnorflow.compile.cycles import LOSSES
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.program import LayerReport, layer_reports
from xnorflow.compile.schedule import Schedule
from xnorflow.core.geometry import Geometry

__all__ = ["CycleReport", "Layer", "report"]


@dataclass(frozen=True)
class Layer:
    """One layer, or the whole network, in a full block.

    Parameters
    ----------
    name : str
    images : int
        Of the block.
    cycles : int
        Of the block.
    useful_cycles : float
        Cycles in which the whole array, always busy with real inputs, would have done the work.
    lost : dict of str to float
        The other cycles, by reason (:func:`xnorflow.compile.cycles.row_losses`):
        ``useful_cycles + sum(lost.values()) == cycles``.
    weight_bits : int
        Weight bits loaded into the array; those of missing channels and words are loaded too.
    tiles, passes : int
        Channel tiles, and weight loads of each; of the network, 0.
    """

    name: str
    images: int
    cycles: int
    useful_cycles: float
    lost: dict[str, float]
    weight_bits: int
    tiles: int = 0
    passes: int = 0

    @property
    def cycles_per_image(self) -> float:
        """Cycles an image."""
        return self.cycles / self.images

    @property
    def utilisation(self) -> float:
        """Useful XNORs / XNORs that the array could do in these cycles."""
        return self.useful_cycles / self.cycles

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {
            "name": self.name,
            "tiles": self.tiles,
            "passes": self.passes,
            "cycles": self.cycles,
            "cycles_per_image": self.cycles_per_image,
            "utilisation": self.utilisation,
            "lost": self.lost,
        }


@dataclass(frozen=True)
class CycleReport:
    """A network on a geometry.

    Parameters
    ----------
    geometry : Geometry
    layers : tuple of Layer
    total : Layer
        The whole block.
    image_bytes : int
        Bytes of an image; the device takes at most one a cycle.
    """

    geometry: Geometry
    layers: tuple[Layer, ...]
    total: Layer
    image_bytes: int

    @property
    def block(self) -> int:
        """Images of a full block."""
        return self.total.images

    @property
    def input_bound(self) -> bool:
        """Whether images arrive, at one byte a cycle, more slowly than they are computed."""
        return self.image_bytes > self.total.cycles_per_image

    @property
    def cycles_per_image(self) -> float:
        """Cycles from image to image where blocks follow each other, arrival included."""
        return max(float(self.image_bytes), self.total.cycles_per_image)

    @property
    def latency_cycles(self) -> int:
        """Cycles from the first byte of a block, one a cycle, to its last result.

        Of a block of one unit; in larger ones images arrive while others are computed. A flat
        accelerator's cycles include those of the bytes.
        """
        arrive = self.block * self.image_bytes - round(self.total.lost["input"])
        return arrive + self.total.cycles

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons for which any cycle is lost, in the order of ``LOSSES``."""
        return tuple(reason for reason in LOSSES if self.total.lost[reason] > 0.5)

    # -- the roofline: XNORs a cycle over XNORs a weight bit ---------------------------------

    @property
    def peak(self) -> int:
        """XNORs a cycle that the array can do."""
        return self.geometry.xnors_per_cycle

    @property
    def weight_bus(self) -> int:
        """Weight bits that all columns load in one cycle."""
        geometry = self.geometry
        return geometry.columns * geometry.rows * geometry.weight_beat

    def point(self, layer: Layer) -> tuple[float, float]:
        """A layer's useful XNORs for each weight bit loaded, and its useful XNORs a cycle."""
        useful = layer.useful_cycles * self.peak
        return useful / layer.weight_bits, useful / layer.cycles


def report(plans: tuple[LayerPlan, ...], schedule: Schedule) -> CycleReport:
    """Where the cycles of a full block go."""
    geometry = plans[0].geometry
    images = schedule.units * geometry.pixels
    layers = tuple(
        _layer(plans[index], each, schedule, index, images)
        for index, each in enumerate(layer_reports(plans, schedule))
    )
    height, width, channels = plans[0].spec.in_shape
    return CycleReport(geometry, layers, _total(layers, images), height * width * channels)


def _layer(
    plan: LayerPlan, found: LayerReport, schedule: Schedule, index: int, images: int
) -> Layer:
    geometry = plan.geometry
    loads = sum(plan.tiles * plan.passes for row in schedule.rows if row.layer == index)
    return Layer(
        name=found.name,
        images=images,
        cycles=found.cycles,
        useful_cycles=images * plan.spec.xnors / geometry.xnors_per_cycle,
        lost=found.lost,
        weight_bits=loads * geometry.columns * geometry.rows * geometry.word_width,
        tiles=found.tiles,
        passes=found.passes,
    )


def _total(layers: Iterable[Layer], images: int) -> Layer:
    """The block: its layers, and the cycles that belong to none."""
    parts = tuple(layers)
    lost = {reason: sum(part.lost[reason] for part in parts) for reason in LOSSES}
    return Layer(
        name="network",
        images=images,
        cycles=sum(part.cycles for part in parts),
        useful_cycles=sum(part.useful_cycles for part in parts),
        lost=lost,
        weight_bits=sum(part.weight_bits for part in parts),
    )
