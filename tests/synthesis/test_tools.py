# SPDX-License-Identifier: Apache-2.0
"""Running a tool: what it says goes to a log, and it cannot run for ever."""

from __future__ import annotations

import pytest

from xnorflow.synthesis.tools import SynthesisError, run_tool


def test_a_tool_that_does_not_end_is_stopped(tmp_path) -> None:
    with pytest.raises(SynthesisError, match=r"sleep was stopped after 0\.001 minutes"):
        run_tool(["NO_SUCH_VARIABLE", "sleep"], ["60"], tmp_path, "log", minutes=0.001)


def test_the_last_error_of_a_tool_that_fails_is_named(tmp_path) -> None:
    script = "echo ERROR: first; echo ERROR: second; echo more; exit 3"
    with pytest.raises(SynthesisError, match=r"sh failed \(3\): ERROR: second; see .*log"):
        run_tool(["NO_SUCH_VARIABLE", "sh"], ["-c", script], tmp_path, "log")
