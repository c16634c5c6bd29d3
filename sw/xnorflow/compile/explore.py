# SPDX-License-Identifier: Apache-2.0
"""Which geometry computes a network best on a device.

Shapes whose LUTs or flip-flops do not fit are dropped, the rest is sorted by cycles that none can
beat, and exact schedules are made in that order until no other shape can enter the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from xnorflow.compile.errors import CompileError
from xnorflow.compile.fit import memory_usage, weight_depth
from xnorflow.compile.plan import LayerPlan
from xnorflow.compile.program import MAX_BLOCK, plan_network
from xnorflow.compile.resources import Device, Estimate, estimate
from xnorflow.core.geometry import Geometry
from xnorflow.core.network import NetworkSpec

__all__ = ["OBJECTIVES", "Candidate", "explore"]

OBJECTIVES = ("throughput", "latency")
FILL = 0.9
"""Share of LUTs and flip-flops that may be used: placers need room."""
DEPTHS = tuple(1 << bits for bits in range(6, 15))


@dataclass(frozen=True)
class Candidate:
    """A geometry that fits.

    Parameters
    ----------
    geometry : Geometry
        With the smallest memories that give these cycles.
    block : int
        Images a block.
    cycles : int
        Of a block.
    useful_xnors : int
        Of a block.
    image_bytes : int
        Bytes of an image, which arrive one a cycle.
    resources : Estimate
    device : Device
    """

    geometry: Geometry
    block: int
    cycles: int
    useful_xnors: int
    image_bytes: int
    resources: Estimate
    device: Device

    @property
    def cycles_per_image(self) -> float:
        """Cycles an image, without its arrival."""
        return self.cycles / self.block

    @property
    def latency_cycles(self) -> int:
        """Cycles from a block's first byte to its last result; of blocks of one unit."""
        return self.block * self.image_bytes + self.cycles

    @property
    def images_per_second(self) -> float:
        """At the device's clock, images arriving while others are computed."""
        return self.device.clock_mhz * 1e6 / max(self.cycles_per_image, self.image_bytes)

    @property
    def utilisation(self) -> float:
        """Useful XNORs / XNORs that the array could do."""
        return self.useful_xnors / (self.cycles * self.geometry.xnors_per_cycle)

    @property
    def limit(self) -> str:
        """What keeps it from more: the input, or the resource that is fullest."""
        if self.image_bytes > self.cycles_per_image:
            return "input"
        shares = self.resources.shares(self.device)
        return max(shares, key=lambda name: shares[name])

    def cost(self, objective: str) -> float:
        """What is to be small, in cycles."""
        if objective == "latency":
            return self.latency_cycles
        return max(self.cycles_per_image, self.image_bytes)


def _fits(found: Estimate, device: Device) -> bool:
    return (
        found.lut <= FILL * device.lut
        and found.ff <= FILL * device.ff
        and found.memory_blocks <= device.memory_blocks
        and found.dsp <= device.dsp
    )


def _shapes(network: NetworkSpec, device: Device) -> Iterator[Geometry]:
    """Shapes that the network may use and the device's logic holds; memories are smallest."""
    lanes = max([layer.out_lanes for layer in network.layers] + [1])
    bound = max(layer.accumulator_bound for layer in network.layers)
    scale = max(layer.in_scales[0] * layer.weight_scales[0] for layer in network.layers)
    pools = [layer.out_shape[1] for layer in network.layers if layer.pool > 1]
    common: dict[str, Any] = {
        "max_lanes": lanes,
        "accumulator_width": max(12, (bound + 2).bit_length() + 1),
        "scale_width": max(8, scale.bit_length()),
        "pool_depth": max([2, *pools]),
        "activation_depth": 16,
        "accumulator_depth": 4,
        "weight_depth": 16,
    }
    columns = (4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128)
    for streams, taps, count, word, pixels, bus in product(
        (2, 3, 4, 5), (1, 2, 3, 4), columns, (16, 32, 64), (1, 2), (36, 72)
    ):
        geometry = Geometry(streams, taps, count, word, pixels=pixels, weight_bus=bus, **common)
        narrow = replace(geometry, weight_bus=36)
        if bus > 36 and geometry.weight_beat == narrow.weight_beat:
            continue
        if _fits(estimate(geometry, device.family), device):
            yield geometry


