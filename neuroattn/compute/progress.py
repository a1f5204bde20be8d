"""Progress bars."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int, what: str, unit: str) -> tqdm[Any]:
    """Return a bar on standard error that shows in a terminal and in Jupyter only, and goes when the work is done."""
    # Jupyter's standard error denies being a terminal.
    hidden = False if "ipykernel" in sys.modules else None
    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=hidden)
