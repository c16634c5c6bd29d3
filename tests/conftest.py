# SPDX-License-Identifier: Apache-2.0
"""Settings of all tests."""

from hypothesis import settings

# The first example of a test may import PyTorch on a busy machine: no time says that it is wrong.
settings.register_profile("xnorflow", deadline=None)
settings.load_profile("xnorflow")
