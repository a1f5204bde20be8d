"""What a protocol says of its responses, for the explorer; the default goes by the recording's coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class View:
    """How the responses of a recording are laid out as curves of its units.

    Attributes
    ----------
    x
        Coordinate of presentations along the curve, ``""`` to choose one. Where units have an object of their own (a
        variable ``own``), ``label`` stands for the class of that object, ``label_0``, ``label_1`` …
    unit
        Of `x`, as axes show it.
    states
        Value of the coordinate ``attended`` → name of that state; others are named by their number.
    of
        What is in that state: ``bar`` makes ``bar attended``.
    where
        Coordinate → value of the presentations that count, as far as a recording has it.
    fit
        Columns of a von Mises curve's parameters in the unit table, as ``{parameter}_{state}_{value}``.
    measures
        Columns of the first scatter, along x and y.

    Examples
    --------
    >>> View(x="orientation", unit="°", states={0: "attended", 1: "unattended"}, of="bar").label(0)
    'bar attended'
    """

    x: str = ""
    unit: str = ""
    states: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    of: str = ""
    where: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    fit: str = ""
    measures: tuple[str, ...] = ()

    def label(self, state: int) -> str:
        """Return the name of a state of attention."""
        return f"{self.of} {self.states[state]}".strip() if state in self.states else f"object {state} attended"


DEFAULT = View()
