"""Progress bars."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable


def progress(
    what: str,
    unit: str,
    over: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    shown: bool = True,
    **more: Any,
) -> tqdm[Any]:
    """Return a bar on standard error that shows in a terminal and in Jupyter only, and goes when the work is done.

    Parameters
    ----------
    what, unit
        What is done, and what is counted.
    over
        What to pass through; without it the bar is told of what is done (``update``).
    total
        How many there are.
    shown
        Whether this process is one that shows.
    **more
        As for `tqdm.tqdm`.
    """
    # Jupyter's standard error denies being a terminal.
    hidden = False if "ipykernel" in sys.modules else None
    return tqdm(over, total=total, desc=what, unit=unit, leave=False, disable=hidden if shown else True, **more)
