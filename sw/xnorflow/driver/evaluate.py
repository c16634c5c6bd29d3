# SPDX-License-Identifier: Apache-2.0
"""Many images on several simulators at once, compared with the golden model as they get done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xnorflow.core.geometry import Geometry
from xnorflow.core.images import check_images
from xnorflow.driver.block import Progress
from xnorflow.driver.compare import Comparison, GoldenOutputs, compare, join_comparisons
from xnorflow.driver.program import to_program
from xnorflow.driver.result import RunResult
from xnorflow.driver.workers import Setup, Workers

__all__ = ["Evaluation", "evaluate"]

Images = npt.NDArray[np.uint8]
Golden = Callable[[Images], GoldenOutputs]
"""The golden model: ``golden(images)`` gives every layer's codes, accumulators and logits."""


@dataclass(frozen=True)
class Evaluation:
    """Outcome of :func:`evaluate`.

    Parameters
    ----------
    result : RunResult
        All images in their order, cycles summed over all blocks; ``codes`` is None. ``seconds``
        is the host's time with at least one block under way.
    comparison : Comparison or None
        With the golden model, if there was one.
    predicted_cycles : int
        What the compiler says for these blocks; ``result.cycles`` is what the devices counted.
    jobs : int
        Processes that shared the work; 1 is the caller's own.
    """

    result: RunResult
    comparison: Comparison | None
    predicted_cycles: int
    jobs: int


def evaluate(
    source: Any,
    images: Images,
    *,
    geometry: Geometry | str,
    device: str = "sim",
    jobs: int | None = None,
    golden: Golden | None = None,
    record: bool = False,
    progress: Progress | None = None,
    timeout: float | None = None,
    **options: Any,
) -> Evaluation:
    """Run images through as many devices as there are cores, and compare with the golden model.

        evaluate("cnv.safetensors", images, geometry="3x3x8x32", golden=GoldenNetwork(artifact))

    The images are cut into the program's blocks, and every process takes the next one when it is
    done with one; so logits and cycles are those of one device. Only where ``jobs`` asks for more
    processes than there are blocks, blocks are smaller, and each image takes more cycles.

    Processes are started afresh ("spawn"): in a script, call this under
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    source : Artifact, str, Path or program
        A path names an artifact.
    images : uint8 array (N, height, width, channels)
        Any N >= 1.
    geometry : Geometry or str
        The array's.
    device : str
        As for ``Accelerator.open``; each process opens its own.
    jobs : int or None
        Processes. None: one a core for the simulator, but not more than blocks; 1 for another
        device. With 1 all is done in the caller's process.
    golden : callable or None
        Called in the caller's process, block by block.
    record : bool
        Compare every layer's codes too; needs a device that shows them (the simulator).
    progress : callable or None
        Called as ``progress(images done, images in all)`` after every block.
    timeout : float or None
        Seconds that one block may take; None for the transport's own choice.
    **options
        For the transport.

    Raises
    ------
    TypeError, ValueError
        If images, geometry or jobs cannot be, or several jobs are to write one trace.
    DriverError
        What ``Accelerator`` raises, or that a process ended by itself. All processes are gone
        when this returns, also after an error or Ctrl-C.
    """
    shape = Geometry.parse(geometry) if isinstance(geometry, str) else geometry
    program = to_program(source, shape)
    check_images(images, program.network)
    step = min(program.block, _share(len(images), _check_jobs(jobs, options), shape.pixels))
    starts = range(0, len(images), step)
    blocks = [images[start : start + step] for start in starts]
    jobs = min(jobs or _cores(device, options), len(blocks))
    setup = Setup(device, program, record, timeout, options)
    results: dict[int, RunResult] = {}
    comparisons: dict[int, Comparison] = {}
    spans: list[tuple[float, float]] = []
    with _start(setup, blocks, jobs) as run:
        # While the devices are busy with their first blocks.
        outputs = {0: golden(blocks[0])} if golden else {}
        for index, result in run:
            now = time.monotonic()
            spans.append((now - result.seconds, now))
            if golden:
                expected = outputs.pop(index, None) or golden(blocks[index])
                comparisons[index] = compare(
                    result, expected, program.network, first_image=starts[index]
                )
            results[index] = replace(result, codes=None)
            if progress is not None:
                progress(sum(part.images for part in results.values()), len(images))
    joined = _join([results[index] for index in range(len(blocks))])
    if jobs > 1:
        joined = replace(joined, seconds=max(end for _, end in spans) - min(spans)[0])
    return Evaluation(
        result=joined,
        comparison=join_comparisons([comparisons[i] for i in sorted(comparisons)])
        if comparisons
        else None,
        predicted_cycles=sum(program.block_cycles(len(block)) for block in blocks),
        jobs=jobs,
    )


def _check_jobs(jobs: Any, options: dict[str, Any]) -> int:
    """The number of jobs asked for; 1 if none is. One clear error if there cannot be so many."""
    if jobs is None:
        return 1
    if not isinstance(jobs, int) or isinstance(jobs, bool):
        raise TypeError(f"jobs must be an integer, not {jobs!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    if jobs > 1 and options.get("trace") is not None:
        raise ValueError(f"{jobs} jobs cannot write one trace; trace with jobs 1")
    return jobs


def _cores(device: str, options: dict[str, Any]) -> int:
    several = device == "sim" and options.get("trace") is None
    return len(os.sched_getaffinity(0)) if several else 1


def _share(images: int, jobs: int, pixels: int) -> int:
    """Images of each job's part; whole units of ``pixels`` images, which run as one."""
    return -(-images // (jobs * pixels)) * pixels


@contextmanager
def _start(
    setup: Setup, blocks: Sequence[Images], jobs: int
) -> Iterator[Iterator[tuple[int, RunResult]]]:
    """Each block's index and result, from this process or from several."""
    if jobs > 1:
        with Workers(setup, jobs) as workers:
            yield workers.run(blocks)
    else:
        with setup.open() as accelerator:
            yield ((index, setup.run(accelerator, block)) for index, block in enumerate(blocks))


def _join(parts: Sequence[RunResult]) -> RunResult:
    return RunResult(
        logits=np.concatenate([part.logits for part in parts]),
        accumulators=np.concatenate([part.accumulators for part in parts]),
        cycles=sum(part.cycles for part in parts),
        wait_cycles=sum(part.wait_cycles for part in parts),
        blocks=sum(part.blocks for part in parts),
        seconds=sum(part.seconds for part in parts),
        useful_xnors=sum(part.useful_xnors for part in parts),
        array_xnors=sum(part.array_xnors for part in parts),
    )
