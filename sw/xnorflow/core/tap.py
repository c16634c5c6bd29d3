# SPDX-License-Identifier: Apache-2.0
"""A tap record: what a device wrote into its activation banks, for tests and comparisons."""

from __future__ import annotations

import numpy as np

__all__ = ["TAP_DTYPE"]

TAP_DTYPE = np.dtype(
    {
        "names": ["layer", "bank", "enable", "address", "data"],
        "formats": ["u1", "u1", "u8", "u4", "u8"],
        "offsets": [20, 21, 0, 16, 8],
        "itemsize": 24,
    }
)
"""One write: ``data`` went to ``address`` of ``bank``, in the granules whose ``enable`` bit is 1.

``layer`` is 0 for the input map and i + 1 for the output of layer i. The layout in memory is that
of ``TapRow`` in simulation/harness.cpp.
"""