def _plans(network: NetworkSpec, geometry: Geometry) -> tuple[LayerPlan, ...]:
    return tuple(
        LayerPlan(geometry, layer, first=index == 0) for index, layer in enumerate(network.layers)
    )


def _least_cycles(plans: tuple[LayerPlan, ...], objective: str) -> float:
    """Cycles an image (of one unit, for latency) that no schedule beats: beats, weight loads."""
    geometry = plans[0].geometry
    height, width, channels = plans[0].spec.in_shape
    units = 1 if objective == "latency" else max(1, MAX_BLOCK // geometry.pixels)
    cycles = 0.0
    for plan in plans:
        positions = plan.map_width * plan.map_lines(plan.spec.out_shape[0])
        loops = plan.tiles * plan.passes
        cycles += loops * (plan.lanes * positions + geometry.weight_load_cycles / units)
    image_bytes = height * width * channels
    if objective == "latency":
        return cycles + geometry.pixels * image_bytes
    return max(cycles / geometry.pixels, image_bytes)


def _memories(geometry: Geometry, device: Device) -> list[Geometry]:
    """The largest activation and accumulator memories that fit beside each other."""
    found: list[Geometry] = []
    for activations in reversed(DEPTHS):
        for accumulators in reversed(DEPTHS):
            if found and accumulators <= found[-1].accumulator_depth:
                break
            larger = geometry.with_memory(
                activation_depth=activations, accumulator_depth=accumulators
            )
            if _fits(estimate(larger, device.family), device):
                found.append(larger)
                break
    return found


def _evaluate(
    network: NetworkSpec, shape: Geometry, device: Device, objective: str
) -> Candidate | None:
    """The shape's best candidate, its memories cut to what the schedule uses."""
    best: Candidate | None = None
    max_block = shape.pixels if objective == "latency" else MAX_BLOCK
    for geometry in _memories(shape, device):
        try:
            plans, schedule = plan_network(network, geometry, max_block=max_block)
        except CompileError:
            continue
        usage = memory_usage(plans, schedule)
        depths = {
            name: max(low, 1 << (usage[name][0] - 1).bit_length())
            for name, low in (("activation_depth", 16), ("accumulator_depth", 4))
        }
        smaller = geometry.with_memory(**depths)
        block = schedule.units * geometry.pixels
        height, width, channels = plans[0].spec.in_shape
        found = Candidate(
            smaller, block, schedule.cycles(schedule.units),
            block * sum(layer.xnors for layer in network.layers), height * width * channels,
            estimate(smaller, device.family), device,
        )  # fmt: skip
        if best is None or found.cost(objective) < best.cost(objective):
            best = found
        if usage["accumulator_depth"][0] * 2 <= geometry.accumulator_depth:
            break  # more accumulators for fewer activations cannot help
    return best


def explore(
    network: NetworkSpec,
    device: Device,
    *,
    objective: str = "throughput",
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> list[Candidate]:
    """The ``top`` shapes, best first; empty if none fits.

    Raises
    ------
    ValueError
        If the objective is unknown or ``top`` is not positive.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be {' or '.join(OBJECTIVES)}, not {objective!r}")
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    shapes = []
    for geometry in _shapes(network, device):
        plans = _plans(network, geometry)
        needed = max(16, 1 << (weight_depth(plans) - 1).bit_length())
        if needed > DEPTHS[-1]:
            continue
        deep = geometry.with_memory(weight_depth=needed)
        if _fits(estimate(deep, device.family), device):
            shapes.append((_least_cycles(plans, objective), str(deep), deep))
    shapes.sort(key=lambda item: item[:2])
    found: list[Candidate] = []
    for index, (bound, _, shape) in enumerate(shapes):
        if len(found) >= top and bound >= found[top - 1].cost(objective):
            break
        candidate = _evaluate(network, shape, device, objective)
        if candidate is not None:
            found.append(candidate)
            found.sort(key=lambda each: (each.cost(objective), each.resources.lut))
        if progress:
            progress(index + 1, len(shapes))
    return found[:top]
