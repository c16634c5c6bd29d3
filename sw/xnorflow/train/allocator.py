# SPDX-License-Identifier: Apache-2.0
"""Memory that training frees and takes again in every step."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed activations; does nothing without glibc.

    Given back to the system, it has to be cleared and mapped again a moment later: a large share
    of the time of a small network's step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
