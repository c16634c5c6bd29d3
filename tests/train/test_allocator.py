# SPDX-License-Identifier: Apache-2.0
"""Freed memory is taken again without the system's help."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORK = """
import platform, resource
import torch
from xnorflow.train.allocator import keep_freed_memory

torch.set_num_threads(1)
keep_freed_memory()

def step():
    kept = [torch.ones(500_000) for _ in range(40)]
    while kept:  # as a backward pass does
        kept.pop()

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(platform.libc_ver()[0], resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_steps_of_the_same_sizes_fault_no_pages() -> None:
    # Without it about every second process faults 195,000 pages: addresses are random.
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", WORK], capture_output=True, text=True, check=True
        )
        library, _, count = done.stdout.partition(" ")
        if library != "glibc":
            pytest.skip("not glibc")
        assert int(count) < 1000
