"""Options of a command: declared once, as fields of a frozen dataclass that checks itself.

The command line, its help, and the YAML recipe are all derived from the fields (`neuroattn.command.line`).
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

from neuroattn.runs.local_path import expanded
from neuroattn.runs.plain_text import shortened, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RESAMPLES, MOST_AT_ONCE, MOST_PIXELS = 100_000, 10_000, 4096  # more is a slip, and may not fit in memory


def option(
    default: Any,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    path: bool = False,
    analysis: bool = False,
    former: str = "",
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
    path
        Whether a string is, or may be, a path.
    analysis
        Whether it is of the analysis alone: another value needs no other recording.
    former
        Name that the option had before, which command lines and recipes may still use.
    """
    metadata = {
        "description": description, "unit": unit, "low": low, "high": high, "choices": choices, "path": path,
        "analysis": analysis, "former": former,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def varied(config: type[Any], name: str, **changes: Any) -> Any:
    """Declare a field that another configuration has, with another default or other metadata."""
    field = next(field for field in dataclasses.fields(config) if field.name == name)
    default = changes.pop("default", field.default)
    return dataclasses.field(default=default, metadata={**field.metadata, **changes})


def allowed(field: dataclasses.Field[Any]) -> str:
    """Return in words what a field may hold, "" where anything goes."""
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    if low is not None and high is not None:
        return f"in [{_plain(low)}, {_plain(high)}]"
    if low is not None:
        return f"at least {_plain(low)}"
    return f"at most {_plain(high)}" if high is not None else ""


def _plain(limit: float) -> str:
    # Whole numbers as they are typed.
    return str(int(limit)) if float(limit).is_integer() and abs(limit) < 10**15 else f"{limit:g}"


def check_options(config: Any) -> None:
    """Raise unless every field of a configuration holds what it may, and set ``~`` in its paths to the home folder.

    Raises
    ------
    ValueError
        ``strength must be in [0, 1], got 1.5`` and the like.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("path") and value:
            settled = _expanded(field.name, value)
            object.__setattr__(config, field.name, settled)  # frozen for everyone else
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None and not _holds(item, field):
                got = shortened(item) if isinstance(item, str) else shown(item)
                raise ValueError(f"{field.name} must be {allowed(field)}, got {got}")


def _expanded(name: str, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    return expanded(name, value) if isinstance(value, str) else tuple(expanded(name, part) for part in value)


def _holds(value: Any, field: dataclasses.Field[Any]) -> bool:
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if choices:
        return value in choices
    if low is None and high is None:
        return True
    # A NaN is in no range, and must not slip through a comparison that it makes false.
    return value == value and (low is None or value >= low) and (high is None or value <= high)  # noqa: PLR0124


def suggestion(name: str, known: Iterable[str], dashes: str = "") -> str:
    """Return the question whether another name was meant, "" where none is near; `dashes` stand before it."""
    near = difflib.get_close_matches(name.replace("-", "_"), [*known], n=1)
    return f"; did you mean {dashes}{near[0]}?" if near else ""
