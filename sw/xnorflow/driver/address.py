# SPDX-License-Identifier: Apache-2.0
"""Names of devices on a line: ``uart:PATH?baud=N``, ``spi:PATH?hz=N``."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

__all__ = ["link_address"]


def link_address(
    scheme: str, address: str, options: Iterable[str], *, setting: str, usual: int, example: str
) -> tuple[str, int]:
    """The path, and the line's speed.

    Parameters
    ----------
    scheme : str
        What comes before the colon.
    address : str
        What comes behind it.
    options : iterable of str
        Names of what else was asked for: nothing, or it is an error.
    setting : str
        Name of the speed.
    usual : int
        The speed where none is said.
    example : str
        A path, for the error.

    Raises
    ------
    ValueError
        If it is not such a name.
    """
    if named := sorted(options):
        raise ValueError(
            f"The device {scheme}:{address} takes no {' or '.join(named)}; only the simulator "
            "'sim' does"
        )
    path, _, query = address.partition("?")
    try:
        settings = dict(parse_qsl(query, strict_parsing=bool(query)))
        speed = int(settings.pop(setting, usual))
    except ValueError:
        settings, speed = {"": ""}, 0
    if not path or settings or speed <= 0:
        raise ValueError(
            f"Such a device is written {scheme}:PATH or {scheme}:PATH?{setting}=N, as in "
            f"{scheme}:{example}?{setting}={usual}, not '{scheme}:{address}'"
        )
    return path, speed
