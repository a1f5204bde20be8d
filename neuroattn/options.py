"""Options of a command: declared once, as fields of a frozen dataclass that checks itself.

The command line, its help, and the YAML recipe are all derived from the fields (`neuroattn.command_line`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


def option(
    default: Any,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a field of a configuration.

    Parameters
    ----------
    default
        Value where the user gives none.
    description
        One line for ``--help``.
    unit
        Physical unit, if there is one.
    low, high
        Inclusive range of a number, or of each number of a tuple.
    choices
        The strings that are allowed.
    """
    metadata = {"description": description, "unit": unit, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def allowed(field: dataclasses.Field[Any]) -> str:
    """Return in words what a field may hold, "" where anything goes."""
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    if low is not None and high is not None:
        return f"in [{low:g}, {high:g}]"
    if low is not None:
        return f"at least {low:g}"
    return f"at most {high:g}" if high is not None else ""


def check_options(config: Any) -> None:
    """Raise unless every field of a configuration holds what it may.

    Raises
    ------
    ValueError
        ``strength must be in [0, 1], got 1.5`` and the like.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None and not _holds(item, field):
                raise ValueError(f"{field.name} must be {allowed(field)}, got {item}")


def _holds(value: Any, field: dataclasses.Field[Any]) -> bool:
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if choices:
        return value in choices
    if low is None and high is None:
        return True
    # A NaN is in no range, and must not slip through a comparison that it makes false.
    return not math.isnan(value) and (low is None or value >= low) and (high is None or value <= high)
