# SPDX-License-Identifier: Apache-2.0
"""How the learning rate falls over a run.

| schedule | rate, as a share of the recipe's |
|---|---|
| cosine | half a cosine from 1 to 0 |
| hold | 1, then half a cosine to 0 over the last ``decay_epochs`` |
| plateau | halved whenever an epoch's training loss is not below the least so far |

``hold`` lets a run be prolonged: until the decay begins, nothing depends on how long it will be.
``plateau`` is that of Tang, Hua, Wang 2017, "Implementation details".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["SCHEDULES", "factor"]

SCHEDULES = ("cosine", "hold", "plateau")


def factor(
    schedule: str, done: float, epochs: int, decay_epochs: int, losses: Sequence[float]
) -> float:
    """The learning rate as a share of the first one.

    Parameters
    ----------
    schedule : str
        One of ``SCHEDULES``.
    done : float
        Epochs done so far, a fraction included.
    epochs, decay_epochs : int
        Of the whole run.
    losses : sequence of float
        The mean training loss of each whole epoch so far.
    """
    if schedule == "plateau":
        halvings, least = 0, math.inf
        for loss in losses:
            halvings += loss >= least
            least = min(least, loss)
        return 0.5**halvings
    start = epochs - decay_epochs if schedule == "hold" else 0
    if done <= start:
        return 1.0
    return (1 + math.cos(math.pi * (done - start) / (epochs - start))) / 2
