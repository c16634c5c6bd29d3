# SPDX-License-Identifier: Apache-2.0
"""A tap record: what a device wrote into its activation banks, for tests and comparisons."""

from __future__ import annotations

import numpy as np

__all__ = ["TAP_DTYPE"]

TAP_DTYPE = np.dtype(
    {
        "names": ["row", "bank", "pixel", "enable", "address", "data"],
        "formats": ["u1", "u1", "u1", "u8", "u4", "u8"],
        "offsets": [20, 21, 22, 0, 16, 8],
        "itemsize": 24,
    }
)
"""One write: ``data`` went to ``address`` of ``bank`` of a pixel stream, in the granules whose
``enable`` bit is 1, while program row ``row`` ran. The layout in memory is that of ``TapRow`` in
simulation/harness.cpp.
"""
