"""A bar for work that takes its time."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int, what: str, unit: str) -> tqdm[Any]:
    """Return a bar on standard error, which shows in a terminal and in Jupyter and is gone when the work is done."""
    # Jupyter's standard error says that it is no terminal.
    hidden = False if "ipykernel" in sys.modules else None
    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=hidden)
